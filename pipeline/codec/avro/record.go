package avro

import (
	"encoding/binary"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/envelope"
)

// record is the program of a record's fields, in order.
type record struct {
	ops  []op
	most int // bytes that the fields take at the most, apart from what texts and bytes hold
}

// op encodes one column.
type op struct {
	field  envelope.Field
	index  int
	code   code
	kind   pipeline.Kind // the only one that code takes
	union  union
	null   byte // the union's branch of NULL
	branch byte // that of a value
	step   int  // 1 where there is a branch, else 0
}

// code is a way to write a value without a call for each step; slow is every other way.
type code uint8

const (
	codeSlow code = iota
	codeBool
	codeInt16
	codeInt32
	codeInt64
	codeLong // by the conversion of the type
	codeFloat
	codeDouble
	codeText
	codeBlob
	codeDecimal
	codeISO
)

// The most bytes that a value takes with its branch, or its branch and length where it has one.
const (
	sizedRoom = 1 + longRoom
	isoRoom   = 2 + 40
)

// keyImage says that a record's key is encoded, not one of its images.
const keyImage envelope.Image = 0xff

func newRecord(fields []envelope.Field) record {
	var r record
	for _, f := range fields {
		o := op{field: f, index: f.Index, code: codeOf(f.Type), kind: f.Type.Kind}
		switch {
		case f.Type.Optional && f.Type.Default != "":
			o.union, o.null, o.step = nullLast, 2, 1
		case f.Type.Optional:
			o.union, o.branch, o.step = nullFirst, 2, 1
		}
		r.ops = append(r.ops, o)
		r.most += sizedRoom
		if o.code == codeISO {
			r.most += isoRoom - sizedRoom
		}
	}
	r.most += longRoom // writing a long touches all of its room
	return r
}

// codeOf returns the code for values of the type's own kind.
func codeOf(t *envelope.Type) code {
	switch t.Form {
	case envelope.Bool:
		return unless(t.Kind != pipeline.Bool, codeBool)
	case envelope.Int16:
		return unless(t.Kind != pipeline.Int, codeInt16)
	case envelope.Int32:
		return unless(t.Kind != pipeline.Int, codeInt32)
	case envelope.Int64:
		return unless(t.Kind != pipeline.Int, codeInt64)
	case envelope.Date, envelope.TimeMillis, envelope.TimeMicros, envelope.Millis, envelope.Micros, envelope.Unsigned:
		return codeLong
	case envelope.Float32:
		return unless(t.Kind != pipeline.Float32, codeFloat)
	case envelope.Float64:
		return unless(t.Kind != pipeline.Float64, codeDouble)
	case envelope.String:
		return unless(!t.Kind.HasBytes(), codeText)
	case envelope.Bytes:
		return unless(!t.Kind.HasBytes(), codeBlob)
	case envelope.Decimal:
		return unless(t.Kind != pipeline.Decimal, codeDecimal)
	case envelope.ISO:
		return codeISO
	}
	return codeSlow
}

func unless(other bool, c code) code {
	if other {
		return codeSlow
	}
	return c
}

// room returns dst up to its capacity, at least n bytes more than it has.
func room(dst []byte, n int) []byte {
	if cap(dst)-len(dst) < n {
		dst = slices.Grow(dst, n)
	}
	return dst[:cap(dst)]
}

// row appends a record. It writes by index into room that is made sure of once, and again where a
// text, or what the slow way writes, has used it up.
func (g *Program) row(dst []byte, rec *record, e *envelope.Event, img envelope.Image, row []pipeline.Value) ([]byte, error) {
	n := len(dst)
	b := room(dst, rec.most)
	for i := range rec.ops {
		o := &rec.ops[i]
		v := &row[o.index]
		if v.Kind() == o.kind {
			if o.code == codeText || o.code == codeBlob {
				s := v.Bytes()
				if o.code == codeBlob || valid(s) {
					if len(b)-n < rec.most+len(s) {
						b = room(b[:n], rec.most+len(s))
					}
					b[n] = o.branch
					n = putLong(b, n+o.step, int64(len(s)))
					n += copy(b[n:], s)
					continue
				}
			} else if end := o.put(b, n, v); end > 0 {
				n = end
				continue
			}
		}
		if v.Kind() == pipeline.Null && o.union != required {
			b[n] = o.null
			n++
			continue
		}
		out, err := g.slow(b[:n], o, e, img, row)
		if err != nil {
			return out, err
		}
		n = len(out)
		b = room(out, rec.most)
	}
	return b[:n], nil
}

// put writes a value of the op's kind that has a bound at b[n:], and returns where it ends; 0 where
// only the slow way can say what it is.
func (o *op) put(b []byte, n int, v *pipeline.Value) int {
	b[n] = o.branch
	n += o.step
	switch o.code {
	case codeInt64:
		return putLong(b, n, v.Int())
	case codeInt32:
		if x := v.Int(); x == int64(int32(x)) {
			return putLong(b, n, x)
		}
	case codeInt16:
		if x := v.Int(); x == int64(int16(x)) {
			return putLong(b, n, x)
		}
	case codeBool:
		b[n] = 0
		if v.Bool() {
			b[n] = 1
		}
		return n + 1
	case codeDecimal:
		if x, ok := envelope.Unscaled(v.Bytes(), o.field.Type.Scale); ok {
			return putUnscaled(b, n, x)
		}
	case codeISO:
		if end := o.field.Type.PutISO(b[n+1:], *v); end > 0 && end < 64 {
			b[n] = byte(end << 1)
			return n + 1 + end
		}
	case codeLong:
		if x, err := o.field.Type.Long(*v); err == nil {
			return putLong(b, n, x)
		}
	case codeDouble:
		binary.LittleEndian.PutUint64(b[n:], math.Float64bits(v.Float()))
		return n + 8
	case codeFloat:
		binary.LittleEndian.PutUint32(b[n:], math.Float32bits(float32(v.Float())))
		return n + 4
	}
	return 0
}

// putUnscaled writes a number as bytes: big-endian, as few as hold it, their length before them.
func putUnscaled(b []byte, n int, x int64) int {
	size := envelope.Width(x)
	b[n] = byte(size << 1)
	binary.BigEndian.PutUint64(b[n+1:], uint64(x)<<(64-8*size))
	return n + 1 + size
}

// slow appends a value that is not of its column's kind, or has no code.
func (g *Program) slow(dst []byte, o *op, e *envelope.Event, img envelope.Image, row []pipeline.Value) ([]byte, error) {
	v, err := row[o.index], error(nil)
	switch k := v.Kind(); {
	case k != pipeline.Null && k != pipeline.Absent:
	case img == keyImage:
		v, err = g.Plan.KeyValue(e, &o.field, row)
	default:
		v, err = g.Plan.Fill(e, img, &o.field, v)
	}
	if err != nil {
		return dst, g.Plan.Error(e.Row, o.field.Name, err)
	}
	if dst, err = o.append(dst, v); err != nil {
		return dst, g.Plan.Error(e.Row, o.field.Name, err)
	}
	return dst, nil
}

// valid reports whether s is UTF-8. Most texts are ASCII: they are looked at eight bytes at once, the
// last eight again where they are not a whole word.
func valid(s []byte) bool {
	const high = 0x8080808080808080
	if len(s) < 8 {
		return utf8.Valid(s)
	}
	seen := binary.LittleEndian.Uint64(s[len(s)-8:])
	rest := s
	for len(rest) >= 32 {
		seen |= binary.LittleEndian.Uint64(rest) | binary.LittleEndian.Uint64(rest[8:]) |
			binary.LittleEndian.Uint64(rest[16:]) | binary.LittleEndian.Uint64(rest[24:])
		rest = rest[32:]
	}
	for len(rest) >= 8 {
		seen |= binary.LittleEndian.Uint64(rest)
		rest = rest[8:]
	}
	return seen&high == 0 || utf8.Valid(s)
}
