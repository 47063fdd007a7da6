package json

import (
	"strconv"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/envelope"
)

// source holds the parts of the source block that never change for a table.
type source struct {
	head  string // up to ts_ms
	db    string // after snapshot, up to sequence
	table string // schema and table
	maria bool
}

func newSource(p *envelope.Plan) source {
	s := p.Schema
	q := func(s string) string { return string(envelope.AppendJSONString(nil, s)) }
	sys := s.System
	if sys == "" {
		sys = pipeline.PostgreSQL
	}
	out := source{
		maria: sys != pipeline.PostgreSQL,
		head:  `"source":{"version":` + q(p.Version) + `,"connector":` + q(string(sys)) + `,"name":` + q(p.Name) + `,"ts_ms":`,
		db:    `","db":` + q(s.Database) + `,"sequence":`,
		table: `,"table":` + q(s.Table),
	}
	if !out.maria {
		out.table = `,"schema":` + q(s.Namespace) + out.table
	}
	return out
}

// appendEnvelope appends Debezium's envelope without the closing brace.
func (g *Program) appendEnvelope(dst []byte, e *envelope.Event) ([]byte, error) {
	dst, err := g.image(append(dst, `{"before":`...), e, envelope.Before, e.Before)
	if err != nil {
		return dst, err
	}
	dst, err = g.image(append(dst, `,"after":`...), e, envelope.After, e.After)
	if err != nil {
		return dst, err
	}
	dst = g.parts.append(append(dst, ','), e.Row)
	dst = append(append(dst, `,"transaction":null,"op":"`...), e.Op)
	dst = strconv.AppendInt(append(dst, `","ts_ms":`...), e.Now/1_000_000, 10)
	dst = strconv.AppendInt(append(dst, `,"ts_us":`...), e.Now/1000, 10)
	return strconv.AppendInt(append(dst, `,"ts_ns":`...), e.Now, 10), nil
}

func (g *Program) image(dst []byte, e *envelope.Event, img envelope.Image, row []pipeline.Value) ([]byte, error) {
	if row == nil {
		return append(dst, "null"...), nil
	}
	dst, err := g.row(dst, e, img, row)
	return append(dst, '}'), err
}

func (s *source) append(dst []byte, r *pipeline.Row) []byte {
	tx := r.Tx
	micros := envelope.Micros1970(tx)
	dst = strconv.AppendInt(append(dst, s.head...), micros/1000, 10)
	dst = append(append(dst, `,"snapshot":"`...), envelope.SnapshotText(tx)...)
	dst = append(dst, s.db...)
	if s.maria {
		dst = append(dst, "null"...)
	} else {
		var buf [64]byte
		dst = envelope.AppendJSONString(dst, envelope.AppendSequence(buf[:0], r))
	}
	dst = strconv.AppendInt(append(dst, `,"ts_us":`...), micros, 10)
	dst = strconv.AppendInt(append(dst, `,"ts_ns":`...), micros*1000, 10)
	dst = append(dst, s.table...)
	if s.maria {
		return appendMaria(dst, r)
	}
	dst = appendNonZero(append(dst, `,"txId":`...), int64(tx.ID))
	dst = appendNonZero(append(dst, `,"lsn":`...), envelope.LSN(r))
	dst = append(dst, `,"xmin":null,"origin":`...)
	dst = appendNonEmpty(dst, tx.Origin)
	return append(dst, `,"origin_lsn":null}`...)
}

func appendMaria(dst []byte, r *pipeline.Row) []byte {
	tx := r.Tx
	dst = strconv.AppendUint(append(dst, `,"server_id":`...), uint64(tx.Server), 10)
	dst = appendNonEmpty(append(dst, `,"gtid":`...), tx.GTID)
	dst = envelope.AppendJSONString(append(dst, `,"file":`...), tx.File)
	dst = strconv.AppendUint(append(dst, `,"pos":`...), r.At, 10)
	dst = strconv.AppendUint(append(dst, `,"row":`...), uint64(r.Seq), 10)
	return append(dst, `,"thread":null,"query":null}`...)
}

func appendNonZero(dst []byte, n int64) []byte {
	if n == 0 {
		return append(dst, "null"...)
	}
	return strconv.AppendInt(dst, n, 10)
}

func appendNonEmpty(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, "null"...)
	}
	return envelope.AppendJSONString(dst, s)
}
