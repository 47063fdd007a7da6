package pipetest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
)

// SinkHarness is what TestSink needs of a Sink.
type SinkHarness struct {
	// New makes an empty place to write to for one subtest.
	New func(t testing.TB) SinkTarget
	// NoAbsent says that the sink cannot leave a column as it is: those cases are left out.
	NoAbsent bool
	// NoTruncate says that the sink does not apply Truncate.
	NoTruncate bool
	// HugeBytes is the size of the huge value; 0: 4 MiB.
	HugeBytes int
}

// SinkTarget is one place that a Sink writes to.
type SinkTarget struct {
	// Open opens a sink there, as after a restart; the suite closes it.
	Open func(t testing.TB) pipeline.Sink
	// Rows returns the present state of the table public.items in the target: one text for each row,
	// the values as pipeline.Value.String renders them joined by "|", in the columns' order, "null" for
	// NULL and for a column that was added after the row was written. A sink that keeps events folds them by key first. No sink is open when it is called,
	// unless it keeps rows durable as they come.
	Rows func(t testing.TB) []string
}

// Items returns the schema of the suite's table public.items: id (key), name, qty, note (may be Absent).
// extra columns, of kind Text, come last.
func Items(extra ...string) *pipeline.Schema {
	s := &pipeline.Schema{
		System: pipeline.PostgreSQL, Database: "test", Namespace: "public", Table: "items",
		Key: []int{0}, Version: uint64(len(extra)) + 1,
		Columns: []pipeline.Column{
			{Name: "id", Kind: pipeline.Int, Type: "bigint", Precision: -1, Length: -1, TypeID: 20},
			{Name: "name", Kind: pipeline.Text, Type: "text", Nullable: true, Precision: -1, Length: -1, TypeID: 25},
			{Name: "qty", Kind: pipeline.Int, Type: "integer", Nullable: true, Precision: -1, Length: -1, TypeID: 23},
			{Name: "note", Kind: pipeline.Text, Type: "text", Nullable: true, Precision: -1, Length: -1, TypeID: 25},
		},
	}
	for _, name := range extra {
		s.Columns = append(s.Columns, pipeline.Column{Name: name, Kind: pipeline.Text, Type: "text",
			Nullable: true, Precision: -1, Length: -1, TypeID: 25})
	}
	return s
}

// sinkCase is one history and the state that it leads to; each batch may be written again.
type sinkCase struct {
	name    string
	batches func() []*pipeline.Batch
	want    []string
	absent  bool
	truncat bool
}

var absent = pipeline.AbsentValue

// key returns an old row that has only the key.
func key(id int) Row { return Row{id, absent, absent, absent} }

// TestSink holds a Sink to the contract of pipeline.Sink (and of pipeline.Keeper and pipeline.Parallel
// where it implements them).
func TestSink(t *testing.T, h SinkHarness) {
	for _, c := range sinkCases() {
		if c.absent && h.NoAbsent || c.truncat && h.NoTruncate {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			target := h.New(t)
			session(t, target, c.batches()...)
			wantRows(t, target, c.want)
		})
		t.Run(c.name+", replayed", func(t *testing.T) { sinkReplay(t, h.New(t), c) })
	}
	t.Run("a huge value", func(t *testing.T) { sinkHuge(t, h) })
	t.Run("marks without rows", func(t *testing.T) { sinkEmpty(t, h.New(t)) })
	t.Run("a transaction over several batches", func(t *testing.T) { sinkOpenTx(t, h.New(t)) })
	t.Run("streams side by side", func(t *testing.T) { sinkStreams(t, h.New(t)) })
	t.Run("a cancelled write returns", func(t *testing.T) { sinkCancel(t, h.New(t)) })
	t.Run("keeper", func(t *testing.T) { sinkKeeper(t, h) })
}

// sinkReplay writes the history, then all of it again from a new sink, as after a crash between the
// write and the save: the state must not change.
func sinkReplay(t *testing.T, target SinkTarget, c sinkCase) {
	session(t, target, c.batches()...)
	session(t, target, c.batches()...)
	wantRows(t, target, c.want)
}

func sinkHuge(t *testing.T, h SinkHarness) {
	n := h.HugeBytes
	if n == 0 {
		n = 4 << 20
	}
	huge := strings.Repeat("0123456789abcde\n", n/16)
	target := h.New(t)
	session(t, target, NewBatch(Items()).Insert(1, huge, 1, nil).Insert(2, "b", 2, nil).Mark(Position(1)).Batch())
	wantRows(t, target, []string{"1|" + huge + "|1|null", "2|b|2|null"})
}

func sinkEmpty(t *testing.T, target SinkTarget) {
	s := open(t, target)
	write(t, s, NewBatch(Items()).Mark(Position(1)).Batch())
	write(t, s, NewBatch(Items()).Mark(Position(2)).Mark(Position(3)).Batch())
	write(t, s, NewBatch(Items()).In("source.test/chunk").Mark(Position(1)).Batch())
	write(t, s, NewBatch(Items()).In("source.test/chunk").Mark("").Batch())
	write(t, s, NewBatch(Items()).In("source.test/never seen").Mark("").Batch())
	closeSink(t, s)
	wantRows(t, target, nil)
	wantKept(t, target, pipeline.Checkpoint{"source.test/wal": Position(3)})
}

// sinkOpenTx leaves a transaction without its Mark, as a crash does, and begins it again.
func sinkOpenTx(t *testing.T, target SinkTarget) {
	part := func(first uint32, ids ...int) *Builder {
		b := NewBatch(Items()).Tx(Position(2), first)
		for _, id := range ids {
			b.Insert(id, "x", id, nil)
		}
		return b
	}
	session(t, target, NewBatch(Items()).Insert(1, "a", 1, nil).Mark(Position(1)).Batch(), part(0, 2, 3).Batch())
	wantKept(t, target, pipeline.Checkpoint{"source.test/wal": Position(1)})
	session(t, target, part(0, 2, 3).Batch(), part(2, 4).Batch(), part(3, 5).Mark(Position(2)).Batch())
	wantRows(t, target, []string{"1|a|1|null", "2|x|2|null", "3|x|3|null", "4|x|4|null", "5|x|5|null"})
	wantKept(t, target, pipeline.Checkpoint{"source.test/wal": Position(2)})
}

// sinkStreams writes three streams, at once where the sink is Parallel.
func sinkStreams(t *testing.T, target SinkTarget) {
	s := open(t, target)
	lanes := 1
	if p, ok := s.(pipeline.Parallel); ok {
		lanes = p.Lanes()
	}
	if lanes < 1 {
		t.Fatalf("Lanes returns %d", lanes)
	}
	run := func(stream pipeline.Stream, base int) error {
		for i := range 20 {
			b := NewBatch(Items()).In(stream).Read(base+i, "s", i, nil).Mark(Position(i + 1)).Batch()
			if err := tryWrite(t, s, b); err != nil {
				return err
			}
		}
		return nil
	}
	streams := []pipeline.Stream{"source.test/chunk/1", "source.test/chunk/2", "source.test/chunk/3"}
	done := make(chan error, len(streams))
	slots := make(chan struct{}, lanes)
	for n, stream := range streams {
		go func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			done <- run(stream, 1000*(n+1))
		}()
	}
	for range streams {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	closeSink(t, s)
	if have := target.Rows(t); len(have) != 60 {
		t.Errorf("%d rows in the target, want 60", len(have))
	}
}

func sinkCancel(t *testing.T, target SinkTarget) {
	s := open(t, target)
	write(t, s, NewBatch(Items()).Insert(1, "a", 1, nil).Mark(Position(1)).Batch())
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	done := make(chan error, 1)
	go func() { done <- s.Write(ctx, NewBatch(Items()).Insert(2, "b", 2, nil).Mark(Position(2)).Batch()) }()
	select {
	case err := <-done:
		t.Logf("write under a cancelled context: %v", err)
	case <-time.After(stopWait):
		t.Fatalf("write under a cancelled context did not return within %v", stopWait)
	}
	s.Close()
	have := target.Rows(t)
	both := []string{"1|a|1|null", "2|b|2|null"}
	if !slices.Equal(have, both) && !slices.Equal(have, both[:1]) {
		t.Errorf("rows %q, want the first, or both", have)
	}
}

// session opens a sink, writes, and closes.
func session(t testing.TB, target SinkTarget, batches ...*pipeline.Batch) {
	t.Helper()
	s := open(t, target)
	for _, b := range batches {
		write(t, s, b)
	}
	closeSink(t, s)
}

func open(t testing.TB, target SinkTarget) pipeline.Sink {
	t.Helper()
	s := target.Open(t)
	if k, ok := s.(pipeline.Keeper); ok {
		if _, err := k.Checkpoint(t.Context()); err != nil {
			t.Fatalf("checkpoint: %v", err)
		}
	}
	return s
}

func closeSink(t testing.TB, s pipeline.Sink) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

func tryWrite(t testing.TB, s pipeline.Sink, b *pipeline.Batch) error {
	ctx, cancel := context.WithTimeout(t.Context(), waitFor)
	defer cancel()
	before := BatchText(b)
	err := s.Write(ctx, b)
	if diff := cmp.Diff(before, BatchText(b)); diff != "" {
		err = errors.Join(err, errors.New("Write changed the batch:\n"+diff))
	}
	b.Poison()
	b.Reset()
	return err
}

func wantRows(t testing.TB, target SinkTarget, want []string) {
	t.Helper()
	have := slices.Sorted(slices.Values(target.Rows(t)))
	want = slices.Sorted(slices.Values(want))
	if !slices.Equal(want, have) {
		t.Errorf("rows in the target (-want +have):\n%.2000s", cmp.Diff(want, have))
	}
}
