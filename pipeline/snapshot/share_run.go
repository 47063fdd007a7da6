package snapshot

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
)

// The pauses of a worker that finds nothing to claim, while others read, and of who looks what they did.
const (
	claimLeast = 20 * time.Millisecond
	claimMost  = 500 * time.Millisecond
	newsEvery  = 250 * time.Millisecond

	releaseWithin = time.Second
)

// errShareOver ends a helper: the leader is gone, or is done.
var errShareOver = errors.New("the shared snapshot is over")

// Sharing is one process's part in a shared snapshot.
type Sharing struct {
	Board   Board
	Attempt Attempt
	Workers int // at least 1
	Chunks  int // of the whole share, where this process leads: it ends when all are finished. 0: it helps
	Out     pipeline.Output
	Open    func(ctx context.Context) (SharedReader, error) // called by each worker's goroutine that has a chunk
	// Finished is called with each chunk that is durable, by one goroutine: a helper's own, and all of a
	// leader's, who reads (own) or not.
	Finished func(f Finished, own bool)

	mu    sync.Mutex // guards read
	read  []Finished // and not known to be durable
	wake  chan struct{}
	count int // of those finished; one goroutine at a time
}

// Run reads until there is nothing left to claim, for a leader until everything is finished. A helper
// whose leader is gone ends without error.
func (s *Sharing) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.wake = make(chan struct{}, 1)
	done := make(chan struct{})
	var beside, workers sync.WaitGroup
	beside.Go(func() { s.beat(ctx, done, cancel) })
	beside.Go(func() { s.finish(ctx, done, cancel) })
	for range max(s.Workers, 1) {
		workers.Go(func() {
			if err := s.work(ctx); err != nil {
				cancel(err)
			}
		})
	}
	workers.Wait()
	close(done)
	beside.Wait()
	err := context.Cause(ctx)
	if err != nil {
		s.release()
	}
	switch {
	case errors.Is(err, errShareOver):
		return nil
	case err == nil && s.Chunks > 0 && s.count < s.Chunks:
		return &pipeline.Error{Class: pipeline.Retryable, Err: pipeline.ErrFenced}
	}
	return err
}

// release gives back what this process will not finish. Where that fails, the lease runs out.
func (s *Sharing) release() {
	ctx, cancel := context.WithTimeout(context.Background(), releaseWithin)
	defer cancel()
	_ = s.Board.Release(ctx, s.Attempt)
}

// work is one worker's life.
func (s *Sharing) work(ctx context.Context) (err error) {
	var r SharedReader
	defer func() {
		if r != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	wait := claimLeast
	for {
		c, ok, over, err := s.Board.Claim(ctx, s.Attempt)
		if err != nil || over {
			return err
		}
		if !ok {
			if !rest(ctx, wait) {
				return nil
			}
			wait = min(2*wait, claimMost)
			continue
		}
		wait = claimLeast
		if r == nil {
			if r, err = s.Open(ctx); err != nil {
				return err
			}
		}
		rows, err := r.ReadShared(ctx, &c.Chunk, s.Attempt.Stream(c.Number))
		if err != nil {
			return fmt.Errorf("table %s, chunk %d %s: %w", c.Chunk.Part, c.Chunk.Ordinal, c.Chunk.Range, err)
		}
		s.put(Finished{Number: c.Number, Table: c.Chunk.Table, Rows: rows})
	}
}

// put takes a chunk that was emitted.
func (s *Sharing) put(f Finished) {
	s.mu.Lock()
	s.read = append(s.read, f)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// beat gives signs of life until done.
func (s *Sharing) beat(ctx context.Context, done <-chan struct{}, cancel context.CancelCauseFunc) {
	ticker := time.NewTicker(s.Board.Every())
	defer ticker.Stop()
	for last := time.Now(); ; {
		select {
		case <-done:
			return
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		open, err := s.Board.Beat(ctx, s.Attempt)
		switch {
		case err == nil && open:
			last = time.Now()
		case err == nil && s.Chunks > 0:
			cancel(&pipeline.Error{Class: pipeline.Retryable, Err: pipeline.ErrFenced})
		case err == nil:
			cancel(errShareOver)
		case time.Since(last) > s.Board.Lease():
			cancel(err)
		}
	}
}

// finish records what is durable until the workers are done and all of theirs is.
func (s *Sharing) finish(ctx context.Context, done <-chan struct{}, cancel context.CancelCauseFunc) {
	ticker := time.NewTicker(newsEvery)
	defer ticker.Stop()
	for last := false; !last; {
		select {
		case <-ctx.Done():
			return
		case <-done:
			last = true
		case <-s.wake:
		case <-ticker.C:
		}
		if err := s.settle(ctx); err != nil {
			cancel(err)
			return
		}
	}
}

// settle waits until what was emitted is durable and says so; a leader then hears what others did.
func (s *Sharing) settle(ctx context.Context) error {
	s.mu.Lock()
	read := s.read
	s.read = nil
	s.mu.Unlock()
	if len(read) > 0 {
		streams := make([]pipeline.Stream, len(read))
		for i := range read {
			streams[i] = s.Attempt.Stream(read[i].Number)
		}
		if err := s.Out.Drain(ctx, streams...); err != nil {
			return err
		}
		first, err := s.Board.Finish(ctx, s.Attempt, read)
		if err != nil {
			return err
		}
		s.finished(first, true)
	}
	if s.Chunks == 0 {
		return nil
	}
	news, err := s.Board.News(ctx, s.Attempt)
	if err == nil {
		s.finished(news, false)
	}
	return err
}

func (s *Sharing) finished(chunks []Finished, own bool) {
	for _, f := range chunks {
		s.count++
		s.Finished(f, own)
	}
}

// rest waits; it is false where ctx ended.
func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
