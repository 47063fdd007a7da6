package expr

import (
	"errors"
	"math"
	"math/big"
	"math/bits"
	"strconv"

	"github.com/pipe-cdc/pipe/pipeline"
)

// The errors of arithmetic, as a database would raise them.
var (
	errOverflow = errors.New("integer out of range")
	errZero     = errors.New("division by zero")
	errDecimal  = errors.New("not a decimal number")
)

// divisionScale is how many digits after the point the quotient of two decimals has at least.
const divisionScale = 20

// smallDigits is how many digits a coefficient may have to be computed in an int64.
const smallDigits = 18

// arithInt computes on int64 and reports what PostgreSQL would.
func arithInt(sign byte, a, b int64) (int64, error) {
	switch sign {
	case '+':
		if c := a + b; (c > a) == (b > 0) {
			return c, nil
		}
		return 0, errOverflow
	case '-':
		if c := a - b; (c < a) == (b > 0) {
			return c, nil
		}
		return 0, errOverflow
	case '*':
		return multiplyInt(a, b)
	}
	if b == 0 {
		return 0, errZero
	}
	if b == -1 {
		if sign == '%' {
			return 0, nil
		}
		return arithInt('-', 0, a)
	}
	if sign == '/' {
		return a / b, nil
	}
	return a % b, nil
}

func multiplyInt(a, b int64) (int64, error) {
	if a == 0 || b == 0 {
		return 0, nil
	}
	c := a * b
	if c/b != a || a == -1 && b == math.MinInt64 || b == -1 && a == math.MinInt64 {
		return 0, errOverflow
	}
	return c, nil
}

func arithFloat(sign byte, a, b float64) (float64, error) {
	switch sign {
	case '+':
		return a + b, nil
	case '-':
		return a - b, nil
	case '*':
		return a * b, nil
	}
	if b == 0 {
		return 0, errZero
	}
	if sign == '/' {
		return a / b, nil
	}
	return math.Mod(a, b), nil
}

// arithDecimal appends the exact result to dst. Only a quotient is rounded, half away from zero, to
// the larger of divisionScale and the operands' scales.
func arithDecimal(dst []byte, sign byte, a, b string) ([]byte, error) {
	x, ok := parseDecimal(a)
	if !ok {
		return dst, errDecimal
	}
	y, ok := parseDecimal(b)
	if !ok {
		return dst, errDecimal
	}
	if x.class != finite || y.class != finite {
		return arithSpecial(dst, sign, x, y)
	}
	if (sign == '/' || sign == '%') && y.whole == "" && y.frac == "" {
		return dst, errZero
	}
	if out, ok := arithSmall(dst, sign, &x, &y); ok {
		return out, nil
	}
	return arithBig(dst, sign, &x, &y), nil
}

// arithSmall computes in int64, the usual case; false where it might not fit.
func arithSmall(dst []byte, sign byte, x, y *decimal) ([]byte, bool) {
	scale := max(x.scale, y.scale)
	xs, ys := scale, scale
	if sign == '*' {
		scale, xs, ys = x.scale+y.scale, x.scale, y.scale
	}
	a, ok := x.small(xs)
	if !ok || sign == '/' {
		return dst, false
	}
	b, ok := y.small(ys)
	if !ok {
		return dst, false
	}
	if sign == '*' && !productFits(a, b) {
		return dst, false
	}
	c, err := arithInt(sign, a, b)
	return appendScaled(dst, c, scale), err == nil
}

func productFits(a, b int64) bool {
	hi, lo := bits.Mul64(uint64(max(a, -a)), uint64(max(b, -b)))
	return hi == 0 && lo <= math.MaxInt64
}

// small returns the number times 10^scale, where scale is at least its own.
func (d *decimal) small(scale int) (int64, bool) {
	if len(d.whole)+scale > smallDigits {
		return 0, false
	}
	var n int64
	for i := 0; i < len(d.whole); i++ {
		n = n*10 + int64(d.whole[i]-'0')
	}
	for i := 0; i < scale; i++ {
		n *= 10
		if i < len(d.frac) {
			n += int64(d.frac[i] - '0')
		}
	}
	if d.neg {
		n = -n
	}
	return n, true
}

// appendScaled appends n / 10^scale with scale digits after the point.
func appendScaled(dst []byte, n int64, scale int) []byte {
	if n < 0 {
		dst = append(dst, '-')
	}
	var buf [20]byte
	digits := strconv.AppendUint(buf[:0], uint64(max(n, -n)), 10)
	return appendPoint(dst, digits, scale)
}

// appendPoint appends digits with a point before the last scale of them.
func appendPoint(dst, digits []byte, scale int) []byte {
	if len(digits) <= scale {
		dst = append(dst, '0')
	} else {
		dst = append(dst, digits[:len(digits)-scale]...)
		digits = digits[len(digits)-scale:]
	}
	if scale == 0 {
		return dst
	}
	dst = append(dst, '.')
	for i := len(digits); i < scale; i++ {
		dst = append(dst, '0')
	}
	return append(dst, digits...)
}

// arithBig is the exact slow path: it allocates.
func arithBig(dst []byte, sign byte, x, y *decimal) []byte {
	scale := max(x.scale, y.scale)
	a, b, c := x.big(scale), y.big(scale), new(big.Int)
	switch sign {
	case '+':
		c.Add(a, b)
	case '-':
		c.Sub(a, b)
	case '%':
		c.Rem(a, b)
	case '*':
		scale = x.scale + y.scale
		c.Mul(x.big(x.scale), y.big(y.scale))
	case '/':
		scale = max(scale, divisionScale)
		c = quotient(a.Mul(a, pow10(scale)), b)
	}
	return appendBig(dst, c, scale)
}

// quotient divides and rounds half away from zero.
func quotient(a, b *big.Int) *big.Int {
	q, r := new(big.Int).QuoRem(a, b, new(big.Int))
	if r.Abs(r).Lsh(r, 1).CmpAbs(b) < 0 {
		return q
	}
	return q.Add(q, big.NewInt(int64(a.Sign()*b.Sign())))
}

func pow10(n int) *big.Int {
	return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil)
}

func (d *decimal) big(scale int) *big.Int {
	n, _ := new(big.Int).SetString("0"+d.whole+d.frac, 10)
	n.Mul(n, pow10(scale-len(d.frac)))
	if d.neg {
		n.Neg(n)
	}
	return n
}

func appendBig(dst []byte, n *big.Int, scale int) []byte {
	if n.Sign() < 0 {
		dst = append(dst, '-')
	}
	return appendPoint(dst, new(big.Int).Abs(n).Append(nil, 10), scale)
}

// arithSpecial computes with NaN and the infinities as PostgreSQL does.
func arithSpecial(dst []byte, sign byte, x, y decimal) ([]byte, error) {
	a, b := x.float(), y.float()
	if (sign == '/' || sign == '%') && b == 0 && x.class != notNumber {
		return dst, errZero
	}
	if sign == '/' && y.class != finite && x.class == finite && y.class != notNumber {
		return append(dst, '0'), nil
	}
	if sign == '%' && x.class == finite && y.class != notNumber {
		return arithDecimalIdentity(dst, x), nil
	}
	f, err := arithFloat(sign, a, b)
	switch {
	case err != nil || math.IsNaN(f):
		return append(dst, "NaN"...), nil
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...), nil
	}
	return append(dst, "Infinity"...), nil
}

func arithDecimalIdentity(dst []byte, x decimal) []byte {
	return appendBig(dst, x.big(x.scale), x.scale)
}

// float maps to a float that has the same class and sign: only for arithmetic with specials.
func (d *decimal) float() float64 {
	switch {
	case d.class == notNumber:
		return math.NaN()
	case d.class != finite:
		return math.Inf(int(d.class))
	case d.whole == "" && d.frac == "":
		return 0
	case d.neg:
		return -1
	}
	return 1
}

// roundDecimal appends d rounded to places digits after the point: mode 'r' half away from zero,
// 'f' down, 'c' up.
func roundDecimal(dst []byte, d *decimal, places int, mode byte) []byte {
	if d.scale <= places {
		scale := d.scale
		if mode == 'r' {
			scale = places
		}
		if n, ok := d.small(scale); ok {
			return appendScaled(dst, n, scale)
		}
		return appendBig(dst, d.big(scale), scale)
	}
	if n, ok := d.small(d.scale); ok && d.scale-places <= smallDigits {
		return appendScaled(dst, roundSmall(n, d.scale-places, mode), places)
	}
	unit := pow10(d.scale - places)
	n := d.big(d.scale)
	q, r := new(big.Int).QuoRem(n, unit, new(big.Int))
	switch {
	case mode == 'r':
		q = quotient(n, unit)
	case mode == 'f' && r.Sign() < 0:
		q.Sub(q, big.NewInt(1))
	case mode == 'c' && r.Sign() > 0:
		q.Add(q, big.NewInt(1))
	}
	return appendBig(dst, q, places)
}

// roundSmall divides by 10^drop.
func roundSmall(n int64, drop int, mode byte) int64 {
	unit := int64(1)
	for range drop {
		unit *= 10
	}
	q, r := n/unit, n%unit
	switch {
	case mode == 'f' && r < 0, mode == 'r' && r < 0 && -r >= unit-(-r):
		return q - 1
	case mode == 'c' && r > 0, mode == 'r' && r > 0 && r >= unit-r:
		return q + 1
	}
	return q
}

// decimalValue keeps b, which was appended to memory of the arena, as a Decimal.
func decimalValue(v *Vars, b []byte) pipeline.Value {
	return pipeline.BytesValue(pipeline.Decimal, v.arena.Keep(b))
}
