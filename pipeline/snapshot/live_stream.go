package snapshot

import (
	"cmp"
	"slices"

	"github.com/pipe-cdc/pipe/pipeline"
)

// candidate is a snapshot beyond which the window may be forgotten, once every piece whose reading began
// before it was taken is merged.
type candidate struct {
	sees func(tx uint64) bool
	left map[uint64]bool
}

// Next returns a piece to merge now that the stream stands at a transaction's end; nil where there is
// none. Call it at each such end, and while the stream is idle.
func (l *Live) Next(reached pipeline.Position) *Piece {
	if !l.ready.Load() {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settleWatches()
	l.settleWindow()
	for len(l.waiting) > 0 && l.waiting[0].Fence <= reached {
		p := l.waiting[0]
		l.waiting = slices.Delete(l.waiting, 0, 1)
		switch {
		case p.job.ended:
			l.release(p)
		case p.Flags != 0:
			return p
		case l.Window.Full(p.Table):
			l.finish(p.job, Failed, errFull)
			l.release(p)
		case l.Window.Voided(p.Table, p.Sees):
			l.again(p)
		default:
			return p
		}
	}
	l.ready.Store(len(l.waiting) > 0)
	return nil
}

// settleWatches makes the window watch what the jobs that begun want watched. Those that ended come
// first: a table may have been begun again. mu is held.
func (l *Live) settleWatches() {
	for _, table := range l.unwatch {
		l.Window.Unwatch(table)
	}
	for _, j := range l.watch {
		if !j.ended {
			l.Window.Watch(j.table)
			close(j.watched)
		}
	}
	l.watch, l.unwatch = nil, nil
}

// Merge copies the rows of a piece that are not stale into batches: room returns the one in hand, emit
// hands it over. tx is what the rows belong to.
func (l *Live) Merge(p *Piece, tx *pipeline.Tx, room func() (*pipeline.Batch, error), emit func() error) error {
	for i := range p.Rows {
		from := &p.Rows[i]
		stale, owed := l.Window.Stale(p.Table, from, p.Sees)
		p.owed = p.owed || owed
		if stale {
			continue
		}
		b, err := room()
		if err != nil {
			return err
		}
		values := b.Values(len(from.Values))
		for n, v := range from.Values {
			if v.Kind() >= pipeline.Text {
				v = pipeline.BytesValue(v.Kind(), b.Copy(v.Bytes()))
			}
			values[n] = v
		}
		row := b.Add()
		row.Schema, row.Tx, row.Values, row.Op = from.Schema, tx, values, pipeline.Read
		row.Seq, row.At = uint32(p.rows), tx.LSN
		p.rows++
		if !b.Full() {
			continue
		}
		if err := emit(); err != nil {
			return err
		}
	}
	return nil
}

// Merged says that the rows of a piece and a mark after them, at that position, were handed to
// Output.Emit: what is still in the hand of the stream's goroutine is not known to Output.Drain, and the
// ledger would tell of rows that are not there. The piece must not be used any more.
func (l *Live) Merged(p *Piece, reached pipeline.Position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.record(merged{job: p.job, id: p.id, rows: p.rows, fence: reached, flags: p.Flags, owed: p.owed})
	l.gone(p)
	if p.Flags != 0 {
		return
	}
	l.offer(p)
	l.settleWindow()
	l.recycle(p)
}

// offer makes the snapshot of a piece the one beyond which the window may be forgotten, unless another
// is still waited for. mu is held.
func (l *Live) offer(p *Piece) {
	if l.seen.sees != nil {
		return
	}
	left := map[uint64]bool{}
	for id := range l.reading {
		left[id] = true
	}
	for _, w := range l.waiting {
		if w.Flags == 0 {
			left[w.id] = true
		}
	}
	l.seen = candidate{sees: p.Sees, left: left}
}

// gone says that a piece is not in flight any more. mu is held.
func (l *Live) gone(p *Piece) {
	if delete(l.seen.left, p.id); l.seen.sees != nil && len(l.seen.left) == 0 {
		l.ready.Store(true)
	}
}

// settleWindow drops from the window what no piece in flight, nor any later one, can miss. Only the
// stream's goroutine calls it. mu is held.
func (l *Live) settleWindow() {
	if l.seen.sees == nil || len(l.seen.left) > 0 {
		return
	}
	l.Window.Forget(l.seen.sees)
	l.seen = candidate{}
}

// enqueue puts a piece among those that wait for their fence. mu is held.
func (l *Live) enqueue(p *Piece) {
	at, _ := slices.BinarySearchFunc(l.waiting, p, func(a, b *Piece) int {
		return cmp.Or(cmp.Compare(a.Fence, b.Fence), cmp.Compare(a.id, b.id))
	})
	l.waiting = slices.Insert(l.waiting, at, p)
	l.ready.Store(true)
}
