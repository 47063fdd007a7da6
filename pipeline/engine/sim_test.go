package engine

import (
	"context"
	"errors"
	"flag"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
)

var (
	simSeed  = flag.Uint64("sim.seed", 0, "run only this seed of the simulation")
	simSeeds = flag.Int("sim.seeds", 150, "seeds of the simulation")
)

// The bounds of one world.
const (
	simLives = 6                // that are crashed, stopped or failing, before the last
	simTime  = 10 * time.Minute // of fake time for the last life
	minLives = 300
)

// TestSimulation runs many short lives of random graphs over random logs, with fake time, ended by a
// crash, a stop or a failure, and checks the invariants whenever anything happens.
//
// The engine was broken on purpose in each of these ways, and each time a test failed; the number is
// that of the invariant it broke, and where another test than this one found it, that is named.
//
//   - 1: a flight is acknowledged whatever lies before it (the maximum); the first of several sinks
//     acknowledges for all; a failed write is acknowledged; a stream's last emitted mark is saved
//     rather than its last acknowledged one; resuming takes the maximum, or leaves out the store;
//     marks are not re-based, in place, at the end, one row early in a copy or in a merge
//   - 1: Drain looks only at what is in flight, or at what is written and not yet saved, or leaves
//     out what waits for transforms; a save settles more than it saved; rows after the last mark
//     count as drained (TestDrainWaitsForMark)
//   - 1: marks without rows do not reach the sinks; a finished stream stays in the checkpoint
//   - 2: Commit before Save; Commit after Run has returned
//   - 3: two batches of a stream in two lanes; the paths of a merge one after the other; a batch's
//     memory given back before the write, or when the first of its sinks has written; a branch that
//     shares values with another, or changes rows in place that a sink reads
//   - 4: New never waits; New counts batches and not bytes (both TestBounds)
//   - 6: a failed sink is written to again; nothing is saved on a stop; a panic is not caught
//     (TestFailures)
func TestSimulation(t *testing.T) {
	if *simSeed != 0 {
		simulate(t, *simSeed)
		return
	}
	lives := 0
	for seed := uint64(1); seed <= uint64(*simSeeds); seed++ {
		if lives += simulate(t, seed); t.Failed() {
			return
		}
	}
	t.Logf("%d lives", lives)
	if want := min(minLives, *simSeeds); lives < want {
		t.Errorf("%d lives, want at least %d", lives, want)
	}
}

func simulate(t *testing.T, seed uint64) (lives int) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, seed)
		for range simLives {
			if w.live(false); w.bad != "" {
				break
			}
		}
		if w.bad == "" {
			w.live(true)
		}
		if lives = w.lives; w.bad != "" {
			t.Errorf("-sim.seed=%d, life %d: %s", seed, w.lives, w.bad)
		}
	})
	return lives
}

// live runs an engine over the world until the log is read, or it is ended somehow.
func (w *world) live(final bool) {
	w.mu.Lock()
	w.life++
	w.lives++
	w.final = final
	w.emitted, w.running = pipeline.Checkpoint{}, map[string]bool{}
	part := simPart{w, w.life}
	crash, after := w.rng.IntN(3) > 0, time.Duration(1+w.rng.IntN(400))*time.Millisecond
	w.mu.Unlock()
	e, sinks := w.build(part)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	if final {
		after = simTime
	}
	var err error
	select {
	case err = <-done:
		w.ended(final, err, sinks)
		return
	case <-time.After(after):
	}
	w.mu.Lock()
	if final {
		w.violate(6, "the last life does not end")
	}
	if crash {
		w.life++ // whatever the old parts still do has no effect
	}
	w.mu.Unlock()
	cancel()
	if err = <-done; !crash {
		w.stopped(err, sinks)
	}
}

func (w *world) build(part simPart) (*Engine, []*simSink) {
	g := Graph{Name: "sim", Poison: true, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Limits: Limits{Batches: 6, Rows: 8, Bytes: 4096, Linger: 5 * time.Millisecond,
			Grace: time.Minute, SaveEvery: 30 * time.Millisecond}}
	for _, l := range w.sources {
		g.Sources = append(g.Sources, SourceNode{Address: l.address, Source: &simSource{simPart: part, log: l}})
	}
	for _, s := range w.steps {
		g.Transforms = append(g.Transforms, TransformNode{Address: s.address, From: s.from, Transform: simTransform{s}})
	}
	var sinks []*simSink
	for _, k := range w.sinks {
		s, sink := newSimSink(part, k)
		sinks = append(sinks, s)
		g.Sinks = append(g.Sinks, SinkNode{Address: k.address, From: k.from, Sink: sink})
	}
	if w.store {
		g.Store = simStore{part}
	}
	sources := g.Sources[:0]
	for _, n := range g.Sources { // a shape may leave a source unused
		for _, k := range w.sinks {
			if w.reaches(n.Address, k) {
				sources = append(sources, n)
				break
			}
		}
	}
	g.Sources = sources
	e, err := New(g)
	if err != nil {
		w.t.Fatal(err)
	}
	return e, sinks
}

// ended checks a life that ended by itself: the log was read, or something failed.
func (w *world) ended(final bool, err error, sinks []*simSink) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed(sinks)
	if err != nil && (final || !errors.Is(err, errLost.Err)) {
		w.violate(6, "ended with %v", err)
	}
	if err == nil {
		w.complete()
	}
	for _, s := range sinks {
		if s.failed && err == nil {
			w.violate(6, "%s failed and the engine ended without an error", s.table.address)
		}
	}
}

// complete checks that every sink has everything; called with mu held.
func (w *world) complete() {
	for _, l := range w.sources {
		for _, k := range w.sinks {
			for local := range l.streams {
				q := local.In(l.address)
				if w.reaches(l.address, k) && k.durable[q] != len(k.want[q]) {
					w.violate(6, "in the end %s has %d of %d rows of %s", k.address, k.durable[q], len(k.want[q]), q)
				}
			}
		}
	}
}

// stopped checks a life that was told to stop: all that was emitted is durable and saved.
func (w *world) stopped(err error, sinks []*simSink) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed(sinks)
	if err != nil {
		if !errors.Is(err, errLost.Err) {
			w.violate(6, "stopped with %v", err)
		}
		return
	}
	for q, p := range w.emitted {
		if w.store && w.saved[q] != p {
			w.violate(6, "stopped with %s emitted up to %q and saved at %q", q, p, w.saved[q])
		}
		for _, k := range w.sinks {
			if k.keeper && k.want[q] != nil && (k.kept[q] < p || p == "" && k.kept[q] != "") {
				w.violate(6, "stopped with %s emitted up to %q and kept by %s at %q", q, p, k.address, k.kept[q])
			}
		}
	}
}

func (w *world) closed(sinks []*simSink) {
	for _, s := range sinks {
		if !s.closed {
			w.violate(6, "%s was not closed", s.table.address)
		}
	}
}
