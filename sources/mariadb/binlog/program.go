package binlog

import (
	"encoding/binary"
	"math"
	"strconv"

	"github.com/pipe-cdc/pipe/pipeline"
)

// way is how a column of a full row image is read: the common types have one of their own, without a
// call for each value. Whatever a way does not take, such as a zero date, Decoder.column reads.
type way uint8

const (
	wayColumn way = iota // by Decoder.column
	wayInt1
	wayInt2
	wayInt4
	wayInt8
	wayUint4
	wayFloat
	wayDouble
	wayBit
	wayDecimal
	wayTimestamp
	wayDatetime
	wayDate
	wayBytes // wayText, without a look at the bytes
	wayText
)

// step reads one column of a full image.
type step struct {
	way   way
	least uint8 // bytes that the value has at the least: its width, or its length's
	kind  pipeline.Kind
	lead  uint8 // of a decimal: bytes before its words of nine digits
	whole uint8 // of a decimal: bytes before its point
	scale uint8
	first uint64 // of a decimal: what its first word is below
	out   int
}

// program compiles the fields into steps, and finds out whether these set every one of the schema's
// columns.
func (d *Decoder) program() {
	d.steps = make([]step, len(d.Fields))
	seen := map[int]bool{}
	for i := range d.Fields {
		f := &d.Fields[i]
		d.steps[i] = f.step()
		if f.Out >= 0 {
			seen[f.Out] = true
		}
	}
	d.columns = len(seen)
	for i := range d.columns {
		if !seen[i] {
			d.columns = math.MaxInt
			return
		}
	}
}

// step chooses the way of a column.
func (f *Field) step() step {
	s := step{way: f.way(), kind: f.Kind, least: uint8(f.width + f.prefix), out: f.Out}
	if s.way != wayDecimal {
		return s
	}
	precision, scale := int(f.Column.Meta&0xff), int(f.Column.Meta>>8)
	whole := precision - scale
	s.lead, s.scale = uint8(digitBytes(whole%digitsPerWord)), uint8(scale)
	s.whole = s.lead + uint8(whole/digitsPerWord*4)
	if s.first = 1_000_000_000; s.lead > 0 {
		s.first = uint64(math.Pow10(whole % digitsPerWord))
	}
	if whole == 0 || whole > 2*digitsPerWord || scale > digitsPerWord {
		s.way = wayColumn
	}
	return s
}

func (f *Field) way() way {
	if f.Out < 0 {
		return wayColumn
	}
	switch f.read {
	case readInt:
		return map[int]way{1: wayInt1, 2: wayInt2, 4: wayInt4, 8: wayInt8}[f.width]
	case readUint:
		if f.width == 4 && f.Kind == pipeline.Int {
			return wayUint4
		}
	case readFloat:
		return wayFloat
	case readDouble:
		return wayDouble
	case readBit:
		if f.width == 1 {
			return wayBit
		}
	case readDecimal:
		return wayDecimal
	case readTimestamp2:
		return wayTimestamp
	case readDatetime2:
		return wayDatetime
	case readDate:
		return wayDate
	case readText:
		if f.text != nil && !f.compressed() && f.Charset.HasASCII() {
			return wayText
		}
	case readBytes:
		if !f.compressed() {
			return wayBytes
		}
	}
	return wayColumn
}

// fullImage decodes an image that has every column.
func (d *Decoder) fullImage(a *pipeline.Arena, values []pipeline.Value, data []byte) (rest []byte, err error) {
	done := 0
	if rest, done, err = d.run(a, values, data); err == nil {
		return rest, nil
	}
	for i := range d.steps[done:] {
		if out := d.steps[done+i].out; out >= 0 {
			values[out] = pipeline.NullValue
		}
	}
	return nil, err
}

// run takes the steps of an image; done is how many it has taken.
func (d *Decoder) run(a *pipeline.Arena, values []pipeline.Value, data []byte) (rest []byte, done int, err error) {
	n := (len(d.steps) + 7) / 8
	if len(data) < n {
		return nil, 0, ErrShort
	}
	nulls, data := data[:n], data[n:]
	for i := range d.steps {
		s := &d.steps[i]
		if null := Has(nulls, i); null || s.way == wayColumn {
			if data, err = d.column(a, values, &d.Fields[i], null, data); err != nil {
				return nil, i, err
			}
			continue
		}
		n := int(s.least)
		if n > len(data) {
			return nil, i, ErrShort
		}
		var v pipeline.Value
		switch s.way {
		case wayInt1:
			v = pipeline.IntValue(int64(int8(data[0])))
		case wayInt2:
			v = pipeline.IntValue(int64(int16(binary.LittleEndian.Uint16(data))))
		case wayInt4:
			v = pipeline.IntValue(int64(int32(binary.LittleEndian.Uint32(data))))
		case wayInt8:
			v = pipeline.IntValue(int64(binary.LittleEndian.Uint64(data)))
		case wayUint4:
			v = pipeline.IntValue(int64(binary.LittleEndian.Uint32(data)))
		case wayFloat:
			v = pipeline.Float32Value(math.Float32frombits(binary.LittleEndian.Uint32(data)))
		case wayDouble:
			v = pipeline.Float64Value(math.Float64frombits(binary.LittleEndian.Uint64(data)))
		case wayBit:
			v = pipeline.BoolValue(data[0] != 0)
		case wayDecimal:
			v = s.decimal(a, data[:n])
		case wayBytes, wayText:
			size := prefixed(data, n)
			if size > len(data)-n {
				return nil, i, ErrShort
			}
			p := data[n : n+size : n+size]
			if v = pipeline.BytesValue(s.kind, p); s.way == wayText && !ascii(p) {
				if v, err = d.content(a, &d.Fields[i], p); err != nil {
					return nil, i, &ColumnError{Column: s.out, Err: err}
				}
			}
			n += size
		default:
			if v, err = d.moments(s.way, &d.Fields[i], data[:n]); err != nil {
				return nil, i, &ColumnError{Column: s.out, Err: err}
			}
		}
		values[s.out] = v
		data = data[n:]
	}
	return data, len(d.steps), nil
}

// prefixed returns the length that is in the first n bytes of data.
func prefixed(data []byte, n int) int {
	switch n {
	case 1:
		return int(data[0])
	case 2:
		return int(binary.LittleEndian.Uint16(data))
	case 4:
		return int(binary.LittleEndian.Uint32(data))
	}
	return int(littleUint(data[:n]))
}

// ascii reports whether no byte has its highest bit set.
func ascii(p []byte) bool {
	const high = 0x8080808080808080
	if len(p) < 8 {
		var or byte
		for _, b := range p {
			or |= b
		}
		return or < 0x80
	}
	or := binary.LittleEndian.Uint64(p[len(p)-8:])
	for ; len(p) >= 8; p = p[8:] {
		or |= binary.LittleEndian.Uint64(p)
	}
	return or&high == 0
}

// moments reads dates and moments of which most are ordinary.
func (d *Decoder) moments(w way, f *Field, p []byte) (pipeline.Value, error) {
	switch w {
	case wayTimestamp:
		return d.timestamp(int64(binary.BigEndian.Uint32(p)), fraction(p[4:]))
	case wayDatetime:
		return d.datetime2(p)
	}
	n := int(p[0]) | int(p[1])<<8 | int(p[2])<<16
	return d.date(n>>9, n>>5&15, n&31)
}

// decimal renders a decimal of at most 18 digits before its point and nine after it, as the function
// decimal does.
func (s *step) decimal(a *pipeline.Arena, p []byte) pipeline.Value {
	var flip byte
	if p[0]&0x80 == 0 {
		flip = 0xff
	}
	const word = 1_000_000_000
	lead := int(s.lead)
	if lead == 0 {
		lead = 4
	}
	n := uint64(p[0] ^ flip ^ 0x80)
	for _, b := range p[1:lead] {
		n = n<<8 | uint64(b^flip)
	}
	n %= s.first
	for q := p[lead:s.whole]; len(q) > 0; q = q[4:] {
		n = n*word + uint64(binary.BigEndian.Uint32(q)^uint32(flip)*0x01010101)%word
	}
	out := a.Grow(2*len(p) + 8)
	if flip != 0 {
		out = append(out, '-')
	}
	out = strconv.AppendUint(out, n, 10)
	if s.scale > 0 {
		n = 0
		for _, b := range p[s.whole:] {
			n = n<<8 | uint64(b^flip)
		}
		out = appendFraction(append(out, '.'), n, int(s.scale))
	}
	return pipeline.BytesValue(pipeline.Decimal, a.Keep(out))
}

// appendFraction appends the last digits of n.
func appendFraction(dst []byte, n uint64, digits int) []byte {
	dst = append(dst, "000000000"[:digits]...)
	for i := len(dst) - 1; i >= len(dst)-digits; i-- {
		dst[i] = '0' + byte(n%10)
		n /= 10
	}
	return dst
}
