package envelope

import (
	"encoding/hex"
	"strconv"
	"unsafe"

	"github.com/pipe-cdc/pipe/pipeline"
)

// Elements walks PostgreSQL's text form of an array, {1,NULL,"a b"}, of one dimension, calling f
// with each element's text; null where there is none. scratch is used for elements with escapes
// and returned for reuse; what f gets is valid during the call. More dimensions are ErrSyntax:
// neither Avro's array type nor Connect's could hold them without changing per row.
func Elements(s string, scratch []byte, f func(text []byte, null bool) error) ([]byte, error) {
	if i := indexByte(s, '='); i > 0 && s[0] == '[' {
		s = s[i+1:]
	}
	if len(s) < 2 || s[0] != '{' || s[len(s)-1] != '}' {
		return scratch, ErrSyntax
	}
	s = s[1 : len(s)-1]
	for len(s) > 0 {
		text, rest, quoted, ok := element(s, &scratch)
		if !ok {
			return scratch, ErrSyntax
		}
		null := !quoted && string(text) == "NULL"
		if err := f(text, null); err != nil {
			return scratch, err
		}
		if rest == "" {
			return scratch, nil
		}
		if s = rest[1:]; s == "" {
			return scratch, ErrSyntax
		}
	}
	return scratch, nil
}

// element cuts the next element off s; rest is "" or begins with the comma.
func element(s string, scratch *[]byte) (text []byte, rest string, quoted, ok bool) {
	if s[0] != '"' {
		end := indexByte(s, ',')
		if end < 0 {
			end = len(s)
		}
		if end == 0 || s[0] == '{' {
			return nil, "", false, false
		}
		return unsafe.Slice(unsafe.StringData(s), end), s[end:], false, true
	}
	buf := (*scratch)[:0]
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			if i++; i == len(s) {
				return nil, "", true, false
			}
			buf = append(buf, s[i])
		case '"':
			*scratch = buf
			rest = s[i+1:]
			return buf, rest, true, rest == "" || rest[0] == ','
		default:
			buf = append(buf, s[i])
		}
	}
	return nil, "", true, false
}

// ParseText reads the text of an array's element as a Value of t's kind, which aliases text.
func (t *Type) ParseText(text []byte) (pipeline.Value, error) {
	s := unsafe.String(unsafe.SliceData(text), len(text))
	switch t.Kind {
	case pipeline.Bool:
		if s != "t" && s != "f" {
			return pipeline.Value{}, ErrSyntax
		}
		return pipeline.BoolValue(s == "t"), nil
	case pipeline.Int:
		n, err := strconv.ParseInt(s, 10, 64)
		return pipeline.IntValue(n), syntax(err)
	case pipeline.Float32:
		f, err := strconv.ParseFloat(s, 32)
		return pipeline.Float32Value(float32(f)), syntax(err)
	case pipeline.Float64:
		f, err := strconv.ParseFloat(s, 64)
		return pipeline.Float64Value(f), syntax(err)
	case pipeline.Bytes:
		if len(text) < 2 || s[:2] != `\x` {
			return pipeline.Value{}, ErrSyntax
		}
		out, err := hex.DecodeString(s[2:])
		return pipeline.BytesValue(pipeline.Bytes, out), syntax(err)
	case pipeline.Date, pipeline.Time, pipeline.Timestamp, pipeline.TimestampTZ:
		return parseTemporal(t.Kind, s)
	}
	return pipeline.BytesValue(t.Kind, text), nil
}

func syntax(err error) error {
	if err != nil {
		return ErrSyntax
	}
	return nil
}

// parseTemporal reads PostgreSQL's text under DateStyle ISO.
func parseTemporal(kind pipeline.Kind, s string) (pipeline.Value, error) {
	if kind == pipeline.Time {
		n, ok := parseClock(s)
		return pipeline.TimeValue(n), okay(ok)
	}
	n, err := parseInstant(kind, s)
	switch kind {
	case pipeline.Date:
		return pipeline.DateValue(n), err
	case pipeline.Timestamp:
		return pipeline.TimestampValue(n), err
	}
	return pipeline.TimestampTZValue(n), err
}

func okay(ok bool) error {
	if ok {
		return nil
	}
	return ErrSyntax
}

func parseInstant(kind pipeline.Kind, s string) (int64, error) {
	switch s {
	case "infinity":
		return pipeline.PosInfinity, nil
	case "-infinity":
		return pipeline.NegInfinity, nil
	}
	bc := len(s) > 3 && s[len(s)-3:] == " BC"
	if bc {
		s = s[:len(s)-3]
	}
	date, clock := cutSpace(s)
	y := indexByte(date, '-')
	if y < 4 || len(date) != y+6 || date[y+3] != '-' {
		return 0, ErrSyntax
	}
	year, err1 := strconv.ParseInt(date[:y], 10, 32)
	month, err2 := strconv.ParseInt(date[y+1:y+3], 10, 8)
	day, err3 := strconv.ParseInt(date[y+4:], 10, 8)
	if err1 != nil || err2 != nil || err3 != nil || month < 1 || month > 12 || day < 1 || day > 31 {
		return 0, ErrSyntax
	}
	if bc {
		year = 1 - year
	}
	days := pipeline.DaysOf(year, int(month), int(day))
	if kind == pipeline.Date {
		return days, okay(clock == "")
	}
	return addClock(days, clock)
}

// addClock adds a time of day with an optional offset from UTC to a date.
func addClock(days int64, clock string) (int64, error) {
	cut := len(clock)
	for i := 1; i < len(clock); i++ {
		if clock[i] == '+' || clock[i] == '-' {
			cut = i
			break
		}
	}
	n, ok := parseClock(clock[:cut])
	if !ok {
		return 0, ErrSyntax
	}
	if cut < len(clock) {
		offset, ok := parseClock(clock[cut+1:])
		if !ok {
			return 0, ErrSyntax
		}
		if clock[cut] == '+' {
			offset = -offset
		}
		n += offset
	}
	return days*dayMicros + n, nil
}

// appendHstore turns "a"=>"1", "b"=>NULL into a JSON object.
func appendHstore(dst []byte, s string) ([]byte, error) {
	dst = append(dst, '{')
	var scratch []byte
	for first := true; s != ""; first = false {
		if !first {
			if len(s) < 3 || s[:2] != ", " {
				return dst, ErrSyntax
			}
			s, dst = s[2:], append(dst, ',')
		}
		if s[0] != '"' {
			return dst, ErrSyntax
		}
		key, rest, ok := hstoreWord(s, &scratch)
		if !ok || len(rest) < 3 || rest[:2] != "=>" {
			return dst, ErrSyntax
		}
		dst = append(AppendJSONString(dst, key), ':')
		if s = rest[2:]; len(s) >= 4 && s[:4] == "NULL" {
			s, dst = s[4:], append(dst, "null"...)
			continue
		}
		if s[0] != '"' {
			return dst, ErrSyntax
		}
		value, rest, ok := hstoreWord(s, &scratch)
		if !ok {
			return dst, ErrSyntax
		}
		s, dst = rest, AppendJSONString(dst, value)
	}
	return append(dst, '}'), nil
}

// hstoreWord cuts a quoted word off s.
func hstoreWord(s string, scratch *[]byte) (word []byte, rest string, ok bool) {
	buf := (*scratch)[:0]
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			if i++; i == len(s) {
				return nil, "", false
			}
			buf = append(buf, s[i])
		case '"':
			*scratch = buf
			return buf, s[i+1:], true
		default:
			buf = append(buf, s[i])
		}
	}
	return nil, "", false
}
