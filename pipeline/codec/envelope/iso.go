package envelope

import (
	"math"
	"strconv"

	"github.com/pipe-cdc/pipe/pipeline"
)

const dayMicros = 86_400_000_000

// appendISO appends a temporal value as ISO 8601: "2026-11-20T10:11:12.123456Z", "infinity",
// "+21016-01-02T00:00:00Z", "-0043-03-15".
func (t *Type) appendISO(dst []byte, v pipeline.Value) []byte {
	n := v.Int()
	if v.Kind() == pipeline.Time {
		return t.zone(appendClock(dst, n, t.Digits))
	}
	switch n {
	case pipeline.PosInfinity:
		return append(dst, "infinity"...)
	case pipeline.NegInfinity:
		return append(dst, "-infinity"...)
	}
	if v.Kind() == pipeline.Date {
		return t.zone(appendDate(dst, n))
	}
	days, rest := pipeline.SplitMicros(n)
	dst = append(appendDate(dst, days), 'T')
	return t.zone(appendClock(dst, rest, t.Digits))
}

func (t *Type) zone(dst []byte) []byte {
	if t.Zoned {
		return append(dst, 'Z')
	}
	return dst
}

func appendDate(dst []byte, days int64) []byte {
	year, month, day := pipeline.DateOf(days)
	switch {
	case year > 9999:
		dst = append(dst, '+')
	case year < 0:
		dst, year = append(dst, '-'), -year
	}
	dst = appendPadded(dst, year, 4)
	dst = appendPadded(append(dst, '-'), int64(month), 2)
	return appendPadded(append(dst, '-'), int64(day), 2)
}

// appendClock appends hh:mm:ss with so many decimals, or as many as needed where digits is negative.
// A time beyond a day or below zero (MariaDB's) keeps its hours and sign.
func appendClock(dst []byte, micros int64, digits int) []byte {
	if micros < 0 {
		dst, micros = append(dst, '-'), -micros
	}
	sec, frac := micros/1_000_000, micros%1_000_000
	dst = appendPadded(dst, sec/3600, 2)
	dst = appendPadded(append(dst, ':'), sec/60%60, 2)
	dst = appendPadded(append(dst, ':'), sec%60, 2)
	if digits == 0 || digits < 0 && frac == 0 {
		return dst
	}
	dst = appendPadded(append(dst, '.'), frac, 6)
	if digits > 0 {
		return dst[:len(dst)-6+min(digits, 6)]
	}
	for dst[len(dst)-1] == '0' {
		dst = dst[:len(dst)-1]
	}
	return dst
}

// appendPadded appends n >= 0 with at least width digits, two at a time for an even width.
func appendPadded(dst []byte, n int64, width int) []byte {
	switch {
	case width == 2 && n < 100:
		return append(dst, byte('0'+n/10), byte('0'+n%10))
	case width == 4 && n < 10_000:
		hi, lo := n/100, n%100
		return append(dst, byte('0'+hi/10), byte('0'+hi%10), byte('0'+lo/10), byte('0'+lo%10))
	case width == 6 && n < 1_000_000:
		return AppendSix(dst, uint64(n))
	}
	return strconv.AppendInt(dst, n, 10)
}

// appendZonedTime moves "10:11:12.5+02" to UTC: "08:11:12.5Z".
func appendZonedTime(dst []byte, s string) ([]byte, error) {
	cut := len(s)
	for i := 1; i < len(s); i++ {
		if s[i] == '+' || s[i] == '-' {
			cut = i
			break
		}
	}
	clock, ok := parseClock(s[:cut])
	if !ok {
		return dst, ErrSyntax
	}
	if cut < len(s) {
		offset, ok := parseClock(s[cut+1:])
		if !ok {
			return dst, ErrSyntax
		}
		if s[cut] == '+' {
			offset = -offset
		}
		clock = ((clock+offset)%dayMicros + dayMicros) % dayMicros
	}
	return append(appendClock(dst, clock, -1), 'Z'), nil
}

// parseClock reads hh[:mm[:ss[.ffffff]]] as microseconds.
func parseClock(s string) (int64, bool) {
	total, unit := int64(0), int64(3600*1_000_000)
	for len(s) > 0 && unit >= 1_000_000 {
		n, i := int64(0), 0
		for ; i < len(s) && s[i] >= '0' && s[i] <= '9' && i < 10; i++ {
			n = n*10 + int64(s[i]-'0')
		}
		if i == 0 || n > math.MaxInt64/unit {
			return 0, false
		}
		if total += n * unit; total < 0 {
			return 0, false
		}
		s = s[i:]
		if len(s) > 0 && s[0] == '.' && unit == 1_000_000 {
			frac, ok := parseFraction(s[1:])
			return total + frac, ok
		}
		if len(s) == 0 {
			return total, true
		}
		if s[0] != ':' {
			return 0, false
		}
		s, unit = s[1:], unit/60
	}
	return 0, false
}

func parseFraction(s string) (int64, bool) {
	n, unit := int64(0), int64(100_000)
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' || i == 6 {
			return 0, false
		}
		n += int64(s[i]-'0') * unit
		unit /= 10
	}
	return n, len(s) > 0
}

// interval is PostgreSQL's: months, days and microseconds, each with its own sign.
type interval struct{ months, days, micros int64 }

// parseInterval reads "1 year 2 mons -3 days +04:05:06.78".
func parseInterval(s string) (interval, error) {
	var iv interval
	for len(s) > 0 {
		var word, unit string
		word, s = cutSpace(s)
		neg := word != "" && word[0] == '-'
		if word != "" && (word[0] == '-' || word[0] == '+') {
			word = word[1:]
		}
		factor := int64(1)
		if neg {
			factor = -1
		}
		if len(word) > 2 && indexByte(word, ':') > 0 {
			clock, ok := parseClock(word)
			if !ok || s != "" {
				return iv, ErrSyntax
			}
			iv.micros = factor * clock
			return iv, nil
		}
		n, err := strconv.ParseInt(word, 10, 32)
		if err != nil {
			return iv, ErrSyntax
		}
		unit, s = cutSpace(s)
		switch unit {
		case "year", "years":
			iv.months += factor * n * 12
		case "mon", "mons":
			iv.months += factor * n
		case "day", "days":
			iv.days += factor * n
		default:
			return iv, ErrSyntax
		}
	}
	return iv, nil
}

func cutSpace(s string) (string, string) {
	if i := indexByte(s, ' '); i >= 0 {
		return s[:i], s[i+1:]
	}
	return s, ""
}

func indexByte(s string, c byte) int {
	for i := 0; i < len(s); i++ {
		if s[i] == c {
			return i
		}
	}
	return -1
}

// intervalMicros counts a month as 30.4375 days, as Debezium does.
func intervalMicros(s string) (int64, error) {
	iv, err := parseInterval(s)
	if err != nil {
		return 0, err
	}
	const month = dayMicros * 304375 / 10000
	sum := float64(iv.months)*month + float64(iv.days)*dayMicros + float64(iv.micros)
	if math.Abs(sum) > math.MaxInt64*0.999 {
		return 0, ErrRange
	}
	return iv.months*month + iv.days*dayMicros + iv.micros, nil
}

// appendISODuration writes all six fields: P1Y2M3DT4H5M6.78S.
func appendISODuration(dst []byte, s string) ([]byte, error) {
	iv, err := parseInterval(s)
	if err != nil {
		return dst, err
	}
	dst = strconv.AppendInt(append(dst, 'P'), iv.months/12, 10)
	dst = strconv.AppendInt(append(dst, 'Y'), iv.months%12, 10)
	dst = strconv.AppendInt(append(dst, 'M'), iv.days, 10)
	sec := iv.micros / 1_000_000
	dst = strconv.AppendInt(append(dst, 'D', 'T'), sec/3600, 10)
	dst = strconv.AppendInt(append(dst, 'H'), sec/60%60, 10)
	dst = append(dst, 'M')
	if iv.micros < 0 && sec%60 == 0 && iv.micros%1_000_000 != 0 {
		dst = append(dst, '-')
	}
	dst = strconv.AppendInt(dst, sec%60, 10)
	frac := iv.micros % 1_000_000
	if frac < 0 {
		frac = -frac
	}
	if frac == 0 {
		return append(dst, ".0S"...), nil
	}
	dst = appendPadded(append(dst, '.'), frac, 6)
	for dst[len(dst)-1] == '0' {
		dst = dst[:len(dst)-1]
	}
	return append(dst, 'S'), nil
}
