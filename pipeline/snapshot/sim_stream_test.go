package snapshot

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
)

// stream delivers the log and merges chunks into it.
func (l *simLife) stream(ctx context.Context) error {
	for {
		l.w.db.mu.Lock()
		var tx *simTx
		if l.at < len(l.w.db.log) {
			tx = &l.w.db.log[l.at]
		}
		l.w.db.mu.Unlock()
		if tx != nil {
			if err := l.deliver(ctx, tx); err != nil {
				return err
			}
		}
		if err := l.merges(ctx); err != nil {
			return err
		}
		if tx != nil && l.random(10) > 0 {
			continue
		}
		if l.random(2) == 0 {
			if err := l.emit(); err != nil {
				return err
			}
		}
		if err := pause(ctx, time.Duration(1+l.random(40))*time.Millisecond); err != nil {
			return err
		}
	}
}

func (l *simLife) room(ctx context.Context) (*pipeline.Batch, error) {
	if l.hand != nil {
		return l.hand, nil
	}
	b, err := l.out.New(ctx, simWAL)
	l.hand = b
	return b, err
}

func (l *simLife) emit() error {
	if l.hand == nil {
		return nil
	}
	b := l.hand
	l.hand = nil
	return l.out.Emit(b)
}

// deliver emits one transaction.
func (l *simLife) deliver(ctx context.Context, tx *simTx) error {
	pt := &pipeline.Tx{ID: tx.id, Pos: simPos(l.at)}
	for i := range tx.changes {
		c := &tx.changes[i]
		row := l.row(c)
		row.Tx = pt
		table := row.Schema.Table
		if c.op == pipeline.Update && c.old >= 0 && c.row.big == simAbsent {
			if err := l.live.Rekeyed(ctx, table); err != nil {
				return err
			}
		}
		if l.live.Window.Watching() {
			l.live.Window.Touch(table, &row, tx.id)
			l.remember(table, c)
		}
		b, err := l.room(ctx)
		if err != nil {
			return err
		}
		*b.Add() = row
	}
	l.at++
	return l.mark(ctx)
}

func (l *simLife) mark(ctx context.Context) error {
	b, err := l.room(ctx)
	if err != nil {
		return err
	}
	b.Mark(simPos(l.at))
	if b.Ripe() {
		return l.emit()
	}
	return nil
}

func (l *simLife) row(c *simChange) pipeline.Row {
	row := pipeline.Row{Schema: l.w.schemas[c.table], Op: c.op}
	if c.key >= 0 {
		row.Values = simValues(c.key, c.row)
	}
	if c.old >= 0 {
		row.Before = []pipeline.Value{pipeline.IntValue(int64(c.old)), pipeline.AbsentValue, pipeline.AbsentValue}
	}
	return row
}

func simValues(key int, r simRow) []pipeline.Value {
	big := pipeline.IntValue(int64(r.big))
	if r.big == simAbsent {
		big = pipeline.AbsentValue
	}
	return []pipeline.Value{pipeline.IntValue(int64(key)), pipeline.IntValue(int64(r.v)), big}
}

// remember keeps the key of a change that says less than the whole row, of a table being read.
func (l *simLife) remember(table string, c *simChange) {
	if c.op != pipeline.Update || c.row.big != simAbsent || !l.live.Window.Watches(table) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.owed[table] == nil {
		l.owed[table] = map[string]bool{}
	}
	l.owed[table][fmt.Sprintf("%04d", c.key)] = true
}

// more returns the keys to be read once more.
func (l *simLife) more(_ context.Context, q *Request) ([]Segment, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	keys := slices.Sorted(maps.Keys(l.owed[q.Table]))
	delete(l.owed, q.Table)
	if len(keys) == 0 || q.Filled() {
		return nil, nil
	}
	s := Segment{Part: q.Table, Cut: ByKey}
	for _, k := range keys {
		s.Keys = append(s.Keys, []string{k})
	}
	return []Segment{s}, nil
}

// merges merges what may be merged where the stream stands.
func (l *simLife) merges(ctx context.Context) error {
	for p := l.live.Next(simPos(l.at)); p != nil; p = l.live.Next(simPos(l.at)) {
		l.w.merged++
		tx := &pipeline.Tx{Pos: simPos(l.at), Snapshot: true}
		if err := l.merge(ctx, p, tx); err != nil {
			return err
		}
		if err := l.mark(ctx); err != nil {
			return err
		}
		if err := l.emit(); err != nil {
			return err
		}
		l.live.Merged(p, simPos(l.at))
	}
	return nil
}

func (l *simLife) merge(ctx context.Context, p *Piece, tx *pipeline.Tx) error {
	if p.Flags == 0 {
		return l.live.Merge(p, tx, func() (*pipeline.Batch, error) { return l.room(ctx) }, l.emit)
	}
	b, err := l.room(ctx)
	if err != nil {
		return err
	}
	*b.Add() = pipeline.Row{Schema: l.w.schemas[simTable(p.Table)], Tx: tx, Op: pipeline.Truncate, Flags: p.Flags}
	return nil
}

// simReader reads chunks.
type simReader struct{ l *simLife }

func (l *simLife) open(context.Context) (Reader, error) {
	if err := l.fault(10); err != nil {
		return nil, err
	}
	return simReader{l}, nil
}

func (r simReader) Close() error { return nil }

func (r simReader) Read(ctx context.Context, p *Piece, _ Limit) error {
	nap := func() error {
		if r.l.random(3) > 0 {
			return nil
		}
		return pause(ctx, time.Duration(r.l.random(300))*time.Millisecond)
	}
	if err := nap(); err != nil {
		return err
	}
	n := simTable(p.Table)
	v := r.l.w.db.view(n)
	if err := nap(); err != nil {
		return err
	}
	most := 1 + r.l.random(10)
	for _, k := range slices.Sorted(maps.Keys(v.rows)) {
		key := fmt.Sprintf("%04d", k)
		if !simCovers(&p.Segment, key) {
			continue
		}
		if len(p.Rows) == most && p.Segment.Keys == nil {
			rest := p.Segment
			rest.Low = []string{key}
			p.Rest, p.Segment.High = &rest, []string{key}
			break
		}
		p.Rows = append(p.Rows, pipeline.Row{Schema: r.l.w.schemas[n], Values: simValues(k, v.rows[k])})
	}
	p.Sees = v.sees
	p.Fence = simPos(r.l.w.db.end())
	r.l.mu.Lock()
	r.l.w.reads++
	r.l.mu.Unlock()
	if err := nap(); err != nil {
		return err
	}
	return r.l.fault(25)
}

func simCovers(s *Segment, key string) bool {
	if s.Keys != nil {
		return slices.ContainsFunc(s.Keys, func(k []string) bool { return k[0] == key })
	}
	return (s.Low == nil || s.Low[0] <= key) && (s.High == nil || key < s.High[0])
}

func simInt(p pipeline.Position) int { n, _ := strconv.Atoi(string(p)); return n }
