package mariadb

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// The time between two saves of what a first snapshot has done is bookShare times that of a save, within
// bounds: a crash repeats what was done since the last one.
const (
	bookShare = 20
	bookLeast = 50 * time.Millisecond
	bookMost  = time.Second
)

// maxLeft bounds the segments that an entry of the ledger has, about: it is written again and again.
const maxLeft = 1000

// book keeps the ledger of a first snapshot: it records a chunk once it is durable in every sink.
type book struct {
	*runner
	out     pipeline.Output
	streams []pipeline.Stream // of the chunks that are durable once these are drained; others are when they are added
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
func (r *runner) newBook(out pipeline.Output, streams []pipeline.Stream, wanted []*table, chunks []snapshot.Chunk) *book {
	b := &book{runner: r, out: out, streams: streams, news: make(chan struct{}, 1), left: map[string][]booked{}}
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

// segments are what is left of a table. Neighbours are joined where there are very many.
func (b *book) segments(name string) []snapshot.Segment {
	left := b.left[name]
	each := (len(left) + maxLeft - 1) / maxLeft
	var out []snapshot.Segment
	joined := 0
	for i, l := range left {
		if i > 0 && joined < each && left[i-1].ordinal+1 == l.ordinal {
			out[len(out)-1].High = l.segment.High
			joined++
			continue
		}
		out, joined = append(out, l.segment), 1
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
		begin := time.Now()
		if err := b.settle(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if nap(ctx, min(max(bookShare*time.Since(begin), bookLeast), bookMost)) != nil {
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
	if err := b.drain(ctx); err != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.done = append(done, b.done...)
		return err
	}
	tables := map[string]bool{}
	for i := range done {
		b.tick(&done[i])
		tables[done[i].Table] = true
	}
	for name := range tables {
		b.note(name)
	}
	_, err := b.ledger.Save(ctx, b.out)
	return err
}

func (b *book) drain(ctx context.Context) error {
	if len(b.streams) == 0 {
		return nil
	}
	return b.out.Drain(ctx, b.streams...)
}

// tick takes a chunk off what is left.
func (b *book) tick(c *snapshot.Chunk) {
	left := b.left[c.Table]
	if i := slices.IndexFunc(left, func(l booked) bool { return l.ordinal == c.Ordinal }); i >= 0 {
		b.left[c.Table] = slices.Delete(left, i, i+1)
	}
	b.ledger.Change(c.Table, func(e *snapshot.Entry) { e.ChunksDone, e.Rows = e.ChunksDone+1, e.Rows+c.Rows })
}

// note tells the ledger what is left of a table.
func (b *book) note(name string) {
	left := b.segments(name)
	b.ledger.Change(name, func(e *snapshot.Entry) {
		if e.Left = left; len(left) == 0 {
			e.Status, e.Ended, e.Planned = snapshot.Done, time.Now().UTC(), false
		}
	})
}
