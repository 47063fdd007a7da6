package main

import (
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/checkpoint"
	"github.com/pipe-cdc/pipe/pipeline/engine"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// helpGrace is how long a helper that is to take the pipeline over finishes what is in flight; helpPause is
// the pause after helping has failed.
const (
	helpGrace = 3 * time.Second
	helpPause = 2 * time.Second
)

// shareable reports whether a snapshot of the graph can be written by several processes: sinks that keep
// positions must be able to take turns.
func shareable(g *engine.Graph) bool {
	for _, k := range g.Sinks {
		_, keeps := k.Sink.(pipeline.Keeper)
		_, assists := k.Sink.(pipeline.Assistant)
		if keeps && !assists {
			return false
		}
	}
	return true
}

// shareKey is what processes must have in common to share a snapshot.
func (b *builder) shareKey() string {
	parts := []string{configHash(b.config)}
	for _, n := range b.nodes {
		parts = append(parts, n.Address)
	}
	return hashOf(parts...)
}

// leading is the store of the process that leads: it ends with its boards.
type leading struct {
	*checkpoint.Postgres
	boards *checkpoint.Boards
}

// Close implements pipeline.Store.
func (l leading) Close() error { return errors.Join(l.boards.Close(), l.Postgres.Close()) }

// lead tells the graph's sources and sinks that it is this process's turn, and lets them share their snapshots through
// boards beside its store.
func (b *builder) lead(ctx context.Context, g *engine.Graph) {
	p, ok := g.Store.(*checkpoint.Postgres)
	if !ok {
		return
	}
	for _, s := range g.Sources {
		if successor, ok := s.Source.(pipeline.Successor); ok {
			successor.Succeed(p.Term())
		}
	}
	for _, k := range g.Sinks {
		if successor, ok := k.Sink.(pipeline.Successor); ok {
			successor.Succeed(p.Term())
		}
	}
	if !shareable(g) {
		return
	}
	boards, err := p.Boards(ctx, b.shareKey(), runOwner(processName()))
	if err != nil {
		b.log.Warn("no other process can help with snapshots", "error", err)
		return
	}
	g.Store = leading{p, boards}
	for _, s := range g.Sources {
		if sharer, ok := s.Source.(snapshot.Sharer); ok {
			sharer.Lead(boards.Of(s.Address))
		}
	}
}

// runOwner tells one engine of a process from all others, also from those before it.
func runOwner(process string) string { return process + ":" + rand.Text()[:8] }

// assist helps with the snapshots of the process that owns the pipeline, until the function returned is
// called, which waits for the end of that.
func (b *builder) assist(ctx context.Context, server checkpoint.Server) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var helping sync.WaitGroup
	helping.Go(func() { b.stand(ctx, server) })
	return func() {
		cancel()
		helping.Wait()
	}
}

// stand looks for snapshots to help with until ctx ends. Each attempt is helped with once, unless that
// failed.
func (b *builder) stand(ctx context.Context, server checkpoint.Server) {
	boards := checkpoint.NewBoards(server, b.shareKey(), runOwner(processName()))
	defer boards.Close()
	helped := map[string]string{}
	for wait := boards.Every(); pauseFor(ctx, wait); wait = boards.Every() {
		found, err := boards.Look(ctx)
		if err != nil {
			continue // the store, which waits beside, says what is wrong
		}
		maps.DeleteFunc(found, func(source, attempt string) bool { return helped[source] == attempt })
		if len(found) == 0 {
			continue
		}
		switch err := b.help(ctx, boards, found); {
		case err == nil:
			maps.Copy(helped, found)
		case errors.Is(err, pipeline.ErrFenced):
			b.log.Info("the process whose snapshot this one helped with is gone")
		case ctx.Err() == nil:
			b.log.Warn("helping with the snapshot of another process failed", "error", err)
			pauseFor(ctx, helpPause)
		}
	}
}

// help runs the graph with sources that read what they can claim of the snapshots found.
func (b *builder) help(ctx context.Context, boards *checkpoint.Boards, found map[string]string) error {
	g := b.graph()
	g.Limits.Grace, g.Moves, g.Log = helpGrace, nil, b.log.With("as", "helper")
	err := b.openAll(ctx, &g)
	if err == nil && !shareable(&g) {
		return closeSinks(&g) // the leader does not share either
	}
	var e *engine.Engine
	if err == nil {
		g.Store = boards.Store()
		auxiliary(&g, boards, found)
		e, err = engine.New(g)
	}
	if err != nil {
		return errors.Join(err, closeSinks(&g))
	}
	if b.helping != nil {
		b.helping(e)
		defer b.helping(nil)
	}
	return e.Run(ctx)
}

// helps shows an engine that helps another process as that of the run; nil: it has ended.
func (r *runner) helps(e *engine.Engine) {
	r.running.Store(e)
	if e == nil {
		r.control.stands()
		return
	}
	r.control.began(e)
}

// auxiliary makes a graph's sources those that help, and its sinks those that assist.
func auxiliary(g *engine.Graph, boards *checkpoint.Boards, found map[string]string) {
	for i := range g.Sources {
		s := &g.Sources[i]
		sharer, ok := s.Source.(snapshot.Sharer)
		if ok && found[s.Address] != "" {
			s.Source = sharer.Help(boards.Of(s.Address))
			continue
		}
		s.Source = idle{}
	}
	for _, k := range g.Sinks {
		if a, ok := k.Sink.(pipeline.Assistant); ok {
			a.Assist()
		}
	}
}

// idle is a source with nothing to read.
type idle struct{}

// Run implements pipeline.Source.
func (idle) Run(context.Context, pipeline.Checkpoint, pipeline.Output) error { return nil }

// Commit implements pipeline.Source.
func (idle) Commit(context.Context, pipeline.Checkpoint) error { return nil }

// closeSinks closes the sinks of a graph that does not run.
func closeSinks(g *engine.Graph) error {
	var err error
	for _, k := range g.Sinks {
		err = errors.Join(err, k.Sink.Close())
	}
	return err
}
