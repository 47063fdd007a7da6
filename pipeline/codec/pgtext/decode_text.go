package pgtext

import (
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"unsafe"

	"github.com/pipe-cdc/pipe/pipeline"
)

func textBool(src []byte) (pipeline.Value, bool) {
	if len(src) != 1 || src[0] != 't' && src[0] != 'f' {
		return pipeline.Value{}, false
	}
	return pipeline.BoolValue(src[0] == 't'), true
}

// textInt reads an optional minus and decimal digits.
func textInt(src []byte) (pipeline.Value, bool) {
	digits, neg := src, false
	if len(src) > 0 && src[0] == '-' {
		digits, neg = src[1:], true
	}
	const most = 19 // digits of an int64
	if len(digits) == 0 || len(digits) > most {
		return pipeline.Value{}, false
	}
	var n uint64
	for _, c := range digits {
		if c -= '0'; c > 9 {
			return pipeline.Value{}, false
		}
		n = n*10 + uint64(c)
	}
	if neg {
		return pipeline.IntValue(-int64(n)), n <= 1<<63
	}
	return pipeline.IntValue(int64(n)), n < 1<<63
}

// textFloat reads what float4out and float8out print. The characters are looked at first since
// strconv takes more than PostgreSQL prints (hexadecimal, "inf", underscores).
func textFloat(k pipeline.Kind, src []byte) (pipeline.Value, bool) {
	if len(src) == 0 || !floatChars(src) {
		return pipeline.Value{}, false
	}
	if src[0] == 'N' {
		return nan(k), true
	}
	s := unsafe.String(unsafe.SliceData(src), len(src)) // does not outlive the call
	if k == pipeline.Float32 {
		f, err := strconv.ParseFloat(s, 32)
		return pipeline.Float32Value(float32(f)), err == nil
	}
	f, err := strconv.ParseFloat(s, 64)
	return pipeline.Float64Value(f), err == nil
}

// The one NaN of each width, PostgreSQL's own, so that NaN equals NaN whichever way it came.
const (
	nan32 = 0x7FC0_0000
	nan64 = 0x7FF8_0000_0000_0000
)

func nan(k pipeline.Kind) pipeline.Value {
	if k == pipeline.Float32 {
		return pipeline.Float32Value(math.Float32frombits(nan32))
	}
	return pipeline.Float64Value(math.Float64frombits(nan64))
}

func floatChars(src []byte) bool {
	switch string(src) {
	case "NaN", "Infinity", "-Infinity":
		return true
	}
	for _, c := range src {
		if (c < '0' || c > '9') && c != '-' && c != '+' && c != '.' && c != 'e' {
			return false
		}
	}
	return true
}

// textBytea decodes the hex form. The escape form is refused: a value that begins with \x in it
// could not be told from the hex form.
func textBytea(a *pipeline.Arena, c *pipeline.Column, src []byte) (pipeline.Value, error) {
	if len(src) < 2 || src[0] != '\\' || src[1] != 'x' {
		const show = 16
		return pipeline.Value{}, fmt.Errorf("column %s: bytea begins with %q, not with \\x: "+
			"bytea_output is not hex on this connection", c.Name, src[:min(len(src), show)])
	}
	out := a.Alloc(hex.DecodedLen(len(src) - 2))
	if _, err := hex.Decode(out, src[2:]); err != nil {
		return pipeline.Value{}, fmt.Errorf("column %s: bytea: %w", c.Name, err)
	}
	return pipeline.BytesValue(pipeline.Bytes, out), nil
}

// textShape reports whether src looks as the text of a kind that stays text must.
func textShape(k pipeline.Kind, src []byte) bool {
	switch k {
	case pipeline.Decimal:
		return decimalShape(src)
	case pipeline.UUID:
		return uuidShape(src)
	case pipeline.Bits:
		for _, c := range src {
			if c != '0' && c != '1' {
				return false
			}
		}
		return true
	case pipeline.Array:
		return len(src) > 1 && (src[0] == '{' || src[0] == '[') && src[len(src)-1] == '}'
	case pipeline.Interval:
		return len(src) > 0 && src[0] != 'P' && src[0] != '@' // ISO 8601 and verbose style
	}
	return false
}

func decimalShape(src []byte) bool {
	switch string(src) {
	case "NaN", "Infinity", "-Infinity":
		return true
	}
	if len(src) > 0 && src[0] == '-' {
		src = src[1:]
	}
	digits, points := 0, 0
	for _, c := range src {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c == '.' && points == 0 && digits > 0:
			points++
		default:
			return false
		}
	}
	return digits > 0 && src[len(src)-1] != '.'
}

func uuidShape(src []byte) bool {
	if len(src) != 36 {
		return false
	}
	for i, c := range src {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return false
			}
			continue
		}
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
