package engine

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
)

// Engine runs one Graph, once.
type Engine struct {
	name       string
	limits     Limits
	log        *slog.Logger
	store      pipeline.Store
	leased     pipeline.Leased // store, where it is one
	moves      []Move
	sources    []*source
	transforms []*transform
	sinks      []*sink

	started  atomic.Bool
	start    time.Time
	tracker  *tracker
	work     context.Context // of the sinks; cancelled by the first failure, or when the grace has passed
	cancel   context.CancelCauseFunc
	stopRead context.CancelFunc // stops the sources
	hang     error              // a component that did not come back; used by Run's goroutine only
	saves    atomic.Int64
	lastSave atomic.Int64 // Unix nanoseconds
}

// New checks a graph and compiles it. On success the engine owns the sinks and the store: Run closes
// them. On an error they stay the caller's.
func New(g Graph) (*Engine, error) {
	if err := checkGraph(&g); err != nil {
		return nil, &pipeline.Error{Class: pipeline.Input, Err: err}
	}
	e := &Engine{name: g.Name, limits: g.Limits.withDefaults(), log: g.Log, store: g.Store, moves: g.Moves,
		start: time.Now(), tracker: newTracker(pipeline.Checkpoint{})}
	if e.log == nil {
		e.log = slog.Default()
	}
	e.leased, _ = g.Store.(pipeline.Leased)
	e.work, e.cancel = context.WithCancelCause(context.Background())
	p := &planner{g: &g, transforms: map[string]*transform{}, sinks: map[string]*sink{}}
	for _, n := range g.Sinks {
		k := newSink(e, n)
		e.sinks = append(e.sinks, k)
		p.sinks[n.Address] = k
	}
	for _, n := range g.Transforms {
		t := &transform{address: n.Address, t: n.Transform}
		e.transforms = append(e.transforms, t)
		p.transforms[n.Address] = t
	}
	slots := max(minBatches, e.limits.Batches/len(g.Sources))
	for _, n := range g.Sources {
		s := &source{address: n.Address, src: n.Source, engine: e, pool: newPool(e.limits, slots, g.Poison),
			open: map[*pipeline.Batch]*flight{}, queue: make(chan *flight, slots)}
		e.sources = append(e.sources, s)
		if err := p.plan(s); err != nil {
			return nil, &pipeline.Error{Class: pipeline.Input, Err: err}
		}
	}
	return e, nil
}

// Source returns the source at an address, nil where there is none, for what it does beside Run: its
// methods that are safe at any time (pipeline.Reporter, snapshot.Asker).
func (e *Engine) Source(address string) pipeline.Source {
	for _, s := range e.sources {
		if s.address == address {
			return s.src
		}
	}
	return nil
}

// fail records the first error and stops everything.
func (e *Engine) fail(err error) {
	e.cancel(err)
	e.stopRead()
}

// dead reports whether nothing more will be written.
func (e *Engine) dead() bool { return e.work.Err() != nil }
