package transforms

import (
	"encoding/hex"
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/expr"
)

// converter converts a value that is neither NULL nor Absent; false where that is not exact.
type converter func(*pipeline.Arena, pipeline.Value) (pipeline.Value, bool)

func (t *target) converter() converter {
	switch t.kind {
	case pipeline.Bool:
		return toBool
	case pipeline.Int:
		low, high := int64(-1)<<(t.bits-1), int64(1)<<(t.bits-1)-1
		return func(_ *pipeline.Arena, x pipeline.Value) (pipeline.Value, bool) {
			n, ok := expr.WholeNumber(x)
			return pipeline.IntValue(n), ok && n >= low && n <= high
		}
	case pipeline.Float32, pipeline.Float64:
		return toFloat(t.kind)
	case pipeline.Decimal:
		return toDecimal(t.precision, t.scale)
	case pipeline.Date, pipeline.Time, pipeline.Timestamp, pipeline.TimestampTZ:
		return toTemporal(t.kind)
	case pipeline.Bytes:
		return toBytes
	case pipeline.UUID:
		return toUUID
	case pipeline.JSON:
		return toJSON
	}
	return func(a *pipeline.Arena, x pipeline.Value) (pipeline.Value, bool) { return text(a, x), true }
}

func toBool(_ *pipeline.Arena, x pipeline.Value) (pipeline.Value, bool) {
	switch x.Kind() {
	case pipeline.Bool:
		return x, true
	case pipeline.Bytes:
		b := x.Bytes()
		return pipeline.BoolValue(len(b) == 1 && b[0] == 1), len(b) == 1 && b[0] <= 1
	case pipeline.Text, pipeline.Other:
		return boolText(x.View())
	}
	n, ok := expr.WholeNumber(x)
	return pipeline.BoolValue(n == 1), ok && (n == 0 || n == 1)
}

// boolText reads what PostgreSQL reads as boolean, without abbreviations but t, f, y and n.
func boolText(s string) (pipeline.Value, bool) {
	switch {
	case s == "1" || fold(s, "t") || fold(s, "true") || fold(s, "y") || fold(s, "yes") || fold(s, "on"):
		return pipeline.BoolValue(true), true
	case s == "0" || fold(s, "f") || fold(s, "false") || fold(s, "n") || fold(s, "no") || fold(s, "off"):
		return pipeline.BoolValue(false), true
	}
	return pipeline.NullValue, false
}

func fold(s, word string) bool { return strings.EqualFold(s, word) }

func toFloat(kind pipeline.Kind) converter {
	bits := 64
	if kind == pipeline.Float32 {
		bits = 32
	}
	return func(_ *pipeline.Arena, x pipeline.Value) (pipeline.Value, bool) {
		f, ok := floatOf(x, bits)
		if kind == pipeline.Float32 {
			return pipeline.Float32Value(float32(f)), ok
		}
		return pipeline.Float64Value(f), ok
	}
}

// floatOf takes integers and floats exactly, decimals and texts to the nearest.
func floatOf(x pipeline.Value, bits int) (float64, bool) {
	var f float64
	ok := true
	switch x.Kind() {
	case pipeline.Float32, pipeline.Float64:
		f = x.Float()
	case pipeline.Bool:
		f = float64(x.Uint())
	case pipeline.Int:
		f = float64(x.Int())
		ok = f < 1<<63 && int64(f) == x.Int()
	case pipeline.Uint:
		f = float64(x.Uint())
		ok = f < 1<<64 && uint64(f) == x.Uint()
	default:
		f, err := strconv.ParseFloat(x.View(), bits)
		return f, err == nil && !strings.ContainsAny(x.View(), "xX_pP")
	}
	if bits == 32 && f == f {
		ok = ok && float64(float32(f)) == f
	}
	return f, ok
}

func toDecimal(precision, scale int) converter {
	return func(a *pipeline.Arena, x pipeline.Value) (pipeline.Value, bool) {
		switch x.Kind() {
		case pipeline.Float32, pipeline.Float64:
			x = floatText(a, x)
		case pipeline.Bool:
			x = pipeline.IntValue(int64(x.Uint()))
		}
		if !x.Kind().HasBytes() {
			x = text(a, x)
		}
		return fitDecimal(a, x.View(), precision, scale)
	}
}

// floatText is the shortest decimal text that reads back as the float.
func floatText(a *pipeline.Arena, x pipeline.Value) pipeline.Value {
	f := x.Float()
	switch {
	case math.IsNaN(f):
		return pipeline.StringValue(pipeline.Text, "NaN")
	case math.IsInf(f, 1):
		return pipeline.StringValue(pipeline.Text, "Infinity")
	case math.IsInf(f, -1):
		return pipeline.StringValue(pipeline.Text, "-Infinity")
	}
	bits := 64
	if x.Kind() == pipeline.Float32 {
		bits = 32
	}
	return pipeline.BytesValue(pipeline.Text, a.Keep(strconv.AppendFloat(a.Grow(32), f, 'f', -1, bits)))
}

// fitDecimal checks decimal text against numeric(precision, scale) and pads it to scale.
func fitDecimal(a *pipeline.Arena, s string, precision, scale int) (pipeline.Value, bool) {
	if _, ok := expr.CompareDecimals(s, "0"); !ok {
		return pipeline.NullValue, false
	}
	if s == "NaN" || strings.HasSuffix(s, "Infinity") {
		return pipeline.StringValue(pipeline.Decimal, s), s == "NaN" || precision < 0
	}
	s = strings.TrimPrefix(s, "+")
	neg := strings.HasPrefix(s, "-")
	whole, frac, _ := strings.Cut(strings.TrimPrefix(s, "-"), ".")
	whole = strings.TrimLeft(whole, "0")
	if precision >= 0 {
		used := strings.TrimRight(frac, "0")
		if len(used) > scale || len(whole) > precision-scale {
			return pipeline.NullValue, false
		}
		frac = frac[:min(len(frac), scale)]
	} else {
		scale = len(frac)
	}
	out := a.Grow(len(s) + scale + 2)
	if neg && strings.Trim(whole+frac, "0") != "" {
		out = append(out, '-')
	}
	if whole == "" {
		out = append(out, '0')
	}
	out = append(out, whole...)
	if scale > 0 {
		out = append(append(out, '.'), frac...)
	}
	for range scale - len(frac) {
		out = append(out, '0')
	}
	return pipeline.BytesValue(pipeline.Decimal, a.Keep(out)), true
}

const dayMicros = int64(86_400_000_000)

// toTemporal converts between dates and timestamps; a timestamp without a zone is in UTC.
func toTemporal(kind pipeline.Kind) converter {
	return func(_ *pipeline.Arena, x pipeline.Value) (pipeline.Value, bool) {
		switch x.Kind() {
		case kind:
			return x, true
		case pipeline.Text, pipeline.Other:
			return expr.ParseTemporal(kind, x.View())
		case pipeline.Date, pipeline.Timestamp, pipeline.TimestampTZ:
			return temporal(kind, x)
		}
		return pipeline.NullValue, false
	}
}

func temporal(kind pipeline.Kind, x pipeline.Value) (pipeline.Value, bool) {
	n, ok := x.Int(), true
	endless := n == pipeline.PosInfinity || n == pipeline.NegInfinity
	switch {
	case endless || kind != pipeline.Date && x.Kind() != pipeline.Date:
	case kind == pipeline.Date:
		ok = n%dayMicros == 0
		n /= dayMicros
	default:
		ok = n*dayMicros/dayMicros == n
		n *= dayMicros
	}
	switch kind {
	case pipeline.Date:
		return pipeline.DateValue(n), ok
	case pipeline.Timestamp:
		return pipeline.TimestampValue(n), ok
	case pipeline.TimestampTZ:
		return pipeline.TimestampTZValue(n), ok
	}
	return pipeline.NullValue, false
}

func toBytes(a *pipeline.Arena, x pipeline.Value) (pipeline.Value, bool) {
	switch x.Kind() {
	case pipeline.Bytes:
		return x, true
	case pipeline.Text, pipeline.JSON:
		return pipeline.BytesValue(pipeline.Bytes, x.Bytes()), true
	case pipeline.Bits:
		return packBits(a, x.View())
	}
	return pipeline.NullValue, false
}

// packBits packs whole bytes, the most significant bit first.
func packBits(a *pipeline.Arena, s string) (pipeline.Value, bool) {
	if len(s)%8 != 0 {
		return pipeline.NullValue, false
	}
	out := a.Alloc(len(s) / 8)
	clear(out)
	for i := range len(s) {
		out[i/8] = out[i/8]<<1 | (s[i] - '0')
	}
	return pipeline.BytesValue(pipeline.Bytes, out), true
}

func toUUID(a *pipeline.Arena, x pipeline.Value) (pipeline.Value, bool) {
	switch x.Kind() {
	case pipeline.UUID:
		return x, true
	case pipeline.Bytes:
		if len(x.Bytes()) != 16 {
			return pipeline.NullValue, false
		}
		return formatUUID(a, x.Bytes()), true
	case pipeline.Text, pipeline.Other:
		var raw [16]byte
		if !parseUUID(&raw, x.View()) {
			return pipeline.NullValue, false
		}
		return formatUUID(a, raw[:]), true
	}
	return pipeline.NullValue, false
}

// parseUUID reads 32 hexadecimal digits with hyphens at their places or without.
func parseUUID(dst *[16]byte, s string) bool {
	var digits [32]byte
	n := 0
	for i := range len(s) {
		if s[i] == '-' && len(s) == 36 && (i == 8 || i == 13 || i == 18 || i == 23) {
			continue
		}
		if n == len(digits) {
			return false
		}
		digits[n] = s[i]
		n++
	}
	_, err := hex.Decode(dst[:], digits[:n])
	return err == nil && n == len(digits)
}

func formatUUID(a *pipeline.Arena, raw []byte) pipeline.Value {
	out := a.Alloc(36)
	hex.Encode(out[0:8], raw[0:4])
	hex.Encode(out[9:13], raw[4:6])
	hex.Encode(out[14:18], raw[6:8])
	hex.Encode(out[19:23], raw[8:10])
	hex.Encode(out[24:36], raw[10:16])
	out[8], out[13], out[18], out[23] = '-', '-', '-', '-'
	return pipeline.BytesValue(pipeline.UUID, out)
}

// toJSON takes JSON text as it is, and numbers and booleans as JSON writes them.
func toJSON(a *pipeline.Arena, x pipeline.Value) (pipeline.Value, bool) {
	switch x.Kind() {
	case pipeline.JSON:
		return x, true
	case pipeline.Text, pipeline.Other, pipeline.Decimal, pipeline.Bool, pipeline.Int, pipeline.Uint,
		pipeline.Float32, pipeline.Float64:
		out := text(a, x)
		return pipeline.BytesValue(pipeline.JSON, out.Bytes()), json.Valid(out.Bytes())
	}
	return pipeline.NullValue, false
}
