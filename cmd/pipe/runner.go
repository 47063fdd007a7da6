package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/control"
	"github.com/pipe-cdc/pipe/pipeline/engine"
)

// How often progress is shown: in place on a terminal, as a log line elsewhere.
const (
	progressEvery = time.Second
	progressLog   = 10 * time.Second
	progressFirst = 2 * time.Second // after which a command that is waited for says how far it is
)

// runner runs a pipeline and shows how it goes.
type runner struct {
	builder
	policy   engine.Retry
	terminal io.Writer // progress is drawn here in place; nil: it is logged
	running  atomic.Pointer[engine.Engine]
	control  *controlled
	// beside, unless nil, is called beside the engines; its error ends the run, its context ends with it.
	beside   func(context.Context) error
	patience time.Duration // with another process that reads; 0: standbyLimit
}

// runScratched is run, with a directory for what a dry run spills, which is gone afterwards.
func (r *runner) runScratched(ctx context.Context) error {
	if !r.dryRun {
		return r.run(ctx)
	}
	dir, err := os.MkdirTemp("", "pipe-dry-run-")
	if err != nil {
		return &pipeline.Error{Class: pipeline.Environment, Err: err, Hint: "Set TMPDIR to a directory that can be written to."}
	}
	defer os.RemoveAll(dir)
	r.scratch = dir
	return r.run(ctx)
}

// run runs until ctx ends or everything was read.
func (r *runner) run(ctx context.Context) error {
	r.control = newControlled(&r.builder)
	r.helping, r.standing = r.helps, r.control.waits
	server, err := r.listen()
	if err != nil {
		return err
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	watching, stop := context.WithCancel(ctx)
	defer stop()
	serving, leave := context.WithCancel(context.WithoutCancel(ctx))
	defer leave()
	var watch, serve sync.WaitGroup
	watch.Go(func() { r.watch(watching) })
	if server != nil {
		serve.Go(func() { server.Run(serving) })
	}
	if r.beside != nil {
		watch.Go(func() {
			if err := r.beside(watching); err != nil {
				end(err)
			}
		})
	}
	unhook := context.AfterFunc(ctx, r.control.stopping)
	began := time.Now()
	err = r.supervise(ctx)
	unhook()
	r.control.stopping()
	stop()
	watch.Wait()
	leave()
	serve.Wait()
	if e := r.running.Load(); e != nil && err == nil {
		r.summary(e.Stats(), time.Since(began))
	}
	if cause := context.Cause(ctx); err == nil && cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}

func (r *runner) supervise(ctx context.Context) error {
	policy := r.policy
	policy.Failed = r.control.failed
	return engine.Supervise(ctx, policy, r.log, func(ctx context.Context) (*engine.Engine, error) {
		e, err := r.build(ctx)
		if err == nil {
			r.running.Store(e)
			r.control.leads(e)
		}
		return e, err
	})
}

// listen makes the control server; none for a dry run, which is no run of the pipeline.
func (r *runner) listen() (*control.Server, error) {
	if r.dryRun {
		return nil, nil
	}
	c := r.config.Settings.Control
	o := control.Options{
		Socket: controlSocket(r.config), Listen: c.Listen, Token: c.Token, StalledAfter: c.StalledAfter,
		LagObjective: c.LagObjective, Log: r.log,
	}
	if c.TLS != nil {
		o.Cert, o.Key = c.TLS.Cert, c.TLS.Key
	}
	return control.Listen(r.control, o)
}

// watch shows progress until ctx ends.
func (r *runner) watch(ctx context.Context) {
	every := progressLog
	if r.terminal != nil {
		every = progressEvery
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	p := progress{last: time.Now()}
	for {
		select {
		case <-ctx.Done():
			if r.terminal != nil {
				fmt.Fprint(r.terminal, "\r\x1b[K")
			}
			return
		case now := <-ticker.C:
			r.show(&p, now)
		}
	}
}

func (r *runner) show(p *progress, now time.Time) {
	e := r.running.Load()
	if e == nil {
		return
	}
	line := p.line(now, e.Stats())
	if r.terminal != nil {
		fmt.Fprint(r.terminal, "\r\x1b[K"+line)
		return
	}
	r.log.Info("progress", "is", line)
}

// summary says what a run did.
func (r *runner) summary(s engine.Stats, took time.Duration) {
	var read, written int64
	for i := range s.Sources {
		read += s.Sources[i].RowsOut
	}
	for i := range s.Sinks {
		written += s.Sinks[i].RowsOut
	}
	r.log.Info("pipeline stopped", "read", read, "written", written, "took", took.Round(time.Millisecond).String())
}

// untilSignal returns a context that ends at the first SIGINT or SIGTERM. The second one ends the
// process at once, with the exit code that a shell expects.
func untilSignal(parent context.Context, log *slog.Logger) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case s := <-signals:
			log.Info("stopping: what is in flight is finished and saved; again to stop at once", "signal", s.String())
			cancel()
		case <-ctx.Done():
			signal.Stop(signals)
			return
		}
		s := <-signals
		code := 130
		if s == syscall.SIGTERM {
			code = 143
		}
		os.Exit(code)
	}()
	return ctx, cancel
}
