package mariadb

import (
	"fmt"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/sources/mariadb/binlog"
)

// unsigned reports whether the column's numbers have no sign.
func (c *column) unsigned() bool {
	return strings.Contains(c.Full, "unsigned") || strings.Contains(c.Full, "zerofill")
}

// shape returns the schema's column of a column, and how its values are read.
func (c *Config) shape(col *column, s *server) (pipeline.Column, binlog.Field, error) {
	out := pipeline.Column{Name: col.Name, Type: col.Full, Nullable: col.Nullable, Precision: -1, Length: -1, Default: col.Default}
	f := binlog.Field{Unsigned: col.unsigned(), Length: -1}
	switch col.Type {
	case "tinyint", "smallint", "mediumint", "int", "bigint", "year":
		c.integer(col, &out, &f)
	case "decimal":
		out.Kind, out.Precision, out.Scale = pipeline.Decimal, col.Total, max(col.Scale, 0)
	case "float":
		out.Kind = pipeline.Float32
	case "double":
		out.Kind = pipeline.Float64
	case "bit":
		out.Kind, out.Length = pipeline.Bits, col.Total
		if col.Total == 1 {
			out.Kind = pipeline.Bool
		}
		f.Length = col.Total
	case "date", "time", "datetime", "timestamp":
		c.temporal(col, &out, &f)
	case "enum", "set":
		out.Kind, out.Labels = pipeline.Text, col.Labels
	case "char", "varchar", "tinytext", "text", "mediumtext", "longtext":
		out.Kind, out.Length = pipeline.Text, col.Length
	case "json":
		out.Kind = pipeline.JSON
	case "uuid":
		out.Kind, f.Special = pipeline.UUID, binlog.UUID
	case "inet4":
		out.Kind, f.Special = pipeline.Text, binlog.INET4
	case "inet6":
		out.Kind, f.Special = pipeline.Text, binlog.INET6
	case "binary", "varbinary", "vector": // a vector (11.7): floats of four bytes, little-endian
		out.Kind, out.Length = pipeline.Bytes, col.Length
	case "tinyblob", "blob", "mediumblob", "longblob":
		out.Kind = pipeline.Bytes
	case "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection":
		out.Kind, f.Special = pipeline.Bytes, binlog.Geometry
	default:
		return out, f, fmt.Errorf("column %s has type %s, which is not known: omit it", col.Name, col.Full)
	}
	f.Kind, f.Labels = out.Kind, out.Labels
	return out, f, c.charset(col, &f, s)
}

func (c *Config) integer(col *column, out *pipeline.Column, f *binlog.Field) {
	out.Kind = pipeline.Int
	if col.Type == "bigint" && f.Unsigned {
		out.Kind = pipeline.Uint
	}
	if c.TinyInt1 == asBool && strings.HasPrefix(col.Full, "tinyint(1)") {
		out.Kind, f.Special = pipeline.Bool, binlog.Truth
	}
}

func (c *Config) temporal(col *column, out *pipeline.Column, f *binlog.Field) {
	out.Precision = max(col.Fraction, 0)
	switch col.Type {
	case "date":
		out.Kind, out.Precision = pipeline.Date, -1
	case "datetime":
		out.Kind = pipeline.Timestamp
	case "timestamp":
		out.Kind = pipeline.TimestampTZ
	default:
		f.Special = binlog.Clock
		out.Kind = map[string]pipeline.Kind{asInterval: pipeline.Interval, asText: pipeline.Text}[c.Time]
		if out.Kind == pipeline.Null {
			out.Kind = pipeline.Time
		}
	}
	if c.ZeroDates == onNull && f.Special != binlog.Clock {
		out.Nullable = true
	}
}

// charset finds the character set of a column of text.
func (c *Config) charset(col *column, f *binlog.Field, s *server) error {
	if f.Kind != pipeline.Text && f.Kind != pipeline.JSON || f.Special != binlog.Ordinary {
		return nil
	}
	name := col.Charset
	if name == "" {
		name = "utf8mb4"
	}
	if f.Charset = s.sets[name]; f.Charset == nil {
		return fmt.Errorf("column %s has character set %s, which is not known: omit it", col.Name, name)
	}
	return nil
}

// policy is what the configuration says of values that no kind holds.
func (c *Config) policy() binlog.Policy {
	zero := map[string]binlog.Zero{onNull: binlog.ZeroNull, onEpoch: binlog.ZeroEpoch}[c.ZeroDates]
	return binlog.Policy{Zero: zero, Replace: c.InvalidText == onReplace}
}
