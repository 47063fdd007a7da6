package mariadb

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// Source reads one server. It implements pipeline.Source, pipeline.Reporter and snapshot.Asker.
type Source struct {
	config *Config
	env    spec.Env
	desk   *snapshot.Desk
	board  snapshot.Board // where the first snapshot is shared; nil: with nobody
	progress
}

// progress is what Run and Report share.
type progress struct {
	lastTime  atomic.Int64 // commit time of the last transaction emitted
	behind    atomic.Bool  // something was read since the server last had nothing more
	lag       lag
	phase     atomic.Pointer[string]
	snapshots atomic.Pointer[snapshotProgress]
	ledger    atomic.Pointer[snapshot.Ledger]
}

// snapshotProgress tells how far a snapshot is.
type snapshotProgress struct {
	tables func() []pipeline.TableReport
}

// Open builds the source.
func (c *Config) Open(env spec.Env) (pipeline.Source, error) {
	s := &Source{config: c, env: env, desk: snapshot.NewDesk()}
	s.enter("connecting")
	return s, nil
}

// Run reads from the saved position until ctx ends, or as far as the source was asked to.
func (s *Source) Run(ctx context.Context, from pipeline.Checkpoint, out pipeline.Output) error {
	defer s.desk.Close()
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
	if e, ok := err.(*pipeline.Error); ok && e.Node == "" {
		e.Node = s.env.Address
		return err
	}
	var e *pipeline.Error
	if errors.As(err, &e) && e.Node != "" {
		return err
	}
	return &pipeline.Error{Node: s.env.Address, Err: err}
}

// Commit has nothing to tell the server: it keeps its logs by its own rules.
func (s *Source) Commit(context.Context, pipeline.Checkpoint) error { return nil }

// Report returns the progress known already. Bytes that are left are as of the last look at the
// server's log; what it keeps for us, it does not say.
func (s *Source) Report() pipeline.Report {
	r := pipeline.Report{Phase: *s.phase.Load(), LagBytes: -1, LagTime: -1, Retained: -1}
	r.Tables = s.tables()
	if r.Phase != phaseStreaming && r.Phase != phaseCaughtUp {
		return r
	}
	r.LagBytes = s.lag.bytes()
	last := s.lastTime.Load()
	switch {
	case !s.behind.Load() && r.LagBytes <= 0:
		r.LagBytes, r.LagTime = 0, 0
	case last != 0:
		now := time.Now().UnixMicro() - pipeline.EpochMicros
		r.LagTime = max(0, time.Duration(now-last)*time.Microsecond)
	}
	return r
}

// tables is the progress of a first snapshot that runs, else what the ledger says.
func (s *Source) tables() []pipeline.TableReport {
	if p := s.snapshots.Load(); p != nil {
		return p.tables()
	}
	l := s.ledger.Load()
	if l == nil {
		return nil
	}
	var out []pipeline.TableReport
	for _, e := range l.Entries() {
		out = append(out, pipeline.TableReport{Name: e.Table, Rows: e.Rows, Estimate: e.Estimate, Chunks: e.ChunksDone + len(e.Left),
			ChunksDone: e.ChunksDone, Done: !e.Status.Open()})
	}
	return out
}

// Ask implements snapshot.Asker.
func (s *Source) Ask(ctx context.Context, requests ...snapshot.Request) error {
	return s.desk.Ask(ctx, requests...)
}

// Cancel implements snapshot.Asker.
func (s *Source) Cancel(ctx context.Context, tables ...string) error {
	return s.desk.Cancel(ctx, tables...)
}

// Entries implements snapshot.Asker.
func (s *Source) Entries() []snapshot.Entry { return s.desk.Entries() }

const (
	phaseStreaming = "streaming"
	phaseCaughtUp  = "caught up"
)

func (p *progress) enter(phase string) { p.phase.Store(&phase) }
