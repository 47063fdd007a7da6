package engine

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
)

// source is one SourceNode while it runs, and the Output that its Run gets.
type source struct {
	address string
	src     pipeline.Source
	engine  *Engine
	pool    *pool
	root    *step
	merges  []merging
	sinks   []*sink // that its rows may reach
	stats   counters

	inFlight atomic.Int64
	lastEmit atomic.Int64 // nanoseconds since the engine's start

	mu    sync.Mutex // guards the following
	open  map[*pipeline.Batch]*flight
	queue chan *flight // room for every batch of the pool: sending never waits
	ended bool         // Run has returned

	commit  sync.Mutex // held while Commit runs; guards running
	running bool
}

// New implements pipeline.Output.
func (s *source) New(ctx context.Context, local pipeline.Stream) (*pipeline.Batch, error) {
	f, err := s.pool.flight(ctx, s.engine.work.Done())
	if err != nil {
		return nil, err
	}
	b := &f.root.batch
	b.Stream = local.In(s.address)
	s.mu.Lock()
	s.open[b] = f
	s.mu.Unlock()
	return b, nil
}

// Emit implements pipeline.Output.
func (s *source) Emit(b *pipeline.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.open[b]
	if f == nil {
		return s.misuse("emitted a batch that it does not hold")
	}
	delete(s.open, b)
	if b.Empty() {
		f.root.release()
		return nil
	}
	if s.ended {
		return s.misuse("emitted after Run had returned")
	}
	if s.engine.dead() {
		return errStopped
	}
	f.marks, f.rows = append(f.marks[:0], b.Marks...), len(b.Rows)
	if err := s.engine.tracker.depart(f, s); err != nil {
		err = s.misuse(err.Error())
		s.engine.fail(err)
		return err
	}
	size := b.Size()
	s.pool.recharge(f, size)
	s.stats.batch(0, len(b.Rows), size)
	s.lastEmit.Store(int64(time.Since(s.engine.start)))
	s.queue <- f
	return nil
}

func (s *source) misuse(what string) error {
	return &pipeline.Error{Node: s.address, Class: pipeline.Internal, Err: errors.New("the source " + what)}
}

// Idle implements pipeline.Output. It is also true when the source has emitted nothing for the linger.
func (s *source) Idle() bool {
	if s.inFlight.Load() == 0 {
		return true
	}
	since := time.Since(s.engine.start) - time.Duration(s.lastEmit.Load())
	return since >= s.engine.limits.Linger
}

// Drain implements pipeline.Output; without streams it drains all of the source's. A source that ends
// by itself may call it last: when it returns, Commit has been called with the final positions.
func (s *source) Drain(ctx context.Context, local ...pipeline.Stream) error {
	names := make([]pipeline.Stream, 0, len(local))
	for _, l := range local {
		names = append(names, l.In(s.address))
	}
	t := s.engine.tracker
	if len(local) == 0 {
		t.mu.Lock()
		for name, st := range t.streams {
			if st.source == s {
				names = append(names, name)
			}
		}
		t.mu.Unlock()
		slices.Sort(names)
	}
	return t.drain(ctx, s.engine.work.Done(), names)
}

// Sifted implements pipeline.Sifting.
func (s *source) Sifted(ctx context.Context, table string) error {
	for _, k := range s.sinks {
		f, ok := k.sink.(pipeline.Sifter)
		if !ok {
			continue
		}
		if err := s.engine.guard(k.address, func() error { return f.Sifted(ctx, s.address, table) }); err != nil {
			return atNode(k.address, err)
		}
	}
	return nil
}

// run runs the source until it ends and closes its queue.
func (s *source) run(ctx context.Context, from pipeline.Checkpoint) error {
	s.commit.Lock()
	s.running = true
	s.commit.Unlock()
	err := s.engine.guard(s.address, func() error { return s.src.Run(ctx, from, s) })
	s.end()
	return err
}

// end makes Emit and Commit refuse; it may be called again.
func (s *source) end() {
	s.mu.Lock()
	if !s.ended {
		s.ended = true
		close(s.queue)
	}
	s.mu.Unlock()
	s.commit.Lock()
	s.running = false
	s.commit.Unlock()
}

// tell calls Commit, unless Run has returned.
func (s *source) tell(ctx context.Context, cp pipeline.Checkpoint) error {
	s.commit.Lock()
	defer s.commit.Unlock()
	if !s.running {
		return nil
	}
	err := s.engine.guard(s.address, func() error { return s.src.Commit(ctx, cp) })
	return atNode(s.address, err)
}

// transformAll passes the source's batches through its tree until the queue is closed.
func (s *source) transformAll() {
	for f := range s.queue {
		if s.engine.dead() {
			continue
		}
		err := s.engine.guard(s.address, func() error { return s.process(f) })
		if err != nil {
			s.engine.fail(err)
		}
	}
}
