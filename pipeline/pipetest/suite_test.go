package pipetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
)

// The suites are held to by the simplest parts that keep the contracts: a table and a log in memory.

func TestSinkSuite(t *testing.T) {
	t.Run("plain", func(t *testing.T) {
		TestSink(t, SinkHarness{New: func(testing.TB) SinkTarget {
			table := &memTable{rows: map[string][]string{}}
			return SinkTarget{
				Open: func(testing.TB) pipeline.Sink { return &memSink{table: table} },
				Rows: table.text,
			}
		}})
	})
	t.Run("keeper", func(t *testing.T) {
		TestSink(t, SinkHarness{New: func(testing.TB) SinkTarget {
			table := &memTable{rows: map[string][]string{}, kept: pipeline.Checkpoint{}}
			return SinkTarget{
				Open: func(testing.TB) pipeline.Sink { return &memKeeper{memSink{table: table}} },
				Rows: table.text,
			}
		}})
	})
}

type memTable struct {
	mu    sync.Mutex
	rows  map[string][]string // by key
	width int
	kept  pipeline.Checkpoint // nil: no Keeper
	epoch int
}

func (m *memTable) text(testing.TB) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for _, r := range m.rows {
		r = slices.Clone(r)
		for len(r) < m.width {
			r = append(r, "null")
		}
		out = append(out, strings.Join(r, "|"))
	}
	return out
}

// memSink holds the rows after the last mark back, as a Keeper must.
type memSink struct {
	table *memTable
	epoch int
	held  map[pipeline.Stream][]func()
}

func (s *memSink) Write(ctx context.Context, b *pipeline.Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m := s.table
	m.mu.Lock()
	defer m.mu.Unlock()
	if s.held == nil {
		s.held = map[pipeline.Stream][]func(){}
	}
	if m.kept != nil && s.epoch != m.epoch {
		return &pipeline.Error{Class: pipeline.Environment, Err: pipeline.ErrFenced}
	}
	kept := m.kept[b.Stream]
	for i, end := 0, 0; i <= len(b.Rows); i++ {
		for ; end < len(b.Marks) && b.Marks[end].End == i; end++ {
			s.commit(b.Stream, b.Marks[end].Pos)
		}
		if i < len(b.Rows) && !b.Rows[i].Tx.In(kept) {
			s.held[b.Stream] = append(s.held[b.Stream], m.change(&b.Rows[i]))
		}
	}
	return nil
}

func (s *memSink) commit(stream pipeline.Stream, pos pipeline.Position) {
	for _, change := range s.held[stream] {
		change()
	}
	delete(s.held, stream)
	if s.table.kept != nil && (pos == "" || pos > s.table.kept[stream]) { // never back: it would trim too little
		s.table.kept.Apply(stream, pos)
	}
}

// change copies what it needs of the row: the batch is gone when it runs.
func (m *memTable) change(r *pipeline.Row) func() {
	text := func(values []pipeline.Value) (out []string) {
		for _, v := range values {
			out = append(out, v.String())
		}
		return out
	}
	op, values, old, width := r.Op, text(r.Values), text(r.Before), len(r.Schema.Columns)
	return func() {
		m.width = max(m.width, width)
		switch op {
		case pipeline.Truncate:
			clear(m.rows)
			return
		case pipeline.Delete:
			delete(m.rows, old[0])
			return
		}
		was := values[0]
		if old != nil {
			was = old[0]
		}
		for i, v := range values {
			if v == "absent" {
				values[i] = "null"
				if i < len(m.rows[was]) {
					values[i] = m.rows[was][i]
				}
			}
		}
		delete(m.rows, was)
		m.rows[values[0]] = values
	}
}

func (s *memSink) Close() error { return nil }

type memKeeper struct{ memSink }

func (k *memKeeper) Checkpoint(context.Context) (pipeline.Checkpoint, error) {
	m := k.table
	m.mu.Lock()
	defer m.mu.Unlock()
	m.epoch++
	k.epoch = m.epoch
	return m.kept.Clone(), nil
}

func TestSourceSuite(t *testing.T) {
	TestSource(t, SourceHarness{Keepalive: 50 * time.Millisecond, New: func(testing.TB) SourceTarget {
		log := &memLog{}
		return SourceTarget{
			Open:   func(testing.TB) pipeline.Source { return &memSource{log: log} },
			Change: log.change,
		}
	}})
}

// memLog has transactions of one to three rows; a chunk of it was there before, as a snapshot.
type memLog struct {
	mu  sync.Mutex
	txs [][]int
	n   int
}

func (l *memLog) change(_ testing.TB, n int) (rows int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for range n {
		var tx []int
		for range 1 + len(l.txs)%3 {
			l.n++
			tx = append(tx, l.n)
		}
		l.txs = append(l.txs, tx)
		rows += len(tx)
	}
	return rows
}

func (l *memLog) from(n int) [][]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.txs[n:])
}

type memSource struct{ log *memLog }

func (s *memSource) Run(ctx context.Context, from pipeline.Checkpoint, out pipeline.Output) error {
	if from["done"] == "" {
		if err := s.emit(ctx, out, "chunk", Position(1), [][]int{{-1, -2}}, true); err != nil {
			return err
		}
		if err := out.Drain(ctx, "chunk"); err != nil {
			return err
		}
		if err := s.emit(ctx, out, "done", Position(1), [][]int{{}}, false); err != nil {
			return err
		}
	}
	n := 0
	fmt.Sscanf(string(from["wal"]), "%d", &n)
	for {
		txs := s.log.from(n)
		if err := s.emit(ctx, out, "wal", Position(n+1), txs, false); err != nil {
			return err
		}
		n += len(txs)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
}

func (s *memSource) emit(ctx context.Context, out pipeline.Output, stream pipeline.Stream, first pipeline.Position,
	txs [][]int, finish bool) error {
	n := 0
	fmt.Sscanf(string(first), "%d", &n)
	b, err := out.New(ctx, stream)
	if err != nil {
		return err
	}
	for i, tx := range txs {
		at := &pipeline.Tx{Pos: before(Position(n + i))}
		for seq, id := range tx {
			if b.Full() {
				if err := out.Emit(b); err != nil {
					return err
				}
				if b, err = out.New(ctx, stream); err != nil {
					return err
				}
			}
			r := b.Add()
			r.Schema, r.Tx, r.Op, r.Seq, r.Values = Items(), at, pipeline.Insert, uint32(seq), b.Values(4)
			r.Values[0] = pipeline.IntValue(int64(id))
		}
		b.Mark(Position(n + i))
	}
	if finish {
		b.Mark("")
	}
	return out.Emit(b)
}

func (s *memSource) Commit(context.Context, pipeline.Checkpoint) error { return nil }

// TestBuilder shows what the builder makes of its arguments.
func TestBuilder(t *testing.T) {
	b := NewBatch(Items()).Insert(1, "a", nil, absent).Update(key(1), 2, []byte("b"), 3, "n").Mark(Position(5)).
		Tx(Position(6), 7).Delete(key(2)...).Batch()
	want := []string{"insert public.items (1, a, null, absent)",
		"update public.items old (1, absent, absent, absent) (2, b, 3, n)", "mark 00000005",
		"delete public.items old (2, absent, absent, absent)"}
	if have := BatchText(b); !slices.Equal(have, want) {
		t.Errorf("have %q\nwant %q", have, want)
	}
	first, last := b.Rows[0].Tx, b.Rows[2].Tx
	if !first.In(Position(5)) || first.In(Position(4)) || last.In(Position(5)) || !last.In(Position(6)) {
		t.Errorf("transactions at %q and %q", first.Pos, last.Pos)
	}
	if b.Rows[1].Seq != 1 || b.Rows[2].Seq != 7 {
		t.Errorf("ordinals %d and %d", b.Rows[1].Seq, b.Rows[2].Seq)
	}
}

// TestCollect: New waits while held, Emit fails once closed.
func TestCollect(t *testing.T) {
	c := &Collect{MaxRows: 2}
	c.Hold()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := c.New(ctx, "wal"); !errors.Is(err, context.DeadlineExceeded) || c.Idle() {
		t.Errorf("held: %v", err)
	}
	c.Release()
	b, err := c.New(t.Context(), "wal")
	if err != nil || b.MaxRows != 2 {
		t.Fatal(err)
	}
	b.Mark("1")
	if err := c.Emit(b); err != nil || c.Checkpoint()["wal"] != "1" {
		t.Errorf("emit: %v", err)
	}
	c.Close()
	if err := c.Emit(b); err == nil || c.Late() != 1 {
		t.Errorf("emitted after Close: %v", err)
	}
	if !bytes.Equal([]byte(b.Stream), []byte("wal")) {
		t.Errorf("stream %q", b.Stream)
	}
}
