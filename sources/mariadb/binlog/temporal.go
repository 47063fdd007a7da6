package binlog

import (
	"github.com/pipe-cdc/pipe/pipeline"
)

const (
	microsPerSecond = 1_000_000
	microsPerDay    = 86_400_000_000
)

// temporal decodes dates and times (MariaDB Server, sql-common/my_time.c and sql/compat56.cc).
func (d *Decoder) temporal(a *pipeline.Arena, f *Field, p []byte) (pipeline.Value, error) {
	switch f.read {
	case readDate:
		n := littleUint(p)
		return d.date(int(n>>9), int(n>>5&15), int(n&31))
	case readTime:
		n := int64(littleUint(p)) << 40 >> 40
		sign := int64(1)
		if n < 0 {
			sign, n = -1, -n
		}
		return clock(a, f, sign*((n/10000*3600)+n/100%100*60+n%100)*microsPerSecond), nil
	case readTime2:
		return clock(a, f, time2(p)), nil
	case readDatetime:
		n := littleUint(p)
		day, time := n/1_000_000, n%1_000_000
		micros := int64(time/10000*3600+time/100%100*60+time%100) * microsPerSecond
		return d.moment(int(day/10000), int(day/100%100), int(day%100), micros)
	case readDatetime2:
		return d.datetime2(p)
	case readTimestamp:
		return d.timestamp(int64(littleUint(p)), 0)
	}
	return d.timestamp(int64(bigUint(p[:4])), fraction(p[4:]))
}

// fraction returns the microseconds that 0 to 3 bytes hold: hundredths, ten thousandths, millionths.
func fraction(p []byte) int64 {
	n := int64(bigUint(p))
	switch len(p) {
	case 1:
		return n * 10_000
	case 2:
		return n * 100
	}
	return n
}

// time2 returns the microseconds of a time: sign, hours, minutes and seconds in 24 bits, then the
// fraction; as one number it is offset so that it sorts, and negative as a two's complement.
func time2(p []byte) int64 {
	bits := 8 * len(p)
	n := int64(bigUint(p)) - 1<<(bits-1)
	sign := int64(1)
	if n < 0 {
		sign, n = -1, -n
	}
	more := bits - 24
	head, frac := n>>more, n&(1<<more-1)
	switch more {
	case 8:
		frac *= 10_000
	case 16:
		frac *= 100
	}
	seconds := head>>12&1023*3600 + head>>6&63*60 + head&63
	return sign * (seconds*microsPerSecond + frac)
}

func (d *Decoder) datetime2(p []byte) (pipeline.Value, error) {
	n := int64(bigUint(p[:5])) - 1<<39
	if n < 0 {
		return pipeline.Value{}, errRange
	}
	month := n >> 22
	seconds := n>>12&31*3600 + n>>6&63*60 + n&63
	return d.moment(int(month/13), int(month%13), int(n>>17&31), seconds*microsPerSecond+fraction(p[5:]))
}

func (d *Decoder) timestamp(seconds, micros int64) (pipeline.Value, error) {
	if seconds == 0 && micros == 0 {
		return d.zero(pipeline.TimestampTZ)
	}
	return pipeline.TimestampTZValue(seconds*microsPerSecond + micros - pipeline.EpochMicros), nil
}

func (d *Decoder) date(year, month, day int) (pipeline.Value, error) {
	if !isDate(year, month, day) {
		return d.zero(pipeline.Date)
	}
	return pipeline.DateValue(pipeline.DaysOf(int64(year), month, day)), nil
}

func (d *Decoder) moment(year, month, day int, micros int64) (pipeline.Value, error) {
	if !isDate(year, month, day) {
		return d.zero(pipeline.Timestamp)
	}
	return pipeline.TimestampValue(pipeline.DaysOf(int64(year), month, day)*microsPerDay + micros), nil
}

// isDate reports whether there is such a day. The server also takes 2024-00-00 and, where it was
// told to, 2024-02-31; year 0 counts as a zero date.
func isDate(year, month, day int) bool {
	if year < 1 || year > 9999 || month < 1 || month > 12 || day < 1 || day > 31 {
		return false
	}
	if day <= 28 {
		return true
	}
	_, m, _ := pipeline.DateOf(pipeline.DaysOf(int64(year), month, day))
	return m == month
}

// zero applies the policy to a date that is none.
func (d *Decoder) zero(k pipeline.Kind) (pipeline.Value, error) {
	if d.Policy.Zero == ZeroFails {
		return pipeline.Value{}, ErrZeroDate
	}
	d.Zeros++
	if d.Policy.Zero == ZeroNull {
		return pipeline.NullValue, nil
	}
	switch k {
	case pipeline.Date:
		return pipeline.DateValue(-pipeline.EpochDays), nil
	case pipeline.Timestamp:
		return pipeline.TimestampValue(-pipeline.EpochMicros), nil
	}
	return pipeline.TimestampTZValue(-pipeline.EpochMicros), nil
}

// clock is a time as the field wants it: a time of day, with text of kind Other beyond one; an
// interval; or text.
func clock(a *pipeline.Arena, f *Field, micros int64) pipeline.Value {
	if f.Kind == pipeline.Time && micros >= 0 && micros <= microsPerDay {
		return pipeline.TimeValue(micros)
	}
	kind := f.Kind
	if kind == pipeline.Time {
		kind = pipeline.Other
	}
	out := a.Grow(24)
	if micros < 0 {
		out, micros = append(out, '-'), -micros
	}
	return pipeline.BytesValue(kind, a.Keep(pipeline.AppendClock(out, micros)))
}
