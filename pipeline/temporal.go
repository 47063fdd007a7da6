package pipeline

// From marchDay on, 0000-03-01, days are counted by the algorithms for dates; below nearDays of them
// the products of the fast ones fit.
const (
	marchDay = EpochDays + 719468
	nearDays = 1 << 28
)

// DateOf returns the proleptic Gregorian date that lies days after 2000-01-01. Year 0 is 1 BC, as
// in ISO 8601. (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days; near
// dates by Cassio Neri and Lorenz Schneider, "Euclidean affine functions and their application to
// calendar algorithms".)
func DateOf(days int64) (year int64, month, day int) {
	z := days + marchDay
	if uint64(z) < nearDays {
		return nearDate(uint32(z))
	}
	era := floorDiv(z, 146097)
	doe := z - era*146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	day = int(doy - (153*mp+2)/5 + 1)
	month = int(mp + 3)
	if month > 12 {
		month -= 12
	}
	year = yoe + era*400
	if month <= 2 {
		year++
	}
	return year, month, day
}

// nearDate is DateOf for days after 0000-03-01.
func nearDate(days uint32) (year int64, month, day int) {
	n := 4*days + 3
	century, ofCentury := n/146097, n%146097/4
	product := 2939745 * uint64(4*ofCentury+3)
	ofYear := uint32(product) / 2939745 / 4
	year = int64(100*century + uint32(product>>32))
	m := 2141*ofYear + 197913
	month, day = int(m>>16), int(m&0xffff/2141)+1
	if ofYear >= 306 { // January and February belong to the year that began in March
		year, month = year+1, month-12
	}
	return year, month, day
}

// DaysOf is the inverse of DateOf: days from 2000-01-01 to a date. It does not check the day.
func DaysOf(year int64, month, day int) int64 {
	if year > 0 && year < nearDays/366 {
		y, m := uint32(year), uint32(month)
		if m <= 2 {
			y, m = y-1, m+12
		}
		century := y / 100
		return int64(1461*y/4-century+century/4+(979*m-2919)/32) + int64(day) - 1 - marchDay
	}
	if month <= 2 {
		year--
	}
	era := floorDiv(year, 400)
	yoe := year - era*400
	mp := int64(month+9) % 12
	doy := (153*mp+2)/5 + int64(day) - 1
	doe := yoe*365 + yoe/4 - yoe/100 + doy
	return era*146097 + doe - 719468 - EpochDays
}

// SplitMicros splits microseconds since 2000-01-01 into whole days and the microseconds of the day.
func SplitMicros(micros int64) (days, rest int64) {
	days = floorDiv(micros, 86_400_000_000)
	return days, micros - days*86_400_000_000
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// AppendTemporal appends a Date, Time, Timestamp or TimestampTZ as PostgreSQL prints it under
// DateStyle ISO and TimeZone UTC: "2024-02-29 13:14:15.123456+00", "0044-03-15 BC", "infinity".
func AppendTemporal(dst []byte, v Value) []byte {
	n := v.Int()
	if v.Kind() != Time {
		switch n {
		case PosInfinity:
			return append(dst, "infinity"...)
		case NegInfinity:
			return append(dst, "-infinity"...)
		}
	}
	switch v.Kind() {
	case Date:
		dst, bc := appendDate(dst, n)
		return appendEra(dst, bc)
	case Time:
		return AppendClock(dst, n)
	}
	days, rest := SplitMicros(n)
	dst, bc := appendDate(dst, days)
	dst = AppendClock(append(dst, ' '), rest)
	if v.Kind() == TimestampTZ {
		dst = append(dst, "+00"...)
	}
	return appendEra(dst, bc)
}

// AppendClock appends microseconds since midnight as hh:mm:ss with as many decimals as are needed.
func AppendClock(dst []byte, micros int64) []byte {
	sec, frac := micros/1_000_000, micros%1_000_000
	dst = appendDigits(dst, sec/3600, 2)
	dst = appendDigits(append(dst, ':'), sec/60%60, 2)
	dst = appendDigits(append(dst, ':'), sec%60, 2)
	if frac == 0 {
		return dst
	}
	dst = appendDigits(append(dst, '.'), frac, 6)
	for dst[len(dst)-1] == '0' {
		dst = dst[:len(dst)-1]
	}
	return dst
}

func appendDate(dst []byte, days int64) (_ []byte, bc bool) {
	year, month, day := DateOf(days)
	if bc = year <= 0; bc {
		year = 1 - year
	}
	dst = appendDigits(dst, year, 4)
	dst = appendDigits(append(dst, '-'), int64(month), 2)
	return appendDigits(append(dst, '-'), int64(day), 2), bc
}

func appendEra(dst []byte, bc bool) []byte {
	if bc {
		return append(dst, " BC"...)
	}
	return dst
}

// appendDigits appends n >= 0 in decimal with at least width digits.
func appendDigits(dst []byte, n int64, width int) []byte {
	var buf [20]byte
	i := len(buf)
	for n > 0 || width > 0 {
		i--
		buf[i] = byte('0' + n%10)
		n /= 10
		width--
	}
	return append(dst, buf[i:]...)
}
