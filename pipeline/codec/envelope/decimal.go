package envelope

import (
	"math/big"
	"math/bits"

	"github.com/pipe-cdc/pipe/pipeline"
)

// wideDigits is how many digits fit the 128 bits of the fast path.
const wideDigits = 38

// narrowDigits is how many digits fit an int64 whatever they are.
const narrowDigits = 18

// appendUnscaled appends the decimal text times 10^scale as a big-endian two's complement number of
// the fewest bytes.
func appendUnscaled(dst, text []byte, scale int) ([]byte, error) {
	n, ok := Unscaled(text, scale)
	if !ok {
		return appendWide(dst, text, scale)
	}
	for shift := 8 * (Width(n) - 1); shift >= 0; shift -= 8 {
		dst = append(dst, byte(n>>shift))
	}
	return dst, nil
}

// Unscaled returns the decimal text times 10^scale; ok is false where it may not fit an int64, and
// where text is no plain number.
func Unscaled(text []byte, scale int) (n int64, ok bool) {
	if len(text) > narrowDigits {
		return 0, false
	}
	i := 0
	if len(text) > 0 && text[0] == '-' {
		i = 1
	}
	digits, point := 0, -1
	for _, c := range text[i:] {
		if d := c - '0'; d <= 9 {
			n = n*10 + int64(d)
			digits++
			continue
		}
		if c != '.' || point >= 0 {
			return 0, false
		}
		point = digits
	}
	missing := scale
	if point >= 0 {
		missing -= digits - point
	}
	if missing < 0 || digits == 0 || digits+missing > narrowDigits {
		return 0, false
	}
	for ; missing > 0; missing-- {
		n *= 10
	}
	if i > 0 {
		n = -n
	}
	return n, true
}

// Width returns how many bytes hold n in two's complement.
func Width(n int64) int { return (bits.Len64(uint64(n^n>>63)) + 8) / 8 }

// appendWide is appendUnscaled for what does not fit 64 bits, and for what is no plain number.
func appendWide(dst, text []byte, scale int) ([]byte, error) {
	neg, digits, err := sign(text)
	if err != nil {
		return dst, err
	}
	var hi, lo uint64
	count, frac, point := 0, 0, false
	for _, c := range digits {
		if c == '.' && !point {
			point = true
			continue
		}
		if c < '0' || c > '9' {
			return dst, ErrSyntax
		}
		if point && frac == scale {
			if c != '0' {
				return dst, ErrRange
			}
			continue
		}
		if point {
			frac++
		}
		if count > 0 || c != '0' {
			count++
		}
		if count > wideDigits {
			return appendHuge(dst, digits, neg, scale)
		}
		hi, lo = shift10(hi, lo, uint64(c-'0'))
	}
	for ; frac < scale; frac++ {
		if count > 0 {
			count++
		}
		if count > wideDigits {
			return appendHuge(dst, digits, neg, scale)
		}
		hi, lo = shift10(hi, lo, 0)
	}
	return appendTwos(dst, hi, lo, neg), nil
}

// sign splits a number's sign from its digits, and tells apart what has none.
func sign(text []byte) (neg bool, digits []byte, err error) {
	digits = text
	if len(digits) > 0 && (digits[0] == '-' || digits[0] == '+') {
		neg, digits = digits[0] == '-', digits[1:]
	}
	if len(digits) == 0 {
		return neg, nil, ErrSyntax
	}
	if digits[0] == 'N' || digits[0] == 'I' {
		return neg, nil, ErrNaN
	}
	return neg, digits, nil
}

func shift10(hi, lo, digit uint64) (uint64, uint64) {
	carry, low := bits.Mul64(lo, 10)
	low, c := bits.Add64(low, digit, 0)
	return hi*10 + carry + c, low
}

// appendTwos appends a 128-bit magnitude with a sign; 10^38 < 2^127, so the sign bit is free.
func appendTwos(dst []byte, hi, lo uint64, neg bool) []byte {
	if neg {
		var borrow uint64
		lo, borrow = bits.Sub64(0, lo, 0)
		hi, _ = bits.Sub64(0, hi, borrow)
	}
	var buf [16]byte
	for i := range 8 {
		buf[i], buf[8+i] = byte(hi>>(56-8*i)), byte(lo>>(56-8*i))
	}
	i := 0
	for i < 15 && (buf[i] == 0 && buf[i+1] < 0x80 || buf[i] == 0xff && buf[i+1] >= 0x80) {
		i++
	}
	return append(dst, buf[i:]...)
}

// appendHuge is the slow path for more than 38 digits: it allocates.
func appendHuge(dst, digits []byte, neg bool, scale int) ([]byte, error) {
	whole := make([]byte, 0, len(digits)+scale)
	frac := -1
	for _, c := range digits {
		switch {
		case c == '.' && frac < 0:
			frac = 0
		case c < '0' || c > '9':
			return dst, ErrSyntax
		case frac == scale && c != '0':
			return dst, ErrRange
		case frac == scale:
		default:
			whole = append(whole, c)
			if frac >= 0 {
				frac++
			}
		}
	}
	for frac = max(frac, 0); frac < scale; frac++ {
		whole = append(whole, '0')
	}
	n, ok := new(big.Int).SetString(string(whole), 10)
	if !ok {
		return dst, ErrSyntax
	}
	return appendBig(dst, n, neg), nil
}

func appendBig(dst []byte, n *big.Int, neg bool) []byte {
	if !neg {
		if n.BitLen()%8 == 0 {
			dst = append(dst, 0)
		}
		return append(dst, n.Bytes()...)
	}
	size := n.BitLen()/8 + 1
	if n.TrailingZeroBits() == uint(n.BitLen()-1) && n.BitLen()%8 == 0 {
		size-- // exactly -2^(8k-1)
	}
	mod := new(big.Int).Lsh(big.NewInt(1), uint(8*size))
	return append(dst, mod.Sub(mod, n).Bytes()...)
}

// significantScale returns the number of decimals without trailing zeros.
func significantScale(text []byte) int {
	point := -1
	for i, c := range text {
		if c == '.' {
			point = i
		}
	}
	if point < 0 {
		return 0
	}
	end := len(text)
	for end > point+1 && text[end-1] == '0' {
		end--
	}
	return end - point - 1
}

// appendDecimalText appends the number as its source prints it; as Debezium where it is not one.
func (t *Type) appendDecimalText(dst []byte, v pipeline.Value) []byte {
	if t.Form == DecimalText {
		switch v.View() {
		case "NaN":
			return append(dst, "NAN"...)
		case "Infinity":
			return append(dst, "POSITIVE_INFINITY"...)
		case "-Infinity":
			return append(dst, "NEGATIVE_INFINITY"...)
		}
	}
	return append(dst, v.Bytes()...)
}

// appendMoney reads PostgreSQL's money text, "-$1,234.56": the locale's last sign that is not a digit
// is the decimal point where two digits follow it.
func appendMoney(dst []byte, s string, scale int) ([]byte, error) {
	var buf [48]byte
	out := buf[:0]
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case len(out) == cap(out)-1:
			return dst, ErrSyntax
		case (c == '-' || c == '(') && len(out) == 0:
			out = append(out, '-')
		case c >= '0' && c <= '9':
			out = append(out, c)
		case (c == '.' || c == ',') && i == len(s)-3:
			out = append(out, '.')
		}
	}
	return appendUnscaled(dst, out, scale)
}

// appendBits appends a text of '0' and '1' as little-endian bytes up to the highest bit set.
func appendBits(dst []byte, s string) ([]byte, error) {
	start := len(dst)
	for end := len(s); end > 0; end -= 8 {
		var b byte
		for _, c := range []byte(s[max(0, end-8):end]) {
			if c != '0' && c != '1' {
				return dst[:start], ErrSyntax
			}
			b = b<<1 | c - '0'
		}
		dst = append(dst, b)
	}
	for len(dst) > start && dst[len(dst)-1] == 0 {
		dst = dst[:len(dst)-1]
	}
	return dst, nil
}
