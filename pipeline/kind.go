package pipeline

import "fmt"

// Kind says how a Value is held, and what a Column holds. Types that no fast path knows keep the
// text their source prints, as kind Other, with the type's name on the column: nothing is guessed.
type Kind uint8

// The kinds. The comment gives the representation behind the accessor methods of Value.
const (
	Null        Kind = iota // SQL NULL; the zero Value
	Absent                  // not sent: an unchanged TOAST column, a column outside a MINIMAL row image. Never NULL
	Bool                    // Value.Bool
	Int                     // Value.Int: int64
	Uint                    // Value.Uint: uint64 (only MariaDB's bigint unsigned needs it)
	Float32                 // Value.Float: float32, NaN and infinities included
	Float64                 // Value.Float
	Date                    // Value.Int: days since 2000-01-01; PosInfinity, NegInfinity
	Time                    // Value.Int: microseconds since midnight, 0 to 86,400,000,000 (24:00:00) inclusive
	Timestamp               // Value.Int: microseconds since 2000-01-01 00:00:00 without a zone; PosInfinity, NegInfinity
	TimestampTZ             // Value.Int: microseconds since 2000-01-01 00:00:00 UTC; PosInfinity, NegInfinity
	Text                    // Value.Bytes: UTF-8 (character types, enums; Column.Labels where the type has them)
	Bytes                   // Value.Bytes: any bytes
	Decimal                 // Value.Bytes: decimal text, exact, as the source prints it; also "NaN", "Infinity", "-Infinity"
	UUID                    // Value.Bytes: 36 characters, lower case
	JSON                    // Value.Bytes: the document's text, as the source prints it
	Bits                    // Value.Bytes: text of '0' and '1', most significant first
	Interval                // Value.Bytes: PostgreSQL's text form under IntervalStyle postgres
	Array                   // Value.Bytes: PostgreSQL's text form {a,"b",NULL}; Column.Elem describes the element
	Other                   // Value.Bytes: the source's own text of a type named by Column.Type
)

// The infinities of Date, Timestamp and TimestampTZ, as PostgreSQL holds them.
const (
	PosInfinity int64 = 1<<63 - 1
	NegInfinity int64 = -1 << 63
)

// EpochDays and EpochMicros are the distance from the Unix epoch to 2000-01-01, the epoch of the
// temporal kinds. That epoch is PostgreSQL's: it is the one under which every timestamp of both
// databases fits an int64 (year 294276 does not fit microseconds since 1970).
const (
	EpochDays   int64 = 10957
	EpochMicros int64 = EpochDays * 86_400_000_000
)

var kindNames = [...]string{
	"null", "absent", "bool", "int", "uint", "float32", "float64", "date", "time", "timestamp",
	"timestamptz", "text", "bytes", "decimal", "uuid", "json", "bits", "interval", "array", "other",
}

// String returns the kind's name in lower case.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// HasBytes reports whether values of the kind are read by Value.Bytes.
func (k Kind) HasBytes() bool { return k >= Text && k <= Other }

// Numeric reports whether values of the kind are numbers.
func (k Kind) Numeric() bool {
	return k == Int || k == Uint || k == Float32 || k == Float64 || k == Decimal
}
