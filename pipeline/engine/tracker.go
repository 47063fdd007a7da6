package engine

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/pipe-cdc/pipe/pipeline"
)

// tracker knows, for each stream, how far every sink has come without a gap (invariant 1), and what of
// that is saved.
type tracker struct {
	mu       sync.Mutex // guards the following, the streams' fields and flight.left
	streams  map[pipeline.Stream]*stream
	dirty    []*stream // acknowledged since the last save
	inFlight int       // emitted, not yet written everywhere
	draining int       // callers of drain
	saved    pipeline.Checkpoint
	landed   signal        // a flight was written everywhere
	stored   signal        // a save was done
	wake     chan struct{} // tells the saver to look; buffered by one
}

// stream is one Stream of a source while it has something in flight or unsaved.
type stream struct {
	name    pipeline.Stream // qualified
	source  *source
	flights []*flight // emitted and not acknowledged, in order

	emitted uint64            // ordinal of the last flight emitted
	pos     pipeline.Position // of the last mark emitted
	acked   pipeline.Position // of the last mark that every sink has
	covered uint64            // every row up to this flight is complete by acked
	stored  uint64            // covered, as of the last save
	dirty   bool
	version uint64 // counts the changes of acked
}

func newTracker(saved pipeline.Checkpoint) *tracker {
	return &tracker{streams: map[pipeline.Stream]*stream{}, saved: saved, wake: make(chan struct{}, 1)}
}

// depart puts a flight at the end of its stream, unless its marks are out of order. It is called
// before any sink can see the flight, so that no later one is acknowledged before it.
func (t *tracker) depart(f *flight, src *source) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	name := f.root.batch.Stream
	s := t.streams[name]
	if s == nil {
		s = &stream{name: name, source: src}
		t.streams[name] = s
	}
	if err := s.advance(f); err != nil {
		return err
	}
	s.emitted++
	f.stream, f.seq, f.left = s, s.emitted, len(src.sinks)
	f.refs.Add(1)
	s.flights = append(s.flights, f)
	t.inFlight++
	src.inFlight.Add(1)
	return nil
}

// advance refuses marks that are out of order: saved, they would lose rows (invariant 5).
func (s *stream) advance(f *flight) error {
	end := 0
	for _, m := range f.marks {
		if m.End < end || m.End > f.rows {
			return fmt.Errorf("emitted on %s a mark at row %d of %d", s.name, m.End, f.rows)
		}
		if m.Pos != "" && m.Pos < s.pos {
			return fmt.Errorf("emitted on %s the mark %q after %q", s.name, m.Pos, s.pos)
		}
		end, s.pos = m.End, m.Pos
	}
	return nil
}

// arrive says that one more sink has all of f: written, with every mark durable, or nothing of it was
// meant for that sink. The stream moves on past the flights that are complete, from its oldest on:
// the contiguous prefix, never a maximum (invariant 1).
func (t *tracker) arrive(f *flight) {
	t.mu.Lock()
	f.left--
	s := f.stream
	n := 0
	var done *flight
	for n < len(s.flights) && s.flights[n].left == 0 {
		t.acknowledge(s, s.flights[n])
		s.flights[n].next, done = done, s.flights[n]
		n++
	}
	if n > 0 {
		rest := copy(s.flights, s.flights[n:])
		clear(s.flights[rest:])
		s.flights = s.flights[:rest]
		t.landed.fire()
	}
	look := len(t.dirty) > 0
	t.mu.Unlock()
	for done != nil { // outside the lock: it clears memory
		f, done = done, done.next
		f.next = nil
		f.release()
	}
	if look {
		t.nudge()
	}
}

// acknowledge is called with mu held.
func (t *tracker) acknowledge(s *stream, f *flight) {
	if seq, marked := f.covers(); marked {
		s.acked, s.covered = f.marks[len(f.marks)-1].Pos, seq
		s.version++
		if !s.dirty {
			s.dirty = true
			t.dirty = append(t.dirty, s)
		}
	}
	t.inFlight--
	s.source.inFlight.Add(-1)
}

// nudge makes the saver look whether it is time to save.
func (t *tracker) nudge() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// drain waits until all rows that were emitted on the streams when it was called are covered by a
// saved mark. Rows count from Emit on, wherever they are: in queues, transforms, sinks, or written and
// not saved. Rows after the last mark wait for the mark to come.
func (t *tracker) drain(ctx context.Context, dead <-chan struct{}, names []pipeline.Stream) error {
	t.mu.Lock()
	targets := map[*stream]uint64{}
	for _, name := range names {
		if s := t.streams[name]; s != nil && s.stored < s.emitted {
			targets[s] = s.emitted
		}
	}
	t.draining++
	defer func() {
		t.mu.Lock()
		t.draining--
		t.mu.Unlock()
	}()
	for {
		for s, seq := range targets {
			if s.stored >= seq {
				delete(targets, s)
			}
		}
		if len(targets) == 0 {
			t.mu.Unlock()
			return ctx.Err()
		}
		stored := t.stored.wait()
		t.mu.Unlock()
		t.nudge()
		select {
		case <-stored:
		case <-dead:
			return errStopped
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		t.mu.Lock()
	}
}

// landing is what has been acknowledged and not saved.
type landing struct {
	next    pipeline.Checkpoint
	streams []landed
}

// landed is one stream of a landing.
type landed struct {
	*stream
	covered uint64
	version uint64
	gone    bool // the stream is finished
}

// take collects what a save would save; nothing is changed until settle.
func (t *tracker) take() (landing, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.dirty) == 0 {
		return landing{}, false
	}
	l := landing{next: t.saved.Clone()}
	for _, s := range t.dirty {
		l.next.Apply(s.name, s.acked)
		l.streams = append(l.streams,
			landed{stream: s, covered: s.covered, version: s.version, gone: s.acked == ""})
	}
	return l, true
}

// settle records that a landing is saved and forgets the streams that are finished.
func (t *tracker) settle(l landing) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.saved = l.next
	for _, d := range l.streams {
		d.stream.stored = d.covered
		d.stream.dirty = d.version != d.stream.version
	}
	t.dirty = slices.DeleteFunc(t.dirty, func(s *stream) bool { return !s.dirty })
	for _, d := range l.streams {
		if d.gone && d.stored == d.emitted {
			delete(t.streams, d.name)
		}
	}
	t.stored.fire()
}

// counters are a node's figures.
type counters struct {
	rowsIn, rowsOut, bytes, batches, errors, busy atomic.Int64
}

func (c *counters) batch(in, out, bytes int) {
	c.rowsIn.Add(int64(in))
	c.rowsOut.Add(int64(out))
	c.bytes.Add(int64(bytes))
	c.batches.Add(1)
}
