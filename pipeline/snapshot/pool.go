package snapshot

import (
	"cmp"
	"context"
	"slices"
	"sync"
)

// Worker reads chunks, one after another; each has its own connection.
type Worker interface {
	// Read emits the chunk's rows and its Mark.
	Read(ctx context.Context, c *Chunk) error
	// Close releases the worker's connection.
	Close() error
}

// Pool is a bounded number of workers that share chunks.
type Pool struct {
	Workers int                                       // at least 1
	Limit   func(table string) int                    // most workers on one table; nil or 0: no limit
	Open    func(ctx context.Context) (Worker, error) // called once by each worker's goroutine
	Done    func(c *Chunk)                            // after each chunk; may be nil
}

// Run reads all chunks, the largest first so that none is left over at the end. The first error
// cancels the others and is returned once all have ended.
func (p *Pool) Run(ctx context.Context, chunks []Chunk) error {
	if len(chunks) == 0 {
		return ctx.Err()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	q := newQueue(chunks, p.Limit)
	stop := context.AfterFunc(ctx, q.close)
	defer stop()

	var all sync.WaitGroup
	for range min(max(p.Workers, 1), len(chunks)) {
		all.Go(func() {
			if err := p.work(ctx, q); err != nil {
				cancel(err)
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

// work is one worker's life.
func (p *Pool) work(ctx context.Context, q *queue) (err error) {
	w, err := p.Open(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if e := w.Close(); err == nil {
			err = e
		}
	}()
	for c := q.take(); c != nil; c = q.take() {
		if err := w.Read(ctx, c); err != nil {
			return err
		}
		if p.Done != nil {
			p.Done(c)
		}
		q.release(c)
	}
	return nil
}

// queue hands out chunks, the largest first, with no more than limit at once of one table.
type queue struct {
	limit func(string) int

	mu      sync.Mutex // guards the following
	changed sync.Cond
	waiting []*Chunk
	running map[string]int
	closed  bool
}

func newQueue(chunks []Chunk, limit func(string) int) *queue {
	q := &queue{limit: limit, running: map[string]int{}}
	q.changed.L = &q.mu
	for i := range chunks {
		q.waiting = append(q.waiting, &chunks[i])
	}
	slices.SortStableFunc(q.waiting, func(a, b *Chunk) int { return cmp.Compare(b.Rows, a.Rows) })
	return q
}

// take waits for a chunk that may be read now; nil when there are none left or the queue was closed.
func (q *queue) take() *Chunk {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.closed && len(q.waiting) > 0 {
		for i, c := range q.waiting {
			if !q.allowed(c.Table) {
				continue
			}
			q.waiting = slices.Delete(q.waiting, i, i+1)
			q.running[c.Table]++
			return c
		}
		q.changed.Wait()
	}
	return nil
}

func (q *queue) allowed(table string) bool {
	if q.limit == nil {
		return true
	}
	n := q.limit(table)
	return n <= 0 || q.running[table] < n
}

func (q *queue) release(c *Chunk) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.running[c.Table]--
	q.changed.Broadcast()
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.changed.Broadcast()
}
