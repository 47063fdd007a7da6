package expr

import (
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
)

const (
	secondMicros = int64(1_000_000)
	dayMicros    = 86_400 * secondMicros
)

// ParseTemporal reads text as a Date, Time, Timestamp or TimestampTZ in the ISO forms that databases
// print, years 1 to 9999; a TimestampTZ without a zone is in UTC. False for anything else.
func ParseTemporal(k pipeline.Kind, s string) (pipeline.Value, bool) {
	switch k {
	case pipeline.Date:
		return parseDate(s)
	case pipeline.Time:
		return parseTime(s)
	case pipeline.Timestamp:
		return parseTimestamp(s)
	case pipeline.TimestampTZ:
		return parseTimestampTZ(s)
	}
	return pipeline.NullValue, false
}

// infinite reads "infinity" and "-infinity".
func infinite(s string) (int64, bool) {
	switch s {
	case "infinity":
		return pipeline.PosInfinity, true
	case "-infinity":
		return pipeline.NegInfinity, true
	}
	return 0, false
}

func parseDate(s string) (pipeline.Value, bool) {
	if n, ok := infinite(s); ok {
		return pipeline.DateValue(n), true
	}
	days, rest, ok := cutDate(s)
	return pipeline.DateValue(days), ok && rest == ""
}

func parseTime(s string) (pipeline.Value, bool) {
	micros, rest, ok := cutClock(s)
	return pipeline.TimeValue(micros), ok && rest == ""
}

func parseTimestamp(s string) (pipeline.Value, bool) {
	if n, ok := infinite(s); ok {
		return pipeline.TimestampValue(n), true
	}
	micros, rest, ok := cutTimestamp(s)
	return pipeline.TimestampValue(micros), ok && rest == ""
}

func parseTimestampTZ(s string) (pipeline.Value, bool) {
	if n, ok := infinite(s); ok {
		return pipeline.TimestampTZValue(n), true
	}
	micros, rest, ok := cutTimestamp(s)
	if !ok {
		return pipeline.NullValue, false
	}
	offset, ok := parseOffset(strings.TrimPrefix(rest, " "))
	return pipeline.TimestampTZValue(micros - offset), ok
}

// cutTimestamp takes "2024-02-29[ T]13:14:15.123456" off s; the time may be missing.
func cutTimestamp(s string) (micros int64, rest string, ok bool) {
	days, rest, ok := cutDate(s)
	if !ok {
		return 0, "", false
	}
	if rest == "" {
		return days * dayMicros, "", true
	}
	if rest[0] != ' ' && rest[0] != 'T' {
		return 0, "", false
	}
	clock, rest, ok := cutClock(rest[1:])
	return days*dayMicros + clock, rest, ok
}

// cutDate takes a date of year 1 to 9999 off s and checks that it exists.
func cutDate(s string) (days int64, rest string, ok bool) {
	if len(s) < 10 || s[4] != '-' || s[7] != '-' {
		return 0, "", false
	}
	year, ok1 := number(s[:4])
	month, ok2 := number(s[5:7])
	day, ok3 := number(s[8:10])
	if !ok1 || !ok2 || !ok3 || year < 1 || month < 1 || month > 12 || day < 1 {
		return 0, "", false
	}
	days = pipeline.DaysOf(year, int(month), int(day))
	y, m, d := pipeline.DateOf(days)
	return days, s[10:], y == year && m == int(month) && d == int(day)
}

// cutClock takes "13:14", "13:14:15" or "13:14:15.123456" off s; "24:00:00" is the end of the day.
func cutClock(s string) (micros int64, rest string, ok bool) {
	if len(s) < 5 || s[2] != ':' {
		return 0, "", false
	}
	hour, ok1 := number(s[:2])
	minute, ok2 := number(s[3:5])
	if !ok1 || !ok2 || hour > 24 || minute > 59 {
		return 0, "", false
	}
	micros, rest = (hour*60+minute)*60*secondMicros, s[5:]
	if !strings.HasPrefix(rest, ":") {
		return micros, rest, micros <= dayMicros
	}
	if len(rest) < 3 {
		return 0, "", false
	}
	second, ok := number(rest[1:3])
	micros, rest = micros+second*secondMicros, rest[3:]
	if !ok || second > 59 {
		return 0, "", false
	}
	if !strings.HasPrefix(rest, ".") {
		return micros, rest, micros <= dayMicros
	}
	frac := rest[1:]
	n := digits(frac)
	if n == 0 || n > 6 {
		return 0, "", false
	}
	part, _ := number(frac[:n] + "000000"[n:])
	micros += part
	return micros, frac[n:], micros <= dayMicros
}

// parseOffset reads "", "Z", "+00", "+0200" or "-03:30" in microseconds east of UTC.
func parseOffset(s string) (int64, bool) {
	if s == "" || s == "Z" {
		return 0, true
	}
	sign := int64(1)
	switch s[0] {
	case '-':
		sign = -1
	case '+':
	default:
		return 0, false
	}
	s = strings.Replace(s[1:], ":", "", 1)
	if len(s) == 2 {
		s += "00"
	}
	if len(s) != 4 {
		return 0, false
	}
	n, ok := number(s)
	return sign * (n/100*60 + n%100) * 60 * secondMicros, ok && n/100 < 16 && n%100 < 60
}

// number reads a short run of digits.
func number(s string) (int64, bool) {
	if digits(s) != len(s) {
		return 0, false
	}
	var n int64
	for i := 0; i < len(s); i++ {
		n = n*10 + int64(s[i]-'0')
	}
	return n, true
}
