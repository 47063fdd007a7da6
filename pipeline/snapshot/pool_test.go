package snapshot

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
)

type fake struct {
	read   func(context.Context, *Chunk) error
	closed *atomic.Int32
}

func (f fake) Read(ctx context.Context, c *Chunk) error { return f.read(ctx, c) }
func (f fake) Close() error                             { f.closed.Add(1); return nil }

func chunks(table string, rows ...int64) []Chunk {
	var out []Chunk
	for i, n := range rows {
		out = append(out, Chunk{Table: table, Ordinal: i, Rows: n})
	}
	return out
}

func TestPoolReadsLargestFirst(t *testing.T) {
	var order []int64
	var opened, closed atomic.Int32
	p := Pool{Workers: 1, Open: func(context.Context) (Worker, error) {
		opened.Add(1)
		return fake{closed: &closed, read: func(_ context.Context, c *Chunk) error {
			order = append(order, c.Rows)
			return nil
		}}, nil
	}}
	if err := p.Run(t.Context(), chunks("t", 3, 9, 1, 9, 5)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int64{9, 9, 5, 3, 1}, order); diff != "" {
		t.Error(diff)
	}
	if opened.Load() != 1 || closed.Load() != 1 {
		t.Errorf("%d workers opened, %d closed", opened.Load(), closed.Load())
	}
}

func TestPoolFirstErrorWins(t *testing.T) {
	first := errors.New("first")
	var closed atomic.Int32
	p := Pool{Workers: 4, Open: func(context.Context) (Worker, error) {
		return fake{closed: &closed, read: func(ctx context.Context, c *Chunk) error {
			if c.Ordinal == 0 {
				return first
			}
			<-ctx.Done()
			return ctx.Err()
		}}, nil
	}}
	if err := p.Run(t.Context(), chunks("t", 9, 8, 7, 6, 5, 4)); !errors.Is(err, first) {
		t.Fatalf("got %v, want the first error", err)
	}
	if closed.Load() == 0 {
		t.Error("no worker was closed")
	}
}

func TestPoolLimitsATable(t *testing.T) {
	var mu sync.Mutex
	now, most := map[string]int{}, map[string]int{}
	var closed atomic.Int32
	p := Pool{Workers: 4, Limit: func(table string) int {
		if table == "narrow" {
			return 1
		}
		return 0
	}, Open: func(context.Context) (Worker, error) {
		return fake{closed: &closed, read: func(_ context.Context, c *Chunk) error {
			mu.Lock()
			now[c.Table]++
			most[c.Table] = max(most[c.Table], now[c.Table])
			mu.Unlock()
			time.Sleep(time.Millisecond)
			mu.Lock()
			now[c.Table]--
			mu.Unlock()
			return nil
		}}, nil
	}}
	all := append(chunks("narrow", 9, 9, 9, 9, 9), chunks("wide", 1, 1, 1, 1, 1, 1, 1, 1)...)
	if err := p.Run(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	if most["narrow"] != 1 || most["wide"] < 2 {
		t.Errorf("at once: %v", most)
	}
}

func TestPoolEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var closed atomic.Int32
	p := Pool{Workers: 2, Open: func(context.Context) (Worker, error) {
		return fake{closed: &closed, read: func(ctx context.Context, _ *Chunk) error {
			cancel()
			<-ctx.Done()
			return ctx.Err()
		}}, nil
	}}
	if err := p.Run(ctx, chunks("t", 1, 2, 3)); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
}

func TestProgress(t *testing.T) {
	start := time.Unix(1000, 0)
	p := NewProgress(start)
	p.Plan("b", 2, 100)
	p.Plan("a", 1, 0)
	if left := p.Left(start.Add(time.Second)); left != -1 {
		t.Errorf("nothing read: %v left", left)
	}
	p.Add("b", 25)
	p.Finish("b")
	if left := p.Left(start.Add(10 * time.Second)); left != 30*time.Second {
		t.Errorf("%v left, want 30s", left)
	}
	p.Finish("a")
	want := []pipeline.TableReport{
		{Name: "a", Chunks: 1, ChunksDone: 1, Done: true},
		{Name: "b", Rows: 25, Estimate: 100, Chunks: 2, ChunksDone: 1},
	}
	if diff := cmp.Diff(want, p.Report()); diff != "" {
		t.Error(diff)
	}
	var none *Progress
	none.Add("x", 1)
	none.Finish("x")
	none.Plan("x", 1, 1)
	if none.Report() != nil || none.Left(start) != -1 {
		t.Error("a nil Progress said something")
	}
}
