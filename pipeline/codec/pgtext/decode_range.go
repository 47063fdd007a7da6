package pgtext

import "encoding/binary"

// The flags of a range's binary form (rangetypes.h).
const (
	rangeEmpty    = 1 << 0
	rangeLowerInc = 1 << 1
	rangeUpperInc = 1 << 2
	rangeLowerInf = 1 << 3
	rangeUpperInf = 1 << 4
)

// span: flags, then the bounds that are there, each with its length. Printed as range_out does.
func (p printer) span(dst []byte, sub uint32, src []byte) ([]byte, bool) {
	if len(src) < 1 {
		return dst, false
	}
	flags, rest := src[0], src[1:]
	if flags&rangeEmpty != 0 {
		return append(dst, "empty"...), flags == rangeEmpty && len(rest) == 0
	}
	open, closing := byte('('), byte(')')
	if flags&rangeLowerInc != 0 {
		open = '['
	}
	if flags&rangeUpperInc != 0 {
		closing = ']'
	}
	dst, ok := append(dst, open), true
	if flags&rangeLowerInf == 0 {
		dst, rest, ok = p.bound(dst, sub, rest)
	}
	dst = append(dst, ',')
	if ok && flags&rangeUpperInf == 0 {
		dst, rest, ok = p.bound(dst, sub, rest)
	}
	return append(dst, closing), ok && len(rest) == 0
}

func (p printer) bound(dst []byte, sub uint32, src []byte) (out, rest []byte, ok bool) {
	value, null, rest, ok := lengthPrefixed(src)
	if !ok || null {
		return dst, nil, false
	}
	at := len(dst)
	dst, ok = p.scalar(dst, formOfType(0, sub), value)
	if ok && rangeQuotes(dst[at:]) {
		dst = quoteFrom(dst, at, escapeDouble)
	}
	return dst, rest, ok
}

// rangeQuotes reports whether range_out puts a bound in quotes.
func rangeQuotes(text []byte) bool {
	for _, c := range text {
		switch c {
		case '"', '\\', '(', ')', '[', ']', ',':
			return true
		}
		if isSpace(c) {
			return true
		}
	}
	return len(text) == 0
}

// multirange: the number of ranges, then each with its length.
func (p printer) multirange(dst []byte, rng uint32, src []byte) ([]byte, bool) {
	if len(src) < 4 {
		return dst, false
	}
	sub, _ := rangeOf(rng)
	n, rest := binary.BigEndian.Uint32(src), src[4:]
	dst = append(dst, '{')
	for i := uint32(0); i < n; i++ {
		value, null, after, ok := lengthPrefixed(rest)
		if !ok || null {
			return dst, false
		}
		if rest = after; i > 0 {
			dst = append(dst, ',')
		}
		if dst, ok = p.span(dst, sub, value); !ok {
			return dst, false
		}
	}
	return append(dst, '}'), len(rest) == 0
}
