package avro

import (
	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/envelope"
)

// source holds the encoded parts of the source block that never change for a table.
type source struct {
	head  []byte // version, connector, name
	db    []byte
	table []byte // PostgreSQL: schema, table. MariaDB: table
	maria bool
}

func newSource(p *envelope.Plan) source {
	s := p.Schema
	out := source{maria: s.System == pipeline.MariaDB || s.System == pipeline.MySQL}
	out.head = appendString(out.head, p.Version)
	out.head = appendString(out.head, string(Connector(s.System)))
	out.head = appendString(out.head, p.Name)
	out.db = appendString(nil, s.Database)
	if out.maria {
		out.table = appendString([]byte{2}, s.Table)
		return out
	}
	out.table = appendString(appendString(nil, s.Namespace), s.Table)
	return out
}

// appendEnvelope appends Debezium's envelope.
func (g *Program) appendEnvelope(dst []byte, e *envelope.Event) ([]byte, error) {
	dst, err := g.image(dst, e, envelope.Before, e.Before)
	if err != nil {
		return dst, err
	}
	if dst, err = g.image(dst, e, envelope.After, e.After); err != nil {
		return dst, err
	}
	m := e.Memo
	if m == nil {
		m = &envelope.Memo{}
	}
	g.remember(m, e)
	dst = g.parts.append(dst, e.Row, m)
	dst = append(dst, 0, 2, e.Op) // no transaction; op, a string of one byte
	return append(dst, m.Tail...), nil
}

// remember encodes what the events of one transaction, and of one batch, have in common.
func (g *Program) remember(m *envelope.Memo, e *envelope.Event) {
	if m.Plan != g.Plan || m.Tx != e.Row.Tx {
		m.Plan, m.Tx = g.Plan, e.Row.Tx
		g.parts.remember(m, e.Row.Tx)
	}
	if m.Now == e.Now && len(m.Tail) > 0 {
		return
	}
	m.Now = e.Now
	m.Tail = appendLong(append(m.Tail[:0], 2), e.Now/1_000_000)
	m.Tail = appendLong(append(m.Tail, 2), e.Now/1000)
	m.Tail = appendLong(append(m.Tail, 2), e.Now)
}

func (g *Program) image(dst []byte, e *envelope.Event, img envelope.Image, row []pipeline.Value) ([]byte, error) {
	if row == nil {
		return append(dst, 0), nil
	}
	return g.row(append(dst, 2), e, img, row)
}

// remember encodes the parts of the source block that a transaction's rows share.
func (s *source) remember(m *envelope.Memo, tx *pipeline.Tx) {
	micros := envelope.Micros1970(tx)
	m.Head = appendLong(append(m.Head[:0], s.head...), micros/1000)
	m.Head = appendString(append(m.Head, 0), envelope.SnapshotText(tx))
	m.Head = append(m.Head, s.db...)
	m.Middle = appendLong(append(m.Middle[:0], 2), micros)
	m.Middle = appendLong(append(m.Middle, 2), micros*1000)
	m.Middle = append(m.Middle, s.table...)
	if s.maria {
		m.Head = append(m.Head, 0)
		return
	}
	m.Head = append(m.Head, 2)
	m.Middle = appendNonZero(m.Middle, int64(tx.ID))
	m.Order = envelope.AppendOrder(m.Order[:0], tx)
}

// append appends the source block of a row.
func (s *source) append(dst []byte, r *pipeline.Row, m *envelope.Memo) []byte {
	dst = append(dst, m.Head...)
	if s.maria {
		return appendMaria(append(dst, m.Middle...), r)
	}
	start := len(dst)
	dst = append(append(dst, 0), m.Order...)
	dst = fixLength(envelope.AppendOrdinal(dst, r), start)
	dst = append(dst, m.Middle...)
	dst = appendNonZero(dst, envelope.LSN(r))
	dst = append(dst, 0) // xmin
	dst = appendNonEmpty(dst, r.Tx.Origin)
	return append(dst, 0) // origin_lsn
}

func appendMaria(dst []byte, r *pipeline.Row) []byte {
	tx := r.Tx
	dst = appendLong(dst, int64(tx.Server))
	dst = appendNonEmpty(dst, tx.GTID)
	dst = appendString(dst, tx.File)
	dst = appendLong(dst, int64(r.At))
	dst = appendLong(dst, int64(r.Seq))
	return append(dst, 0, 0) // thread, query
}

func appendNonZero(dst []byte, n int64) []byte {
	if n == 0 {
		return append(dst, 0)
	}
	return appendLong(append(dst, 2), n)
}

func appendNonEmpty(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, 0)
	}
	return appendString(append(dst, 2), s)
}
