package mariadb

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// Source reads one server. It implements pipeline.Source and pipeline.Reporter.
type Source struct {
	config *Config
	env    spec.Env
	progress
}

// progress is what Run and Report share.
type progress struct {
	lastTime  atomic.Int64 // commit time of the last transaction emitted
	behind    atomic.Bool  // something was read since the server last had nothing more
	phase     atomic.Pointer[string]
	snapshots atomic.Pointer[snapshotProgress]
}

// snapshotProgress tells how far a snapshot is.
type snapshotProgress struct {
	tables func() []pipeline.TableReport
}

// Open builds the source.
func (c *Config) Open(env spec.Env) (pipeline.Source, error) {
	s := &Source{config: c, env: env}
	s.enter("connecting")
	return s, nil
}

// Run reads from the saved position until ctx ends, or as far as the source was asked to.
func (s *Source) Run(ctx context.Context, from pipeline.Checkpoint, out pipeline.Output) error {
	r, err := newRunner(s)
	if err == nil {
		err = r.run(ctx, from, out)
		r.close()
	}
	if err == nil {
		return nil
	}
	if cause := ctx.Err(); cause != nil {
		return cause
	}
	return s.named(classified(err))
}

// named makes err an error of this source.
func (s *Source) named(err error) error {
	var e *pipeline.Error
	if errors.As(err, &e) && e.Node == "" {
		e.Node = s.env.Address
		return err
	}
	return &pipeline.Error{Node: s.env.Address, Err: err}
}

// Commit has nothing to tell the server: it keeps its logs by its own rules.
func (s *Source) Commit(context.Context, pipeline.Checkpoint) error { return nil }

// Report returns the progress known already. The server does not say how many bytes are left.
func (s *Source) Report() pipeline.Report {
	r := pipeline.Report{Phase: *s.phase.Load(), LagBytes: -1, LagTime: -1, Retained: -1}
	if p := s.snapshots.Load(); p != nil {
		r.Tables = p.tables()
	}
	last := s.lastTime.Load()
	switch {
	case r.Phase != phaseStreaming && r.Phase != phaseCaughtUp:
	case !s.behind.Load():
		r.LagBytes, r.LagTime = 0, 0
	case last != 0:
		now := time.Now().UnixMicro() - pipeline.EpochMicros
		r.LagTime = max(0, time.Duration(now-last)*time.Microsecond)
	}
	return r
}

const (
	phaseStreaming = "streaming"
	phaseCaughtUp  = "caught up"
)

func (p *progress) enter(phase string) { p.phase.Store(&phase) }
