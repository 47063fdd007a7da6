package mariadb

import (
	"context"
	"sync"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// bookEvery is the least time between two saves of what a first snapshot has done.
const bookEvery = time.Second

// book keeps the ledger of a first snapshot: it records a chunk once it is durable in every sink.
type book struct {
	*runner
	out     pipeline.Output
	streams []pipeline.Stream // of the chunks
	news    chan struct{}     // buffered by one

	mu   sync.Mutex // guards the following
	done []snapshot.Chunk
	left map[string][]booked
}

// booked is a chunk that is not known to be durable.
type booked struct {
	ordinal int
	segment snapshot.Segment
}

// newBook notes in the ledger what there is to read.
func (r *runner) newBook(out pipeline.Output, a snapshot.Attempt, wanted []*table, chunks []snapshot.Chunk) *book {
	b := &book{runner: r, out: out, streams: a.All(), news: make(chan struct{}, 1), left: map[string][]booked{}}
	for _, t := range wanted {
		part := t.String()
		if k := t.keyset(); k != nil {
			part = k.part(t)
		}
		for i := range chunks {
			if c := &chunks[i]; c.Table == t.String() {
				s := snapshot.Segment{Part: part, Cut: c.Range.Cut, Low: c.Range.Low, High: c.Range.High}
				b.left[c.Table] = append(b.left[c.Table], booked{c.Ordinal, s})
			}
		}
		r.begin(t, b.segments(t.String()))
	}
	return b
}

// segments are what is left of a table.
func (b *book) segments(name string) []snapshot.Segment {
	var out []snapshot.Segment
	for _, l := range b.left[name] {
		out = append(out, l.segment)
	}
	return out
}

// add takes a chunk that was emitted.
func (b *book) add(c *snapshot.Chunk) {
	b.mu.Lock()
	b.done = append(b.done, *c)
	b.mu.Unlock()
	select {
	case b.news <- struct{}{}:
	default:
	}
}

// keep records what is done until ctx ends.
func (b *book) keep(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-b.news:
		}
		if err := b.settle(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if nap(ctx, bookEvery) != nil {
			return nil
		}
	}
}

// settle waits until what was emitted is durable, and notes it.
func (b *book) settle(ctx context.Context) error {
	b.mu.Lock()
	done := b.done
	b.done = nil
	b.mu.Unlock()
	if err := b.out.Drain(ctx, b.streams...); err != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.done = append(done, b.done...)
		return err
	}
	for i := range done {
		b.tick(&done[i])
	}
	_, err := b.ledger.Save(ctx, b.out)
	return err
}

// tick takes a chunk off what is left.
func (b *book) tick(c *snapshot.Chunk) {
	var kept []booked
	for _, l := range b.left[c.Table] {
		if l.ordinal != c.Ordinal {
			kept = append(kept, l)
		}
	}
	b.left[c.Table] = kept
	b.ledger.Change(c.Table, func(e *snapshot.Entry) {
		e.Left, e.ChunksDone, e.Rows = b.segments(c.Table), e.ChunksDone+1, e.Rows+c.Rows
		if len(kept) == 0 {
			e.Status, e.Ended, e.Planned = snapshot.Done, time.Now().UTC(), false
		}
	})
}
