package envelope

import "github.com/pipe-cdc/pipe/pipeline"

// Form is how a column's values are written: which primitive, and by which conversion.
type Form uint8

// The forms, with the primitive that each is written as.
const (
	Bool          Form = iota + 1 // boolean
	Int16                         // int
	Int32                         // int
	Int64                         // long
	Unsigned                      // long: a Uint, checked against int64
	Float32                       // float
	Float64                       // double
	String                        // string: the value's text
	Bytes                         // bytes
	Date                          // int: days since 1970-01-01
	TimeMillis                    // int: milliseconds since midnight
	TimeMicros                    // long: microseconds since midnight
	Millis                        // long: milliseconds since 1970-01-01
	Micros                        // long: microseconds since 1970-01-01
	ISO                           // string: ISO 8601, Type.Digits decimals (-1: as many as needed)
	ZonedTime                     // string: a time with zone, moved to UTC
	Decimal                       // bytes: two's complement of the number without its point, Type.Scale
	VarDecimal                    // record {scale int, value bytes}
	DecimalText                   // string
	DecimalNumber                 // a JSON number; NaN and infinities as strings
	DecimalFloat                  // double
	Money                         // as Decimal, from PostgreSQL's money text
	Bit                           // boolean: '1'
	Bits                          // bytes: little-endian, without leading zero bytes
	Duration                      // long: microseconds, a month being 30.4375 days
	ISODuration                   // string: P1Y2M3DT4H5M6.78S
	Document                      // a JSON document, embedded in JSON
	Hstore                        // string: PostgreSQL's hstore as a JSON object
	Array                         // array of Type.Elem
)

// Base is the primitive that a form is written as.
type Base uint8

// The primitives.
const (
	Boolean Base = iota + 1
	Int
	Long
	Float
	Double
	Str
	Blob
	Record
	List
)

var bases = [...]Base{
	Bool: Boolean, Int16: Int, Int32: Int, Int64: Long, Unsigned: Long, Float32: Float, Float64: Double,
	String: Str, Bytes: Blob, Date: Int, TimeMillis: Int, TimeMicros: Long, Millis: Long, Micros: Long,
	ISO: Str, ZonedTime: Str, Decimal: Blob, VarDecimal: Record, DecimalText: Str, DecimalNumber: Str,
	DecimalFloat: Double, Money: Blob, Bit: Boolean, Bits: Blob, Duration: Long, ISODuration: Str,
	Document: Str, Hstore: Str, Array: List,
}

// Base returns the primitive that the form is written as.
func (f Form) Base() Base { return bases[f] }

// Param is one parameter of a Connect schema.
type Param struct{ Name, Value string }

// Type is what a column becomes.
type Type struct {
	Form      Form
	Kind      pipeline.Kind // what its values must be, or Other where the form takes text
	Name      string        // semantic name of the Connect schema; "" for none
	Logical   string        // Avro's logicalType; "" for none
	Params    []Param       // of the Connect schema, in order
	Precision int           // of a Decimal
	Scale     int           // of a Decimal
	Digits    int           // decimals of an ISO text; -1: as many as needed
	Zoned     bool          // an ISO text ends in Z
	Optional  bool
	Elem      *Type  // of an Array
	Default   string // a JSON literal; "" for none
}

// Field is one column of a record: its index in the row, its name and type.
type Field struct {
	Index int
	Name  string // the column's
	Type  *Type
}
