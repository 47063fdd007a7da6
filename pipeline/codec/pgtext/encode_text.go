package pgtext

import (
	"math"
	"strconv"

	"github.com/pipe-cdc/pipe/pipeline"
)

// AppendText appends a value as PostgreSQL prints it (bytes in hex form). NULL and Absent append
// nothing.
func AppendText(dst []byte, v pipeline.Value) []byte {
	switch v.Kind() {
	case pipeline.Null, pipeline.Absent:
		return dst
	case pipeline.Bool:
		if v.Bool() {
			return append(dst, 't')
		}
		return append(dst, 'f')
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
		dst = append(dst, `\x`...)
		const digits = "0123456789abcdef"
		for _, b := range v.Bytes() {
			dst = append(dst, digits[b>>4], digits[b&15])
		}
		return dst
	}
	return append(dst, v.Bytes()...)
}

func appendFloat(dst []byte, f float64, size int) []byte {
	switch {
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	}
	return strconv.AppendFloat(dst, f, 'g', -1, size)
}
