package pgtext

import (
	"bytes"

	"github.com/pipe-cdc/pipe/pipeline"
)

// common is the form of a column whose values are nearly all of one kind that needs no conversion, and
// are written by CopyReader without a call of the column's function.
type common uint8

const (
	commonNone common = iota
	commonWord        // eight bytes
	commonInt4
	commonInt2
	commonBool
	commonText // the value's own bytes
	commonDoc  // the same, after jsonb's version
)

// noKind is of no value.
const noKind pipeline.Kind = 0xff

// commonOf returns the form for a type, and the kind of the values that have it.
func commonOf(oid, elem uint32) (common, pipeline.Kind) {
	if elem != 0 {
		return commonNone, noKind
	}
	switch oid {
	case oidInt8:
		return commonWord, pipeline.Int
	case oidFloat8:
		return commonWord, pipeline.Float64
	case oidTime:
		return commonWord, pipeline.Time
	case oidTimestamp:
		return commonWord, pipeline.Timestamp
	case oidTimestampTZ:
		return commonWord, pipeline.TimestampTZ
	case oidInt4:
		return commonInt4, pipeline.Int
	case oidInt2:
		return commonInt2, pipeline.Int
	case oidBool:
		return commonBool, pipeline.Bool
	case oidText, oidVarchar, oidBpchar:
		return commonText, pipeline.Text
	case oidJSONB:
		return commonDoc, pipeline.JSON
	}
	return commonNone, noKind
}

// appendCommon appends a value of the column's common kind with its length; ok is false where it has to
// go the column's own way after all: out of range, with a NUL, or large.
func appendCommon(dst []byte, v pipeline.Value, form common) (_ []byte, ok bool) {
	n := v.Uint()
	switch form {
	case commonWord:
		return append(dst, 0, 0, 0, 8, byte(n>>56), byte(n>>48), byte(n>>40), byte(n>>32), byte(n>>24), byte(n>>16),
			byte(n>>8), byte(n)), true
	case commonInt4:
		return append(dst, 0, 0, 0, 4, byte(n>>24), byte(n>>16), byte(n>>8), byte(n)), int64(n) == int64(int32(n))
	case commonInt2:
		return append(dst, 0, 0, 0, 2, byte(n>>8), byte(n)), int64(n) == int64(int16(n))
	case commonBool:
		return append(dst, 0, 0, 0, 1, byte(n)), true
	}
	b := v.Bytes()
	if len(b) >= copyLarge || bytes.IndexByte(b, 0) >= 0 {
		return dst, false
	}
	n = uint64(len(b))
	if form == commonDoc {
		n++
		dst = append(dst, byte(n>>24), byte(n>>16), byte(n>>8), byte(n), 1)
	} else {
		dst = append(dst, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	return append(dst, b...), true
}
