package transforms

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
)

// target is a type to cast to.
type target struct {
	name      string // as PostgreSQL calls it, with modifiers
	kind      pipeline.Kind
	bits      int // of an integer
	precision int // of a numeric; -1: any
	scale     int
}

// The bounds of numeric(p,s), PostgreSQL's.
const (
	precisionMax = 1000
	scaleMax     = 1000
)

func targetList() string {
	return "bool, int16, int32, int64, float32, float64, text, numeric, numeric(p,s), date, time, timestamp, " +
		"timestamptz, bytes, uuid and json"
}

// parseTarget reads the name of a type to cast to: ours, or PostgreSQL's.
func parseTarget(s string) (target, error) {
	name := normalType(s)
	base, modifier, modified := strings.Cut(name, "(")
	t, ok := simpleTarget(base)
	if !ok {
		return t, fmt.Errorf("types are %s", targetList())
	}
	if !modified {
		return t, nil
	}
	if t.kind != pipeline.Decimal {
		return t, fmt.Errorf("only numeric takes numbers in parentheses")
	}
	p, sc, two := strings.Cut(strings.TrimSuffix(modifier, ")"), ",")
	var err error
	if t.precision, err = strconv.Atoi(p); err != nil || t.precision < 1 || t.precision > precisionMax {
		return t, fmt.Errorf("the precision of a numeric is from 1 to %d", precisionMax)
	}
	if two {
		if t.scale, err = strconv.Atoi(sc); err != nil || t.scale < 0 || t.scale > min(scaleMax, t.precision) {
			return t, fmt.Errorf("the scale of a numeric is from 0 to its precision")
		}
	}
	t.name = fmt.Sprintf("numeric(%d,%d)", t.precision, t.scale)
	return t, nil
}

func simpleTarget(base string) (target, bool) {
	t := target{precision: -1}
	switch base {
	case "bool", "boolean":
		t.name, t.kind = "boolean", pipeline.Bool
	case "int16", "smallint", "int2":
		t.name, t.kind, t.bits = "smallint", pipeline.Int, 16
	case "int32", "integer", "int4", "int":
		t.name, t.kind, t.bits = "integer", pipeline.Int, 32
	case "int64", "bigint", "int8":
		t.name, t.kind, t.bits = "bigint", pipeline.Int, 64
	case "float32", "real", "float4":
		t.name, t.kind = "real", pipeline.Float32
	case "float64", "double precision", "float8":
		t.name, t.kind = "double precision", pipeline.Float64
	case "text":
		t.name, t.kind = "text", pipeline.Text
	case "decimal", "numeric":
		t.name, t.kind = "numeric", pipeline.Decimal
	case "date":
		t.name, t.kind = "date", pipeline.Date
	case "time", "time without time zone":
		t.name, t.kind = "time without time zone", pipeline.Time
	case "timestamp", "timestamp without time zone":
		t.name, t.kind = "timestamp without time zone", pipeline.Timestamp
	case "timestamptz", "timestamp with time zone":
		t.name, t.kind = "timestamp with time zone", pipeline.TimestampTZ
	case "bytes", "bytea":
		t.name, t.kind = "bytea", pipeline.Bytes
	case "uuid":
		t.name, t.kind = "uuid", pipeline.UUID
	case "json", "jsonb":
		t.name, t.kind = base, pipeline.JSON
	default:
		return t, false
	}
	return t, true
}

// takes reports whether values of a column's kind can be cast at all.
func (t *target) takes(from pipeline.Kind) bool {
	switch {
	case from == t.kind || t.kind == pipeline.Text || from == pipeline.Text || from == pipeline.Other:
		return true
	case from == pipeline.Array || from == pipeline.Interval:
		return false
	}
	temporal := from >= pipeline.Date && from <= pipeline.TimestampTZ
	switch t.kind {
	case pipeline.Bool, pipeline.Int:
		return from.Numeric() || from == pipeline.Bool || from == pipeline.Bits || from == pipeline.Bytes &&
			t.kind == pipeline.Bool
	case pipeline.Float32, pipeline.Float64, pipeline.Decimal:
		return from.Numeric() || from == pipeline.Bool
	case pipeline.Date, pipeline.Timestamp, pipeline.TimestampTZ:
		return temporal && from != pipeline.Time
	case pipeline.Time:
		return false
	case pipeline.Bytes:
		return from == pipeline.JSON || from == pipeline.Bits
	case pipeline.UUID:
		return from == pipeline.Bytes
	case pipeline.JSON:
		return from.Numeric() || from == pipeline.Bool
	}
	return false
}

// column describes a column after the cast.
func (t *target) column(from *pipeline.Column) pipeline.Column {
	c := pipeline.Column{Name: from.Name, Kind: t.kind, Type: t.name, Nullable: from.Nullable,
		Precision: -1, Length: -1}
	switch {
	case t.kind == pipeline.Decimal:
		c.Precision, c.Scale = t.precision, t.scale
	case t.kind == pipeline.Time || t.kind == pipeline.Timestamp || t.kind == pipeline.TimestampTZ:
		if t.kind == from.Kind {
			c.Precision = from.Precision
		}
	}
	return c
}
