package avro

import (
	"encoding/binary"
	"math"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/envelope"
)

// append appends one column's value with its union's branch: the exact way for every form.
func (o *op) append(dst []byte, v pipeline.Value) ([]byte, error) {
	if v.IsNull() && o.union == required {
		return dst, envelope.ErrNull
	}
	if v.IsNull() {
		return append(dst, o.null), nil
	}
	if o.union != required {
		dst = append(dst, o.branch)
	}
	return appendBase(dst, o.field.Type, v)
}

// appendBase appends a value that is not NULL by its type's primitive.
func appendBase(dst []byte, t *envelope.Type, v pipeline.Value) ([]byte, error) {
	switch t.Form.Base() {
	case envelope.Int, envelope.Long:
		n, err := t.Long(v)
		return appendLong(dst, n), err
	case envelope.Boolean:
		b, err := t.Bool(v)
		if b {
			return append(dst, 1), err
		}
		return append(dst, 0), err
	case envelope.Float:
		f, err := t.Float(v)
		return binary.LittleEndian.AppendUint32(dst, math.Float32bits(float32(f))), err
	case envelope.Double:
		f, err := t.Float(v)
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(f)), err
	case envelope.List:
		return appendArray(dst, t, v)
	case envelope.Record:
		return appendVarDecimal(dst, t, v)
	}
	return appendSized(dst, t, v)
}

// appendSized appends a string or bytes, its length before it. The length is known afterwards only:
// one byte is kept for it, which most lengths fit.
func appendSized(dst []byte, t *envelope.Type, v pipeline.Value) ([]byte, error) {
	var err error
	start := len(dst)
	dst = append(dst, 0)
	if t.Form.Base() == envelope.Str {
		dst, err = t.AppendText(dst, v)
	} else {
		dst, err = t.AppendBytes(dst, v)
	}
	if err != nil {
		return dst, err
	}
	return fixLength(dst, start), nil
}

// fixLength writes the length of what follows the byte at start.
func fixLength(dst []byte, start int) []byte {
	n := len(dst) - start - 1
	if n < 64 {
		dst[start] = byte(n << 1)
		return dst
	}
	var buf [binary.MaxVarintLen64]byte
	size := binary.PutVarint(buf[:], int64(n))
	dst = append(dst, buf[:size-1]...)
	copy(dst[start+size:], dst[start+1:start+1+n])
	copy(dst[start:], buf[:size])
	return dst
}

func appendVarDecimal(dst []byte, t *envelope.Type, v pipeline.Value) ([]byte, error) {
	start := len(dst)
	dst = append(dst, 0, 0)
	scale, dst, err := t.Parts(dst, v)
	if err != nil {
		return dst, err
	}
	if scale < 64 {
		dst[start] = byte(scale << 1)
		return fixLength(dst, start+1), nil
	}
	value := append([]byte(nil), dst[start+2:]...)
	dst = appendLong(dst[:start], int64(scale))
	return append(appendLong(dst, int64(len(value))), value...), nil
}

// arrayBlock is how many elements of an array are written as one block; a block's count must come
// first, and the elements are counted by a first pass.
func appendArray(dst []byte, t *envelope.Type, v pipeline.Value) ([]byte, error) {
	if v.Kind() != pipeline.Array {
		return dst, envelope.ErrKind
	}
	var scratch [256]byte
	count := int64(0)
	buf, err := envelope.Elements(v.View(), scratch[:0], func([]byte, bool) error { count++; return nil })
	if err != nil {
		return dst, err
	}
	if count == 0 {
		return append(dst, 0), nil
	}
	dst = appendLong(dst, count)
	_, err = envelope.Elements(v.View(), buf, func(text []byte, null bool) error {
		if null {
			dst = append(dst, 0)
			return nil
		}
		e, err := t.Elem.ParseText(text)
		if err != nil {
			return err
		}
		dst, err = appendBase(append(dst, 2), t.Elem, e)
		return err
	})
	return append(dst, 0), err
}
