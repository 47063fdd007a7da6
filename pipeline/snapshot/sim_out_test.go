package snapshot

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
)

const (
	simWAL   pipeline.Stream = "wal"
	simPool                  = 6
	simGhost                 = 900 // keys from here on were never at the source
)

// simTarget is a sink that keeps positions in the manner of a Keeper. It survives lives.
type simTarget struct {
	tables [simTables]map[int]simRow
	cp     pipeline.Checkpoint
	sifted [simTables]map[int]bool // nil: no snapshot that replaces is under way
	whole  [simTables]bool         // a snapshot of it was said to be done, or it was filled
	done   int                     // batches of this life
	held   []pipeline.Row          // behind the last mark
}

// simOut is the engine of one life.
type simOut struct {
	w       *simWorld
	pool    chan struct{}
	targets []*simLane

	mu      sync.Mutex // guards the following, and the targets
	changed chan struct{}
	emitted map[pipeline.Stream]int // ordinal of the last batch
	total   int
}

// simLane feeds one target.
type simLane struct {
	*simTarget
	rng   *rand.Rand
	queue chan *pipeline.Batch
}

func newSimOut(w *simWorld) *simOut {
	o := &simOut{w: w, pool: make(chan struct{}, simPool), changed: make(chan struct{}), emitted: map[pipeline.Stream]int{}}
	for _, t := range w.targets {
		t.done, t.held = 0, nil
		o.targets = append(o.targets, &simLane{simTarget: t, rng: rand.New(rand.NewPCG(w.rng.Uint64(), 1)),
			queue: make(chan *pipeline.Batch, 1<<16)})
	}
	return o
}

func (o *simOut) New(ctx context.Context, s pipeline.Stream) (*pipeline.Batch, error) {
	select {
	case o.pool <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return &pipeline.Batch{Stream: s, MaxRows: 16, MaxBytes: 1 << 20}, nil
}

func (o *simOut) Emit(b *pipeline.Batch) error {
	for i := range b.Rows {
		if r := &b.Rows[i]; r.Op == pipeline.Read {
			o.w.checkRead(r)
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.total++
	o.emitted[b.Stream] = o.total
	b.MaxBytes = o.total // its ordinal
	for _, t := range o.targets {
		t.queue <- b
	}
	return nil
}

func (o *simOut) Idle() bool { return true }

// Drain waits until every target has the streams' batches.
func (o *simOut) Drain(ctx context.Context, streams ...pipeline.Stream) error {
	o.mu.Lock()
	last := 0
	for _, s := range streams {
		last = max(last, o.emitted[s])
	}
	o.mu.Unlock()
	for {
		o.mu.Lock()
		wait := o.changed
		ready := true
		for _, t := range o.targets {
			ready = ready && t.done >= last && len(t.held) == 0
		}
		o.mu.Unlock()
		if ready {
			return ctx.Err()
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// run applies batches to a target until ctx ends.
func (o *simOut) run(ctx context.Context, t *simLane) {
	for {
		select {
		case <-ctx.Done():
			return
		case b := <-t.queue:
			if t.rng.IntN(3) == 0 {
				time.Sleep(time.Duration(t.rng.Int64N(int64(60 * time.Millisecond))))
			}
			o.mu.Lock()
			if ctx.Err() == nil {
				t.apply(o.w, b)
				close(o.changed)
				o.changed = make(chan struct{})
				if o.slowest() >= b.MaxBytes {
					<-o.pool
				}
			}
			o.mu.Unlock()
		}
	}
}

func (o *simOut) slowest() int {
	n := o.targets[0].done
	for _, t := range o.targets {
		n = min(n, t.done)
	}
	return n
}

// apply writes a batch: what is up to a mark in one transaction with it.
func (t *simTarget) apply(w *simWorld, b *pipeline.Batch) {
	t.done = b.MaxBytes
	at := 0
	for _, m := range b.Marks {
		for _, r := range append(t.held, b.Rows[at:m.End]...) {
			if !r.Tx.In(t.cp[b.Stream]) {
				t.write(&r)
			}
		}
		t.held, at = nil, m.End
		if m.Pos == "" || m.Pos > t.cp[b.Stream] {
			t.cp.Apply(b.Stream, m.Pos)
		}
		if table, ok := strings.CutPrefix(string(b.Stream), tablePrefix); ok {
			t.told(w, table, m.Pos)
		}
	}
	t.held = append(t.held, b.Rows[at:]...)
}

// told looks at an entry that was saved: what is done is there.
func (t *simTarget) told(w *simWorld, table string, p pipeline.Position) {
	e, err := ParseEntry(table, p)
	if err != nil {
		w.errorf("%v", err)
	}
	if e.Status != Done {
		return
	}
	n := simTable(table)
	t.whole[n] = true
	w.checkTable(t, n)
	if _, ghost := t.tables[n][simGhost]; ghost && e.Request.Replace {
		w.errorf("table %s: a row that the source does not have is still there", table)
	}
}

func (t *simTarget) write(r *pipeline.Row) {
	n := simTable(r.Schema.Table)
	rows := t.tables[n]
	switch {
	case r.Op == pipeline.Truncate && r.Flags == pipeline.Sift:
		t.sifted[n] = map[int]bool{}
		return
	case r.Op == pipeline.Truncate && r.Flags == pipeline.Sweep:
		if t.sifted[n] != nil {
			maps.DeleteFunc(rows, func(k int, _ simRow) bool { return !t.sifted[n][k] })
		}
		t.sifted[n] = nil
		return
	case r.Op == pipeline.Truncate:
		clear(rows)
		return
	}
	was := simRow{big: simLost}
	for _, values := range [][]pipeline.Value{r.Values, r.Before} {
		if values != nil {
			if old, ok := rows[int(values[0].Int())]; ok {
				was = old
			}
		}
	}
	if r.Before != nil {
		delete(rows, int(r.Before[0].Int()))
		delete(t.sifted[n], int(r.Before[0].Int()))
	}
	if r.Values == nil {
		return
	}
	row := simRow{v: int(r.Values[1].Int()), big: was.big}
	if r.Values[2].Kind() != pipeline.Absent {
		row.big = int(r.Values[2].Int())
	}
	key := int(r.Values[0].Int())
	rows[key] = row
	if t.sifted[n] != nil {
		t.sifted[n][key] = true
	}
}

// saved is what the next life begins at: the least of every stream.
func (w *simWorld) saved() pipeline.Checkpoint {
	out := w.targets[0].cp.Clone()
	for _, t := range w.targets[1:] {
		for _, s := range slices.Concat(out.Streams(), t.cp.Streams()) {
			if t.cp[s] < out[s] {
				out.Apply(s, t.cp[s])
			}
		}
	}
	return out
}
