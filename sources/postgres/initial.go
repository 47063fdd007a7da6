package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// The pause between two saves of what an initial snapshot has read: a multiple of what the last one took,
// within bounds.
const (
	keepLeast = 20 * time.Millisecond
	keepMost  = 500 * time.Millisecond
	keepTimes = 5
)

// landed is where a chunk was emitted.
type landed struct {
	stream  int // of the attempt
	reached int // chunks on it, with this one
	rows    int64
}

// initialKeeper tells the ledger which chunks of an initial snapshot are durable, so that after a crash the
// others alone are read again.
type initialKeeper struct {
	ledger  *snapshot.Ledger
	out     pipeline.Output
	attempt snapshot.Attempt
	log     *slog.Logger

	mu      sync.Mutex // guards the following
	tables  map[string]*keptTable
	read1   []readChunk // and not known to be durable
	reached []int       // by stream: the chunks that are durable
	version uint64
	wake    chan struct{}
}

// readChunk is a chunk that was emitted.
type readChunk struct {
	table   string
	ordinal int
	landed
}

// keptTable is what is left of a table. The chunks of a part that is not cut by blocks count as one.
type keptTable struct {
	chunks []keptChunk // by ordinal
	rows   int64
	done   int
}

type keptChunk struct {
	segment snapshot.Segment
	done    bool
}

func newInitialKeeper(l *snapshot.Ledger, out pipeline.Output, a snapshot.Attempt, log *slog.Logger) *initialKeeper {
	return &initialKeeper{ledger: l, out: out, attempt: a, log: log, tables: map[string]*keptTable{},
		reached: make([]int, a.Streams), wake: make(chan struct{}, 1)}
}

// plan records what is going to be read, before any of it is.
func (k *initialKeeper) plan(ctx context.Context, chunks []snapshot.Chunk, parts map[string]*part) error {
	estimates := map[string]int64{}
	for i := range chunks {
		c := &chunks[i]
		t := k.tables[c.Table]
		if t == nil {
			t = &keptTable{}
			k.tables[c.Table] = t
		}
		t.chunks = append(t.chunks, keptChunk{segment: segmentOf(c, parts[c.Part])})
		estimates[c.Table] += c.Rows % keylessFirst
	}
	now := time.Now().UTC()
	for name, t := range k.tables {
		k.ledger.Change(name, func(e *snapshot.Entry) {
			e.Status, e.Started, e.Planned, e.Left, e.Estimate = snapshot.Running, now, true, t.left(), estimates[name]
		})
	}
	streams, err := k.ledger.Save(ctx, k.out)
	if err == nil {
		err = k.out.Drain(ctx, streams...)
	}
	return err
}

// segmentOf is what is to be read beside the stream where a chunk was not. One that is bounded by something
// else than blocks stands for its whole part.
func segmentOf(c *snapshot.Chunk, p *part) snapshot.Segment {
	s := snapshot.Segment{Part: node(p.leaf, p.file), Cut: snapshot.ByBlock}
	switch {
	case c.Range.Cut == snapshot.ByBlock:
		s.Low, s.High = c.Range.Low, c.Range.High
	case p.leaf.Access != "heap" || p.version < tidRangeScan:
		s.Part, s.Cut = node(p.leaf, 0), snapshot.ByKey
	}
	return s
}

// left returns the segments that are not durable, neighbours as one.
func (t *keptTable) left() []snapshot.Segment {
	out := []snapshot.Segment{}
	for i := range t.chunks {
		c := &t.chunks[i]
		if c.done {
			continue
		}
		if n := len(out); n > 0 && out[n-1].Part == c.segment.Part && adjoins(&out[n-1], &c.segment) {
			out[n-1].High = c.segment.High
			continue
		}
		out = append(out, c.segment)
	}
	return out
}

// adjoins reports whether b begins where a ends, or is the same.
func adjoins(a, b *snapshot.Segment) bool {
	if a.High == nil || b.Low == nil {
		return a.High == nil && b.Low == nil
	}
	return a.High[0] == b.Low[0]
}

// read takes a chunk that was emitted.
func (k *initialKeeper) read(c *snapshot.Chunk, at landed) {
	k.mu.Lock()
	k.read1 = append(k.read1, readChunk{table: c.Table, ordinal: c.Ordinal, landed: at})
	k.mu.Unlock()
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// start begins to keep; the function returned ends that. An error there is one of the output, which the
// workers meet as well.
func (k *initialKeeper) start(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wait sync.WaitGroup
	wait.Go(func() {
		took := time.Duration(0)
		for {
			select {
			case <-ctx.Done():
				return
			case <-k.wake:
			}
			if pause(ctx, min(keepMost, max(keepLeast, keepTimes*took))) != nil {
				return
			}
			began := time.Now()
			err := k.keep(ctx)
			took = time.Since(began)
			if err != nil && ctx.Err() == nil {
				k.log.Warn("cannot record what was read", "error", err)
				return
			}
		}
	})
	return func() {
		cancel()
		wait.Wait()
	}
}

// keep waits until what was emitted so far is durable, and says so.
func (k *initialKeeper) keep(ctx context.Context) error {
	k.mu.Lock()
	chunks := k.read1
	k.read1 = nil
	k.mu.Unlock()
	if len(chunks) == 0 {
		return nil
	}
	used := map[pipeline.Stream]bool{}
	for i := range chunks {
		used[k.attempt.Stream(chunks[i].stream)] = true
	}
	streams := make([]pipeline.Stream, 0, len(used))
	for s := range used {
		streams = append(streams, s)
	}
	if err := k.out.Drain(ctx, streams...); err != nil {
		return err
	}
	for i := range chunks {
		c := &chunks[i]
		k.reached[c.stream] = max(k.reached[c.stream], c.reached)
	}
	if err := k.tell(ctx); err != nil {
		return err
	}
	for i := range chunks {
		k.done(&chunks[i])
	}
	_, err := k.ledger.Save(ctx, k.out)
	return err
}

// done takes a chunk off what is left of its table.
func (k *initialKeeper) done(c *readChunk) {
	t := k.tables[c.table]
	t.chunks[c.ordinal].done = true
	t.done++
	t.rows += c.rows
	k.ledger.Change(c.table, func(e *snapshot.Entry) {
		e.Left, e.ChunksDone, e.Rows = t.left(), t.done, t.rows
	})
}

// tell saves how far the streams are, before the ledger speaks of what is on them.
func (k *initialKeeper) tell(ctx context.Context) error {
	k.version++
	return snapshot.SaveMark(ctx, k.out, snapshot.KeptStream, keptPosition(k.version, k.attempt, k.reached))
}

// keptPosition renders how many chunks are durable on each stream of an attempt.
func keptPosition(version uint64, a snapshot.Attempt, reached []int) pipeline.Position {
	list := make([]string, len(reached))
	for i, n := range reached {
		list[i] = strconv.Itoa(n)
	}
	return pipeline.Position(fmt.Sprintf("%s/%016X/%s", a.ID, version, strings.Join(list, ",")))
}

// whole reports whether all chunks that the ledger may speak of are still there.
func whole(from pipeline.Checkpoint, a snapshot.Attempt) bool {
	kept, ok := from[snapshot.KeptStream]
	if !ok {
		return true // the ledger speaks of none
	}
	parts := strings.Split(string(kept), "/")
	if len(parts) != 3 || parts[0] != a.ID {
		return false
	}
	for i, text := range strings.Split(parts[2], ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n > 0 && from[a.Stream(i)] < snapshot.Reached(n) {
			return false
		}
	}
	return true
}
