package main

import (
	"maps"
	"os"
	"sync"
	"time"

	"github.com/pipe-cdc/pipe/pipeline/config"
	"github.com/pipe-cdc/pipe/pipeline/control"
	"github.com/pipe-cdc/pipe/pipeline/engine"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// controlled is a run as package control sees it: one, whatever engines do the work in turn.
type controlled struct {
	config  *config.Config
	nodes   []*config.Node
	started time.Time

	mu       sync.Mutex // guards the following
	phase    control.Phase
	leader   *control.Leader         // while this process waits for the pipeline
	engine   *engine.Engine          // that runs, or ran last; nil before the first
	changed  chan struct{}           // closed when the above change
	before   map[string]control.Node // figures of the engines before, by address
	saves    int64                   // of the engines before
	lastSave time.Time
	restarts int64
	failure  *control.Failure
}

func newControlled(b *builder) *controlled {
	return &controlled{config: b.config, nodes: b.nodes, started: time.Now().UTC(), phase: control.Starting,
		changed: make(chan struct{}), before: map[string]control.Node{}}
}

// leads says that an engine is about to run that has the pipeline.
func (c *controlled) leads(e *engine.Engine) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leader = nil
	c.begin(e)
}

// began says that an engine is about to run.
func (c *controlled) began(e *engine.Engine) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begin(e)
}

// begin is called with mu held.
func (c *controlled) begin(e *engine.Engine) {
	if c.engine != nil {
		s := c.engine.Stats()
		c.before, c.lastSave = c.total(s), c.savedAt(s)
		c.saves += s.Saves
	}
	c.engine = e
	c.enter(control.Running)
}

// failed says that the engine, or the making of one, failed and that it is tried again.
func (c *controlled) failed(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := control.FailureOf(err)
	f.At = time.Now().UTC()
	c.failure = &f
	c.restarts++
	c.enter(control.Retrying)
}

// stopping says that no engine comes after this one.
func (c *controlled) stopping() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.enter(control.Stopping)
}

// enter wakes who waits for another phase. mu is held.
func (c *controlled) enter(p control.Phase) {
	if c.phase != control.Stopping {
		c.phase = p
	}
	close(c.changed)
	c.changed = make(chan struct{})
}

// now returns the engine that runs, nil where none does, and what is closed when that changes.
func (c *controlled) now() (e *engine.Engine, phase control.Phase, changed <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase == control.Running {
		e = c.engine
	}
	return e, c.phase, c.changed
}

// total adds an engine's figures to those before it. mu is held.
func (c *controlled) total(s engine.Stats) map[string]control.Node {
	out := maps.Clone(c.before)
	for _, nodes := range [...][]engine.NodeStats{s.Sources, s.Transforms, s.Sinks} {
		for i := range nodes {
			n := &nodes[i]
			t := out[n.Address]
			t.Address = n.Address
			t.RowsIn += n.RowsIn
			t.Rows += n.RowsOut
			t.Bytes += n.Bytes
			t.Batches += n.Batches
			t.Errors += n.Errors
			t.BusySeconds += n.Busy.Seconds()
			out[n.Address] = t
		}
	}
	return out
}

// savedAt returns when positions were saved last. mu is held.
func (c *controlled) savedAt(s engine.Stats) time.Time {
	if s.LastSave.IsZero() {
		return c.lastSave
	}
	return s.LastSave.UTC()
}

// Status implements control.Pipeline.
func (c *controlled) Status() control.Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := control.Status{
		Pipeline: c.config.Settings.Name, Version: buildOf().Version, PID: os.Getpid(), Started: c.started,
		Phase: c.phase, Leader: c.leader, Restarts: c.restarts, Failure: c.failure,
	}
	var s engine.Stats
	if c.engine != nil {
		s = c.engine.Stats()
	}
	total := c.total(s)
	out.Saves, out.LastSave = c.saves+s.Saves, c.savedAt(s)
	if c.phase == control.Running {
		out.InFlightBatches, out.InFlightBytes = s.InFlight, s.Bytes
	}
	reports := map[string]*engine.NodeStats{}
	for i := range s.Sources {
		reports[s.Sources[i].Address] = &s.Sources[i]
	}
	for _, n := range c.nodes {
		figures := total[n.Address]
		figures.Address = n.Address
		switch n.Kind {
		case "source":
			out.Sources = append(out.Sources, c.source(figures, reports[n.Address]))
		case "transform":
			out.Transforms = append(out.Transforms, figures)
		case "sink":
			out.Sinks = append(out.Sinks, figures)
		}
	}
	return out
}

// source describes a source. Of one that does not run nothing is known but what it did. mu is held.
func (c *controlled) source(figures control.Node, s *engine.NodeStats) control.Source {
	out := control.Source{Node: figures, Phase: "stopped", LagBytes: -1, LagSeconds: -1, RetainedBytes: -1,
		Tables: []control.Table{}}
	if s == nil {
		return out
	}
	asker, asks := c.engine.Source(figures.Address).(snapshot.Asker)
	out.Asks = asks
	var entries []snapshot.Entry
	if asks {
		entries = asker.Entries()
	}
	out.Tables = control.Tables(entries, s.Report.Tables)
	if c.phase != control.Running && c.phase != control.Stopping {
		return out
	}
	out.Phase, out.LagBytes, out.RetainedBytes = s.Report.Phase, s.Report.LagBytes, s.Report.Retained
	if out.Phase == "" { // it is no Reporter
		out.Phase = "running"
	}
	if s.Report.LagTime >= 0 {
		out.LagSeconds = s.Report.LagTime.Seconds()
	}
	return out
}
