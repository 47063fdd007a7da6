package transforms

import (
	"github.com/pipe-cdc/pipe/pipeline"
)

// metadata is a column about the change; its number is its place in metadataNames.
type metadata int

// The columns, in the order of metadataNames.
const (
	metaOp metadata = iota
	metaDeleted
	metaTime
	metaDatabase
	metaSchema
	metaTable
	metaShortTable
	metaLSN
	metaXid
	metaGTID
)

// metadataNames are the names that ExtractNewRecordState gives with its default prefix.
func metadataNames() []string {
	return []string{
		"__op", "__deleted", "__source_ts_ms", "__source_db", "__source_schema", "__source_table", "__table",
		"__lsn", "__txid", "__gtid",
	}
}

func (m metadata) column(name string) pipeline.Column {
	col := pipeline.Column{Name: name, Kind: pipeline.Text, Type: "text", Nullable: true, Precision: -1,
		Length: -1}
	switch m {
	case metaTime, metaLSN, metaXid:
		col.Kind, col.Type = pipeline.Int, "bigint"
	}
	return col
}

// value computes the column; NULL where the source has no such thing.
func (m metadata) value(in *pipeline.Schema, r *pipeline.Row) pipeline.Value {
	switch m {
	case metaOp:
		return pipeline.StringValue(pipeline.Text, r.Op.Code())
	case metaDeleted:
		if r.Op == pipeline.Delete {
			return pipeline.StringValue(pipeline.Text, "true")
		}
		return pipeline.StringValue(pipeline.Text, "false")
	case metaDatabase:
		return textOrNull(in.Database)
	case metaSchema:
		return textOrNull(in.Namespace)
	case metaTable, metaShortTable:
		return textOrNull(in.Table)
	}
	if r.Tx == nil {
		return pipeline.NullValue
	}
	return m.ofTx(r)
}

func (m metadata) ofTx(r *pipeline.Row) pipeline.Value {
	switch m {
	case metaTime:
		return pipeline.IntValue(floorMillis(r.Tx.Time + pipeline.EpochMicros))
	case metaLSN:
		lsn := r.At
		if lsn == 0 {
			lsn = r.Tx.LSN
		}
		return numberOrNull(lsn)
	case metaXid:
		return numberOrNull(r.Tx.ID)
	}
	return textOrNull(r.Tx.GTID)
}

func textOrNull(s string) pipeline.Value {
	if s == "" {
		return pipeline.NullValue
	}
	return pipeline.StringValue(pipeline.Text, s)
}

func numberOrNull(n uint64) pipeline.Value {
	if n == 0 {
		return pipeline.NullValue
	}
	return pipeline.IntValue(int64(n))
}

// floorMillis divides microseconds by a thousand, down.
func floorMillis(micros int64) int64 {
	ms := micros / 1000
	if micros%1000 < 0 {
		ms--
	}
	return ms
}
