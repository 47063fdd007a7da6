package pipetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
)

// The bounds of waiting in tests: a machine that does much else is no failure.
const (
	waitFor  = 90 * time.Second
	stopWait = 60 * time.Second
)

// Collect is an Output that keeps what a source emits, with the back-pressure that a test wants.
// Everything emitted counts as durable and saved at once, unless Hold was called.
type Collect struct {
	MaxRows  int  // of a batch; 0: 1000
	MaxBytes int  // of a batch; 0: 1 MiB
	Busy     bool // Idle reports false: part-filled batches are held for company
	// OnEmit, where set, sees every batch; an error is returned from Emit.
	OnEmit func(b *pipeline.Batch) error

	mu      sync.Mutex
	change  chan struct{} // closed and replaced on every change; guards waiting
	held    bool
	closed  bool
	batches []*pipeline.Batch
	late    int // batches emitted after Close
	drains  [][]pipeline.Stream
}

var errClosed = errors.New("emitted after Run was told to stop and had returned")

// New waits while the output is held and returns a batch that nobody ever reuses.
func (c *Collect) New(ctx context.Context, s pipeline.Stream) (*pipeline.Batch, error) {
	if err := c.wait(ctx, func() bool { return !c.held }); err != nil {
		return nil, err
	}
	b := &pipeline.Batch{Stream: s, MaxRows: c.MaxRows, MaxBytes: c.MaxBytes}
	if b.MaxRows == 0 {
		b.MaxRows = 1000
	}
	if b.MaxBytes == 0 {
		b.MaxBytes = 1 << 20
	}
	return b, nil
}

// Emit keeps the batch, unless it is empty.
func (c *Collect) Emit(b *pipeline.Batch) error {
	if b.Empty() {
		return nil
	}
	if c.OnEmit != nil {
		if err := c.OnEmit(b); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		c.late++
		return errClosed
	}
	c.batches = append(c.batches, b)
	c.changed()
	return nil
}

// Idle reports true unless Busy or held.
func (c *Collect) Idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.Busy && !c.held
}

// Drain waits while the output is held, and records that it was called.
func (c *Collect) Drain(ctx context.Context, s ...pipeline.Stream) error {
	c.mu.Lock()
	c.drains = append(c.drains, slices.Clone(s))
	c.changed()
	c.mu.Unlock()
	return c.wait(ctx, func() bool { return !c.held })
}

// Hold makes New and Drain wait, as an engine does whose sinks are slow.
func (c *Collect) Hold() { c.set(func() { c.held = true }) }

// Release ends Hold.
func (c *Collect) Release() { c.set(func() { c.held = false }) }

// Close makes every later Emit fail, and counts them for Late.
func (c *Collect) Close() { c.set(func() { c.closed = true }) }

// Late returns the number of batches emitted after Close.
func (c *Collect) Late() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.late
}

// Drains returns the streams of each call of Drain.
func (c *Collect) Drains() [][]pipeline.Stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.drains)
}

// Batches returns the batches emitted so far, in order.
func (c *Collect) Batches() []*pipeline.Batch {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.batches)
}

// Rows returns the rows emitted so far, of all streams, as RowText renders them.
func (c *Collect) Rows() []string {
	var out []string
	for _, b := range c.Batches() {
		for i := range b.Rows {
			out = append(out, RowText(&b.Rows[i]))
		}
	}
	return out
}

// Checkpoint returns the positions of the marks emitted so far.
func (c *Collect) Checkpoint() pipeline.Checkpoint {
	cp := pipeline.Checkpoint{}
	for _, b := range c.Batches() {
		if pos, ok := b.Last(); ok {
			cp.Apply(b.Stream, pos)
		}
	}
	return cp
}

// WaitRows waits until at least n rows were emitted.
func (c *Collect) WaitRows(t testing.TB, n int) {
	t.Helper()
	c.Wait(t, fmt.Sprintf("%d rows", n), func(batches []*pipeline.Batch) bool {
		have := 0
		for _, b := range batches {
			have += len(b.Rows)
		}
		return have >= n
	})
}

// Wait waits until ok is true of the batches emitted so far; what names it in the failure.
func (c *Collect) Wait(t testing.TB, what string, ok func([]*pipeline.Batch) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), waitFor)
	defer cancel()
	if err := c.wait(ctx, func() bool { return ok(c.batches) }); err != nil {
		t.Fatalf("the source did not emit %s within %v; it emitted %d rows", what, waitFor, len(c.Rows()))
	}
}

func (c *Collect) set(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
	c.changed()
}

// changed wakes those who wait; called with mu held.
func (c *Collect) changed() {
	if c.change != nil {
		close(c.change)
		c.change = nil
	}
}

func (c *Collect) wait(ctx context.Context, ok func() bool) error {
	for {
		c.mu.Lock()
		if ok() {
			c.mu.Unlock()
			return ctx.Err()
		}
		if c.change == nil {
			c.change = make(chan struct{})
		}
		change := c.change
		c.mu.Unlock()
		select {
		case <-change:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Running is a source that Run started.
type Running struct {
	Out    *Collect
	Source pipeline.Source
	t      testing.TB
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

// Run runs a source into out (nil: a new Collect) until Stop, or the test's end.
func Run(t testing.TB, src pipeline.Source, from pipeline.Checkpoint, out *Collect) *Running {
	t.Helper()
	if out == nil {
		out = &Collect{}
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &Running{Out: out, Source: src, t: t, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.err = src.Run(ctx, from.Clone(), out)
		out.Close()
	}()
	t.Cleanup(func() { r.Stop() })
	return r
}

// Stop cancels the source's context and waits for Run; it fails the test where Run does not return
// promptly, or with another error than the context's. It may be called again.
func (r *Running) Stop() {
	r.t.Helper()
	r.cancel()
	if err := r.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		r.t.Errorf("source ended: %v", err)
	}
}

// Wait waits for Run to return and returns its error.
func (r *Running) Wait() error {
	r.t.Helper()
	select {
	case <-r.done:
		return r.err
	case <-time.After(stopWait):
		r.t.Fatalf("the source did not return from Run within %v", stopWait)
		return nil
	}
}
