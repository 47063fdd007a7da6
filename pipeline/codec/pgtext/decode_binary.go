package pgtext

import (
	"encoding/binary"
	"math"

	"github.com/pipe-cdc/pipe/pipeline"
)

// jsonbVersion is the byte that jsonb_send puts before the document's text.
const jsonbVersion = 1

// binaryFixed decodes the forms that fit a Value's number; ok is false where f is another form or
// src has not its length.
func binaryFixed(f form, src []byte) (v pipeline.Value, ok bool) {
	switch len(src) {
	case 8:
		return binary8(f, src)
	case 4:
		return binary4(f, src)
	case 2:
		if f == formInt2 {
			return pipeline.IntValue(int64(int16(binary.BigEndian.Uint16(src)))), true
		}
	case 1:
		if f == formBool && src[0] <= 1 {
			return pipeline.BoolValue(src[0] == 1), true
		}
	}
	return pipeline.Value{}, false
}

func binary8(f form, src []byte) (pipeline.Value, bool) {
	n := binary.BigEndian.Uint64(src)
	switch f {
	case formInt8:
		return pipeline.IntValue(int64(n)), true
	case formFloat8:
		f := math.Float64frombits(n)
		if f != f {
			return nan(pipeline.Float64), true
		}
		return pipeline.Float64Value(f), true
	case formTime:
		return pipeline.TimeValue(int64(n)), n <= microsPerDay
	case formTimestamp:
		return pipeline.TimestampValue(int64(n)), true // its infinities are ours
	case formTimestampTZ:
		return pipeline.TimestampTZValue(int64(n)), true
	}
	return pipeline.Value{}, false
}

func binary4(f form, src []byte) (pipeline.Value, bool) {
	n := binary.BigEndian.Uint32(src)
	switch f {
	case formInt4:
		return pipeline.IntValue(int64(int32(n))), true
	case formUint4:
		return pipeline.IntValue(int64(n)), true
	case formFloat4:
		f := math.Float32frombits(n)
		if f != f {
			return nan(pipeline.Float32), true
		}
		return pipeline.Float32Value(f), true
	case formDate:
		return pipeline.DateValue(dateDays(int32(n))), true
	}
	return pipeline.Value{}, false
}

// dateDays widens a date's infinities, which are the extremes of int32.
func dateDays(n int32) int64 {
	switch n {
	case math.MaxInt32:
		return pipeline.PosInfinity
	case math.MinInt32:
		return pipeline.NegInfinity
	}
	return int64(n)
}

// renderRoom estimates the bytes that the text of src needs.
func renderRoom(f form, src []byte) int {
	const little = 64
	switch f {
	case formBits:
		return 8*len(src) + little
	case formBytea, formNumeric, formArray, formRange, formMultirange:
		return 2*len(src) + little
	}
	return little
}
