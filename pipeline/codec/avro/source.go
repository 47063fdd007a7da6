package avro

import (
	"strconv"

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
	if m.Plan != g.Plan || m.Tx != e.Row.Tx || m.Op != e.Op || m.Now != e.Now {
		m.Plan, m.Tx, m.Op, m.Now = g.Plan, e.Row.Tx, e.Op, e.Now
		g.parts.remember(m)
	}
	if g.parts.maria {
		dst = append(append(dst, m.Head...), m.Middle...)
		return append(appendMaria(dst, e.Row), m.Tail...), nil
	}
	return g.parts.append(dst, e.Row, m), nil
}

func (g *Program) image(dst []byte, e *envelope.Event, img envelope.Image, row []pipeline.Value) ([]byte, error) {
	if row == nil {
		return append(dst, 0), nil
	}
	return g.row(append(dst, 2), &g.cols, e, img, row)
}

// remember encodes what the events of one transaction with the same operation have in common.
func (s *source) remember(m *envelope.Memo) {
	tx := m.Tx
	micros := envelope.Micros1970(tx)
	m.Head = appendLong(append(m.Head[:0], s.head...), micros/1000)
	m.Head = appendString(append(m.Head, 0), envelope.SnapshotText(tx))
	m.Head = append(m.Head, s.db...)
	if s.maria {
		m.Head = append(m.Head, 0)
		m.Middle = s.appendTimes(m.Middle[:0], micros)
		m.Tail = m.Tail[:0]
	} else {
		m.Head = append(m.Head, 2)
		m.Middle = s.appendTimes(append(m.Middle[:0], `"]`...), micros)
		m.Middle = appendNonZero(m.Middle, int64(tx.ID))
		m.Tail = append(appendNonEmpty(append(m.Tail[:0], 0), tx.Origin), 0) // xmin, origin, origin_lsn
	}
	m.Fixed, m.High = len(m.Head), 0
	m.Tail = append(m.Tail, 0, 2, m.Op) // no transaction; op, a string of one byte
	m.Tail = appendLong(append(m.Tail, 2), m.Now/1_000_000)
	m.Tail = appendLong(append(m.Tail, 2), m.Now/1000)
	m.Tail = appendLong(append(m.Tail, 2), m.Now)
}

func (s *source) appendTimes(dst []byte, micros int64) []byte {
	dst = appendLong(append(dst, 2), micros)
	dst = appendLong(append(dst, 2), micros*1000)
	return append(dst, s.table...)
}

// lowDigits are those of an LSN that change from row to row: the others are remembered.
const lowDigits = 1_000_000

// append appends the source block of a row and the rest of the envelope.
func (s *source) append(dst []byte, r *pipeline.Row, m *envelope.Memo) []byte {
	lsn := uint64(envelope.LSN(r))
	high := lsn / lowDigits
	if high != m.High || high == 0 {
		m.High = high
		m.Head = append(m.Head[:m.Fixed], 0)
		m.Head = envelope.AppendOrder(m.Head, m.Tx)
		m.Head = strconv.AppendUint(m.Head, lsn, 10)
		m.Head = fixLength(append(m.Head, `"]`...), m.Fixed)
		m.Head = m.Head[:len(m.Head)-2]
		if high > 0 {
			m.Head = m.Head[:len(m.Head)-6]
		}
	}
	dst = append(dst, m.Head...)
	if low := lsn % lowDigits; high > 0 {
		dst = envelope.AppendSix(dst, low)
	}
	dst = append(dst, m.Middle...)
	dst = appendNonZero(dst, int64(lsn))
	return append(dst, m.Tail...)
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
