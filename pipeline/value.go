package pipeline

import (
	"math"
	"strconv"
	"unsafe"
)

// Value is one column's value: 24 bytes, no allocation. The bytes of the kinds from Text on are
// not owned: they alias the Arena of the batch that the value belongs to and are valid as long as
// that batch is. The zero Value is NULL.
//
// A value's kind is its column's, or Null, or Absent, or Other where the source sent something that
// the column's kind cannot hold; a consumer that does not know what to do with Other must say so.
type Value struct {
	ptr  *byte
	num  uint64
	kind Kind
}

// NullValue and AbsentValue are what their names say.
var (
	NullValue   = Value{}
	AbsentValue = Value{kind: Absent}
)

// BoolValue returns a Value of kind Bool.
func BoolValue(b bool) Value {
	if b {
		return Value{num: 1, kind: Bool}
	}
	return Value{kind: Bool}
}

// IntValue returns a Value of kind Int.
func IntValue(n int64) Value { return Value{num: uint64(n), kind: Int} }

// UintValue returns a Value of kind Uint.
func UintValue(n uint64) Value { return Value{num: n, kind: Uint} }

// Float32Value returns a Value of kind Float32.
func Float32Value(f float32) Value {
	return Value{num: uint64(math.Float32bits(f)), kind: Float32}
}

// Float64Value returns a Value of kind Float64.
func Float64Value(f float64) Value { return Value{num: math.Float64bits(f), kind: Float64} }

// DateValue returns a Value of kind Date: days since 2000-01-01.
func DateValue(days int64) Value { return Value{num: uint64(days), kind: Date} }

// TimeValue returns a Value of kind Time: microseconds since midnight.
func TimeValue(micros int64) Value { return Value{num: uint64(micros), kind: Time} }

// TimestampValue returns a Value of kind Timestamp: microseconds since 2000-01-01 00:00:00.
func TimestampValue(micros int64) Value { return Value{num: uint64(micros), kind: Timestamp} }

// TimestampTZValue returns a Value of kind TimestampTZ: microseconds since 2000-01-01 00:00:00 UTC.
func TimestampTZValue(micros int64) Value { return Value{num: uint64(micros), kind: TimestampTZ} }

// BytesValue returns a Value of a kind that has bytes. It aliases b: copy into an Arena first
// where b does not live as long as the batch.
func BytesValue(k Kind, b []byte) Value {
	return Value{ptr: unsafe.SliceData(b), num: uint64(len(b)), kind: k}
}

// StringValue is BytesValue for a string, which must not be a temporary view of reused memory.
func StringValue(k Kind, s string) Value {
	return Value{ptr: unsafe.StringData(s), num: uint64(len(s)), kind: k}
}

// Kind returns the value's kind.
func (v Value) Kind() Kind { return v.kind }

// IsNull reports whether the value is SQL NULL. Absent is not.
func (v Value) IsNull() bool { return v.kind == Null }

// IsAbsent reports whether the value was not sent.
func (v Value) IsAbsent() bool { return v.kind == Absent }

// Bool returns the value of kind Bool.
func (v Value) Bool() bool { return v.num != 0 }

// Int returns the value of kinds Int, Date, Time, Timestamp and TimestampTZ.
func (v Value) Int() int64 { return int64(v.num) }

// Uint returns the value of kind Uint.
func (v Value) Uint() uint64 { return v.num }

// Float returns the value of kinds Float32 and Float64.
func (v Value) Float() float64 {
	if v.kind == Float32 {
		return float64(math.Float32frombits(uint32(v.num)))
	}
	return math.Float64frombits(v.num)
}

// Bytes returns the bytes of a value from kind Text on, nil for the others. They are valid as
// long as the batch is and must not be written to.
func (v Value) Bytes() []byte {
	if v.ptr == nil || v.kind < Text {
		return nil
	}
	return unsafe.Slice(v.ptr, int(v.num))
}

// View returns Bytes as a string without a copy: valid as long as the batch is.
func (v Value) View() string {
	if v.ptr == nil || v.kind < Text {
		return ""
	}
	return unsafe.String(v.ptr, int(v.num))
}

// Equal reports whether two values are the same in kind and content. NULL equals NULL, NaN itself.
func (v Value) Equal(o Value) bool {
	if v.kind != o.kind || v.num != o.num {
		return false
	}
	return v.kind < Text || v.View() == o.View()
}

// String returns the value for messages and tests: a copy, not meant for the data path.
func (v Value) String() string {
	switch v.kind {
	case Null, Absent:
		return v.kind.String()
	case Bool:
		return strconv.FormatBool(v.Bool())
	case Uint:
		return strconv.FormatUint(v.num, 10)
	case Float32:
		return strconv.FormatFloat(v.Float(), 'g', -1, 32)
	case Float64:
		return strconv.FormatFloat(v.Float(), 'g', -1, 64)
	case Date, Time, Timestamp, TimestampTZ:
		return string(AppendTemporal(nil, v))
	case Bytes:
		return strconv.Quote(string(v.Bytes()))
	}
	if v.kind >= Text {
		return string(v.Bytes())
	}
	return strconv.FormatInt(v.Int(), 10)
}
