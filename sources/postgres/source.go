package postgres

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// Source reads one database. It implements pipeline.Source, pipeline.Reporter and snapshot.Asker.
type Source struct {
	config *Config
	env    spec.Env
	desk   *snapshot.Desk
	asked  asked
	board  snapshot.Board // nil: the initial snapshot is not shared
	term   int64          // of this process among those that take turns; 0: they do not
	progress
}

// progress is what Run, Commit and Report share.
type progress struct {
	committed atomic.Uint64 // LSN of the last saved position: what the server is told is flushed
	received  atomic.Uint64 // what was read from the socket
	emitted   atomic.Uint64 // LSN of the last mark emitted
	serverEnd atomic.Uint64 // the end of WAL that the server spoke of last
	lastTime  atomic.Int64  // commit time of the last transaction emitted
	phase     atomic.Pointer[string]
	saved     chan struct{} // has a token when committed moved
	snapshots atomic.Pointer[snapshotProgress]
	live      atomic.Pointer[live] // nil: the stream does not run yet
}

// snapshotProgress tells how far a snapshot is.
type snapshotProgress struct {
	tables func() []pipeline.TableReport
}

// Open builds the source.
func (c *Config) Open(env spec.Env) (pipeline.Source, error) {
	s := &Source{config: c, env: env, desk: snapshot.NewDesk()}
	s.saved = make(chan struct{}, 1)
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
	s.desk.Close()
	if err == nil {
		return nil
	}
	if cause := ctx.Err(); cause != nil {
		return cause
	}
	return s.named(s.config.classified(err))
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

// Commit records what was saved; the status sender tells the server.
func (s *Source) Commit(_ context.Context, cp pipeline.Checkpoint) error {
	pos, ok := cp[walStream]
	if !ok {
		return nil
	}
	lsn, _, err := parsePosition(pos)
	if err != nil {
		return s.named(&pipeline.Error{Class: pipeline.Internal, Err: err})
	}
	if lsn <= s.committed.Load() {
		return nil
	}
	s.committed.Store(lsn)
	select {
	case s.saved <- struct{}{}:
	default:
	}
	return nil
}

// Report returns the progress known already.
func (s *Source) Report() pipeline.Report {
	r := pipeline.Report{Phase: *s.phase.Load(), LagBytes: -1, LagTime: -1, Retained: -1}
	r.Tables = s.tables()
	end, emitted := s.serverEnd.Load(), s.emitted.Load()
	if end == 0 || emitted == 0 {
		return r
	}
	r.LagBytes = max(0, int64(end)-int64(emitted))
	r.Retained = max(0, int64(end)-int64(s.committed.Load()))
	r.LagTime = 0
	if last := s.lastTime.Load(); r.LagBytes > 0 && last != 0 {
		now := time.Now().UnixMicro() - pipeline.EpochMicros
		r.LagTime = max(0, time.Duration(now-last)*time.Microsecond)
	}
	return r
}

func (p *progress) enter(phase string) { p.phase.Store(&phase) }

// advance records the end of a WAL that the server spoke of; it never goes back.
func (p *progress) advance(end uint64) {
	if end > p.serverEnd.Load() {
		p.serverEnd.Store(end)
	}
}
