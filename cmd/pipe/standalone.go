package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/config"
	"github.com/pipe-cdc/pipe/pipeline/control"
)

// The bounds of a run for the sake of a request.
const (
	aloneRuns    = 3                // a run may have caught up before it was asked
	standbyLimit = 20 * time.Second // to wait for another process that reads, unless a test says otherwise
)

func discardLog() *slog.Logger { return slog.New(slog.DiscardHandler) }

// snapshotAlone runs a pipeline that does not run, until what is asked for is done and everything
// committed before is delivered.
func snapshotAlone(cmd *cobra.Command, t *target, w wish) error {
	if err := t.free(cmd.Context()); err != nil {
		return asked(err)
	}
	o := outputOf(cmd)
	r := newRunner(o, t.config, "text")
	r.nodes, r.untilCaughtUp = t.config.Nodes, true
	ctx, stop := untilSignal(cmd.Context(), r.log)
	defer stop()
	if err := checkBegun(ctx, t.config); err != nil {
		return asked(err)
	}
	before := newControlled(&r.builder) // checks the order before anything is begun
	var order *order
	var err error
	if w.cancel {
		order, err = before.cancelOrder(ctx, w.cancelRequest())
	} else {
		order, err = before.order(ctx, w.request)
	}
	if err != nil {
		return asked(err)
	}
	if t.config.Settings.State.Kind == "sink" {
		r.log.Warn("nobody listens at the control socket here: if the pipeline runs on another host, this run waits for "+
			"it, or takes over from it where its source can be read by two", "socket", controlSocket(t.config))
	}
	accepted, err := r.runOrder(ctx, order)
	if err != nil {
		return err
	}
	f := &follower{accepted: accepted, ended: map[int]control.Table{}}
	f.look(r.control.Status().Sources, time.Time{})
	if !o.json {
		printLeft(o.err, accepted)
	}
	if w.cancel {
		f.accepted.Tables = nil
		summary := "cancelled for " + plural(len(accepted.Tables), "table")
		return o.result(cmd, true, summary, accepted, func(w io.Writer) { printAccepted(w, accepted) })
	}
	if ctx.Err() != nil && len(f.ended) < len(accepted.Tables) {
		return gone()
	}
	return finished(cmd, f.result())
}

// runOrder runs the pipeline until the order is taken and everything is done.
func (r *runner) runOrder(ctx context.Context, o *order) (control.Accepted, error) {
	var accepted control.Accepted
	for range aloneRuns {
		taken := false
		r.beside = func(ctx context.Context) error {
			a, err := r.tellPatiently(ctx, o)
			if err == nil {
				accepted, taken = a, true
			}
			if ctx.Err() != nil {
				return nil // the run ended before: there is another
			}
			return err
		}
		if err := r.run(ctx); err != nil {
			return accepted, err
		}
		if taken || ctx.Err() != nil {
			break
		}
	}
	if accepted.Tables == nil {
		return accepted, &pipeline.Error{Class: pipeline.Retryable,
			Err:  errors.New("the run ended before it took what was asked"),
			Hint: "Try again."}
	}
	return accepted, nil
}

// tellPatiently gives the order, unless another process turns out to read.
func (r *runner) tellPatiently(ctx context.Context, o *order) (control.Accepted, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		r.watchStandby(ctx, cancel)
	}()
	a, err := r.control.tell(ctx, o)
	cause := context.Cause(ctx)
	cancel(nil)
	<-watched
	if err != nil && errors.Is(cause, errStandby) {
		return a, cause
	}
	return a, err
}

// errStandby says that another process reads.
var errStandby = errors.New("another process reads")

// watchStandby cancels once a source has been a standby for too long.
func (r *runner) watchStandby(ctx context.Context, cancel context.CancelCauseFunc) {
	since := time.Time{}
	for pauseFor(ctx, waitEvery) {
		status := r.control.Status()
		standby := ""
		if status.Phase == control.Starting || status.Leader != nil {
			standby = "state" // which waits for its lease
		}
		for _, s := range status.Sources {
			if s.Phase == "standby" {
				standby = s.Address
			}
		}
		switch {
		case standby == "":
			since = time.Time{}
		case since.IsZero():
			since = time.Now()
		case time.Since(since) > cmp.Or(r.patience, standbyLimit):
			cancel(&pipeline.Error{Node: standby, Class: pipeline.Environment,
				Err:  fmt.Errorf("waited %s: %w what this one would", short(time.Since(since)), errStandby),
				Hint: "The pipeline seems to run on another host: run pipe snapshot there, with the same file."})
			return
		}
	}
}

// checkBegun refuses a request to a pipeline that never ran: its start reads every table.
func checkBegun(ctx context.Context, c *config.Config) error {
	in := &inspector{config: c}
	state, err := in.state(ctx)
	if err != nil {
		return err
	}
	for _, n := range c.Kind("source") {
		if len(state.saved.Of(n.Address)) > 0 {
			return nil
		}
	}
	return refuseRequest("Start it with pipe run: that reads every table once.", "the pipeline has never run")
}
