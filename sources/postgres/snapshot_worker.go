package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/pgtext"
	"github.com/pipe-cdc/pipe/pipeline/expr"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// snapshotWorker reads chunks on its own connection, in one transaction.
type snapshotWorker struct {
	*snapshotter
	parts map[string]*part
	out   pipeline.Output
	first int // of its streams in the attempt
	read  int // chunks so far
	wire  *wire
	vars  expr.Vars
}

// open connects a worker and hands its connection over from the driver, which copies each message
// twice, to wire.
func (s *snapshotter) open(ctx context.Context, parts map[string]*part, out pipeline.Output) (*snapshotWorker,
	error) {
	conn, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	w, err := handOver(ctx, conn)
	if err != nil {
		conn.Close(context.WithoutCancel(ctx))
		return nil, err
	}
	first := int(s.opened.Add(1)-1) * streamsPerWorker
	return &snapshotWorker{snapshotter: s, parts: parts, out: out, first: first, wire: w}, nil
}

// Close ends the connection, and with it the transaction.
func (w *snapshotWorker) Close() error {
	w.wire.close()
	return nil
}

// Read emits the rows of a chunk and its Mark.
func (w *snapshotWorker) Read(ctx context.Context, c *snapshot.Chunk) error {
	p := w.parts[c.Part]
	if p == nil {
		return fmt.Errorf("chunk of an unknown table %s", c.Part)
	}
	turn := w.read / streamsPerWorker
	r := &chunkRead{snapshotWorker: w, part: p, stream: w.Attempt.Stream(w.first + w.read%streamsPerWorker),
		tx: w.tx(turn), end: snapshot.Reached(turn + 1), table: c.Table}
	w.read++
	if err := r.run(ctx, c.Range); err != nil {
		return fmt.Errorf("table %s, chunk %d %s: %w", c.Part, c.Ordinal, c.Range, err)
	}
	if w.Keeper != nil {
		w.Keeper.read(c, landed{stream: w.first + (w.read-1)%streamsPerWorker, reached: turn + 1, rows: int64(r.seq)})
	}
	return nil
}

// chunkRead is the reading of one chunk.
type chunkRead struct {
	*snapshotWorker
	*part
	stream pipeline.Stream
	tx     *pipeline.Tx
	end    pipeline.Position // of the chunk
	table  string
	batch  *pipeline.Batch
	seq    uint32
	begun  bool // the COPY header was seen
	ended  bool // its trailer was
}

func (r *chunkRead) run(ctx context.Context, within snapshot.Range) error {
	sql, err := chunkSQL(r.part, within)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, r.wire.interrupt)
	defer stop()
	if err := r.wire.query(sql); err != nil {
		return errors.Join(context.Cause(ctx), err)
	}
	if r.batch, err = r.out.New(ctx, r.stream); err != nil {
		return err
	}
	for done := false; !done; {
		if done, err = r.message(ctx); err != nil {
			return errors.Join(context.Cause(ctx), err)
		}
	}
	if !r.ended {
		return errors.New("the COPY ended without its trailer")
	}
	r.batch.Mark(r.end)
	return r.emit()
}

// message handles one message of the server; done is set at the end of the query.
func (r *chunkRead) message(ctx context.Context) (done bool, err error) {
	typ, n, err := r.wire.next()
	if err != nil {
		return false, err
	}
	if typ == msgCopyData {
		body, err := r.wire.body(&r.batch.Arena, n)
		if err != nil {
			return false, err
		}
		return false, r.rows(ctx, body)
	}
	body, err := r.wire.small(n)
	if err != nil {
		return false, err
	}
	switch typ {
	case msgReady:
		return true, nil
	case msgError:
		return false, serverError(body)
	case msgDataRow:
		return false, r.unchanged(body)
	}
	return false, nil // notices, settings, and the frame of each statement
}

// unchanged reads the answer to whether the table is the one that the snapshot knows.
func (r *chunkRead) unchanged(row []byte) error {
	if len(row) > 0 && row[len(row)-1] == 't' {
		return nil
	}
	return failed(pipeline.Retryable, "Avoid rewriting ALTER TABLE, TRUNCATE, CLUSTER and VACUUM FULL during a "+
		"snapshot",
		"table %s was rewritten after the snapshot was taken", r.leaf)
}

// rows decodes what one CopyData holds: one row, the first with the header before it; or the trailer.
func (r *chunkRead) rows(ctx context.Context, body []byte) (err error) {
	if !r.begun {
		if body, err = pgtext.CopyHeader(body); err != nil {
			return err
		}
		r.begun = true
	}
	for len(body) > 0 {
		if pgtext.CopyEnd(body) {
			r.ended = true
			return nil
		}
		if body, err = r.row(body); err != nil {
			return err
		}
	}
	if !r.batch.Full() {
		return nil
	}
	if err := r.emit(); err != nil {
		return err
	}
	r.batch, err = r.out.New(ctx, r.stream)
	return err
}

func (r *chunkRead) row(body []byte) ([]byte, error) {
	b := r.batch
	values := b.Values(len(r.Schema.Columns))
	rest, err := r.decoder.CopyRow(&b.Arena, values, body)
	if err != nil {
		return nil, err
	}
	if r.Filter != nil {
		r.vars.New = values
		if keep, err := r.Filter.Match(&r.vars); err != nil || !keep {
			return rest, err
		}
	}
	row := b.Add()
	row.Schema, row.Tx, row.Values, row.Op, row.Seq = r.Schema, r.tx, values, pipeline.Read, r.seq
	row.At = r.tx.LSN
	r.seq++
	return rest, nil
}

func (r *chunkRead) emit() error {
	r.Progress.Add(r.table, len(r.batch.Rows))
	b := r.batch
	r.batch = nil
	return r.out.Emit(b)
}
