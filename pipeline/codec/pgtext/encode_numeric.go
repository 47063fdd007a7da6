package pgtext

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strconv"

	"github.com/pipe-cdc/pipe/pipeline"
)

// The limits of a numeric (src/backend/utils/adt/numeric.c).
const (
	numericScale   = 16383  // digits after the point
	numericWhole   = 131072 // digits before it
	digitsPerGroup = 4      // decimal digits in one digit of base 10000
	maxInt64Text   = 20     // characters of the longest 64-bit integer
)

var errNotDecimal = errors.New("not a decimal number")

func encodeNumeric(dst []byte, v pipeline.Value, _ *encodeColumn) ([]byte, error) {
	var buf [maxInt64Text]byte
	switch v.Kind() {
	case pipeline.Decimal:
		return encodeDecimal(dst, v.Bytes())
	case pipeline.Int:
		return encodeDecimal(dst, strconv.AppendInt(buf[:0], v.Int(), 10))
	case pipeline.Uint:
		return encodeDecimal(dst, strconv.AppendUint(buf[:0], v.Uint(), 10))
	}
	return dst, mismatch(v, "numeric")
}

// encodeDecimal appends the binary numeric of a decimal text without an exponent; its scale is kept.
func encodeDecimal(dst, s []byte) ([]byte, error) {
	switch string(s) {
	case "NaN":
		return appendNumericHead(dst, 0, 0, numericNaN, 0), nil
	case "Infinity":
		return appendNumericHead(dst, 0, 0, numericPosInf, 0), nil
	case "-Infinity":
		return appendNumericHead(dst, 0, 0, numericNegInf, 0), nil
	}
	sign := 0
	if len(s) > 0 && (s[0] == '-' || s[0] == '+') {
		if s[0] == '-' {
			sign = numericNegative
		}
		s = s[1:]
	}
	whole, frac := s, []byte(nil)
	if i := bytes.IndexByte(s, '.'); i >= 0 {
		whole, frac = s[:i], s[i+1:]
	}
	if len(whole)+len(frac) == 0 || !allDigits(whole) || !allDigits(frac) {
		return dst, errNotDecimal
	}
	whole = bytes.TrimLeft(whole, "0")
	if len(whole) > numericWhole || len(frac) > numericScale {
		return dst, errors.New("the number has more digits than numeric can hold")
	}
	return appendDigitGroups(dst, whole, frac, sign), nil
}

// appendDigitGroups writes the digits in groups of four aligned at the decimal point, without
// groups of zeros at either end.
func appendDigitGroups(dst, whole, frac []byte, sign int) []byte {
	at := len(dst)
	dst = appendNumericHead(dst, 0, 0, 0, 0)
	first := (len(whole) + digitsPerGroup - 1) / digitsPerGroup // groups before the point
	last := (len(frac) + digitsPerGroup - 1) / digitsPerGroup   // after it
	weight, n, keep := 0, 0, 0
	for g := -first; g < last; g++ {
		d := group(whole, frac, g)
		if n == 0 && d == 0 {
			continue
		}
		if n == 0 {
			weight = -g - 1
		}
		n++
		if d != 0 {
			keep = n
		}
		dst = binary.BigEndian.AppendUint16(dst, d)
	}
	if keep == 0 {
		sign = 0
	}
	dst = dst[:at+numericHeader+2*keep]
	appendNumericHead(dst[:at], keep, weight, sign, len(frac))
	return dst
}

// group returns the four digits of group g: -1 is the last before the point, 0 the first after it.
func group(whole, frac []byte, g int) (d uint16) {
	for i := range digitsPerGroup {
		d *= 10
		if g < 0 {
			if p := len(whole) + g*digitsPerGroup + i; p >= 0 {
				d += uint16(whole[p] - '0')
			}
			continue
		}
		if p := g*digitsPerGroup + i; p < len(frac) {
			d += uint16(frac[p] - '0')
		}
	}
	return d
}

func appendNumericHead(dst []byte, digits, weight, sign, scale int) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(digits))
	dst = binary.BigEndian.AppendUint16(dst, uint16(weight))
	dst = binary.BigEndian.AppendUint16(dst, uint16(sign))
	return binary.BigEndian.AppendUint16(dst, uint16(scale))
}

func allDigits(s []byte) bool {
	for _, c := range s {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
