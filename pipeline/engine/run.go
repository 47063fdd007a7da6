package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
)

// hangTime is how long a source or sink may take to return once its context has ended, beyond the
// grace; after it, it is left behind and Run returns an error.
const (
	hangTime = 30 * time.Second
	hangHint = "Start pipe again; it resumes from what was saved."
)

// Run resumes, runs until ctx ends or every source has, and closes the sinks and the store. It returns
// nil after a graceful stop, otherwise the first error. It may be called once.
func (e *Engine) Run(ctx context.Context) error {
	if e.started.Swap(true) {
		return &pipeline.Error{Class: pipeline.Internal, Err: errors.New("an engine runs only once")}
	}
	reading, stop := context.WithCancel(ctx)
	e.stopRead = stop
	defer stop()
	defer e.cancel(errDone)
	err := e.await(ctx)
	var cp pipeline.Checkpoint
	if err == nil {
		cp, err = e.resume(ctx)
	}
	if err != nil {
		return e.outcome(ctx, errors.Join(err, e.close(nil)))
	}
	e.tracker.mu.Lock()
	e.tracker.saved = cp
	e.tracker.mu.Unlock()
	e.log.Info("pipeline runs", "pipeline", e.name, "streams", len(cp))
	hung := e.runAll(ctx, reading, cp)
	e.cancel(errDone)
	err = context.Cause(e.work)
	if errors.Is(err, errGrace) {
		e.log.Warn("batches in flight were given up and will be read again", "grace", e.limits.Grace)
	}
	if errors.Is(err, errDone) || errors.Is(err, errGrace) {
		err = nil
	}
	closing := e.close(hung)
	if err == nil {
		err = closing
	} else if closing != nil {
		e.log.Warn("closing after a failure", "error", closing)
	}
	return e.hanging(e.succeeded(err))
}

// hanging makes an error Internal where a component did not come back: it may still write, so that
// nothing may begin again beside it in this process.
func (e *Engine) hanging(err error) error {
	if e.hang == nil {
		return err
	}
	if err != nil && !errors.Is(err, e.hang) {
		e.log.Error("failed before a component hung", "error", err)
	}
	return e.hang
}

// outcome is the error of a run that did not begin: none where it was told to stop.
func (e *Engine) outcome(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// runAll starts everything, waits for the end, and saves. It returns the sinks whose Write hangs.
func (e *Engine) runAll(ctx, reading context.Context, cp pipeline.Checkpoint) map[*sink]bool {
	var transforming sync.WaitGroup
	writing := map[*sink]*sync.WaitGroup{}
	for _, k := range e.sinks {
		writing[k] = &sync.WaitGroup{}
		for range k.workers {
			writing[k].Go(k.writeAll)
		}
	}
	for _, s := range e.sources {
		transforming.Go(s.transformAll)
	}
	v := &saver{engine: e, store: e.store}
	var saving sync.WaitGroup
	saved := make(chan struct{})
	saving.Go(func() { v.run(saved) })
	saving.Go(func() { e.watchLease(saved) })

	e.read(ctx, reading, cp)
	e.land(ctx)
	for _, k := range e.sinks {
		if e.dead() {
			k.stop()
		}
		k.finish()
	}
	transforming.Wait()
	hung := e.waitSinks(writing)
	close(saved)
	saving.Wait()
	if !v.failed {
		if err := v.save(); err != nil {
			e.fail(err)
		}
	}
	return hung
}

// read runs the sources until all have returned.
func (e *Engine) read(ctx, reading context.Context, cp pipeline.Checkpoint) {
	var running sync.WaitGroup
	for _, s := range e.sources {
		running.Go(func() {
			err := s.run(reading, cp.Of(s.address))
			switch {
			case err == nil || e.dead():
			case reading.Err() != nil:
				if !errors.Is(err, reading.Err()) && !errors.Is(err, errStopped) {
					e.log.Warn("source did not stop cleanly", "node", s.address, "error", err)
				}
			default:
				s.stats.errors.Add(1)
				e.fail(atNode(s.address, err))
			}
		})
	}
	done := make(chan struct{})
	go func() {
		running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return
	case <-reading.Done():
	}
	if within(done, e.limits.Grace+hangTime) {
		return
	}
	for _, s := range e.sources {
		s.end()
	}
	e.hang = &pipeline.Error{Class: pipeline.Internal, Hint: hangHint,
		Err: errors.New("a source did not return from Run when told to stop")}
	e.fail(e.hang)
}

// land waits until nothing is in flight, anything has failed, or the grace after a stop has passed.
func (e *Engine) land(ctx context.Context) {
	stop, t := ctx.Done(), e.tracker
	var grace <-chan time.Time
	for {
		t.mu.Lock()
		left, landed := t.inFlight, t.landed.wait()
		t.mu.Unlock()
		if left == 0 {
			return
		}
		select {
		case <-landed:
		case <-e.work.Done():
			return
		case <-stop:
			stop = nil
			grace = time.After(e.limits.Grace)
		case <-grace:
			e.cancel(errGrace)
			return
		}
	}
}

// waitSinks waits for the workers and returns the sinks that do not come back.
func (e *Engine) waitSinks(writing map[*sink]*sync.WaitGroup) map[*sink]bool {
	hung := map[*sink]bool{}
	deadline := time.Now().Add(hangTime)
	for _, k := range e.sinks {
		done := make(chan struct{})
		go func() {
			writing[k].Wait()
			close(done)
		}()
		if !within(done, time.Until(deadline)) {
			hung[k] = true
			e.hang = &pipeline.Error{Node: k.address, Class: pipeline.Internal, Hint: hangHint,
				Err: fmt.Errorf("sink did not return from Write within %v of being told to", hangTime)}
			e.fail(e.hang)
		}
	}
	return hung
}

// close closes the sinks, except those that hang, and the store.
func (e *Engine) close(hung map[*sink]bool) error {
	var first error
	keep := func(err error) {
		if first == nil {
			first = err
		}
	}
	for _, k := range e.sinks {
		if !hung[k] {
			keep(atNode(k.address, e.guard(k.address, k.sink.Close)))
		}
	}
	if e.store != nil {
		keep(atNode("state", e.guard("state", e.store.Close)))
	}
	return first
}

func within(done <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}
