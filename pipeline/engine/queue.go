package engine

import (
	"sync"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
)

// sink is one SinkNode while it runs: a queue for each stream, written by as many workers as the sink
// has lanes. A stream is with one worker at a time, so its batches come in order (invariant 3).
type sink struct {
	address string
	sink    pipeline.Sink
	engine  *Engine
	workers int
	stats   counters

	mu     sync.Mutex // guards the following
	work   sync.Cond
	lanes  map[*stream]*lane
	ready  []*lane // with something to write and no worker
	spare  []*lane
	closed bool // no more will come: end when nothing is ready
	failed bool // end at once
}

// lane is the queue of one stream before one sink. The pool bounds its length.
type lane struct {
	stream *stream
	views  []*view
}

func newSink(e *Engine, n SinkNode) *sink {
	k := &sink{address: n.Address, sink: n.Sink, engine: e, workers: 1, lanes: map[*stream]*lane{}}
	if p, ok := n.Sink.(pipeline.Parallel); ok {
		k.workers = min(max(p.Lanes(), 1), maxLanes)
	}
	k.work.L = &k.mu
	return k
}

// deliver queues a view, whose reference it takes over. Nothing is written of a view that has neither
// rows nor marks; one that has marks is, for a Keeper stores them.
func (k *sink) deliver(v *view) {
	if v.batch.Empty() {
		f := v.flight
		v.release()
		k.engine.tracker.arrive(f)
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	s := v.flight.stream
	l := k.lanes[s]
	if l == nil {
		l = k.lane(s)
		k.lanes[s] = l
		k.ready = append(k.ready, l)
		k.work.Signal()
	}
	l.views = append(l.views, v)
}

// lane is called with mu held.
func (k *sink) lane(s *stream) *lane {
	if n := len(k.spare); n > 0 {
		l := k.spare[n-1]
		k.spare = k.spare[:n-1]
		l.stream = s
		return l
	}
	return &lane{stream: s}
}

// writeAll is one worker. It ends when the sink is closed and empty, or anything has failed.
func (k *sink) writeAll() {
	for {
		l, v := k.next()
		if v == nil {
			return
		}
		if !k.write(v) {
			return
		}
		k.written(l)
	}
}

// next waits for a lane and returns its oldest view, which stays in the lane until written.
func (k *sink) next() (*lane, *view) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for {
		if k.failed {
			return nil, nil
		}
		if len(k.ready) > 0 {
			l := k.ready[0]
			k.ready = pop(k.ready)
			return l, l.views[0]
		}
		if k.closed {
			return nil, nil
		}
		k.work.Wait()
	}
}

// write writes one view and acknowledges it. After an error it is neither acknowledged nor is
// anything else written (invariant 6).
func (k *sink) write(v *view) bool {
	start := time.Now()
	err := k.engine.held(k.engine.work)
	if err == nil {
		err = k.engine.guard(k.address, func() error { return k.sink.Write(k.engine.work, &v.batch) })
	}
	k.stats.busy.Add(int64(time.Since(start)))
	if err != nil {
		k.stats.errors.Add(1)
		k.stop()
		k.engine.fail(atNode(k.address, err))
		return false
	}
	k.stats.batch(len(v.batch.Rows), len(v.batch.Rows), v.batch.Size())
	f := v.flight
	v.release()
	k.engine.tracker.arrive(f)
	return true
}

// written takes the oldest view out of the lane and makes the lane ready again, or spare.
func (k *sink) written(l *lane) {
	k.mu.Lock()
	defer k.mu.Unlock()
	l.views = pop(l.views)
	if len(l.views) > 0 {
		k.ready = append(k.ready, l)
		k.work.Signal()
		return
	}
	delete(k.lanes, l.stream)
	l.stream = nil
	k.spare = append(k.spare, l)
}

// finish lets the workers end once everything is written.
func (k *sink) finish() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	k.work.Broadcast()
}

// stop lets the workers end after the Write that they are in.
func (k *sink) stop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.failed = true
	k.work.Broadcast()
}

// pop removes the first element, keeping the memory.
func pop[T any](q []*T) []*T {
	n := copy(q, q[1:])
	q[n] = nil
	return q[:n]
}
