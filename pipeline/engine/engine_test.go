package engine

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
)

func TestNewRefuses(t *testing.T) {
	src, sink, keep := &testSource{}, &testSink{}, testFunc(nil)
	sources := []SourceNode{{"source.a", src}}
	cases := map[string]Graph{
		"has no source":        {Sinks: []SinkNode{{"sink.k", []string{"source.a"}, sink}}},
		"has no sink":          {Sources: sources},
		"no store":             {Sources: sources, Sinks: []SinkNode{{"sink.k", []string{"source.a"}, sink}}},
		"sink.k has no source": {Sources: sources, Sinks: []SinkNode{{"sink.k", nil, sink}}},
		`comes from "x"`:       {Sources: sources, Sinks: []SinkNode{{"sink.k", []string{"x"}, sink}}},
		`names "source.a" twi`: {Sources: sources, Sinks: []SinkNode{{"sink.k", []string{"source.a", "source.a"}, sink}}},
		"used twice": {Sources: append(sources, SourceNode{"source.a", src}),
			Sinks: []SinkNode{{"sink.k", []string{"source.a"}, sink}}},
		"lies below": {Sources: append(sources, SourceNode{"source.a/b", src}),
			Sinks: []SinkNode{{"sink.k", []string{"source.a", "source.a/b"}, sink}}},
		"leads to no sink": {Store: &testStore{}, Sources: append(sources, SourceNode{"source.b", src}),
			Sinks: []SinkNode{{"sink.k", []string{"source.a"}, sink}}},
		"cycle: transform.x <- transform.y <- transform.x": {Store: &testStore{}, Sources: sources,
			Transforms: []TransformNode{{"transform.x", []string{"transform.y"}, keep},
				{"transform.y", []string{"transform.x"}, keep}},
			Sinks: []SinkNode{{"sink.k", []string{"source.a"}, sink}}},
	}
	for want, g := range cases {
		_, err := New(g)
		if err == nil || !strings.Contains(err.Error(), want) || pipeline.ClassOf(err) != pipeline.Input {
			t.Errorf("got %v, want an input error with %q", err, want)
		}
	}
}

// TestBounds: a sink that takes nothing stops the source at the pool's bound; with giant rows, at one
// of them (invariant 4).
func TestBounds(t *testing.T) {
	for _, c := range []struct {
		name       string
		size, want int
	}{{"small", 10, 4}, {"giant", 1 << 20, 1}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var emitted atomic.Int64
				hold := make(chan struct{})
				src := reading(func(ctx context.Context, _ pipeline.Checkpoint, out pipeline.Output) error {
					for i := range 50 {
						b, err := out.New(ctx, "wal")
						if err != nil {
							return err
						}
						addRows(b, &pipeline.Tx{}, 1, c.size)
						b.Mark(pos(i + 1))
						if err := out.Emit(b); err != nil {
							return err
						}
						emitted.Add(1)
					}
					return nil
				})
				sink := &testSink{write: func(context.Context, *pipeline.Batch) error { <-hold; return nil }}
				g := graph(src, sink, &testStore{})
				g.Limits.Batches, g.Limits.Bytes = 4, 64<<10
				e := mustNew(t, g)
				done := make(chan error, 1)
				go func() { done <- e.Run(t.Context()) }()
				synctest.Wait()
				if n := int(emitted.Load()); n != c.want {
					t.Errorf("%d batches in flight, want %d", n, c.want)
				}
				if s := e.Stats(); s.InFlight != c.want || s.Bytes < int64(c.want*c.size) {
					t.Errorf("stats: %d batches of %d bytes", s.InFlight, s.Bytes)
				}
				close(hold)
				if err := <-done; err != nil || emitted.Load() != 50 {
					t.Errorf("%d emitted, %v", emitted.Load(), err)
				}
			})
		})
	}
}

// TestDrainWaitsForMark: rows after the last mark are not durable, however often they were written.
func TestDrainWaitsForMark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &testStore{}
		var drained atomic.Bool
		src := reading(func(ctx context.Context, _ pipeline.Checkpoint, out pipeline.Output) error {
			if err := out.Drain(ctx, "never", "heard of"); err != nil {
				return err
			}
			b, err := out.New(ctx, "wal")
			if err != nil {
				return err
			}
			addRows(b, &pipeline.Tx{}, 1, 8)
			b.Mark(pos(1))
			addRows(b, &pipeline.Tx{}, 1, 8)
			if err := out.Emit(b); err != nil {
				return err
			}
			done := make(chan error, 1)
			go func() { done <- out.Drain(ctx, "wal"); drained.Store(true) }()
			time.Sleep(time.Minute)
			if drained.Load() || store.at("source.s/wal") != pos(1) {
				t.Errorf("drained is %v, saved %v", drained.Load(), store.at("source.s/wal"))
			}
			if err := emit(ctx, out, "wal", 0, pos(2)); err != nil {
				return err
			}
			return <-done
		})
		if err := mustNew(t, graph(src, &testSink{}, store)).Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !drained.Load() || store.cp["source.s/wal"] != pos(2) || store.closed != 1 {
			t.Errorf("drained is %v, saved %v, closed %d times", drained.Load(), store.cp, store.closed)
		}
	})
}

// parts are those of a graph of which one fails.
type parts struct {
	src  *testSource
	f    pipeline.Func
	sink *testSink
}

// failure is one way to fail.
type failure struct {
	name, want string
	class      pipeline.Class
	saved      bool
	change     func(p *parts)
}

func failures() []failure {
	boom, bad := func() { panic("boom") }, errors.New("bad")
	return []failure{
		{"source panics", "source.s: panic: boom", pipeline.Internal, false, func(p *parts) {
			p.src.run = func(context.Context, pipeline.Checkpoint, pipeline.Output) error { boom(); return nil }
		}},
		{"source fails", "source.s: bad", pipeline.Unclassified, false, func(p *parts) {
			p.src.run = func(context.Context, pipeline.Checkpoint, pipeline.Output) error { return bad }
		}},
		{"commit panics", "source.s: panic: boom", pipeline.Internal, true, func(p *parts) {
			p.src.commit = func(pipeline.Checkpoint) error { boom(); return nil }
		}},
		{"transform panics", "transform.x: panic: boom", pipeline.Internal, false, func(p *parts) {
			p.f = func(*pipeline.Arena, *pipeline.Row) (bool, error) { boom(); return true, nil }
		}},
		{"transform fails", "transform.x: public.t (id=0): bad", pipeline.Input, false, func(p *parts) {
			p.f = func(*pipeline.Arena, *pipeline.Row) (bool, error) { return true, bad }
		}},
		{"sink panics", "sink.k: panic: boom", pipeline.Internal, false, func(p *parts) {
			p.sink.write = func(context.Context, *pipeline.Batch) error { boom(); return nil }
		}},
		{"sink fails", "sink.k: public.t: bad", pipeline.Retryable, false, func(p *parts) {
			p.sink.write = func(context.Context, *pipeline.Batch) error {
				return &pipeline.Error{Table: "public.t", Class: pipeline.Retryable, Err: bad}
			}
		}},
		{"close fails", "sink.k: bad", pipeline.Unclassified, true, func(p *parts) {
			p.sink.close = func() error { return bad }
		}},
		{"marks go back", "source.s: the source emitted on source.s/wal the mark", pipeline.Internal, false, func(p *parts) {
			p.sink.write = func(ctx context.Context, _ *pipeline.Batch) error { <-ctx.Done(); return ctx.Err() }
			p.src.run = func(ctx context.Context, _ pipeline.Checkpoint, out pipeline.Output) error {
				emit(ctx, out, "wal", 1, pos(2))
				emit(ctx, out, "wal", 1, pos(1)) // ignoring the error does not help
				return nil
			}
		}},
	}
}

// TestFailures: whatever panics or fails ends the run with an error that names the node, and nothing
// is saved.
func TestFailures(t *testing.T) {
	one := func(ctx context.Context, _ pipeline.Checkpoint, out pipeline.Output) error {
		if err := emit(ctx, out, "wal", 1, pos(1)); err != nil {
			return err
		}
		return out.Drain(ctx, "wal")
	}
	for _, c := range failures() {
		t.Run(c.name, func(t *testing.T) {
			p := parts{src: &testSource{run: one}, sink: &testSink{},
				f: func(*pipeline.Arena, *pipeline.Row) (bool, error) { return true, nil }}
			c.change(&p)
			store := &testStore{}
			g := graph(p.src, p.sink, store)
			g.Transforms = []TransformNode{{"transform.x", []string{"source.s"}, testFunc(p.f)}}
			g.Sinks[0].From = []string{"transform.x"}
			err := mustNew(t, g).Run(t.Context())
			if err == nil || !strings.HasPrefix(err.Error(), c.want) || pipeline.ClassOf(err) != c.class {
				t.Errorf("got %v (class %d), want %q", err, pipeline.ClassOf(err), c.want)
			}
			if saved := store.saves > 0; saved != c.saved || store.closed != 1 {
				t.Errorf("saved %v, closed %d times", store.cp, store.closed)
			}
		})
	}
}

// TestGrace: a stop waits for the sinks no longer than the grace, and what was not written is not saved.
func TestGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, closed := &testStore{}, false
		src := reading(func(ctx context.Context, _ pipeline.Checkpoint, out pipeline.Output) error {
			for i := range 3 {
				if err := emit(ctx, out, "wal", 1, pos(i+1)); err != nil {
					return err
				}
			}
			<-ctx.Done()
			return ctx.Err()
		})
		n := 0
		sink := &testSink{close: func() error { closed = true; return nil }}
		sink.write = func(ctx context.Context, b *pipeline.Batch) error {
			if n++; n == 1 {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}
		ctx, cancel := context.WithCancel(t.Context())
		start := time.Now()
		time.AfterFunc(time.Minute, cancel)
		if err := mustNew(t, graph(src, sink, store)).Run(ctx); err != nil {
			t.Errorf("stopped with %v", err)
		}
		if d := time.Since(start); d != time.Minute+time.Second {
			t.Errorf("stopped after %v", d)
		}
		if store.cp["source.s/wal"] != pos(1) || !closed || n != 2 {
			t.Errorf("saved %v, closed %v, %d writes", store.cp, closed, n)
		}
	})
}

// TestResume: the least of what everything behind a source has; foreign positions stay.
func TestResume(t *testing.T) {
	var from pipeline.Checkpoint
	src := reading(func(ctx context.Context, cp pipeline.Checkpoint, out pipeline.Output) error {
		from = cp
		if err := emit(ctx, out, "wal", 1, pos(9)); err != nil {
			return err
		}
		return out.Drain(ctx)
	})
	store := &testStore{cp: pipeline.Checkpoint{"source.s/wal": pos(5), "source.s/a": pos(3), "source.s/b": pos(3),
		"source.gone/wal": pos(7)}}
	keeper := &testKeeper{cp: pipeline.Checkpoint{"source.s/wal": pos(4), "source.s/a": pos(8), "source.s/c": pos(1),
		"source.other/wal": pos(1)}}
	g := graph(src, &testSink{}, store)
	g.Sinks = append(g.Sinks, SinkNode{"sink.keeper", []string{"source.s"}, keeper})
	if err := mustNew(t, g).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(pipeline.Checkpoint{"wal": pos(4), "a": pos(3)}, from); diff != "" {
		t.Errorf("resumed (-want +have):\n%s", diff)
	}
	want := pipeline.Checkpoint{"source.s/wal": pos(9), "source.s/a": pos(3), "source.gone/wal": pos(7)}
	if diff := cmp.Diff(want, store.cp); diff != "" {
		t.Errorf("saved (-want +have):\n%s", diff)
	}
}

// TestBrokenState: a state that cannot be loaded is never "no state".
func TestBrokenState(t *testing.T) {
	ran := false
	src := reading(func(context.Context, pipeline.Checkpoint, pipeline.Output) error { ran = true; return nil })
	store := &testStore{err: errors.New("torn")}
	err := mustNew(t, graph(src, &testSink{}, store)).Run(t.Context())
	if err == nil || ran || store.closed != 1 || store.saves != 0 {
		t.Errorf("got %v, ran %v, closed %d times, saved %d times", err, ran, store.closed, store.saves)
	}
}

func TestIdleAndLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := reading(func(ctx context.Context, _ pipeline.Checkpoint, out pipeline.Output) error {
			if !out.Idle() {
				t.Error("not idle at the start")
			}
			if err := emit(ctx, out, "wal", 1, pos(1)); err != nil {
				return err
			}
			if out.Idle() {
				t.Error("idle with a batch in flight")
			}
			time.Sleep(DefaultLimits().Linger)
			if !out.Idle() {
				t.Error("the linger has passed")
			}
			return nil
		})
		sink := &testSink{write: func(context.Context, *pipeline.Batch) error { time.Sleep(time.Second); return nil }}
		if err := mustNew(t, graph(src, sink, &testStore{})).Run(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// siftingSink is a Sink that says whose tables it was asked about.
type siftingSink struct {
	testSink
	asked string
	err   error
}

func (s *siftingSink) Sifted(_ context.Context, source, table string) error {
	s.asked += source + " " + table
	return s.err
}

// TestSifted: a source's Output asks the sinks that its rows reach, and those only that can be asked.
func TestSifted(t *testing.T) {
	late := errors.New("late")
	near, far := &siftingSink{err: late}, &siftingSink{}
	src := reading(func(ctx context.Context, _ pipeline.Checkpoint, out pipeline.Output) error {
		err := out.(pipeline.Sifting).Sifted(ctx, "public.t")
		if !errors.Is(err, late) || !strings.Contains(err.Error(), "sink.near") {
			t.Errorf("got %v", err)
		}
		return nil
	})
	g := graph(src, &testSink{}, &testStore{})
	g.Sources = append(g.Sources, SourceNode{"source.other", reading(func(context.Context, pipeline.Checkpoint, pipeline.Output) error { return nil })})
	g.Sinks = append(g.Sinks, SinkNode{"sink.near", []string{"source.s"}, near}, SinkNode{"sink.far", []string{"source.other"}, far})
	if err := mustNew(t, g).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if near.asked != "source.s public.t" || far.asked != "" {
		t.Errorf("asked %q and %q", near.asked, far.asked)
	}
}

// TestHang: a component that does not come back is left behind, and the error says that the process
// must go, even where what failed before could have been retried.
func TestHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		forever := make(chan struct{})
		src := reading(func(ctx context.Context, _ pipeline.Checkpoint, out pipeline.Output) error {
			if err := emit(ctx, out, "wal", 1, pos(1)); err != nil {
				return err
			}
			time.Sleep(time.Second)
			return &pipeline.Error{Class: pipeline.Retryable, Err: errors.New("lost")}
		})
		closed := false
		sink := &testSink{write: func(context.Context, *pipeline.Batch) error { <-forever; return nil },
			close: func() error { closed = true; return nil }}
		store := &testStore{}
		err := mustNew(t, graph(src, sink, store)).Run(t.Context())
		if pipeline.ClassOf(err) != pipeline.Internal || !strings.Contains(err.Error(), "sink.k: sink did not return") {
			t.Errorf("got %v", err)
		}
		if closed || store.closed != 1 || len(store.cp) > 0 {
			t.Errorf("sink closed %v, store closed %d times, saved %v", closed, store.closed, store.cp)
		}
		close(forever)
	})
}
