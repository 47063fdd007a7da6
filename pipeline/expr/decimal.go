package expr

import (
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
)

// decimal is decimal text taken apart; the strings alias the text.
type decimal struct {
	class decimalClass
	neg   bool   // false for zero
	whole string // digits before the point without leading zeros
	frac  string // digits after the point without trailing zeros
	scale int    // digits after the point as written
}

// decimalClass orders what is not comparable by digits, as PostgreSQL does.
type decimalClass int8

const (
	minusInfinity decimalClass = iota - 1
	finite
	plusInfinity
	notNumber
)

// parseDecimal takes text such as "-12.50" apart; false for what no database prints.
func parseDecimal(s string) (decimal, bool) {
	var d decimal
	if s != "" && (s[0] == '-' || s[0] == '+') {
		d.neg = s[0] == '-'
		s = s[1:]
	}
	i := digits(s)
	d.whole = strings.TrimLeft(s[:i], "0")
	if i == len(s) {
		d.neg = d.neg && d.whole != ""
		return d, i > 0
	}
	if s[i] != '.' {
		return special(s, d.neg)
	}
	d.frac = s[i+1:]
	d.scale = len(d.frac)
	if digits(d.frac) != len(d.frac) || i == 0 && d.frac == "" {
		return d, false
	}
	d.frac = strings.TrimRight(d.frac, "0")
	d.neg = d.neg && (d.whole != "" || d.frac != "")
	return d, true
}

func special(s string, neg bool) (decimal, bool) {
	switch {
	case s == "NaN" && !neg:
		return decimal{class: notNumber}, true
	case s == "Infinity" && neg:
		return decimal{class: minusInfinity, neg: true}, true
	case s == "Infinity":
		return decimal{class: plusInfinity}, true
	}
	return decimal{}, false
}

// digits returns the length of the run of digits that s begins with.
func digits(s string) int {
	i := 0
	for i < len(s) && s[i]-'0' <= 9 {
		i++
	}
	return i
}

// compare orders two decimals as PostgreSQL does: scale does not matter, NaN is the greatest.
func (d *decimal) compare(o *decimal) int {
	if d.class != o.class {
		return order(d.class, o.class)
	}
	if d.class != finite {
		return 0
	}
	if d.neg != o.neg {
		if d.neg {
			return -1
		}
		return 1
	}
	c := d.magnitude(o)
	if d.neg {
		return -c
	}
	return c
}

func (d *decimal) magnitude(o *decimal) int {
	if len(d.whole) != len(o.whole) {
		return order(len(d.whole), len(o.whole))
	}
	if d.whole != o.whole {
		return orderText(d.whole, o.whole)
	}
	return orderText(d.frac, o.frac)
}

// CompareDecimals orders two values of decimal text exactly, whatever their scale: -Infinity is the
// least, NaN the greatest and equal to itself. False where one is not decimal text.
func CompareDecimals(a, b string) (int, bool) {
	x, ok := parseDecimal(a)
	if !ok {
		return 0, false
	}
	y, ok := parseDecimal(b)
	return x.compare(&y), ok
}

// order compares two ordered values: -1, 0, 1.
func order[T int | int64 | uint64 | decimalClass](a, b T) int {
	if a < b {
		return -1
	}
	if a > b {
		return 1
	}
	return 0
}

// orderText orders by bytes. Unlike strings.Compare it lets its arguments stay on the stack.
func orderText(a, b string) int {
	if a < b {
		return -1
	}
	if a > b {
		return 1
	}
	return 0
}

// orderFloats orders floats as PostgreSQL does: NaN is equal to itself and the greatest.
func orderFloats(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	case a == b:
		return 0
	case a == a:
		return -1
	case b == b:
		return 1
	}
	return 0
}

// orderIntUint orders a signed against an unsigned integer.
func orderIntUint(a int64, b uint64) int {
	if a < 0 {
		return -1
	}
	return order(uint64(a), b)
}

// orderBools orders false before true.
func orderBools(a, b pipeline.Value) int {
	return order(a.Uint(), b.Uint())
}
