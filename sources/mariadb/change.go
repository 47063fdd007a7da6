package mariadb

import (
	"bytes"
	"fmt"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/sources/mariadb/binlog"
)

// txRoom is how many transactions' headers are allocated at once.
const txRoom = 64

// group is the group of events that is being read: a transaction, or a statement outside of one.
type group struct {
	binlog.Begin
	open bool
	skip bool   // delivered before
	at   uint32 // end of its first event in the file
}

// holds reports whether the group's rows wait for the outcome of an XA transaction.
func (g *group) holds() bool { return g.open && g.Flags&binlog.GTIDPreparedXA != 0 }

// event handles one event.
func (s *stream) event(event []byte) error {
	h, body, err := binlog.ParseHeader(event)
	if err != nil {
		return s.damaged(&h, err)
	}
	s.follow(&h)
	if h.Type == binlog.FormatEvent {
		s.format, err = binlog.ParseFormat(body)
		return s.damaged(&h, err)
	}
	checked := s.format.Checksum
	if h.Type == binlog.RotateEvent || h.Type == binlog.HeartbeatEvent {
		_, err := binlog.CheckSum(event) // made up by the sender, with or without a checksum
		checked = err == nil
	}
	if checked {
		if body, err = binlog.CheckSum(event); err != nil {
			return s.damaged(&h, err)
		}
	}
	if err := s.dispatch(&h, body); err != nil {
		return s.damaged(&h, err)
	}
	return s.passed(&h)
}

// damaged says where an event is that cannot be read.
func (s *stream) damaged(h *binlog.Header, err error) error {
	if err == nil || pipeline.ClassOf(err) != pipeline.Unclassified {
		return err
	}
	return fmt.Errorf("event of type %d in %s before %d: %w", h.Type, s.file, h.End, err)
}

func (s *stream) dispatch(h *binlog.Header, body []byte) error {
	if s.fragments.Pending() && h.Type != binlog.PartialRowDataEvent && h.Type != binlog.HeartbeatEvent {
		return s.fragmented(fmt.Errorf("%w: an event of type %d is among them", binlog.ErrFragments, h.Type))
	}
	if _, rows := h.Type.Rows(); rows || h.Type == binlog.TableMapEvent {
		if s.group.holds() {
			return s.held.add(h, body)
		}
		return s.data(h, body)
	}
	switch h.Type {
	case binlog.GTIDEvent:
		return s.begin(h, body)
	case binlog.XIDEvent:
		return s.end(h)
	case binlog.QueryEvent, binlog.QueryCompressedEvent:
		return s.query(h, body)
	case binlog.XAPrepareEvent:
		return s.prepared(h, body)
	case binlog.HeartbeatEvent:
		s.source.behind.Store(false)
		return nil
	case binlog.RotateEvent:
		return s.rotate(body)
	case binlog.IncidentEvent:
		return binlog.ParseIncident(body)
	case binlog.PartialRowDataEvent:
		return s.fragment(h, body)
	}
	return s.other(h)
}

// fragment takes a part of a rows event; with the last one the event is handled.
func (s *stream) fragment(h *binlog.Header, body []byte) error {
	if !s.group.open {
		return s.fragmented(fmt.Errorf("%w: one is outside of a group", binlog.ErrFragments))
	}
	whole, rows, done, err := s.fragments.Add(body, s.format.Checksum)
	if err != nil || !done {
		return s.fragmented(err)
	}
	whole.Time, whole.Server, whole.End = h.Time, h.Server, h.End
	if s.group.holds() {
		return s.held.add(&whole, rows)
	}
	return s.data(&whole, rows)
}

// fragmented says what to do about fragments that cannot be read. They are never passed over.
func (s *stream) fragmented(err error) error {
	if err == nil {
		return nil
	}
	return failed(pipeline.Environment, "SET GLOBAL binlog_row_event_fragment_threshold to its maximum, so that the server does not "+
		"cut rows events; for those that it has cut, start again with a snapshot", "%w", err)
}

// other passes over an event that says nothing of rows, and refuses one that nobody knows.
func (s *stream) other(h *binlog.Header) error {
	switch h.Type {
	case binlog.StopEvent, binlog.IntvarEvent, binlog.RandEvent, binlog.UserVarEvent, binlog.AnnotateRowsEvent,
		binlog.CheckpointEvent, binlog.GTIDListEvent, binlog.StartEncryptionEvent:
		return nil // the server decrypts what it sends
	case binlog.BeginLoadEvent, binlog.ExecuteLoadEvent:
		return s.lossy("LOAD DATA was logged as a statement")
	}
	if h.Flags&binlog.FlagIgnorable != 0 {
		return nil
	}
	return failed(pipeline.Environment, "Use a version of this program that knows it", "event type %d in %s is unknown", h.Type, s.file)
}

func (s *stream) rotate(body []byte) error {
	file, at, err := binlog.ParseRotate(body)
	if err == nil && file != s.file {
		if s.file, s.at = file, int64(at); s.batch == nil {
			s.source.lag.emitted(s.file, s.at)
		}
		clear(s.mapped) // numbers of tables begin anew after a restart of the server
		s.last, s.lastID = nil, 0
	}
	return err
}

// begin opens a group.
func (s *stream) begin(h *binlog.Header, body []byte) error {
	if s.group.open {
		return fmt.Errorf("group %s has no end", s.group.GTID)
	}
	g := &s.group
	if err := binlog.ParseGTID(body, h.Server, &g.Begin); err != nil {
		return err
	}
	g.open, g.skip, g.at = true, s.done.Has(g.GTID), h.End
	if !g.skip && s.place.set.Has(g.GTID) {
		return failed(pipeline.Environment, "SET GLOBAL gtid_strict_mode = ON, so that sequence numbers rise; "+
			"then start again with a snapshot", "transaction %s comes after %s: sequence numbers went back", g.GTID, s.place.set)
	}
	if len(s.txs) == 0 {
		s.txs = make([]pipeline.Tx, txRoom)
	}
	s.tx, s.txs = &s.txs[0], s.txs[1:]
	s.text = g.GTID.Append(s.text[:0])
	*s.tx = pipeline.Tx{Pos: s.pos, GTID: s.texts.keep(s.text), File: s.file, Server: h.Server,
		Time: int64(h.Time)*1_000_000 - pipeline.EpochMicros}
	s.seq = 0
	s.source.behind.Store(true)
	s.source.lastTime.CompareAndSwap(0, s.tx.Time) // until something is emitted: the age of what is not
	if g.holds() {
		s.held.begin(&g.Begin, s.read)
	}
	return nil
}

// end closes the open group: its end is a place to resume.
func (s *stream) end(h *binlog.Header) error {
	g := &s.group
	if !g.open {
		return fmt.Errorf("the end of a group without its begin")
	}
	rows, when := s.seq > 0, s.tx.Time
	g.open, s.tx = false, nil
	s.read = s.read.Add(g.GTID)
	if s.done != nil && s.read.Covers(s.done) {
		s.done = nil
	}
	s.abandon()
	if g.skip {
		return nil
	}
	s.place.set = s.place.set.Add(g.GTID)
	s.place.held = s.held.from()
	text, err := s.place.append(s.text[:0])
	if err != nil {
		return failed(pipeline.Environment, "", "%w", err)
	}
	s.text, s.pos, s.unmarked = text, pipeline.Position(s.texts.keep(text)), true
	s.source.lastTime.Store(when)
	if s.target != nil && s.place.set.Covers(s.target) {
		s.reached = true
	}
	if !rows && s.batch == nil {
		return nil // an idle mark brings it forward
	}
	if err := s.mark(); err != nil {
		return err
	}
	if s.batch.Full() {
		return s.emit()
	}
	return nil
}

// data handles a table map or rows event whose rows count.
func (s *stream) data(h *binlog.Header, body []byte) error {
	if h.Type == binlog.TableMapEvent {
		return s.tableMap(body)
	}
	return s.rows(h, body)
}

// rows adds the rows of an event to the batch.
func (s *stream) rows(h *binlog.Header, body []byte) error {
	id, rest, err := s.format.TableID(body)
	if err != nil {
		return err
	}
	e := s.last
	if e == nil || s.lastID != id {
		if e = s.mapped[id]; e == nil {
			return fmt.Errorf("rows of table number %d, which has no map", id)
		}
		s.last, s.lastID = e, id
	}
	if e.table == nil || s.group.skip {
		return nil
	}
	if s.tx == nil {
		return fmt.Errorf("rows of %s outside of a group", e.table)
	}
	var r binlog.Rows
	if err := binlog.ParseRows(h.Type, rest, &s.z, &r); err != nil {
		return err
	}
	if r.Width != len(e.dec.Fields) {
		return fmt.Errorf("rows of %s with %d columns, its map has %d", e.table, r.Width, len(e.dec.Fields))
	}
	b, err := s.room()
	if err != nil {
		return err
	}
	data := b.Copy(r.Data)
	for len(data) > 0 {
		if s.batch == nil {
			if b, err = s.room(); err != nil {
				return err
			}
			data = b.Copy(data)
		}
		if data, err = s.row(b, e, h, &r, data); err != nil {
			return err
		}
		if b.Full() {
			if err := s.emit(); err != nil {
				return err
			}
		}
	}
	return nil
}

// row adds one row.
func (s *stream) row(b *pipeline.Batch, e *streamed, h *binlog.Header, r *binlog.Rows, data []byte) (rest []byte, err error) {
	row := b.Add()
	row.Schema = e.schema
	if rest, err = e.fill(&b.Arena, row, r, data); err != nil {
		return nil, s.rowError(e, row, err)
	}
	if e.dec.Zeros > 0 && !e.warned[0] || e.dec.Bad > 0 && !e.warned[1] {
		s.warnPolicy(e)
	}
	if e.filter != nil {
		keep, err := e.filter.Apply(row)
		if err != nil {
			return nil, s.rowError(e, row, err)
		}
		if !keep {
			b.Rows = b.Rows[:len(b.Rows)-1]
			return rest, nil
		}
	}
	row.Tx, row.At, row.Seq = s.tx, uint64(h.End), s.seq
	if h.End == 0 { // from MariaDB 11.4 on the first event of a group alone says where it is
		row.At = uint64(s.group.at)
	}
	held, err := s.merging.touch(s.ctx, e.table, row)
	if held {
		b.Rows = b.Rows[:len(b.Rows)-1]
		return rest, err
	}
	s.seq++
	return rest, err
}

// fill decodes the images of one row. What an image after does not hold did not change: it is taken
// from the image before, where that has it.
func (e *streamed) fill(a *pipeline.Arena, row *pipeline.Row, r *binlog.Rows, data []byte) (rest []byte, err error) {
	n := len(e.schema.Columns)
	switch r.Op {
	case binlog.WriteRows:
		row.Op, row.Values = pipeline.Insert, a.AllocValues(n)
		return e.dec.Image(a, row.Values, r.After, data)
	case binlog.DeleteRows:
		row.Op, row.Before = pipeline.Delete, a.AllocValues(n)
		return e.dec.Image(a, row.Before, r.Before, data)
	}
	row.Op, row.Before = pipeline.Update, a.AllocValues(n)
	if rest, err = e.dec.Image(a, row.Before, r.Before, data); err != nil {
		return nil, err
	}
	row.Values = a.AllocValues(n)
	if rest, err = e.dec.Image(a, row.Values, r.After, rest); err != nil || bytes.Equal(r.Before, r.After) {
		return rest, err
	}
	for i := range row.Values {
		if row.Values[i].IsAbsent() {
			row.Values[i] = row.Before[i]
		}
	}
	return rest, nil
}

// warnPolicy says once for each table and stretch that a policy changed values.
func (s *stream) warnPolicy(e *streamed) {
	if e.dec.Zeros > 0 && !e.warned[0] {
		e.warned[0] = true
		s.env.Log.Warn("zero dates are replaced", "table", e.table.String(), "zero_dates", s.config.ZeroDates)
	}
	if e.dec.Bad > 0 && !e.warned[1] {
		e.warned[1] = true
		s.env.Log.Warn("bytes that are no text are replaced", "table", e.table.String())
	}
}

func (s *stream) rowError(e *streamed, row *pipeline.Row, err error) error {
	out := &pipeline.Error{Class: pipeline.Input, Table: e.table.String(), Pos: s.pos, Err: err, Hint: valueHint(err)}
	if c, ok := err.(*binlog.ColumnError); ok {
		out.Err = fmt.Errorf("column %s: %w", e.schema.Columns[c.Column].Name, c.Err)
	}
	if key := row.Key(); key != nil {
		out.Key = e.schema.KeyText(key)
	}
	return out
}
