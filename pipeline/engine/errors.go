package engine

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/pipe-cdc/pipe/pipeline"
)

// The reasons for which an engine's work is cancelled that are no failures.
var (
	errStopped = errors.New("the pipeline is stopping")
	errGrace   = errors.New("the grace for batches in flight has passed")
	errDone    = errors.New("the pipeline has ended")
)

// atNode says in which node err happened, where err does not say so itself.
func atNode(address string, err error) error {
	if err == nil {
		return nil
	}
	var e *pipeline.Error
	if !errors.As(err, &e) {
		return &pipeline.Error{Node: address, Err: err}
	}
	if e.Node != "" {
		return err
	}
	if e == err {
		named := *e
		named.Node = address
		return &named
	}
	return &pipeline.Error{Node: address, Err: err}
}

// guard calls f and turns a panic into an Internal error; the stack goes to the log.
func (e *Engine) guard(address string, f func() error) (err error) {
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		e.log.Error("panic in a component", "node", address, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
		err = &pipeline.Error{Node: address, Class: pipeline.Internal, Err: fmt.Errorf("panic: %v", r),
			Hint: "This is a bug in pipe: please report it with the stack from the log."}
	}()
	return f()
}
