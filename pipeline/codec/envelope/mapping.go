package envelope

import (
	"strconv"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
)

// Types is a system of types that TypeOf maps to.
type Types uint8

// The systems of types.
const (
	Connect Types = iota // Kafka Connect's with Debezium's semantic names
	Logical              // Avro's own logical types
	Plain                // JSON's: exact numbers, ISO 8601, base64, embedded documents
)

// The values of Mapping's fields. The zero value of each is the default.
const (
	Precise = ""       // Decimal: exact
	Text    = "string" // Decimal, Interval: text
	Approx  = "double" // Decimal: float64

	Adaptive = ""       // Time: milliseconds up to three decimals, else microseconds
	InMicros = "micros" // Time: always microseconds
	InISO    = "iso"    // Time: ISO 8601 text

	Hex    = "hex"    // Binary: hexadecimal text
	Base64 = "base64" // Binary: text
)

// Mapping chooses between the ways in which a column's type may be mapped.
type Mapping struct {
	Types       Types
	Decimal     string // Precise, Text or Approx
	Time        string // Adaptive, InMicros or InISO
	Interval    string // "" a number of microseconds, or Text
	Unsigned    string // of a bigint unsigned: "" long, checked; "decimal"
	ArrayText   bool   // arrays as PostgreSQL's text
	AllOptional bool   // every column but the key's may be null
}

const debezium = "io.debezium."

// TypeOf returns what a column becomes.
func (m Mapping) TypeOf(c *pipeline.Column) *Type {
	var t Type
	switch m.Types {
	case Logical:
		t = m.logical(c)
	case Plain:
		t = m.plain(c)
	default:
		t = m.connect(c)
	}
	t.Kind, t.Optional = c.Kind, c.Nullable
	if m.Types == Connect {
		t.Default = defaultOf(c, &t)
	}
	return &t
}

// connect is the tables of Debezium's connectors for PostgreSQL and MariaDB.
func (m Mapping) connect(c *pipeline.Column) Type {
	base := baseName(c.Type)
	switch c.Kind {
	case pipeline.Bool:
		return Type{Form: Bool}
	case pipeline.Int, pipeline.Uint:
		return m.integer(c, base)
	case pipeline.Float32:
		return Type{Form: Float32}
	case pipeline.Float64:
		return Type{Form: Float64}
	case pipeline.Date, pipeline.Time, pipeline.Timestamp, pipeline.TimestampTZ:
		return m.temporal(c)
	case pipeline.Bytes:
		return Type{Form: Bytes}
	case pipeline.Decimal:
		return m.decimal(c)
	case pipeline.UUID:
		return Type{Form: String, Name: debezium + "data.Uuid"}
	case pipeline.JSON:
		return Type{Form: String, Name: debezium + "data.Json"}
	case pipeline.Bits:
		return bitString(c)
	case pipeline.Interval:
		if m.Interval == Text {
			return Type{Form: ISODuration, Name: debezium + "time.Interval"}
		}
		return Type{Form: Duration, Name: debezium + "time.MicroDuration"}
	case pipeline.Array:
		return m.array(c)
	case pipeline.Text:
		return labelled(c, base)
	}
	return m.other(base)
}

func (m Mapping) integer(c *pipeline.Column, base string) Type {
	unsigned := strings.Contains(c.Type, "unsigned")
	switch base {
	case "year":
		return Type{Form: Int32, Name: debezium + "time.Year"}
	case "smallint", "int2", "smallserial", "tinyint":
		if unsigned && base == "smallint" {
			return Type{Form: Int32}
		}
		return Type{Form: Int16}
	case "integer", "int", "int4", "serial", "mediumint":
		if unsigned && base != "mediumint" {
			return Type{Form: Int64}
		}
		return Type{Form: Int32}
	}
	if c.Kind != pipeline.Uint {
		return Type{Form: Int64}
	}
	if m.Unsigned == "decimal" {
		return fixed(20, 0)
	}
	return Type{Form: Unsigned}
}

func (m Mapping) temporal(c *pipeline.Column) Type {
	digits := c.Precision
	if digits < 0 || digits > 6 {
		digits = 6
	}
	iso := m.Time == InISO
	coarse := m.Time == Adaptive && digits <= 3
	switch {
	case c.Kind == pipeline.TimestampTZ:
		return Type{Form: ISO, Name: debezium + "time.ZonedTimestamp", Digits: digits, Zoned: true}
	case c.Kind == pipeline.Date && iso:
		return Type{Form: ISO, Name: debezium + "time.IsoDate", Zoned: true}
	case c.Kind == pipeline.Date:
		return Type{Form: Date, Name: debezium + "time.Date"}
	case c.Kind == pipeline.Time && iso:
		return Type{Form: ISO, Name: debezium + "time.IsoTime", Digits: digits, Zoned: true}
	case c.Kind == pipeline.Time && coarse && c.Length != mariaTime:
		return Type{Form: TimeMillis, Name: debezium + "time.Time"}
	case c.Kind == pipeline.Time:
		return Type{Form: TimeMicros, Name: debezium + "time.MicroTime"}
	case iso:
		return Type{Form: ISO, Name: debezium + "time.IsoTimestamp", Digits: digits, Zoned: true}
	case coarse:
		return Type{Form: Millis, Name: debezium + "time.Timestamp"}
	}
	return Type{Form: Micros, Name: debezium + "time.MicroTimestamp"}
}

// mariaTime is the Length that FieldsOf gives a Time column of MariaDB: Debezium writes those in
// microseconds whatever their precision, since they may exceed a day.
const mariaTime = -2

func (m Mapping) decimal(c *pipeline.Column) Type {
	switch {
	case m.Decimal == Text:
		return Type{Form: DecimalText}
	case m.Decimal == Approx:
		return Type{Form: DecimalFloat}
	case c.Precision <= 0 || c.Scale < 0:
		return Type{Form: VarDecimal, Name: debezium + "data.VariableScaleDecimal"}
	}
	return fixed(c.Precision, c.Scale)
}

func fixed(precision, scale int) Type {
	return Type{
		Form: Decimal, Name: "org.apache.kafka.connect.data.Decimal", Logical: "decimal",
		Precision: precision, Scale: scale, Params: []Param{
			{"scale", strconv.Itoa(scale)}, {"connect.decimal.precision", strconv.Itoa(precision)},
		},
	}
}

func bitString(c *pipeline.Column) Type {
	if c.Length == 1 {
		return Type{Form: Bit}
	}
	length := c.Length
	if length < 0 {
		length = 1<<31 - 1
	}
	return Type{Form: Bits, Name: debezium + "data.Bits", Params: []Param{{"length", strconv.Itoa(length)}}}
}

func labelled(c *pipeline.Column, base string) Type {
	if c.Labels == nil {
		return Type{Form: String}
	}
	name := debezium + "data.Enum"
	if base == "set" {
		name += "Set"
	}
	return Type{Form: String, Name: name, Params: []Param{{"allowed", strings.Join(c.Labels, ",")}}}
}

func (m Mapping) array(c *pipeline.Column) Type {
	if c.Elem == nil || c.Elem.Kind == pipeline.Array || m.ArrayText {
		return Type{Form: String}
	}
	elem := *c.Elem
	elem.Nullable, elem.Default = true, ""
	return Type{Form: Array, Elem: m.TypeOf(&elem)}
}

func (m Mapping) other(base string) Type {
	switch base {
	case "xml", "ltree", "tsvector":
		return Type{Form: String, Name: debezium + "data." + strings.ToUpper(base[:1]) + base[1:]}
	case "time with time zone", "timetz":
		return Type{Form: ZonedTime, Name: debezium + "time.ZonedTime"}
	case "money":
		t := fixed(64, 2)
		t.Form, t.Params = Money, t.Params[:1]
		return t
	case "hstore":
		return Type{Form: Hstore, Name: debezium + "data.Json"}
	}
	return Type{Form: String}
}

// baseName returns a type's name in lower case without modifiers: "numeric(12,2)" -> "numeric",
// "time(3) with time zone" -> "time with time zone", "bigint(20) unsigned" -> "bigint".
func baseName(typ string) string {
	if i := strings.IndexByte(typ, '('); i >= 0 {
		rest := ""
		if j := strings.IndexByte(typ, ')'); j > i {
			rest = typ[j+1:]
		}
		typ = typ[:i] + rest
	}
	typ = strings.TrimSuffix(strings.ToLower(typ), " zerofill")
	typ = strings.TrimSpace(strings.TrimSuffix(typ, " unsigned"))
	if i := strings.LastIndexByte(typ, '.'); i >= 0 {
		typ = typ[i+1:]
	}
	return typ
}
