package mariadb

import (
	"context"
	"errors"
	"fmt"
	"sync"
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
// in every sink and the ledger says so.
func (r *runner) snapshot(ctx context.Context, m *moment, a snapshot.Attempt, at place, wanted []*table, out pipeline.Output) error {
	now := time.Now()
	progress := snapshot.NewProgress(now)
	r.source.snapshots.Store(&snapshotProgress{tables: progress.Report})
	chunks, err := r.plan(ctx, m.conns[0], wanted, progress)
	if err != nil {
		return err
	}
	book := r.newBook(out, a, wanted, chunks)
	if err := r.markStart(ctx, at, out); err != nil {
		return err
	}
	if err := r.saveLedger(ctx, out, binlogStream); err != nil {
		return err
	}
	reader := &snapshotReader{runner: r, out: out, progress: progress, byName: map[string]*table{}, moment: m, attempt: a,
		time: now.UnixMicro() - pipeline.EpochMicros, gtid: m.Set.String()}
	for _, t := range wanted {
		reader.byName[t.String()] = t
	}
	pool := snapshot.Pool{
		Workers: len(m.conns),
		Limit:   func(name string) int { return reader.byName[name].Workers },
		Open:    func(context.Context) (snapshot.Worker, error) { return reader.worker() },
		Done:    func(c *snapshot.Chunk) { progress.Finish(c.Table); book.add(c) },
	}
	if err := r.copying(ctx, &pool, chunks, book); err != nil {
		return err
	}
	r.source.snapshots.Store(nil)
	return r.saveLedger(ctx, out)
}

// copying reads the chunks while their book is kept.
func (r *runner) copying(ctx context.Context, pool *snapshot.Pool, chunks []snapshot.Chunk, b *book) error {
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
	err := pool.Run(ctx, chunks)
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
	progress *snapshot.Progress
	byName   map[string]*table
	moment   *moment
	attempt  snapshot.Attempt
	time     int64
	gtid     string
}

func (s *snapshotReader) worker() (snapshot.Worker, error) {
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
func (w *snapshotWorker) deal() (pipeline.Stream, int) {
	stream := w.attempt.Stream(w.number*streamsPerWorker + w.chunks%streamsPerWorker)
	before := w.chunks / streamsPerWorker
	w.chunks++
	return stream, before
}

// Close leaves the connection to the moment that it belongs to.
func (w *snapshotWorker) Close() error { return nil }

// Read emits the rows of a chunk and its Mark.
func (w *snapshotWorker) Read(ctx context.Context, c *snapshot.Chunk) error {
	t := w.byName[c.Part]
	if t == nil {
		return fmt.Errorf("chunk of an unknown table %s", c.Part)
	}
	stop := context.AfterFunc(ctx, w.conn.Interrupt)
	defer stop()
	stream, before := w.deal()
	r := &chunkRead{snapshotWorker: w, table: t, stream: stream, done: snapshot.Reached(before + 1)}
	r.tx = &pipeline.Tx{Snapshot: true, Pos: snapshot.Reached(before), Time: w.time, GTID: w.gtid, File: w.moment.File}
	if err := r.read(ctx, c.Range); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		return fmt.Errorf("table %s, chunk %d %s: %w", c.Part, c.Ordinal, c.Range, err)
	}
	c.Rows = int64(r.seq)
	return nil
}
