package mariadb

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
	"github.com/pipe-cdc/pipe/pipeline/spec"
	"github.com/pipe-cdc/pipe/sources/mariadb/wire"
)

// endsWithin is how long an XA COMMIT may take from its line in the log on.
const endsWithin = 100 * time.Millisecond

// maxDrained is how much more than its limit of bytes a chunk's result may have to be read to its end;
// the connection of a longer one is given up.
const maxDrained = 4

// liveReader reads chunks, each in a consistent snapshot of its own. It implements snapshot.Reader.
type liveReader struct {
	*live
	conn   *wire.Conn
	shapes map[string]*shape // by table
}

// shape is a table as a reader saw it last.
type shape struct {
	table  *table
	create string // what SHOW CREATE TABLE said
	schema *pipeline.Schema
	keys   *keyset
	row    int // bytes of a row, about; 0 unknown
}

// Close ends the session.
func (r *liveReader) Close() error {
	if r.conn == nil {
		return nil
	}
	err := r.conn.Close()
	r.conn = nil
	return err
}

// Read reads a chunk. Nothing is left open: after an error the session is a new one.
func (r *liveReader) Read(ctx context.Context, p *snapshot.Piece, limit snapshot.Limit) error {
	err := r.read(ctx, p, limit)
	if err == nil {
		return nil
	}
	_ = r.Close() // it failed already
	if cause := ctx.Err(); cause != nil {
		return cause
	}
	return changedShape(classified(fmt.Errorf("table %s: %w", p.Table, err)))
}

// The errors of a statement that was made for a table that has changed since.
const (
	erUnknownColumn = 1054
	erKeyMissing    = 1176
)

// changedShape makes what a concurrent ALTER TABLE causes a fault that passes.
func changedShape(err error) error {
	var server *wire.ServerError
	if errors.As(err, &server) && (server.Code == erUnknownColumn || server.Code == erKeyMissing) {
		return failed(pipeline.Retryable, "", "%w", err)
	}
	return err
}

// read: what the snapshot sees is bounded from two sides. The log's end is asked for before, the
// snapshot's own place after it was opened; a transaction counts as seen if it lies before both, and the
// rows wait for the latter. The two differ by what was committed in between; asking for the first makes
// it safe that a change of shape, or the end of an XA transaction, which is logged before it is done, is
// among that.
func (r *liveReader) read(ctx context.Context, p *snapshot.Piece, limit snapshot.Limit) (err error) {
	if r.conn == nil {
		if r.conn, err = r.session(ctx); err != nil {
			return err
		}
	}
	low, err := logEnd(ctx, r.conn)
	if err != nil {
		return err
	}
	if err := r.ended(ctx); err != nil {
		return err
	}
	s, err := r.shape(ctx, p.Table)
	if err != nil {
		return err
	}
	if err := r.conn.Exec(ctx, "START TRANSACTION WITH CONSISTENT SNAPSHOT"); err != nil {
		return err
	}
	file, at, err := snapshotPosition(ctx, r.conn)
	if err != nil {
		return err
	}
	high, err := r.exact(file, at)
	if err != nil {
		return err
	}
	if err := r.chunk(ctx, s, p, limit); err != nil {
		return err
	}
	seen := min(low, high)
	p.Fence, p.Sees = high.fence(), func(tx uint64) bool { return coord(tx) <= seen }
	if r.conn == nil {
		return nil // given up with its transaction
	}
	return r.conn.Exec(ctx, "COMMIT")
}

// exact is the coord of a snapshot, where the stream can tell of each transaction on which side of it
// it is.
func (r *liveReader) exact(file string, at uint64) (coord, error) {
	c, err := coordOf(file, at)
	if err == nil && at >= 1<<headerBits {
		err = failed(pipeline.Input, "FLUSH BINARY LOGS, then ask for the snapshot again; keep max_binlog_size at 1 GiB or less",
			"binary log %s has grown beyond 4 GiB, where its events do not say where they are", file)
	}
	return c, err
}

// logEnd is where the log ends now.
func logEnd(ctx context.Context, conn *wire.Conn) (coord, error) {
	rows, err := conn.Query(ctx, "SHOW MASTER STATUS")
	if err != nil {
		return 0, err
	}
	if len(rows) != 1 || len(rows[0]) < 2 {
		return 0, failed(pipeline.Environment, "", "the server writes no binary log")
	}
	at, err := strconv.ParseUint(rows[0][1].Text, 10, 64)
	if err != nil {
		return 0, err
	}
	return coordOf(rows[0][0].Text, at)
}

// prepared are the XA transactions without an outcome.
func (r *liveReader) prepared(ctx context.Context) (map[string]bool, error) {
	rows, err := r.conn.Query(ctx, "XA RECOVER FORMAT='SQL'")
	if err != nil {
		return nil, err
	}
	out := map[string]bool{}
	for _, row := range rows {
		out[row[len(row)-1].Text] = true
	}
	return out, nil
}

// ended waits until the XA transactions whose end is in the log are over: an XA COMMIT is logged before
// anybody sees it, and stays among the prepared meanwhile. One that stays longer waits for its outcome.
func (r *liveReader) ended(ctx context.Context) error {
	before, err := r.prepared(ctx)
	if err != nil {
		return err
	}
	for begin := time.Now(); len(before) > 0 && time.Since(begin) < endsWithin; {
		if err := nap(ctx, settleFirst); err != nil {
			return err
		}
		now, err := r.prepared(ctx)
		if err != nil {
			return err
		}
		maps.DeleteFunc(before, func(x string, _ bool) bool { return !now[x] })
	}
	return nil
}

// shape returns a table as it is now. The catalogue is asked only where the table was altered.
func (r *liveReader) shape(ctx context.Context, name string) (*shape, error) {
	known := r.known(name)
	if known == nil {
		return nil, failed(pipeline.Input, "", "table %s is not read by this source", name)
	}
	rows, err := r.conn.Query(ctx, "SHOW CREATE TABLE "+known.Quoted())
	if err != nil || len(rows) != 1 || len(rows[0]) < 2 {
		return nil, errors.Join(err, errors.New("the table's definition cannot be read"))
	}
	create := withoutCounter(rows[0][1].Text)
	s := r.shapes[name]
	if s == nil || s.create != create {
		t, err := r.load(ctx, r.conn, name)
		if err != nil {
			return nil, err
		}
		s = &shape{table: t, create: create, schema: t.Schema, keys: t.keyset()}
		if t.Rows > 0 && t.Bytes > 0 {
			s.row = int(t.Bytes / t.Rows)
		}
		r.shapes[name] = s
	}
	if sameShape(known.Schema, s.table.Schema) {
		s.schema = known.Schema // so that sinks need not look at another one
	}
	return s, nil
}

// withoutCounter drops the table's next number from its definition, which changes with every insert.
func withoutCounter(create string) string {
	const option = " AUTO_INCREMENT="
	end := strings.LastIndex(create, "\n)")
	if end < 0 {
		return create
	}
	before, after, ok := strings.Cut(create[end:], option)
	if !ok {
		return create
	}
	return create[:end] + before + strings.TrimLeft(after, "0123456789")
}

// chunk reads the rows of a chunk in the open snapshot.
func (r *liveReader) chunk(ctx context.Context, s *shape, p *snapshot.Piece, limit snapshot.Limit) error {
	where, err := requested(&p.Request)
	if err != nil {
		return err
	}
	if len(p.Segment.Keys) > 0 {
		where = spec.Expr{} // rows that are owed
	}
	if s.keys == nil || !s.table.keyed() {
		return failed(pipeline.Input, "ALTER TABLE "+s.table.Quoted()+" ADD PRIMARY KEY (...)", "the table has no key any more")
	}
	c := &liveChunk{liveReader: r, shape: s, piece: p, limit: limit}
	q := selection{table: s.table, extra: s.keys.bounds(), where: []string{pushdown(s.table.Where, s.table), pushdown(where, s.table)}}
	if err := c.bound(&q); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, r.conn.Interrupt)
	defer stop()
	columns, err := r.conn.Start(q.String())
	if err != nil {
		return err
	}
	if c.rows, err = r.textRows(s.table, s.schema, columns, s.table.Where, where); err != nil {
		return err
	}
	if err := c.read(); err != nil {
		return err
	}
	if n := len(p.Rows); n > 0 {
		s.row = p.Arena.Size() / n
	}
	if dec := c.rows.dec; dec.Zeros > 0 || dec.Bad > 0 {
		r.env.Log.Warn("values are replaced", "table", p.Table, "zero_dates", dec.Zeros, "invalid_text", dec.Bad)
	}
	return nil
}

// liveChunk is the reading of one chunk.
type liveChunk struct {
	*liveReader
	shape *shape
	piece *snapshot.Piece
	limit snapshot.Limit
	most  int // rows to ask for, with one more that tells where the next chunk begins; 0: all
	rows  *textRows
}

// bound adds to a query which rows are read, in which order and how many.
func (c *liveChunk) bound(q *selection) error {
	seg, k := &c.piece.Segment, c.shape.keys
	if len(seg.Keys) > 0 {
		c.some()
		where, err := c.shape.table.withKeys(seg.Keys)
		if err != nil {
			return failed(pipeline.Input, "", "%w", err)
		}
		q.where = append(q.where, "("+where+")")
		return nil
	}
	if part := k.part(c.shape.table); part != seg.Part {
		return failed(pipeline.Input, "Ask for the snapshot again", "it was begun by the key %s, which is %s now", seg.Part, part)
	}
	within, err := k.within(seg.Low, seg.High)
	if err != nil {
		return failed(pipeline.Input, "Ask for the snapshot again", "%w", err)
	}
	c.most = max(min(c.limit.Rows, c.shape.table.ChunkRows), 1)
	if c.shape.row > 0 {
		c.most = max(min(c.most, c.limit.Bytes/c.shape.row), 1)
	}
	q.where = append(q.where, within...)
	q.hint, q.tail = k.hint(), fmt.Sprintf(" ORDER BY %s LIMIT %d", k.names(), c.most+1)
	return nil
}

// some leaves keys for later where the rows may be too much at once.
func (c *liveChunk) some() {
	seg := &c.piece.Segment
	if c.shape.row <= 0 {
		return
	}
	n := max(c.limit.Bytes/c.shape.row, 1)
	if n >= len(seg.Keys) {
		return
	}
	rest := *seg
	seg.Keys, rest.Keys = seg.Keys[:n], seg.Keys[n:]
	c.piece.Rest = &rest
}

// read reads up to the limit. The first row that is not kept is where the rest begins.
func (c *liveChunk) read() error {
	read, behind := 0, 0
	for {
		packet, err := c.conn.Row()
		if err != nil || packet == nil {
			return err
		}
		if behind > 0 {
			if behind += len(packet); behind > maxDrained*c.limit.Bytes {
				return c.Close()
			}
			continue
		}
		full := read > 0 && (c.most > 0 && read >= c.most || c.piece.Arena.Size() >= c.limit.Bytes && len(c.piece.Segment.Keys) == 0)
		if full {
			if err := c.stop(packet); err != nil {
				return err
			}
			behind = len(packet)
			continue
		}
		read++
		if err := c.row(packet); err != nil {
			return err
		}
	}
}

// row keeps a row that passes the filters.
func (c *liveChunk) row(packet []byte) error {
	p := c.piece
	values, _, err := c.rows.values(&p.Arena, p.Arena.Copy(packet))
	if err != nil {
		return err
	}
	if keep, err := c.rows.match(values); err != nil || !keep {
		return err
	}
	p.Rows = append(p.Rows, pipeline.Row{Schema: c.shape.schema, Values: values})
	return nil
}

// stop ends the chunk before a row.
func (c *liveChunk) stop(packet []byte) error {
	for range c.rows.dec.Fields {
		_, _, rest, ok := wire.TextCell(packet)
		if !ok {
			return errRow
		}
		packet = rest
	}
	key, err := keyCells(c.shape.keys, packet)
	if err != nil {
		return err
	}
	seg := &c.piece.Segment
	rest := *seg
	rest.Low, rest.After = key, false
	seg.High = key
	c.piece.Rest = &rest
	return nil
}
