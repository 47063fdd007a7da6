package mariadb

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
	"github.com/pipe-cdc/pipe/sources/mariadb/wire"
)

// streamsPerWorker is how many streams a worker deals its chunks out to: a sink may be busy with all
// but one of them while the worker reads on.
const streamsPerWorker = 4

func errSnapshot(err error) error { return fmt.Errorf("snapshot: %w", err) }

// snapshot copies the rows of the tables as they are at the moment, and returns once they are durable
// in every sink and the ledger says so. The attempt returned is a as it came to be.
func (r *runner) snapshot(ctx context.Context, m *moment, a snapshot.Attempt, at place, wanted []*table,
	out pipeline.Output) (snapshot.Attempt, error) {
	now := time.Now()
	s := &snapshotReader{runner: r, out: out, progress: snapshot.NewProgress(now), byName: map[string]*table{}, moment: m,
		attempt: a, begin: at, time: now.UnixMicro() - pipeline.EpochMicros, gtid: m.Set.String()}
	for _, t := range wanted {
		s.byName[t.String()] = t
	}
	r.source.snapshots.Store(&snapshotProgress{tables: s.progress.Report})
	chunks, err := r.plan(ctx, m.conns[0], wanted, s.progress)
	if err != nil {
		return s.attempt, err
	}
	shared, err := s.share(ctx, chunks)
	if err != nil {
		return s.attempt, err
	}
	book := r.newBook(out, s.ownStreams(shared, len(chunks)), wanted, chunks)
	if err := r.markStart(ctx, at, out); err != nil {
		return s.attempt, err
	}
	if err := r.saveLedger(ctx, out, binlogStream); err != nil {
		return s.attempt, err
	}
	if err := s.copy(ctx, chunks, shared, book); err != nil {
		return s.attempt, err
	}
	r.source.snapshots.Store(nil)
	if shared > 0 {
		if err := s.closeShare(ctx); err != nil {
			return s.attempt, err
		}
	}
	return s.attempt, r.saveLedger(ctx, out)
}

// ownStreams are those on which this process alone writes, where so many of the chunks are shared.
func (s *snapshotReader) ownStreams(shared, chunks int) []pipeline.Stream {
	if shared == 0 {
		return s.attempt.All()
	}
	return s.attempt.All()[shared:chunks]
}

// copy reads the chunks, of which the first so many are shared.
func (s *snapshotReader) copy(ctx context.Context, chunks []snapshot.Chunk, shared int, b *book) error {
	pool := snapshot.Pool{
		Workers: len(s.moment.conns),
		Limit:   func(name string) int { return s.byName[name].Workers },
		Open:    func(context.Context) (snapshot.Worker, error) { return s.opened() },
		Done:    func(c *snapshot.Chunk) { s.progress.Finish(c.Table); b.add(c) },
	}
	return s.copying(ctx, b, func(ctx context.Context) error {
		if shared > 0 {
			return s.lead(ctx, &pool, chunks, shared, b)
		}
		return pool.Run(ctx, chunks)
	})
}

// copying reads the chunks while their book is kept.
func (r *runner) copying(ctx context.Context, b *book, read func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	keeping, stop := context.WithCancel(ctx)
	defer stop()
	var keeper sync.WaitGroup
	keeper.Go(func() {
		if err := b.keep(keeping); err != nil {
			cancel(err)
		}
	})
	err := read(ctx)
	stop()
	keeper.Wait()
	if err != nil {
		return err
	}
	return b.settle(ctx)
}

// snapshotReader is what the workers of a snapshot share.
type snapshotReader struct {
	*runner
	out      pipeline.Output
	progress *snapshot.Progress // nil: nobody asks
	byName   map[string]*table
	moment   *moment
	attempt  snapshot.Attempt
	begin    place // of the stream
	time     int64
	gtid     string

	numbers map[*snapshot.Chunk]int // of the streams of chunks that have one each and are read from a pool
	left    *touched                // rows to leave out; nil: none
	leftOut atomic.Int64
}

func (s *snapshotReader) opened() (*snapshotWorker, error) {
	n, conn := s.moment.take()
	if conn == nil {
		return nil, errors.New("more workers than connections")
	}
	return &snapshotWorker{snapshotReader: s, conn: conn, number: n}, nil
}

// snapshotWorker reads chunks on its own connection, in one transaction.
type snapshotWorker struct {
	*snapshotReader
	conn   *wire.Conn
	number int // of the worker, from 0
	chunks int // read so far
}

// deal returns the stream of the next chunk and how many chunks it has had: they are dealt out in turn.
func (w *snapshotWorker) deal(c *snapshot.Chunk) (pipeline.Stream, int) {
	if n, ok := w.numbers[c]; ok {
		return w.attempt.Stream(n), 0
	}
	stream := w.attempt.Stream(w.number*streamsPerWorker + w.chunks%streamsPerWorker)
	before := w.chunks / streamsPerWorker
	w.chunks++
	return stream, before
}

// Close leaves the connection to the moment that it belongs to.
func (w *snapshotWorker) Close() error { return nil }

// Read emits the rows of a chunk and its Mark.
func (w *snapshotWorker) Read(ctx context.Context, c *snapshot.Chunk) error {
	stream, before := w.deal(c)
	return w.readOn(ctx, c, stream, before)
}

// readOn is Read on a stream that has had so many chunks before.
func (w *snapshotWorker) readOn(ctx context.Context, c *snapshot.Chunk, stream pipeline.Stream, before int) error {
	t := w.byName[c.Part]
	if t == nil {
		return fmt.Errorf("chunk of an unknown table %s", c.Part)
	}
	stop := context.AfterFunc(ctx, w.conn.Interrupt)
	defer stop()
	r := &chunkRead{snapshotWorker: w, table: t, stream: stream, done: snapshot.Reached(before + 1)}
	if w.left != nil {
		r.changed = w.left.tables[c.Table]
	}
	r.tx = &pipeline.Tx{Snapshot: true, Pos: snapshot.Reached(before), Time: w.time, GTID: w.gtid, File: w.moment.File}
	if err := r.read(ctx, c.Range); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		return fmt.Errorf("table %s, chunk %d %s: %w", c.Part, c.Ordinal, c.Range, err)
	}
	c.Rows = int64(r.seq)
	w.leftOut.Add(r.leftOut)
	return nil
}
