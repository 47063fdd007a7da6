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
	dst = g.parts.append(dst, e.Row)
	dst = append(dst, 0, 2, e.Op) // no transaction; op, a string of one byte
	dst = appendLong(append(dst, 2), e.Now/1_000_000)
	dst = appendLong(append(dst, 2), e.Now/1000)
	return appendLong(append(dst, 2), e.Now), nil
}

func (g *Program) image(dst []byte, e *envelope.Event, img envelope.Image, row []pipeline.Value) ([]byte, error) {
	if row == nil {
		return append(dst, 0), nil
	}
	return g.row(append(dst, 2), e, img, row)
}

// append appends the source block of a row.
func (s *source) append(dst []byte, r *pipeline.Row) []byte {
	tx := r.Tx
	micros := envelope.Micros1970(tx)
	dst = append(dst, s.head...)
	dst = appendLong(dst, micros/1000)
	dst = appendString(append(dst, 0), envelope.SnapshotText(tx))
	dst = append(dst, s.db...)
	if s.maria {
		dst = append(dst, 0)
	} else {
		dst = append(dst, 2, 0)
		start := len(dst) - 1
		dst = fixLength(envelope.AppendSequence(dst, r), start)
	}
	dst = appendLong(append(dst, 2), micros)
	dst = appendLong(append(dst, 2), micros*1000)
	dst = append(dst, s.table...)
	if s.maria {
		return appendMaria(dst, r)
	}
	dst = appendNonZero(dst, int64(tx.ID))
	dst = appendNonZero(dst, envelope.LSN(r))
	dst = append(dst, 0) // xmin
	dst = appendNonEmpty(dst, tx.Origin)
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
