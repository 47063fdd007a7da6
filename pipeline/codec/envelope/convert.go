package envelope

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/pipe-cdc/pipe/pipeline"
)

// The errors of conversions, told apart by what to do about them.
var (
	ErrRange    = errors.New("value is out of the range of its type")
	ErrNaN      = errors.New("NaN and infinities have no exact form")
	ErrInfinity = errors.New("infinite date or timestamp has no form in this type")
	ErrUTF8     = errors.New("text is not valid UTF-8")
	ErrSyntax   = errors.New("value cannot be read as its type")
	ErrKind     = errors.New("value is not of its column's kind")
)

// PostgreSQL's infinities, as Debezium writes them in microseconds since 1970.
const (
	connectPosInfinity = 9223372036825200000
	connectNegInfinity = -9223372036832400000
)

// Long returns a value of a form whose Base is Int or Long.
func (t *Type) Long(v pipeline.Value) (int64, error) {
	if v.Kind() != t.Kind {
		return 0, mismatch(t.Kind, v)
	}
	switch t.Form {
	case Int64:
		return v.Int(), nil
	case Int32, Int16:
		n := v.Int()
		if n != int64(int32(n)) || t.Form == Int16 && n != int64(int16(n)) {
			return 0, ErrRange
		}
		return n, nil
	case Unsigned:
		if v.Uint() > math.MaxInt64 {
			return 0, ErrRange
		}
		return v.Int(), nil
	case Date:
		return t.days(v.Int())
	case TimeMillis:
		return v.Int() / 1000, nil
	case TimeMicros:
		return v.Int(), nil
	case Micros, Millis:
		return t.instant(v.Int())
	case Duration:
		return intervalMicros(v.View())
	}
	return 0, mismatch(t.Kind, v)
}

func (t *Type) days(n int64) (int64, error) {
	switch {
	case n == pipeline.PosInfinity && t.Logical == "":
		return math.MaxInt32, nil
	case n == pipeline.NegInfinity && t.Logical == "":
		return math.MinInt32, nil
	case n == pipeline.PosInfinity || n == pipeline.NegInfinity:
		return 0, ErrInfinity
	}
	if n += pipeline.EpochDays; n != int64(int32(n)) {
		return 0, ErrRange
	}
	return n, nil
}

func (t *Type) instant(n int64) (int64, error) {
	switch {
	case n == pipeline.PosInfinity && t.Logical == "":
		n = connectPosInfinity
	case n == pipeline.NegInfinity && t.Logical == "":
		n = connectNegInfinity
	case n == pipeline.PosInfinity || n == pipeline.NegInfinity:
		return 0, ErrInfinity
	case n > math.MaxInt64-pipeline.EpochMicros:
		if t.Form == Micros {
			return 0, ErrRange
		}
		return n/1000 + pipeline.EpochMicros/1000, nil
	default:
		n += pipeline.EpochMicros
	}
	if t.Form == Millis {
		return floorDiv(n, 1000), nil
	}
	return n, nil
}

// Bool returns a value of a form whose Base is Boolean.
func (t *Type) Bool(v pipeline.Value) (bool, error) {
	switch v.Kind() {
	case pipeline.Bool:
		return v.Bool(), nil
	case pipeline.Bits:
		return v.View() == "1", nil
	}
	return false, mismatch(t.Kind, v)
}

// Float returns a value of a form whose Base is Float or Double.
func (t *Type) Float(v pipeline.Value) (float64, error) {
	switch v.Kind() {
	case pipeline.Float32, pipeline.Float64:
		return v.Float(), nil
	case pipeline.Decimal:
		f, err := strconv.ParseFloat(v.View(), 64)
		if err != nil {
			return 0, ErrRange
		}
		return f, nil
	}
	return 0, mismatch(t.Kind, v)
}

// AppendText appends a value of a form whose Base is Str.
func (t *Type) AppendText(dst []byte, v pipeline.Value) ([]byte, error) {
	switch t.Form {
	case ISO:
		if v.Kind() != t.Kind {
			return dst, mismatch(t.Kind, v)
		}
		return t.appendISO(dst, v), nil
	case DecimalText, DecimalNumber:
		return t.appendDecimalText(dst, v), nil
	case ISODuration:
		return appendISODuration(dst, v.View())
	case ZonedTime:
		return appendZonedTime(dst, v.View())
	case Hstore:
		return appendHstore(dst, v.View())
	}
	if !v.Kind().HasBytes() {
		return appendScalar(dst, v)
	}
	if !utf8.Valid(v.Bytes()) {
		return dst, ErrUTF8
	}
	return append(dst, v.Bytes()...), nil
}

// appendScalar writes what a transform put into a text column without saying so.
func appendScalar(dst []byte, v pipeline.Value) ([]byte, error) {
	switch v.Kind() {
	case pipeline.Bool:
		return strconv.AppendBool(dst, v.Bool()), nil
	case pipeline.Int:
		return strconv.AppendInt(dst, v.Int(), 10), nil
	case pipeline.Uint:
		return strconv.AppendUint(dst, v.Uint(), 10), nil
	}
	return dst, mismatch(pipeline.Text, v)
}

// AppendBytes appends a value of a form whose Base is Blob.
func (t *Type) AppendBytes(dst []byte, v pipeline.Value) ([]byte, error) {
	if v.Kind() != t.Kind {
		return dst, mismatch(t.Kind, v)
	}
	switch t.Form {
	case Decimal:
		if v.Kind() == pipeline.Uint {
			var buf [24]byte
			return appendUnscaled(dst, strconv.AppendUint(buf[:0], v.Uint(), 10), 0)
		}
		return appendUnscaled(dst, v.Bytes(), t.Scale)
	case Money:
		return appendMoney(dst, v.View(), t.Scale)
	case Bits:
		return appendBits(dst, v.View())
	}
	return append(dst, v.Bytes()...), nil
}

// Parts returns the scale of a VarDecimal and appends its unscaled bytes.
func (t *Type) Parts(dst []byte, v pipeline.Value) (scale int, out []byte, err error) {
	if v.Kind() != t.Kind {
		return 0, dst, mismatch(t.Kind, v)
	}
	text := v.Bytes()
	scale = significantScale(text)
	out, err = appendUnscaled(dst, text, scale)
	return scale, out, err
}

func mismatch(want pipeline.Kind, v pipeline.Value) error {
	return fmt.Errorf("%w: want %s, have %s", ErrKind, want, v.Kind())
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
