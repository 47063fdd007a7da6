package expr

import (
	"encoding/hex"
	"math"
	"strconv"

	"github.com/pipe-cdc/pipe/pipeline"
)

// AppendText appends a value that is neither NULL nor Absent as PostgreSQL prints it when cast to
// text: booleans as true and false, bytes as \x and hexadecimal, times in UTC.
func AppendText(dst []byte, v pipeline.Value) []byte {
	switch v.Kind() {
	case pipeline.Bool:
		return strconv.AppendBool(dst, v.Bool())
	case pipeline.Int:
		return strconv.AppendInt(dst, v.Int(), 10)
	case pipeline.Uint:
		return strconv.AppendUint(dst, v.Uint(), 10)
	case pipeline.Float32:
		return appendFloat(dst, v.Float(), 32)
	case pipeline.Float64:
		return appendFloat(dst, v.Float(), 64)
	case pipeline.Date, pipeline.Time, pipeline.Timestamp, pipeline.TimestampTZ:
		return pipeline.AppendTemporal(dst, v)
	case pipeline.Bytes:
		return hex.AppendEncode(append(dst, `\x`...), v.Bytes())
	}
	return append(dst, v.View()...)
}

// appendFloat prints the shortest text that reads back, in PostgreSQL's form.
func appendFloat(dst []byte, f float64, bits int) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, "NaN"...)
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	}
	limit := 1e15
	if bits == 32 {
		limit = 1e6
	}
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= limit) {
		return strconv.AppendFloat(dst, f, 'e', -1, bits)
	}
	return strconv.AppendFloat(dst, f, 'f', -1, bits)
}
