package postgres

import (
	"slices"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/sources/postgres/pgoutput"
)

// txRoom is how many transactions' headers are allocated at once.
const txRoom = 64

// change handles one pgoutput message.
func (s *stream) change(lsn uint64, data []byte) error {
	d := &s.dec
	if err := d.Decode(data); err != nil {
		return &pipeline.Error{Class: pipeline.Internal, Pos: s.identity.position(lsn), Err: err}
	}
	if d.InStream() && d.Kind != pgoutput.StreamStart {
		return s.spool.add(s.holding, lsn, data)
	}
	switch d.Kind {
	case pgoutput.Begin:
		s.begin(d.XID, d.LSN, d.Time)
		return nil
	case pgoutput.Commit:
		return s.commit(d.EndLSN)
	case pgoutput.StreamStart:
		s.holding = d.XID
		s.spool.begin(d.XID)
		return nil
	case pgoutput.StreamStop:
		s.holding = 0
		return nil
	case pgoutput.StreamAbort:
		s.spool.abort(d.XID, d.SubXID)
		return nil
	case pgoutput.StreamCommit:
		return s.streamCommit()
	case pgoutput.BeginPrepare, pgoutput.Prepare, pgoutput.CommitPrepared, pgoutput.RollbackPrepared, pgoutput.StreamPrepare:
		return failed(pipeline.Internal, "", "a %s message, although prepared transactions were not asked for",
			d.Kind)
	}
	return s.apply(d, lsn, data)
}

// apply handles a message that may lie inside a transaction, streamed before its commit or not.
func (s *stream) apply(d *pgoutput.Decoder, lsn uint64, data []byte) error {
	switch d.Kind {
	case pgoutput.Insert, pgoutput.Update, pgoutput.Delete:
		return s.row(d, lsn, data)
	case pgoutput.Relation:
		return s.relation(d)
	case pgoutput.Truncate:
		return s.truncate(d, lsn)
	case pgoutput.Origin:
		if s.tx != nil {
			s.tx.Origin = string(d.Name)
		}
	case pgoutput.Logical:
		return s.message(d, lsn)
	}
	return nil
}

func (s *stream) begin(xid uint32, lsn uint64, time int64) {
	if len(s.txs) == 0 {
		s.txs = make([]pipeline.Tx, txRoom)
	}
	s.tx, s.txs = &s.txs[0], s.txs[1:]
	*s.tx = pipeline.Tx{ID: uint64(xid), Pos: s.identity.position(lsn), LSN: lsn, Time: time}
	s.seq = 0
	s.began(xid)
	s.skip = lsn < s.start // delivered before a crash made the slot go back
}

// commit ends the open transaction: its end is a place to resume.
func (s *stream) commit(end uint64) error {
	if s.tx == nil {
		return failed(pipeline.Internal, "", "a commit at %s without a begin", formatLSN(end))
	}
	rows, when := s.seq > 0, s.tx.Time
	s.tx = nil
	s.endLSN = max(s.endLSN, end)
	s.source.advance(end)
	s.source.lastTime.Store(when)
	if err := s.passed(); err != nil {
		return err
	}
	s.arrive(end)
	if !rows || s.skip {
		return s.merge(false) // an idle mark brings it forward
	}
	if err := s.mark(end); err != nil {
		return err
	}
	if s.batch != nil && s.batch.Ripe() {
		if err := s.emit(); err != nil {
			return err
		}
	}
	return s.merge(false)
}

// streamCommit delivers a transaction that was held.
func (s *stream) streamCommit() error {
	end := s.dec.EndLSN
	s.begin(s.dec.XID, s.dec.LSN, s.dec.Time)
	d := &s.replayed
	d.SetInStream(true)
	err := s.spool.replay(s.dec.XID, func(lsn uint64, data []byte) error {
		if err := d.Decode(data); err != nil {
			return &pipeline.Error{Class: pipeline.Internal, Pos: s.identity.position(lsn), Err: err}
		}
		return s.apply(d, lsn, data)
	})
	if err != nil {
		return err
	}
	return s.commit(end)
}

// row adds an insert, update or delete to the batch.
func (s *stream) row(d *pgoutput.Decoder, lsn uint64, data []byte) error {
	rel := s.last
	if rel == nil || rel.oid != d.RelationID {
		if rel = s.relations[d.RelationID]; rel == nil {
			return failed(pipeline.Internal, "", "a change of relation %d, which was not described, at %s",
				d.RelationID, formatLSN(lsn))
		}
		s.last = rel
	}
	if rel.table == nil || s.skip {
		return nil
	}
	if s.tx == nil {
		return failed(pipeline.Internal, "", "a change of %s outside of a transaction at %s", rel.table,
			formatLSN(lsn))
	}
	b, err := s.room()
	if err != nil {
		return err
	}
	row := b.Add()
	if err := rel.fill(&b.Arena, row, d, b.Copy(data)); err != nil {
		return s.rowError(rel, row, lsn, err)
	}
	s.touch(rel, row)
	keep := true
	if rel.filter != nil {
		if keep, err = rel.filter.Apply(row); err != nil {
			return s.rowError(rel, row, lsn, err)
		}
	}
	if keep && rel.partial {
		held, err := s.holdBack(rel, row)
		if err != nil {
			return err
		}
		keep = !held
	}
	if !keep {
		b.Rows = b.Rows[:len(b.Rows)-1]
		return nil
	}
	row.Tx, row.At, row.Seq = s.tx, lsn, s.seq
	s.seq++
	if b.Full() {
		return s.emit()
	}
	return nil
}

func (s *stream) rowError(rel *streamed, row *pipeline.Row, lsn uint64, err error) error {
	e := &pipeline.Error{Class: pipeline.Input, Table: rel.table.String(), Pos: s.identity.position(lsn), Err: err}
	if key := row.Key(); key != nil {
		e.Key = rel.schema.KeyText(key)
	}
	return e
}

// truncate adds one row for each table truncated that is taken.
func (s *stream) truncate(d *pgoutput.Decoder, lsn uint64) error {
	var flags pipeline.Flags
	if d.Flags&pgoutput.TruncateCascade != 0 {
		flags |= pipeline.Cascade
	}
	if d.Flags&pgoutput.TruncateIdentity != 0 {
		flags |= pipeline.RestartIdentity
	}
	for _, oid := range d.Relations {
		rel := s.relations[oid]
		if rel == nil {
			return failed(pipeline.Internal, "", "a truncate of relation %d, which was not described, at %s",
				oid, formatLSN(lsn))
		}
		if rel.table == nil || s.skip || s.tx == nil {
			continue
		}
		b, err := s.room()
		if err != nil {
			return err
		}
		row := b.Add()
		row.Schema, row.Op, row.Flags = rel.schema, pipeline.Truncate, flags
		row.Tx, row.At, row.Seq = s.tx, lsn, s.seq
		flags |= pipeline.Joined
		s.seq++
		s.touch(rel, row)
	}
	if s.batch != nil && s.batch.Full() {
		return s.emit()
	}
	return nil
}

// message adds a logical message whose prefix was asked for. One that is not transactional comes
// outside of any transaction, or in the midst of one that it has nothing to do with.
func (s *stream) message(d *pgoutput.Decoder, lsn uint64) error {
	transactional := d.Flags&1 != 0
	if !slices.Contains(s.config.Messages, string(d.Prefix)) || transactional && s.skip {
		return nil
	}
	b, err := s.room()
	if err != nil {
		return err
	}
	row := b.Add()
	row.Schema, row.Op, row.At = s.messages, pipeline.Message, lsn
	row.Values = b.Values(2)
	row.Values[0] = pipeline.BytesValue(pipeline.Text, b.Copy(d.Prefix))
	row.Values[1] = pipeline.BytesValue(pipeline.Bytes, b.Copy(d.Content))
	if transactional && s.tx != nil {
		row.Tx, row.Seq = s.tx, s.seq
		s.seq++
		return nil
	}
	row.Tx = &pipeline.Tx{Pos: s.identity.position(d.LSN), LSN: d.LSN}
	return nil
}

// messageSchema describes the rows of logical messages.
func messageSchema(database string) *pipeline.Schema {
	return &pipeline.Schema{System: pipeline.PostgreSQL, Database: database, Namespace: "pg_catalog",
		Table: "pg_logical_message",
		Columns: []pipeline.Column{
			{Name: "prefix", Kind: pipeline.Text, Type: "text", Precision: -1, Length: -1},
			{Name: "content", Kind: pipeline.Bytes, Type: "bytea", Precision: -1, Length: -1},
		}}
}
