package engine

import (
	"context"
	"errors"

	"github.com/pipe-cdc/pipe/pipeline"
)

const successionHint = "It waits until it can take over again."

// held returns an error where another process may have taken the pipeline.
func (e *Engine) held(ctx context.Context) error {
	if e.leased == nil {
		return nil
	}
	return atNode("state", e.leased.Held(ctx))
}

// watchLease stops everything once another process has the pipeline: a source with nothing to read would not
// notice. It ends when done is closed.
func (e *Engine) watchLease(done <-chan struct{}) {
	if e.leased == nil {
		return
	}
	select {
	case <-done:
	case <-e.leased.Lost():
		e.fail(&pipeline.Error{Node: "state", Class: pipeline.Retryable, Err: pipeline.ErrFenced})
	}
}

// succeeded makes the loss of a fence a reason to begin again, where the store decides which process works: it
// lets this one wait.
func (e *Engine) succeeded(err error) error {
	if e.leased == nil || !errors.Is(err, pipeline.ErrFenced) {
		return err
	}
	return &pipeline.Error{Node: "state", Class: pipeline.Retryable, Err: pipeline.ErrFenced, Hint: successionHint}
}
