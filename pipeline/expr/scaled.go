package expr

// scaled is a constant decimal as an integer times a power of ten: what values of few digits, nearly
// all, are compared with in integers.
type scaled struct {
	n      int64
	scale  int
	digits int // of n, counting the zeros that scaling appended
	powers [smallDigits + 1]int64
}

// newScaled returns false for a constant that has too many digits, or is not finite.
func newScaled(d *decimal) (*scaled, bool) {
	if d.class != finite {
		return nil, false
	}
	n, ok := d.small(len(d.frac))
	if !ok {
		return nil, false
	}
	k := &scaled{n: n, scale: len(d.frac), digits: len(d.whole) + len(d.frac)}
	k.powers[0] = 1
	for i := 1; i < len(k.powers); i++ {
		k.powers[i] = k.powers[i-1] * 10
	}
	return k, true
}

// compare orders decimal text against the constant; false where the slow way must decide.
func (k *scaled) compare(s string) (int, bool) {
	neg := len(s) > 0 && s[0] == '-'
	if neg {
		s = s[1:]
	}
	if len(s) == 0 || len(s) > smallDigits {
		return 0, false
	}
	var n int64
	point := len(s) - 1 // without a point: no digits after it
	for i := 0; i < len(s); i++ {
		c := s[i] - '0'
		if c <= 9 {
			n = n*10 + int64(c)
			continue
		}
		if s[i] != '.' || point != len(s)-1 || i == 0 || i == len(s)-1 {
			return 0, false
		}
		point = i
	}
	if neg {
		n = -n
	}
	more := len(s) - 1 - point - k.scale // digits that the value has beyond the constant's
	if more >= 0 {
		if k.digits+more > smallDigits {
			return 0, false
		}
		return order(n, k.n*k.powers[more]), true
	}
	if len(s)-more > smallDigits {
		return 0, false
	}
	return order(n*k.powers[-more], k.n), true
}
