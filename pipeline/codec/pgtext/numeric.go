package pgtext

import "encoding/binary"

// The signs of a numeric's binary form (numeric.c).
const (
	numericPositive = 0x0000
	numericNegative = 0x4000
	numericNaN      = 0xC000
	numericPosInf   = 0xD000
	numericNegInf   = 0xF000

	numericHeader = 8
	numericBase   = 10_000
)

// appendNumeric prints a numeric from its binary form as numeric_out does: number of base-10000
// digits, weight of the first, sign, decimals to show, digits.
func appendNumeric(dst, src []byte) ([]byte, bool) {
	if len(src) < numericHeader {
		return dst, false
	}
	n := int(binary.BigEndian.Uint16(src))
	weight := int(int16(binary.BigEndian.Uint16(src[2:])))
	scale := int(binary.BigEndian.Uint16(src[6:]))
	digits := src[numericHeader:]
	if len(digits) != 2*n {
		return dst, false
	}
	switch binary.BigEndian.Uint16(src[4:]) {
	case numericPositive:
	case numericNegative:
		dst = append(dst, '-')
	case numericNaN:
		return append(dst, "NaN"...), n == 0
	case numericPosInf:
		return append(dst, "Infinity"...), n == 0
	case numericNegInf:
		return append(dst, "-Infinity"...), n == 0
	default:
		return dst, false
	}
	dst, ok := appendWhole(dst, digits, weight)
	if !ok || scale == 0 {
		return dst, ok
	}
	return appendFraction(append(dst, '.'), digits, weight, scale)
}

// appendWhole appends the digits of weight 0 and more.
func appendWhole(dst, digits []byte, weight int) ([]byte, bool) {
	if weight < 0 {
		return append(dst, '0'), true
	}
	ok := true
	for i := 0; i <= weight; i++ {
		d := numericDigit(digits, i)
		ok = ok && d < numericBase
		if i == 0 {
			dst = appendSmall(dst, d)
			continue
		}
		dst = append(dst, '0'+byte(d/1000), '0'+byte(d/100%10), '0'+byte(d/10%10), '0'+byte(d%10))
	}
	return dst, ok
}

// appendFraction appends scale digits after the point.
func appendFraction(dst, digits []byte, weight, scale int) ([]byte, bool) {
	end, ok := len(dst)+scale, true
	for i := weight + 1; len(dst) < end; i++ {
		d := numericDigit(digits, i)
		ok = ok && d < numericBase
		dst = append(dst, '0'+byte(d/1000), '0'+byte(d/100%10), '0'+byte(d/10%10), '0'+byte(d%10))
	}
	return dst[:end], ok
}

// numericDigit returns digit i, 0 outside.
func numericDigit(digits []byte, i int) uint16 {
	if i < 0 || 2*i >= len(digits) {
		return 0
	}
	return binary.BigEndian.Uint16(digits[2*i:])
}

// appendSmall appends a number of up to four digits without leading zeros.
func appendSmall(dst []byte, d uint16) []byte {
	if d >= 1000 {
		dst = append(dst, '0'+byte(d/1000))
	}
	if d >= 100 {
		dst = append(dst, '0'+byte(d/100%10))
	}
	if d >= 10 {
		dst = append(dst, '0'+byte(d/10%10))
	}
	return append(dst, '0'+byte(d%10))
}
