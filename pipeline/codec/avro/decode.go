package avro

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math"
	"math/big"
	"strconv"
	"unicode/utf8"

	"github.com/pipe-cdc/pipe/pipeline/codec/envelope"
)

// The bounds of decoding: nothing that a message says of itself is believed beyond them.
const (
	MaxDepth = 64       // of nested types, in a schema and in data
	MaxJSON  = 64 << 20 // bytes of text that one message may become, at most
	minJSON  = 1 << 20  // what a small message may become; beyond it growth bytes for each byte
	growth   = 256
	maxItems = 1 << 24 // items of one array or map
	maxTurns = 1 << 20 // items in one message that take no bytes
)

// The errors of decoding.
var (
	ErrTruncated = errors.New("data ends within a value")
	ErrCorrupt   = errors.New("data does not match the schema")
	ErrTooLarge  = errors.New("value exceeds the bounds of decoding")
)

// Decoder turns data of one schema into JSON text. It is immutable and safe for concurrent use.
type Decoder struct{ root *node }

// AppendJSON appends the JSON form of one datum and returns what data holds beyond it. Unions are
// written without the branch's name, decimals as exact numbers, bytes as base64, NaN as a string.
func (d *Decoder) AppendJSON(dst, data []byte) (out, rest []byte, err error) {
	r := reader{data: data, limit: len(dst) + min(MaxJSON, minJSON+growth*len(data))}
	dst, err = r.value(dst, d.root, 0)
	return dst, r.data, err
}

type reader struct {
	data  []byte
	limit int
	turns int
}

func (r *reader) long() (int64, error) {
	u, n := binary.Uvarint(r.data)
	switch {
	case n == 0:
		return 0, ErrTruncated
	case n < 0:
		return 0, ErrCorrupt
	}
	r.data = r.data[n:]
	return int64(u>>1) ^ -int64(u&1), nil
}

func (r *reader) take(n int64) ([]byte, error) {
	if n < 0 {
		return nil, ErrCorrupt
	}
	if n > int64(len(r.data)) {
		return nil, ErrTruncated
	}
	out := r.data[:n]
	r.data = r.data[n:]
	return out, nil
}

func (r *reader) sized() ([]byte, error) {
	n, err := r.long()
	if err != nil {
		return nil, err
	}
	return r.take(n)
}

func (r *reader) value(dst []byte, n *node, depth int) ([]byte, error) {
	if depth > MaxDepth || len(dst) > r.limit {
		return dst, ErrTooLarge
	}
	switch n.kind {
	case kindNull:
		return append(dst, "null"...), nil
	case kindBoolean:
		b, err := r.take(1)
		if err != nil {
			return dst, err
		}
		if b[0] > 1 {
			return dst, ErrCorrupt
		}
		return strconv.AppendBool(dst, b[0] == 1), nil
	case kindInt, kindLong:
		v, err := r.long()
		if err == nil && n.kind == kindInt && v != int64(int32(v)) {
			err = ErrCorrupt
		}
		return strconv.AppendInt(dst, v, 10), err
	case kindFloat, kindDouble:
		return r.float(dst, n.kind)
	case kindBytes, kindFixed, kindString:
		return r.bytes(dst, n)
	case kindEnum:
		i, err := r.long()
		if err != nil || i < 0 || i >= int64(len(n.symbols)) {
			return dst, orCorrupt(err)
		}
		return envelope.AppendJSONString(dst, n.symbols[i]), nil
	case kindUnion:
		i, err := r.long()
		if err != nil || i < 0 || i >= int64(len(n.branches)) {
			return dst, orCorrupt(err)
		}
		return r.value(dst, n.branches[i], depth+1)
	case kindArray, kindMap:
		return r.items(dst, n, depth)
	}
	return r.record(dst, n, depth)
}

func orCorrupt(err error) error {
	if err == nil {
		return ErrCorrupt
	}
	return err
}

func (r *reader) float(dst []byte, k kind) ([]byte, error) {
	size, bits := int64(4), 32
	if k == kindDouble {
		size, bits = 8, 64
	}
	b, err := r.take(size)
	if err != nil {
		return dst, err
	}
	f := 0.0
	if bits == 32 {
		f = float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))
	} else {
		f = math.Float64frombits(binary.LittleEndian.Uint64(b))
	}
	return AppendFloat(dst, f, bits), nil
}

// AppendFloat appends a float as a JSON number, what is none as a string.
func AppendFloat(dst []byte, f float64, bits int) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(dst, `"-Infinity"`...)
	}
	return strconv.AppendFloat(dst, f, 'g', -1, bits)
}

func (r *reader) bytes(dst []byte, n *node) (_ []byte, err error) {
	var b []byte
	if n.kind == kindFixed {
		b, err = r.take(n.size)
	} else {
		b, err = r.sized()
	}
	switch {
	case err != nil:
		return dst, err
	case n.kind == kindString && !utf8.Valid(b):
		return dst, ErrCorrupt
	case n.kind == kindString:
		return envelope.AppendJSONString(dst, b), nil
	case n.decimal && len(b) <= maxDecimalBytes:
		return appendDecimal(dst, b, n.scale), nil
	}
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, b)
	return append(dst, '"'), nil
}

// maxDecimalBytes bounds the numbers that are shown in digits: the conversion's time grows faster
// than their size.
const maxDecimalBytes = 4096

func appendDecimal(dst, twos []byte, scale int) []byte {
	n := new(big.Int).SetBytes(twos)
	if len(twos) > 0 && twos[0] >= 0x80 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(twos))))
	}
	text := n.Append(nil, 10)
	if text[0] == '-' {
		dst, text = append(dst, '-'), text[1:]
	}
	for ; len(text) <= scale; text = append([]byte{'0'}, text...) {
	}
	dst = append(dst, text[:len(text)-scale]...)
	if scale > 0 {
		dst = append(append(dst, '.'), text[len(text)-scale:]...)
	}
	return dst
}

func (r *reader) record(dst []byte, n *node, depth int) ([]byte, error) {
	dst = append(dst, '{')
	var err error
	for i := range n.fields {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, n.fields[i].label...)
		if dst, err = r.value(dst, n.fields[i].node, depth+1); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}

// items reads the blocks of an array or map.
func (r *reader) items(dst []byte, n *node, depth int) ([]byte, error) {
	open, end := byte('['), byte(']')
	if n.kind == kindMap {
		open, end = '{', '}'
	}
	dst = append(dst, open)
	total := int64(0)
	for {
		count, err := r.blockCount()
		if err != nil || count == 0 {
			return append(dst, end), err
		}
		if total += count; count > maxItems || total > maxItems {
			return dst, ErrTooLarge
		}
		for i := range count {
			if i > 0 || total > count {
				dst = append(dst, ',')
			}
			if dst, err = r.item(dst, n, depth); err != nil {
				return dst, err
			}
		}
	}
}

// blockCount reads the number of items of a block; a negative one has the block's size behind it.
func (r *reader) blockCount() (int64, error) {
	count, err := r.long()
	if err != nil || count >= 0 {
		return count, err
	}
	if _, err = r.long(); err == nil && count < -maxItems {
		err = ErrTooLarge
	}
	return -count, err
}

func (r *reader) item(dst []byte, n *node, depth int) ([]byte, error) {
	before := len(r.data)
	if n.kind == kindMap {
		key, err := r.sized()
		if err != nil || !utf8.Valid(key) {
			return dst, orCorrupt(err)
		}
		dst = append(envelope.AppendJSONString(dst, key), ':')
	}
	dst, err := r.value(dst, n.items, depth+1)
	if err == nil && len(r.data) == before {
		if r.turns++; r.turns > maxTurns {
			err = ErrTooLarge
		}
	}
	return dst, err
}
