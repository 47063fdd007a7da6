package pgtext

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"

	"github.com/pipe-cdc/pipe/pipeline"
)

var errNotInterval = errors.New("not an interval in IntervalStyle postgres")

func encodeInterval(dst []byte, v pipeline.Value, _ *encodeColumn) ([]byte, error) {
	if v.Kind() != pipeline.Interval {
		return dst, mismatch(v, "interval")
	}
	iv, ok := parseInterval(v.Bytes())
	if !ok {
		return dst, errNotInterval
	}
	dst = binary.BigEndian.AppendUint64(dst, uint64(iv.micros))
	dst = binary.BigEndian.AppendUint32(dst, uint32(iv.days))
	return binary.BigEndian.AppendUint32(dst, uint32(iv.months)), nil
}

type interval struct{ micros, days, months int64 }

// parseInterval reads "1 year 2 mons -3 days +04:05:06.789" (and PostgreSQL 17's "infinity").
func parseInterval(s []byte) (iv interval, ok bool) {
	switch string(s) {
	case "infinity":
		return interval{math.MaxInt64, math.MaxInt32, math.MaxInt32}, true
	case "-infinity":
		return interval{math.MinInt64, math.MinInt32, math.MinInt32}, true
	}
	if len(s) == 0 {
		return iv, false
	}
	for len(s) > 0 {
		var word, unit []byte
		word, s = nextWord(s)
		if bytes.IndexByte(word, ':') >= 0 {
			iv.micros, ok = parseClock(word)
			return iv, ok && len(s) == 0
		}
		n, isInt := textInt(bytes.TrimPrefix(word, []byte("+")))
		unit, s = nextWord(s)
		if !isInt || !iv.add(n.Int(), unit) {
			return iv, false
		}
	}
	return iv, iv.days == int64(int32(iv.days)) && iv.months == int64(int32(iv.months))
}

func (iv *interval) add(n int64, unit []byte) bool {
	if n > math.MaxInt32 || n < math.MinInt32 {
		return false
	}
	switch string(bytes.TrimSuffix(unit, []byte("s"))) {
	case "year":
		iv.months += 12 * n
	case "mon":
		iv.months += n
	case "day":
		iv.days += n
	default:
		return false
	}
	return iv.days == int64(int32(iv.days)) && iv.months == int64(int32(iv.months))
}

func nextWord(s []byte) (word, rest []byte) {
	if i := bytes.IndexByte(s, ' '); i >= 0 {
		return s[:i], s[i+1:]
	}
	return s, nil
}

// parseClock reads [+-]h+:mm:ss[.ffffff]. It sums up negatively, as the least value has no negation.
func parseClock(s []byte) (micros int64, ok bool) {
	negative := s[0] == '-'
	if negative || s[0] == '+' {
		s = s[1:]
	}
	parts := [3][]byte{}
	for i := range 2 {
		c := bytes.IndexByte(s, ':')
		if c <= 0 {
			return 0, false
		}
		parts[i], s = s[:c], s[c+1:]
	}
	parts[2] = s
	var frac []byte
	if i := bytes.IndexByte(s, '.'); i >= 0 {
		parts[2], frac = s[:i], s[i+1:]
	}
	if len(parts[1]) != 2 || len(parts[2]) != 2 || len(frac) > 6 || len(parts[0]) > 10 || !allDigits(frac) {
		return 0, false
	}
	for i, unit := range [3]int64{3_600_000_000, 60_000_000, 1_000_000} {
		if !allDigits(parts[i]) {
			return 0, false
		}
		var n int64
		for _, c := range parts[i] {
			n = n*10 + int64(c-'0')
		}
		if n > math.MaxInt64/unit || micros < math.MinInt64+n*unit {
			return 0, false
		}
		micros -= n * unit
	}
	for i := range 6 {
		if i < len(frac) {
			micros -= int64(frac[i]-'0') * pow10(5-i)
		}
	}
	if negative {
		return micros, micros <= 0
	}
	return -micros, micros > math.MinInt64
}

func pow10(n int) int64 {
	p := int64(1)
	for range n {
		p *= 10
	}
	return p
}
