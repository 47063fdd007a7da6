package main

import (
	"context"
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
	"github.com/pipe-cdc/pipe/pipeline/engine"
)

// How often progress is shown: in place on a terminal, as a log line elsewhere.
const (
	progressEvery = time.Second
	progressLog   = 10 * time.Second
)

// runner runs a pipeline and shows how it goes.
type runner struct {
	builder
	policy   engine.Retry
	terminal io.Writer // progress is drawn here in place; nil: it is logged
	running  atomic.Pointer[engine.Engine]
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
	watching, stop := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { r.watch(watching) })
	began := time.Now()
	err := engine.Supervise(ctx, r.policy, r.log, func(ctx context.Context) (*engine.Engine, error) {
		e, err := r.build(ctx)
		if err == nil {
			r.running.Store(e)
		}
		return e, err
	})
	stop()
	watch.Wait()
	if e := r.running.Load(); e != nil && err == nil {
		r.summary(e.Stats(), time.Since(began))
	}
	return err
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
