package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
)

// Retry says how often and how fast Supervise begins again.
type Retry struct {
	First    time.Duration // the pause after the first failure; it doubles from there
	Max      time.Duration // the longest pause
	Attempts int           // failures in a row, without progress between them, before giving up
	// Failed, unless nil, is called with each failure that a pause follows.
	Failed func(err error)
}

// The default policy: with pauses of 30 s it gives up after about three days.
const (
	retryFirst    = 500 * time.Millisecond
	retryMax      = 30 * time.Second
	retryAttempts = 10_000
)

// DefaultRetry bears what passes by itself: restarts, failovers, full disks.
func DefaultRetry() Retry { return Retry{First: retryFirst, Max: retryMax, Attempts: retryAttempts} }

// Supervise builds an engine and runs it; when building or running fails with a Retryable error it
// pauses and begins again from what was saved. Any other error, and nil, it returns. A run that saved
// something makes the pauses short again. It returns nil when ctx ends.
func Supervise(ctx context.Context, policy Retry, log *slog.Logger,
	build func(context.Context) (*Engine, error)) error {
	if log == nil {
		log = slog.Default()
	}
	failures := 0
	for {
		progress, err := attempt(ctx, build)
		retryable := pipeline.ClassOf(err) == pipeline.Retryable
		if err == nil || ctx.Err() != nil && (retryable || errors.Is(err, context.Canceled)) {
			return nil
		}
		if !retryable {
			return err
		}
		if progress {
			failures = 0
		}
		if failures++; failures > policy.Attempts {
			return fmt.Errorf("giving up after %d attempts without progress: %w", failures, err)
		}
		if policy.Failed != nil {
			policy.Failed(err)
		}
		pause := policy.pause(failures)
		if errors.Is(err, pipeline.ErrFenced) {
			log.Warn("another process has taken the pipeline over: this one stands by", "pause", pause)
		} else {
			log.Warn("pipeline failed and begins again", "error", err, "attempt", failures, "pause", pause)
		}
		if !sleep(ctx, pause) {
			return nil
		}
	}
}

func attempt(ctx context.Context, build func(context.Context) (*Engine, error)) (progress bool, err error) {
	e, err := build(ctx)
	if err != nil {
		return false, err
	}
	err = e.Run(ctx)
	return e.saves.Load() > 0, err
}

// pause returns the pause after the n-th failure in a row: between half and all of the doubled one, so
// that many pipelines do not come back at once.
func (r Retry) pause(n int) time.Duration {
	d := r.First
	for i := 1; i < n && d < r.Max; i++ {
		d *= 2
	}
	d = max(min(d, r.Max), 2)
	return d/2 + rand.N(d/2)
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
