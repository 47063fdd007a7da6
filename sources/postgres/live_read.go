package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/pgtext"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// The bounds of reading a chunk: how often a table may turn out to have other columns than were thought,
// the rows read at first of a table whose rows are of unknown size, and the blocks looked through.
const (
	mostDescribed = 5
	rowsAtFirst   = 512
	leastBlocks   = 1024
)

// errDescribed says that the relation has other columns than those that were asked for.
var errDescribed = errors.New("the table's columns changed")

// liveReader reads chunks on a session of its own, each in a short transaction. It implements
// snapshot.Reader.
type liveReader struct {
	live  *live
	wire  *wire // nil: no session
	parts map[string]*livePart
}

// Close ends the session.
func (r *liveReader) Close() error {
	if r.wire != nil {
		r.wire.close()
		r.wire = nil
	}
	return nil
}

// connect begins a session and hands it over from the driver to wire.
func (r *liveReader) connect(ctx context.Context) error {
	if r.wire != nil {
		return nil
	}
	conn, err := r.live.config.connect(ctx)
	if err != nil {
		return err
	}
	settings := liveSettings
	if r.live.server.Version >= version11 {
		settings += "; SET jit = off"
	}
	if err = conn.Exec(ctx, settings).Close(); err == nil {
		if r.wire, err = handOver(ctx, conn); err == nil {
			return nil
		}
	}
	conn.Close(context.WithoutCancel(ctx))
	return errQuery("begin a snapshot's session", err)
}

// Read reads a chunk from the front of the piece's segment.
func (r *liveReader) Read(ctx context.Context, p *snapshot.Piece, limit snapshot.Limit) error {
	name, file, err := splitNode(p.Segment.Part)
	if err != nil {
		return &pipeline.Error{Class: pipeline.Internal, Table: p.Table, Err: err}
	}
	for try := range mostDescribed {
		if err = r.readPart(ctx, p, name, file, limit, try > 0); !errors.Is(err, errDescribed) {
			break
		}
	}
	if err != nil {
		_ = r.Close()
		return r.live.config.classified(err)
	}
	return nil
}

func (r *liveReader) readPart(ctx context.Context, p *snapshot.Piece, name string, file uint32,
	limit snapshot.Limit, again bool) error {
	part, err := r.describe(ctx, name, &p.Request, again)
	if err != nil {
		return err
	}
	if err := r.connect(ctx); err != nil {
		return err
	}
	p.Arena.Reset()
	p.Rows = p.Rows[:0]
	c := &liveChunk{liveReader: r, livePart: part, piece: p, file: file}
	if err := c.read(ctx, limit); err != nil {
		_ = r.Close() // whatever is left in it
		return c.judge(err)
	}
	return nil
}

// liveChunk is the reading of one chunk.
type liveChunk struct {
	*liveReader
	*livePart
	piece *snapshot.Piece
	file  uint32 // that the segment's places are of; 0: any

	window []string // where to stop at the latest; nil: where the segment does
	limit  int      // rows
	bytes  int
	facts  chunkFacts
	read1  bool // the facts were read
	rows   int  // read, kept or not
	last   tid
	next   []string // where the first row that was not kept lies
	begun  bool     // the COPY header was seen
	ended  bool     // its trailer was
	cut    bool     // what is left of the COPY is not wanted
}

// chunkFacts is what the server says of a chunk before its rows.
type chunkFacts struct {
	sees      visibility
	inserted  uint64
	file      uint32
	signature string
	blocks    int64
}

// tid is the place of a row.
type tid struct {
	block uint32
	row   uint16
}

func (t tid) texts() []string {
	return []string{strconv.FormatUint(uint64(t.block), 10), strconv.FormatUint(uint64(t.row), 10)}
}

func (c *liveChunk) read(ctx context.Context, limit snapshot.Limit) error {
	c.size(limit)
	seg := c.piece.Segment
	if c.window != nil {
		seg.High = c.window
	}
	sql, err := c.chunkSQL(&c.live.server, &seg, c.limit+1)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, c.wire.interrupt)
	defer stop()
	if err := c.wire.query(sql); err != nil {
		return errors.Join(context.Cause(ctx), err)
	}
	for done := false; !done && !c.cut; {
		if done, err = c.message(); err != nil {
			return errors.Join(context.Cause(ctx), err)
		}
	}
	switch {
	case c.cut:
		_ = c.Close()
	case !c.read1 || !c.ended:
		return errors.New("a chunk ended without its trailer")
	}
	return c.finish()
}

// size decides how much is read: rows by their size so far, blocks by how many rows they held.
func (c *liveChunk) size(limit snapshot.Limit) {
	c.limit, c.bytes = max(1, limit.Rows), limit.Bytes
	if most := c.live.config.liveRows; most > 0 {
		c.limit = min(c.limit, most)
	}
	seg := &c.piece.Segment
	if seg.Keys != nil {
		c.limit, c.bytes = len(seg.Keys), math.MaxInt
		return
	}
	if c.rowBytes == 0 {
		c.limit = min(c.limit, rowsAtFirst)
	} else {
		c.limit = max(1, min(c.limit, int(float64(c.bytes)/c.rowBytes)))
	}
	if seg.Cut == snapshot.ByKey {
		return
	}
	if c.perBlock == 0 {
		c.perBlock = guessedRows
		if c.leaf.Pages > 0 && c.leaf.Rows > 0 {
			c.perBlock = float64(c.leaf.Rows) / float64(c.leaf.Pages)
		}
	}
	blocks := min(float64(leastBlocks+limit.Rows/4), math.Ceil(float64(c.limit)/max(c.perBlock, 1e-6)))
	until := blockOf(seg.Low) + 1 + int64(blocks)
	if seg.High == nil || until < blockOf(seg.High) {
		c.window = []string{strconv.FormatInt(until, 10)}
	}
}

// message handles one message of the server; done is set at the end of the query.
func (c *liveChunk) message() (done bool, err error) {
	typ, n, err := c.wire.next()
	if err != nil {
		return false, err
	}
	if typ == msgCopyData {
		body, err := c.wire.body(&c.piece.Arena, n)
		if err != nil {
			return false, err
		}
		return false, c.copied(body)
	}
	body, err := c.wire.small(n)
	if err != nil {
		return false, err
	}
	switch typ {
	case msgReady:
		return true, nil
	case msgError:
		return false, serverError(body)
	case msgDataRow:
		return false, c.learn(body)
	}
	return false, nil // notices, settings, and the frame of each statement
}

// learn reads the facts. Rows of another shape than was asked for are not read.
func (c *liveChunk) learn(body []byte) (err error) {
	f, err := dataRow(body)
	if err != nil {
		return err
	}
	if c.facts.sees, err = c.live.server.sight(f.text()); err != nil {
		return err
	}
	if c.facts.inserted, err = parseLSN(f.text()); err != nil {
		return err
	}
	c.facts.file, c.facts.signature, c.facts.blocks = f.oid(), f.text(), f.int64()
	c.read1 = true
	if f.err != nil {
		return f.err
	}
	if c.facts.signature != c.signature {
		return errDescribed
	}
	if c.moved() {
		c.cut = true
	}
	return nil
}

// moved reports whether the places that the segment speaks of are those of another file: the relation was
// rewritten since, and none of its rows is where it was.
func (c *liveChunk) moved() bool { return c.file != 0 && c.file != c.facts.file }

// dataRow splits a DataRow message (PostgreSQL documentation, "Message Formats").
func dataRow(body []byte) (*fields, error) {
	short := errors.New("a row of the server is cut off")
	if len(body) < 2 {
		return nil, short
	}
	f := &fields{}
	for body = body[2:]; len(body) > 0; {
		if len(body) < 4 {
			return nil, short
		}
		n := int(int32(binary.BigEndian.Uint32(body)))
		if body = body[4:]; n > len(body) {
			return nil, short
		}
		if n < 0 {
			f.row = append(f.row, nil)
			continue
		}
		f.row = append(f.row, body[:n])
		body = body[n:]
	}
	return f, nil
}

// copied decodes what one CopyData holds: one row, the first with the header before it; or the trailer.
func (c *liveChunk) copied(body []byte) (err error) {
	if !c.begun {
		if body, err = pgtext.CopyHeader(body); err != nil {
			return err
		}
		c.begun = true
	}
	for len(body) > 0 && !c.cut {
		if pgtext.CopyEnd(body) {
			c.ended = true
			return nil
		}
		if body, err = c.row(body); err != nil {
			return err
		}
	}
	return nil
}

// row decodes a row and keeps it. The first one beyond the limit is where the next chunk begins.
func (c *liveChunk) row(body []byte) ([]byte, error) {
	p := c.piece
	values := p.Arena.Values(len(c.table.Schema.Columns) + 1)
	rest, err := c.decoder.CopyRow(&p.Arena, values, body)
	if err != nil {
		return nil, err
	}
	n := len(values) - 1
	place := values[n].Bytes()
	values = values[:n:n]
	if len(place) != 6 {
		return nil, fmt.Errorf("the place of a row has %d bytes", len(place))
	}
	at := tid{binary.BigEndian.Uint32(place), binary.BigEndian.Uint16(place[4:])}
	if c.rows >= c.limit || c.rows > 0 && p.Arena.Size() > c.bytes {
		c.stopAt(at, values)
		return nil, nil
	}
	if err := c.ordered(at); err != nil {
		return nil, err
	}
	c.rows++
	for _, w := range c.filters {
		if keep, err := w.Match(values, nil); err != nil || !keep {
			return rest, err
		}
	}
	p.Rows = append(p.Rows, pipeline.Row{Schema: c.table.Schema, Values: values})
	return rest, nil
}

// stopAt ends the chunk before a row. What the server still has of it is not read where it may be much.
func (c *liveChunk) stopAt(at tid, values []pipeline.Value) {
	if c.next != nil {
		return
	}
	if c.next = at.texts(); c.piece.Segment.Cut == snapshot.ByKey {
		c.next = keyTexts(c.table.Schema, values)
	}
	c.cut = c.rows < c.limit
}

// ordered holds the order that chunks rely on.
func (c *liveChunk) ordered(at tid) error {
	s := &c.piece.Segment
	if s.Cut == snapshot.ByKey || s.Keys != nil {
		return nil
	}
	if c.rows > 0 && (at.block < c.last.block || at.block == c.last.block && at.row <= c.last.row) {
		return &pipeline.Error{Class: pipeline.Internal, Table: c.piece.Table,
			Err: fmt.Errorf("rows of %s came out of order: (%d,%d) after (%d,%d)", c.leaf, at.block, at.row,
				c.last.block, c.last.row)}
	}
	c.last = at
	return nil
}

// finish says what the chunk covers, and what is left of its segment.
func (c *liveChunk) finish() error {
	p := c.piece
	end := recordEnd(c.facts.inserted, c.live.walBlock)
	p.Fence = c.live.identity.position(end)
	sees := c.facts.sees
	p.Sees = func(tx uint64) bool { return sees.sees(tx) }
	if c.moved() {
		p.Rest = c.live.restart(&p.Request, c.leaf, c.facts.file)
		return nil
	}
	c.measure()
	if c.next == nil && c.window != nil && blockOf(c.window) < c.facts.blocks {
		c.next = c.window
	}
	if c.next == nil || p.Segment.Keys != nil {
		return nil
	}
	rest := p.Segment
	rest.Low = c.next
	p.Rest = &rest
	p.Segment.High = slices.Clone(c.next)
	return nil
}

// measure learns how large rows are and how many lie in a block.
func (c *liveChunk) measure() {
	if c.rows == 0 {
		if c.window != nil {
			c.perBlock /= 2
		}
		return
	}
	const weight = 0.5
	size := float64(c.piece.Arena.Size()) / float64(c.rows)
	if c.rowBytes == 0 {
		c.rowBytes = size
	}
	c.rowBytes = max(size, c.rowBytes+weight*(size-c.rowBytes))
	if c.piece.Segment.Cut == snapshot.ByKey || c.piece.Segment.Keys != nil {
		return
	}
	low := blockOf(c.piece.Segment.Low)
	covered := int64(c.last.block) - low + 1
	if c.next == nil && c.window != nil {
		covered = min(blockOf(c.window), c.facts.blocks) - low
	}
	c.perBlock = float64(c.rows) / float64(max(1, covered))
}

// judge tells an error that came of columns or tables that changed since they were described.
func (c *liveChunk) judge(err error) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return err
	}
	switch pg.Code {
	case stateUndefinedColumn, stateUndefinedTable, stateNoSchema:
		return fmt.Errorf("%w: %w", errDescribed, err)
	}
	return err
}
