package postgres

import (
	"context"
	"errors"
	"slices"

	"github.com/pipe-cdc/pipe/pipeline"
)

var errNoKey = errors.New("the source did not send the row's key")

// applyKeyed brings rows with a key to their last state. Rows are compacted; what compaction cannot
// hold is a barrier: what came before it is written first.
func (l *lane) applyKeyed(ctx context.Context, p *plan, rows []*pipeline.Row) error {
	c := &l.compact
	c.reset(p.key, 2*len(rows))
	for _, r := range rows {
		done, err := l.fold(p, r)
		if err != nil {
			return &rowFault{row: r, plan: p, err: err}
		}
		if done {
			continue
		}
		if err := l.flush(ctx, p); err != nil {
			return err
		}
		c.reset(p.key, 2*len(rows))
		if err := l.barrier(ctx, p, r); err != nil {
			return err
		}
	}
	return l.flush(ctx, p)
}

// fold takes a row into the compactor; false: the row must be applied by itself.
func (l *lane) fold(p *plan, r *pipeline.Row) (bool, error) {
	c, values := &l.compact, r.Values
	if r.Op == pipeline.Delete {
		if l.sink.cfg.Deletes == deletesIgnore {
			return true, nil
		}
		if err := l.checkKey(p, r.Before); err != nil {
			return true, err
		}
		l.set(r, r.Before, removed)
		return true, nil
	}
	complete := r.Complete()
	if !complete && r.Before != nil {
		values = c.overlay(r.Before, r.Values)
		complete = !slices.ContainsFunc(values, pipeline.Value.IsAbsent)
	}
	if err := l.checkKey(p, values); err != nil {
		return true, err
	}
	if r.KeyChanged() {
		if !complete || !p.exact || !l.conn.replica || l.sink.cfg.Deletes != deletesApply {
			return false, nil
		}
		l.set(r, c.overlay(values, r.Before), removed)
	}
	if complete {
		l.set(r, values, full)
		return true, nil
	}
	at, s := c.find(values)
	switch {
	case s == nil:
		c.add(at, slot{row: r, values: values, state: partly})
	case s.state == removed:
		return false, nil
	default:
		s.row, s.values = r, c.overlay(s.values, values)
		if s.state == partly && !slices.ContainsFunc(s.values, pipeline.Value.IsAbsent) {
			s.state = full
		}
	}
	return true, nil
}

func (l *lane) set(r *pipeline.Row, values []pipeline.Value, state outcome) {
	at, s := l.compact.find(values)
	if s == nil {
		l.compact.add(at, slot{row: r, values: values, state: state})
		return
	}
	s.row, s.values, s.state = r, values, state
}

func (l *lane) checkKey(p *plan, values []pipeline.Value) error {
	for _, k := range p.key {
		if k >= len(values) || values[k].IsAbsent() {
			return errNoKey
		}
	}
	return nil
}

// barrier applies one row by itself: a key change that must keep what the source did not send or what
// only the target has, or an update of a row that was deleted just before.
func (l *lane) barrier(ctx context.Context, p *plan, r *pipeline.Row) error {
	if !r.KeyChanged() {
		_, err := l.fold(p, r)
		return err
	}
	old := r.Before
	values := l.compact.overlay(old, r.Values)
	for i := range values {
		if !p.schema.IsKey(i) {
			values[i] = r.Values[i]
		}
	}
	moved := l.pair(values, l.compact.overlay(values, old))
	present := presence(values)
	in := &l.lists.some
	in.reset()
	in.add(moved, r)
	n, err := l.run(ctx, p, p.statement(l.sink.binder, verbMove, present), in)
	if err != nil || n > 0 {
		return err
	}
	if slices.Contains(present, false) {
		return l.missing(p, r)
	}
	l.set(r, values, full)
	return nil
}

func (l *lane) missing(p *plan, r *pipeline.Row) error {
	if l.sink.cfg.MissingRows == missingSkip {
		return nil
	}
	return &rowFault{row: r, plan: p, err: errMissing}
}

// pair returns the values followed by those of the old row.
func (l *lane) pair(values, old []pipeline.Value) []pipeline.Value {
	out := l.compact.arena.Values(len(values) + len(old))
	copy(out[copy(out, values):], old)
	return out
}

func presence(values []pipeline.Value) []bool {
	out := make([]bool, len(values))
	for i := range values {
		out[i] = !values[i].IsAbsent()
	}
	return out
}

// flush writes the compactor's slots: deletes, then whole rows, then partial ones, each in the order
// of their keys.
func (l *lane) flush(ctx context.Context, p *plan) error {
	c, in := &l.compact, &l.lists
	if len(c.slots) == 0 {
		return nil
	}
	in.deletes.reset()
	in.fulls.reset()
	partial := false
	for _, k := range c.sorted() {
		s := &c.slots[k.slot]
		if s.state == removed || l.replace && s.state == full {
			in.deletes.add(s.values, s.row)
		}
		if s.state == full {
			in.fulls.add(s.values, s.row)
		}
		partial = partial || s.state == partly
	}
	b, del := l.sink.binder, verbDelete
	if p.soft != "" {
		del = verbHide
	}
	if _, err := l.run(ctx, p, p.statement(b, del, nil), &in.deletes); err != nil {
		return err
	}
	if _, err := l.run(ctx, p, p.statement(b, verbUpsert, nil), &in.fulls); err != nil {
		return err
	}
	if !partial {
		return nil
	}
	return l.flushPartial(ctx, p)
}

// flushPartial updates the columns that are present, one statement for each set of them.
func (l *lane) flushPartial(ctx context.Context, p *plan) error {
	byColumns := map[string]*list{}
	var order []string
	for _, k := range l.compact.order {
		s := &l.compact.slots[k.slot]
		if s.state != partly {
			continue
		}
		key := bitmap(presence(s.values))
		if byColumns[key] == nil {
			byColumns[key] = &list{}
			order = append(order, key)
		}
		byColumns[key].add(s.values, s.row)
	}
	for _, key := range order {
		in := byColumns[key]
		n, err := l.run(ctx, p, p.statement(l.sink.binder, verbUpdate, presence(in.values[0])), in)
		if err != nil {
			return err
		}
		if n < int64(len(in.values)) && l.sink.cfg.MissingRows == missingFail {
			if len(in.values) == 1 {
				return &rowFault{row: in.rows[0], plan: p, err: errMissing}
			}
			return errMissing
		}
	}
	return nil
}
