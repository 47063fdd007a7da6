package engine

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
)

// testSource is a Source made of functions.
type testSource struct {
	run    func(ctx context.Context, from pipeline.Checkpoint, out pipeline.Output) error
	commit func(cp pipeline.Checkpoint) error
}

func (s *testSource) Run(ctx context.Context, from pipeline.Checkpoint, out pipeline.Output) error {
	return s.run(ctx, from, out)
}

func (s *testSource) Commit(_ context.Context, cp pipeline.Checkpoint) error {
	if s.commit == nil {
		return nil
	}
	return s.commit(cp)
}

// testSink is a Sink made of functions.
type testSink struct {
	write func(ctx context.Context, b *pipeline.Batch) error
	close func() error
}

func (s *testSink) Write(ctx context.Context, b *pipeline.Batch) error {
	if s.write == nil {
		return nil
	}
	return s.write(ctx, b)
}

func (s *testSink) Close() error {
	if s.close == nil {
		return nil
	}
	return s.close()
}

// testKeeper is a Keeper that holds a fixed checkpoint.
type testKeeper struct {
	testSink
	cp pipeline.Checkpoint
}

func (k *testKeeper) Checkpoint(context.Context) (pipeline.Checkpoint, error) { return k.cp, nil }

// testStore is a Store in memory.
type testStore struct {
	mu     sync.Mutex
	cp     pipeline.Checkpoint
	err    error
	saves  int
	closed int
}

func (s *testStore) Load(context.Context) (pipeline.Checkpoint, error) { return s.cp.Clone(), s.err }

func (s *testStore) Save(_ context.Context, cp pipeline.Checkpoint) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cp = cp.Clone()
	s.saves++
	return s.err
}

func (s *testStore) at(q pipeline.Stream) pipeline.Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cp[q]
}

func (s *testStore) Close() error {
	s.closed++
	return nil
}

// testFunc is a Transform that keeps the schema.
type testFunc pipeline.Func

func (f testFunc) Bind(in *pipeline.Schema) (*pipeline.Schema, pipeline.Func, error) {
	return in, pipeline.Func(f), nil
}

var testSchema = &pipeline.Schema{Namespace: "public", Table: "t", Key: []int{0},
	Columns: []pipeline.Column{{Name: "id", Kind: pipeline.Int}, {Name: "v", Kind: pipeline.Text}}}

// addRows adds n rows to a batch, each with one value of size bytes.
func addRows(b *pipeline.Batch, tx *pipeline.Tx, n, size int) {
	for i := range n {
		r := b.Add()
		r.Schema, r.Tx, r.Op, r.Values = testSchema, tx, pipeline.Insert, b.Values(2)
		r.Values[0] = pipeline.IntValue(int64(i))
		r.Values[1] = pipeline.BytesValue(pipeline.Text, b.Alloc(size))
	}
}

// emit emits one batch of n rows on a stream, marked where p is not "-".
func emit(ctx context.Context, out pipeline.Output, s pipeline.Stream, n int, p pipeline.Position) error {
	b, err := out.New(ctx, s)
	if err != nil {
		return err
	}
	addRows(b, &pipeline.Tx{}, n, 8)
	if p != "-" {
		b.Mark(p)
	}
	return out.Emit(b)
}

// graph is a graph of one source and one sink.
func graph(src pipeline.Source, sink pipeline.Sink, store pipeline.Store) Graph {
	return Graph{
		Name: "test", Poison: true, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Store: store,
		Sources: []SourceNode{{"source.s", src}},
		Sinks:   []SinkNode{{"sink.k", []string{"source.s"}, sink}},
		Limits:  Limits{SaveEvery: 10 * time.Millisecond, Grace: time.Second},
	}
}

func mustNew(t testing.TB, g Graph) *Engine {
	t.Helper()
	e, err := New(g)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func reading(run func(ctx context.Context, from pipeline.Checkpoint, out pipeline.Output) error) *testSource {
	return &testSource{run: run}
}
