package engine

import (
	"context"
	"runtime"
	"testing"

	"github.com/pipe-cdc/pipe/pipeline"
)

// benchRun passes rows of two values through a graph and returns when all are written. The source
// only fills batches, so that what is measured is the engine.
func benchRun(tb testing.TB, rows int, shape func(g *Graph)) {
	tx := &pipeline.Tx{}
	src := reading(func(ctx context.Context, _ pipeline.Checkpoint, out pipeline.Output) error {
		for n := 0; n < rows; {
			b, err := out.New(ctx, "wal")
			if err != nil {
				return err
			}
			for !b.Full() && n < rows {
				addRows(b, tx, 1, 64)
				n++
			}
			b.Mark("1")
			if err := out.Emit(b); err != nil {
				return err
			}
		}
		return out.Drain(ctx)
	})
	g := graph(src, &testSink{}, &testStore{})
	g.Poison = false
	shape(&g)
	if err := mustNew(tb, g).Run(context.Background()); err != nil {
		tb.Fatal(err)
	}
}

func discard(*Graph) {}

func twoSinks(g *Graph) {
	keep := testFunc(func(_ *pipeline.Arena, r *pipeline.Row) (bool, error) { return r.Values[0].Int() >= 0, nil })
	g.Transforms = []TransformNode{{"transform.x", []string{"source.s"}, keep}}
	g.Sinks = []SinkNode{
		{"sink.a", []string{"transform.x"}, &testSink{}},
		{"sink.b", []string{"source.s"}, &testSink{}},
	}
}

func BenchmarkDiscard(b *testing.B) {
	b.ReportAllocs()
	benchRun(b, b.N, discard)
}

func BenchmarkTransformTwoSinks(b *testing.B) {
	b.ReportAllocs()
	benchRun(b, b.N, twoSinks)
}

// TestAllocations holds the engine to allocating nothing for a row: what a run allocates is its pool.
func TestAllocations(t *testing.T) {
	for name, shape := range map[string]func(*Graph){"discard": discard, "transform, two sinks": twoSinks} {
		measure := func(rows int) float64 {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			benchRun(t, rows, shape)
			runtime.ReadMemStats(&after)
			return float64(after.Mallocs - before.Mallocs)
		}
		measure(100_000)
		few, many := measure(100_000), measure(600_000)
		if perRow := (many - few) / 500_000; perRow > 0.005 && !poisonAlways {
			t.Errorf("%s: %.4f allocations for each row", name, perRow)
		}
	}
}
