package pgtext

import (
	"math"

	"github.com/pipe-cdc/pipe/pipeline"
)

const (
	microsPerSecond = 1_000_000
	microsPerDay    = 86_400 * microsPerSecond

	// The years that a date reaches (datatype/timestamp.h); a timestamp reaches as far as int64 does.
	lastDateYear = 5_874_897
	firstYear    = -4_713
)

// textTemporal reads what the output functions print under DateStyle ISO.
func textTemporal(k pipeline.Kind, src []byte) (pipeline.Value, bool) {
	if k == pipeline.Time {
		micros, rest, ok := clock(src)
		return pipeline.TimeValue(micros), ok && len(rest) == 0
	}
	switch string(src) {
	case "infinity":
		return temporal(k, pipeline.PosInfinity), true
	case "-infinity":
		return temporal(k, pipeline.NegInfinity), true
	}
	rest, bc := src, false
	if n := len(src) - len(" BC"); n > 0 && string(src[n:]) == " BC" {
		rest, bc = src[:n], true
	}
	days, rest, ok := calendar(rest, bc)
	if !ok {
		return pipeline.Value{}, false
	}
	if k == pipeline.Date {
		return pipeline.DateValue(days), len(rest) == 0
	}
	const farthest = math.MaxInt64/microsPerDay - 1
	if len(rest) == 0 || rest[0] != ' ' || days > farthest {
		return pipeline.Value{}, false
	}
	micros, rest, ok := clock(rest[1:])
	micros += days * microsPerDay
	if k == pipeline.TimestampTZ && ok {
		var east int64
		east, rest, ok = zone(rest)
		micros -= east * microsPerSecond
	}
	return temporal(k, micros), ok && len(rest) == 0
}

func temporal(k pipeline.Kind, n int64) pipeline.Value {
	switch k {
	case pipeline.Date:
		return pipeline.DateValue(n)
	case pipeline.Timestamp:
		return pipeline.TimestampValue(n)
	}
	return pipeline.TimestampTZValue(n)
}

// calendar reads year-month-day, the year with at least four digits, and returns days since 2000-01-01.
func calendar(src []byte, bc bool) (days int64, rest []byte, ok bool) {
	i := 0
	for i < len(src) && src[i] >= '0' && src[i] <= '9' {
		i++
	}
	const most = 7
	if i < 4 || i > most || len(src) < i+6 || src[i] != '-' || src[i+3] != '-' {
		return 0, nil, false
	}
	var year int64
	for _, c := range src[:i] {
		year = year*10 + int64(c-'0')
	}
	month, ok1 := two(src[i+1:])
	day, ok2 := two(src[i+4:])
	if bc {
		year = 1 - year
	}
	if !ok1 || !ok2 || year > lastDateYear || year < firstYear || !dayExists(year, month, day) {
		return 0, nil, false
	}
	return pipeline.DaysOf(year, int(month), int(day)), src[i+6:], true
}

func dayExists(year, month, day int64) bool {
	switch month {
	case 1, 3, 5, 7, 8, 10, 12:
		return day >= 1 && day <= 31
	case 4, 6, 9, 11:
		return day >= 1 && day <= 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return day >= 1 && day <= 29
		}
		return day >= 1 && day <= 28
	}
	return false
}

// clock reads hh:mm:ss with up to six decimals. Second 60 is the next minute's first, as
// PostgreSQL takes a leap second.
func clock(src []byte) (micros int64, rest []byte, ok bool) {
	if len(src) < 8 || src[2] != ':' || src[5] != ':' {
		return 0, nil, false
	}
	h, ok1 := two(src)
	m, ok2 := two(src[3:])
	s, ok3 := two(src[6:])
	if !ok1 || !ok2 || !ok3 || h > 24 || m > 59 || s > 60 {
		return 0, nil, false
	}
	micros, rest = (h*3600+m*60+s)*microsPerSecond, src[8:]
	if len(rest) == 0 || rest[0] != '.' {
		return micros, rest, micros <= microsPerDay
	}
	rest = rest[1:]
	digits := 0
	for unit := int64(microsPerSecond / 10); digits < len(rest) && rest[digits]-'0' <= 9; unit /= 10 {
		micros += int64(rest[digits]-'0') * unit
		digits++
	}
	return micros, rest[digits:], digits >= 1 && digits <= 6 && micros <= microsPerDay
}

// zone reads +hh, +hh:mm or +hh:mm:ss (local mean time has seconds) and returns seconds east of UTC.
func zone(src []byte) (east int64, rest []byte, ok bool) {
	if len(src) < 3 || src[0] != '+' && src[0] != '-' {
		return 0, nil, false
	}
	h, ok := two(src[1:])
	if !ok {
		return 0, nil, false
	}
	neg := src[0] == '-'
	east, rest = h*3600, src[3:]
	for unit := int64(60); unit > 0 && len(rest) >= 3 && rest[0] == ':'; unit /= 60 {
		part, ok := two(rest[1:])
		if !ok || part > 59 {
			return 0, nil, false
		}
		east, rest = east+part*unit, rest[3:]
	}
	if neg {
		east = -east
	}
	return east, rest, true
}

// two reads two digits.
func two(src []byte) (int64, bool) {
	if len(src) < 2 {
		return 0, false
	}
	a, b := src[0]-'0', src[1]-'0'
	return int64(a)*10 + int64(b), a <= 9 && b <= 9
}
