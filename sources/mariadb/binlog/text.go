package binlog

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"unsafe"

	"github.com/pipe-cdc/pipe/pipeline"
)

var errText = errors.New("not the text of such a value")

// Text decodes a value of a query result as the server prints it, to the same Value that Image
// decodes from the log. Texts alias p where they need no conversion. The connection must have
// time_zone +00:00 and character_set_results NULL; a float must have been cast to a double.
func (d *Decoder) Text(a *pipeline.Arena, f *Field, p []byte) (v pipeline.Value, err error) {
	switch f.Special {
	case Truth:
		n, ok := parseInt(p)
		v, err = pipeline.BoolValue(n != 0), bad(ok)
	case UUID:
		return lowered(a, p), nil
	case INET4, INET6:
		return inetOf(a, p)
	case Geometry:
		return geometry(a, p)
	case Clock:
		micros, ok := parseClock(p)
		v, err = clock(a, f, micros), bad(ok)
	default:
		v, err = d.byKind(a, f, p)
	}
	if errors.Is(err, errText) {
		return v, fmt.Errorf("%q is %w", p[:min(len(p), 40)], err)
	}
	return v, err
}

func bad(ok bool) error {
	if ok {
		return nil
	}
	return errText
}

func (d *Decoder) byKind(a *pipeline.Arena, f *Field, p []byte) (pipeline.Value, error) {
	switch f.Kind {
	case pipeline.Int:
		n, ok := parseInt(p)
		return pipeline.IntValue(n), bad(ok)
	case pipeline.Uint:
		n, ok := parseUint(p)
		return pipeline.UintValue(n), bad(ok)
	case pipeline.Bool:
		return pipeline.BoolValue(len(p) > 0 && p[len(p)-1] != 0), nil
	case pipeline.Bits:
		return bitText(a, p, f.Length), nil
	case pipeline.Float32:
		n, err := strconv.ParseFloat(view(p), 64)
		return pipeline.Float32Value(float32(n)), bad(err == nil)
	case pipeline.Float64:
		n, err := strconv.ParseFloat(view(p), 64)
		return pipeline.Float64Value(n), bad(err == nil)
	case pipeline.Decimal:
		return plainDecimal(a, p), nil
	case pipeline.Date:
		year, month, day, rest, ok := parseDate(p)
		if !ok || len(rest) > 0 {
			return pipeline.Value{}, errText
		}
		return d.date(year, month, day)
	case pipeline.Timestamp, pipeline.TimestampTZ:
		return d.momentText(f, p)
	}
	return d.plain(a, f, p)
}

// view is p as a string for a parser that does not keep it.
func view(p []byte) string { return unsafe.String(unsafe.SliceData(p), len(p)) }

func parseUint(p []byte) (n uint64, ok bool) {
	for _, b := range p {
		digit := uint64(b - '0')
		if digit > 9 || n > (1<<64-1-digit)/10 {
			return 0, false
		}
		n = n*10 + digit
	}
	return n, len(p) > 0
}

func parseInt(p []byte) (int64, bool) {
	negative := len(p) > 0 && p[0] == '-'
	if negative {
		p = p[1:]
	}
	n, ok := parseUint(p)
	if negative {
		return -int64(n), ok && n <= 1<<63
	}
	return int64(n), ok && n < 1<<63
}

// plainDecimal takes off the zeros that zerofill puts in front.
func plainDecimal(a *pipeline.Arena, p []byte) pipeline.Value {
	if len(p) < 2 || p[0] != '0' || p[1] == '.' {
		return pipeline.BytesValue(pipeline.Decimal, p)
	}
	i := 0
	for i < len(p)-1 && p[i] == '0' && p[i+1] != '.' {
		i++
	}
	return pipeline.BytesValue(pipeline.Decimal, p[i:])
}

// digits reads n digits off the front of p.
func digits(p []byte, n int) (value int, rest []byte, ok bool) {
	if len(p) < n {
		return 0, nil, false
	}
	for _, b := range p[:n] {
		if b < '0' || b > '9' {
			return 0, nil, false
		}
		value = value*10 + int(b-'0')
	}
	return value, p[n:], true
}

// parseDate reads "2024-02-29".
func parseDate(p []byte) (year, month, day int, rest []byte, ok bool) {
	if len(p) < 10 || p[4] != '-' || p[7] != '-' {
		return 0, 0, 0, nil, false
	}
	year, _, ok1 := digits(p, 4)
	month, _, ok2 := digits(p[5:], 2)
	day, _, ok3 := digits(p[8:], 2)
	return year, month, day, p[10:], ok1 && ok2 && ok3
}

// parseClock reads "13:14:15.123456", "-838:59:59".
func parseClock(p []byte) (micros int64, ok bool) {
	sign := int64(1)
	if len(p) > 0 && p[0] == '-' {
		sign, p = -1, p[1:]
	}
	hours := 0
	for len(p) > 0 && p[0] != ':' && hours < 1000 {
		one, rest, ok := digits(p, 1)
		if !ok {
			return 0, false
		}
		hours, p = hours*10+one, rest
	}
	if len(p) < 6 || p[0] != ':' || p[3] != ':' {
		return 0, false
	}
	minutes, _, ok1 := digits(p[1:], 2)
	seconds, rest, ok2 := digits(p[4:], 2)
	frac, ok3 := parseFraction(rest)
	return sign * (int64(hours*3600+minutes*60+seconds)*microsPerSecond + frac), ok1 && ok2 && ok3
}

// parseFraction reads ".123" or nothing.
func parseFraction(p []byte) (micros int64, ok bool) {
	if len(p) == 0 {
		return 0, true
	}
	if p[0] != '.' || len(p) > 7 {
		return 0, false
	}
	n, _, ok := digits(p[1:], len(p)-1)
	micros = int64(n)
	for range 7 - len(p) {
		micros *= 10
	}
	return micros, ok
}

// momentText reads "2024-02-29 13:14:15.123456".
func (d *Decoder) momentText(f *Field, p []byte) (pipeline.Value, error) {
	year, month, day, rest, ok := parseDate(p)
	if !ok || len(rest) < 9 || rest[0] != ' ' {
		return pipeline.Value{}, errText
	}
	micros, ok := parseClock(rest[1:])
	if !ok {
		return pipeline.Value{}, errText
	}
	if !isDate(year, month, day) {
		return d.zero(f.Kind)
	}
	micros += pipeline.DaysOf(int64(year), month, day) * microsPerDay
	if f.Kind == pipeline.TimestampTZ {
		return pipeline.TimestampTZValue(micros), nil
	}
	return pipeline.TimestampValue(micros), nil
}

func lowered(a *pipeline.Arena, p []byte) pipeline.Value {
	out := a.Copy(p)
	for i, b := range out {
		if b >= 'A' && b <= 'F' {
			out[i] = b + 'a' - 'A'
		}
	}
	return pipeline.BytesValue(pipeline.UUID, out)
}

// inetOf prints an address as Image does, whatever the server's own rules of shortening.
func inetOf(a *pipeline.Arena, p []byte) (pipeline.Value, error) {
	addr, err := netip.ParseAddr(view(p))
	if err != nil {
		return pipeline.Value{}, errText
	}
	return pipeline.BytesValue(pipeline.Text, a.Keep(addr.AppendTo(a.Grow(inetText)))), nil
}
