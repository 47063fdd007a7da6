package postgres

import (
	"context"
	"sync"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// What part of its time a stream that is behind gives to chunks, and once it is far behind.
const (
	mergeShare    = 3
	mergeShareFar = 7
	farBehind     = time.Second
)

// liveStream is what the stream's goroutine needs to merge chunks. The zero value merges none.
type liveStream struct {
	*live
	tx     uint64    // the open transaction's full number
	near   uint64    // that of the latest transaction so far
	merged time.Time // when the last piece was merged
	took   time.Duration
	group  sync.WaitGroup // of goroutines beside the stream
	fail   context.CancelCauseFunc
}

// startLive begins to serve requests; the function returned ends that.
func (s *stream) startLive(ctx context.Context, fail context.CancelCauseFunc) (stop func(), err error) {
	if s.env.DryRun {
		s.source.desk.Close()
		return func() {}, nil
	}
	if s.liveStream.live, err = s.newLive(ctx, s.out); err != nil {
		return nil, err
	}
	s.near, s.fail = s.past.sees.xmax, fail
	s.source.live.Store(s.live)
	ctx, cancel := context.WithCancel(ctx)
	s.group.Go(func() {
		if err := s.live.Run(ctx); err != nil && ctx.Err() == nil {
			fail(err)
		}
	})
	return func() {
		cancel()
		s.group.Wait()
	}, nil
}

// began takes the number of a transaction whose changes come now.
func (s *stream) began(xid uint32) {
	if s.live == nil {
		return
	}
	s.liveStream.tx = extend(xid, s.near)
	s.near = max(s.near, s.liveStream.tx)
}

// passed notes that the transaction was emitted.
func (s *stream) passed() error {
	if s.live == nil {
		return nil
	}
	prune, full := s.emitted.add(s.liveStream.tx)
	if full {
		return failed(pipeline.Retryable, "", "more than %d transactions are not known to be visible", mostUnseen)
	}
	if prune {
		s.group.Go(func() { s.lookBack(s.ctx) })
	}
	return nil
}

// lookBack asks the server which of the transactions emitted are visible.
func (l *live) lookBack(ctx context.Context) {
	defer l.emitted.answered()
	conn, err := l.config.connect(ctx)
	if err == nil {
		defer conn.Close(context.WithoutCancel(ctx))
		var v visibility
		if v, err = l.server.current(ctx, conn); err == nil {
			l.emitted.prune(&v)
		}
	}
	if err != nil && ctx.Err() == nil {
		l.Log.Warn("cannot look which transactions are visible", "error", err)
	}
}

// touch tells the window of a row, before it is filtered.
func (s *stream) touch(rel *streamed, row *pipeline.Row) {
	if s.live != nil && s.Window.Watching() {
		s.Window.Touch(rel.name, row, s.liveStream.tx)
	}
}

// holdBack keeps an update that leaves values out from a table that is being filled; of one that changes the
// key it leaves the deletion of the old row. held says that the row is not to be emitted.
func (s *stream) holdBack(rel *streamed, row *pipeline.Row) (held bool, err error) {
	if s.live == nil || !rel.partial {
		return false, nil
	}
	if row.Op != pipeline.Update || row.Complete() {
		if row.Op != pipeline.Truncate && s.Window.Watching() {
			s.whole(rel.name, row)
		}
		return false, nil
	}
	held, declare := s.hole(rel.name, row, s.liveStream.tx)
	if !held {
		return false, nil
	}
	if declare {
		if err := s.declareHoles(s.ctx, rel.name, s.identity.position(s.endLSN)); err != nil {
			return true, err
		}
	}
	if !row.KeyChanged() {
		return true, nil
	}
	row.Op, row.Values = pipeline.Delete, nil
	return false, nil
}

// void says that what was read of a table before the open transaction does not count.
func (s *stream) void(name string) {
	if s.live != nil {
		s.Window.Void(name, s.liveStream.tx)
	}
}

// merge emits one chunk, where one waits for a place like this and it is its turn.
func (s *stream) merge(idle bool) error {
	if s.live == nil || s.tx != nil || s.dec.InStream() || !s.Busy() && !s.Window.Watching() {
		return nil
	}
	if !idle && !s.turn() {
		return nil
	}
	lsn := max(s.endLSN, s.marked)
	at := s.identity.position(lsn)
	p := s.Next(at)
	if p == nil {
		return nil
	}
	began := time.Now()
	if err := s.mergePiece(p, lsn, at); err != nil {
		return err
	}
	s.merged = time.Now()
	s.took = s.merged.Sub(began)
	return nil
}

// turn reports whether a stream that is behind may merge: other tables shall not wait for long.
func (s *stream) turn() bool {
	share := time.Duration(mergeShare)
	now := time.Now()
	if last := s.source.lastTime.Load(); last != 0 {
		if now.UnixMicro()-pipeline.EpochMicros-last > farBehind.Microseconds() {
			share = mergeShareFar
		}
	}
	return now.Sub(s.merged) >= share*s.took
}

// mergePiece emits a chunk as a transaction of its own, at the place that the stream has reached.
func (s *stream) mergePiece(p *snapshot.Piece, lsn uint64, at pipeline.Position) error {
	tx := &pipeline.Tx{Snapshot: true, Pos: at, LSN: lsn, Time: time.Now().UnixMicro() - pipeline.EpochMicros}
	if p.Flags != 0 {
		if err := s.note(p, tx); err != nil {
			return err
		}
	} else {
		s.paid(p)
		if err := s.Merge(p, tx, s.room, s.emit); err != nil {
			return err
		}
	}
	b, err := s.room()
	if err != nil {
		return err
	}
	if n := len(b.Marks); n > 0 && b.Marks[n-1].End == len(b.Rows) {
		b.Marks = b.Marks[:n-1]
	}
	s.marked = max(s.marked, lsn)
	b.Mark(at)
	if err := s.emit(); err != nil { // before Merged: a Drain knows nothing of what is in hand
		return err
	}
	s.Merged(p, at)
	return nil
}

// note emits a word about a table's snapshot.
func (s *stream) note(p *snapshot.Piece, tx *pipeline.Tx) error {
	t := s.live.table(p.Table)
	if t == nil {
		return nil
	}
	b, err := s.room()
	if err != nil {
		return err
	}
	row := b.Add()
	row.Schema, row.Op, row.Flags, row.Tx, row.At = t.Schema, pipeline.Truncate, p.Flags, tx, tx.LSN
	return nil
}

// request asks for a table's rows from the stream's goroutine, which must not wait for the answer.
func (s *stream) request(q snapshot.Request) {
	s.group.Go(func() {
		if err := s.source.desk.Ask(s.ctx, q); err != nil && s.ctx.Err() == nil {
			s.fail(err)
		}
	})
}

// settled reports whether nothing is left to do once the stream has caught up.
func (s *stream) settled() bool { return s.live == nil || s.tracker.seen() && !s.Busy() }
