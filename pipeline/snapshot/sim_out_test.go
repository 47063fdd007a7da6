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
	simPool                  = 24
	simGhost                 = 900 // keys from here on were never at the source
)

// simTarget is a sink that keeps positions in the manner of a Keeper. It survives lives.
type simTarget struct {
	tables [simTables]map[int]simRow
	cp     pipeline.Checkpoint
	sifted [simTables]map[int]bool // nil: no snapshot that replaces is under way
	whole  [simTables]bool         // a snapshot of it was said to be done, or it was filled
	done   map[pipeline.Stream]int // by stream: the last batch of this life
	held   []pipeline.Row          // of the stream of changes, behind the last mark
}

// simOut is the engine of one life.
type simOut struct {
	w       *simWorld
	pool    chan struct{}
	targets []*simLane

	mu      sync.Mutex // guards the following, and the targets
	changed chan struct{}
	emitted map[pipeline.Stream]int // ordinal of the last batch
	applied map[int]int             // by batch: the targets that have it
	ripe    map[string]bool         // by table: the targets were waited for, since its last end
	total   int

	unchecked bool // rows are not compared with the source's
}

// simLane feeds one target in two lanes: the stream of changes, and all others.
type simLane struct {
	*simTarget
	rng    *rand.Rand
	slow   time.Duration
	queues [2]chan *pipeline.Batch
}

func newSimOut(w *simWorld) *simOut {
	o := &simOut{w: w, pool: make(chan struct{}, simPool), changed: make(chan struct{}), emitted: map[pipeline.Stream]int{},
		applied: map[int]int{}, ripe: map[string]bool{}}
	for _, t := range w.targets {
		t.done, t.held = map[pipeline.Stream]int{}, nil
		lane := &simLane{simTarget: t, rng: rand.New(rand.NewPCG(w.rng.Uint64(), 1)), slow: 40 * time.Millisecond}
		if w.rng.IntN(3) == 0 {
			lane.slow = time.Second
		}
		for i := range lane.queues {
			lane.queues[i] = make(chan *pipeline.Batch, 1<<16)
		}
		o.targets = append(o.targets, lane)
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
		if r := &b.Rows[i]; r.Op == pipeline.Read && !o.unchecked {
			o.w.checkRead(r)
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range b.Rows {
		r := &b.Rows[i]
		if r.Op == pipeline.Truncate && r.Flags == pipeline.Sweep && !o.ripe[r.Schema.Table] {
			o.w.errorf("table %s: nobody waited until the targets can sweep", r.Schema.Table)
		}
		if r.Op == pipeline.Truncate && r.Note() {
			o.ripe[r.Schema.Table] = false
		}
	}
	o.total++
	o.emitted[b.Stream] = o.total
	b.MaxBytes = o.total // its ordinal
	lane := 1
	if b.Stream == simWAL {
		lane = 0
	}
	for _, t := range o.targets {
		t.queues[lane] <- b
	}
	return nil
}

func (o *simOut) Idle() bool { return true }

// Sifted takes a while.
func (o *simOut) Sifted(ctx context.Context, table string) error {
	o.mu.Lock()
	o.ripe[table] = true
	wait := time.Duration(o.targets[0].rng.Int64N(int64(time.Second)))
	o.mu.Unlock()
	return pause(ctx, wait)
}

// Drain waits until every target has the streams' batches.
func (o *simOut) Drain(ctx context.Context, streams ...pipeline.Stream) error {
	o.mu.Lock()
	last := map[pipeline.Stream]int{}
	for _, s := range streams {
		last[s] = o.emitted[s]
	}
	o.mu.Unlock()
	for {
		o.mu.Lock()
		wait := o.changed
		ready := true
		for _, t := range o.targets {
			for s, n := range last {
				ready = ready && t.done[s] >= n && (s != simWAL || len(t.held) == 0)
			}
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

// run applies the batches of one lane to a target until ctx ends.
func (o *simOut) run(ctx context.Context, t *simLane, queue chan *pipeline.Batch) {
	for {
		select {
		case <-ctx.Done():
			return
		case b := <-queue:
			o.mu.Lock()
			wait := time.Duration(0)
			if t.rng.IntN(3) == 0 {
				wait = time.Duration(t.rng.Int64N(int64(t.slow)))
			}
			o.mu.Unlock()
			time.Sleep(wait)
			o.mu.Lock()
			if ctx.Err() == nil {
				o.apply(t, b)
			}
			o.mu.Unlock()
		}
	}
}

// apply applies a batch, and gives it back once every target has it. mu is held.
func (o *simOut) apply(t *simLane, b *pipeline.Batch) {
	t.apply(o.w, b)
	close(o.changed)
	o.changed = make(chan struct{})
	if o.applied[b.MaxBytes]++; o.applied[b.MaxBytes] == len(o.targets) {
		<-o.pool
	}
}

// apply writes a batch: what is up to a mark in one transaction with it.
func (t *simTarget) apply(w *simWorld, b *pipeline.Batch) {
	t.done[b.Stream] = b.MaxBytes
	at := 0
	for _, m := range b.Marks {
		for _, r := range append(t.takeHeld(b.Stream), b.Rows[at:m.End]...) {
			if !r.Tx.In(t.cp[b.Stream]) {
				t.write(&r)
			}
		}
		at = m.End
		if m.Pos == "" || m.Pos > t.cp[b.Stream] {
			t.cp.Apply(b.Stream, m.Pos)
		}
		if table, ok := strings.CutPrefix(string(b.Stream), tablePrefix); ok {
			t.told(w, table, m.Pos)
		}
	}
	t.held = append(t.held, b.Rows[at:]...)
}

func (t *simTarget) takeHeld(s pipeline.Stream) []pipeline.Row {
	if s != simWAL {
		return nil
	}
	held := t.held
	t.held = nil
	return held
}

// told looks at an entry that was saved: what is done is there.
func (t *simTarget) told(w *simWorld, table string, p pipeline.Position) {
	e, err := ParseEntry(table, p)
	if err != nil {
		w.errorf("%v", err)
	}
	if e.Status != Done || w.db == nil {
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
