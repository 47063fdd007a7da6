package binlog

import (
	"math"

	"github.com/pipe-cdc/pipe/pipeline"
)

// maxDigits is the most digits of a decimal.
const maxDigits = 65

// digitsPerWord is how many digits four bytes of a decimal hold.
const digitsPerWord = 9

// digitBytes is the size of fewer digits than a word's.
func digitBytes(n int) int { return [...]int{0, 1, 1, 2, 2, 3, 3, 4, 4, 4}[n] }

// decimalSize is the size of a decimal (MariaDB Server, strings/decimal.c, decimal2bin).
func decimalSize(precision, scale int) int {
	whole := precision - scale
	return whole/digitsPerWord*4 + digitBytes(whole%digitsPerWord) + scale/digitsPerWord*4 + digitBytes(scale%digitsPerWord)
}

// decimal renders a decimal as the server prints it: words of nine digits, the highest bit inverted,
// and every bit of a negative one.
func decimal(a *pipeline.Arena, p []byte, precision, scale int) (pipeline.Value, error) {
	var b [32]byte
	n := copy(b[:], p)
	negative := n > 0 && b[0]&0x80 == 0
	if b[0] ^= 0x80; negative {
		for i := range b[:n] {
			b[i] = ^b[i]
		}
	}
	whole := precision - scale
	out := a.Grow(precision + 3)
	if negative {
		out = append(out, '-')
	}
	rest := b[:n]
	start := len(out)
	out, rest = appendWord(out, rest, whole%digitsPerWord)
	for range whole / digitsPerWord {
		out, rest = appendWord(out, rest, digitsPerWord)
	}
	out = trimZeros(out, start)
	if scale > 0 {
		out = append(out, '.')
	}
	for range scale / digitsPerWord {
		out, rest = appendWord(out, rest, digitsPerWord)
	}
	out, _ = appendWord(out, rest, scale%digitsPerWord)
	return pipeline.BytesValue(pipeline.Decimal, a.Keep(out)), nil
}

// appendWord appends n digits; a word that holds more than n digits can say has the excess dropped,
// which no server writes.
func appendWord(dst, p []byte, n int) (out, rest []byte) {
	if n == 0 {
		return dst, p
	}
	size := digitBytes(n)
	word := bigUint(p[:size]) % uint64(math.Pow10(n))
	dst = append(dst, "000000000"[:n]...)
	for i := len(dst) - 1; i >= len(dst)-n; i-- {
		dst[i] = '0' + byte(word%10)
		word /= 10
	}
	return dst, p[size:]
}

// trimZeros takes zeros off the front of out[start:], leaving one digit.
func trimZeros(out []byte, start int) []byte {
	i := start
	for i < len(out)-1 && out[i] == '0' {
		i++
	}
	if i == len(out) {
		return append(out, '0')
	}
	return append(out[:start], out[i:]...)
}
