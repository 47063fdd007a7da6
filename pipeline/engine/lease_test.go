package engine

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
)

// leasedStore is a testStore that another process can take over.
type leasedStore struct {
	testStore
	lost chan struct{}
	no   atomic.Pointer[error] // what Held returns
}

func newLeasedStore() *leasedStore { return &leasedStore{lost: make(chan struct{})} }

func (s *leasedStore) Held(context.Context) error {
	if err := s.no.Load(); err != nil {
		return *err
	}
	return nil
}

func (s *leasedStore) Lost() <-chan struct{} { return s.lost }

func (s *leasedStore) fence() {
	err := error(&pipeline.Error{Class: pipeline.Retryable, Err: pipeline.ErrFenced})
	s.no.Store(&err)
}

// succeededBy demands the error of a run that another process has ended: it may begin again.
func succeededBy(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, pipeline.ErrFenced) || pipeline.ClassOf(err) != pipeline.Retryable {
		t.Errorf("%v of class %d", err, pipeline.ClassOf(err))
	}
}

// TestLostLeaseWritesNothing holds that nothing of what is in the queues is written once the lease is lost.
func TestLostLeaseWritesNothing(t *testing.T) {
	store, writes := newLeasedStore(), 0
	sink := &testSink{write: func(context.Context, *pipeline.Batch) error {
		if writes++; writes == 3 {
			store.fence()
		}
		return nil
	}}
	src := reading(func(ctx context.Context, _ pipeline.Checkpoint, out pipeline.Output) error {
		for i := 1; ; i++ {
			if err := emit(ctx, out, "wal", 1, pos(i)); err != nil {
				return err
			}
		}
	})
	succeededBy(t, mustNew(t, graph(src, sink, store)).Run(t.Context()))
	if writes != 3 {
		t.Errorf("%d batches were written, want 3", writes)
	}
	if store.closed != 1 {
		t.Error("the store was not closed")
	}
}

// TestLostLeaseWhileIdle holds that a pipeline with nothing to do notices too.
func TestLostLeaseWhileIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newLeasedStore()
		src := reading(func(ctx context.Context, _ pipeline.Checkpoint, _ pipeline.Output) error {
			<-ctx.Done()
			return ctx.Err()
		})
		time.AfterFunc(time.Minute, func() { close(store.lost) })
		succeededBy(t, mustNew(t, graph(src, &testSink{}, store)).Run(t.Context()))
	})
}

// claims counts the claims of a fence.
type claims struct {
	testKeeper
	n int
}

func (c *claims) Checkpoint(context.Context) (pipeline.Checkpoint, error) {
	c.n++
	return nil, nil
}

// TestLostLeaseClaimsNoFence holds that a process that was held up before it began leaves the fence alone.
func TestLostLeaseClaimsNoFence(t *testing.T) {
	store, sink := newLeasedStore(), &claims{}
	store.fence()
	succeededBy(t, mustNew(t, graph(reading(nil), sink, store)).Run(t.Context()))
	if sink.n != 0 {
		t.Error("it claimed the fence of its successor")
	}
}

// TestFencedSink tells the loss of a sink's fence where the store lets processes wait from where it does not.
func TestFencedSink(t *testing.T) {
	fenced := &pipeline.Error{Class: pipeline.Environment, Err: pipeline.ErrFenced}
	sink := &testSink{write: func(context.Context, *pipeline.Batch) error { return fenced }}
	src := reading(func(ctx context.Context, _ pipeline.Checkpoint, out pipeline.Output) error {
		return errors.Join(emit(ctx, out, "wal", 1, pos(1)), out.Drain(ctx))
	})
	succeededBy(t, mustNew(t, graph(src, sink, newLeasedStore())).Run(t.Context()))
	err := mustNew(t, graph(src, sink, &testStore{})).Run(t.Context())
	if !errors.Is(err, pipeline.ErrFenced) || pipeline.ClassOf(err) != pipeline.Environment {
		t.Errorf("without a lease: %v of class %d", err, pipeline.ClassOf(err))
	}
}
