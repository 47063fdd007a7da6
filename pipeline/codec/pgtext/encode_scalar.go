package pgtext

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/pipe-cdc/pipe/pipeline"
)

func encodeBool(dst []byte, v pipeline.Value, _ *encodeColumn) ([]byte, error) {
	if v.Kind() != pipeline.Bool {
		return dst, mismatch(v, "boolean")
	}
	if v.Bool() {
		return append(dst, 1), nil
	}
	return append(dst, 0), nil
}

func encodeInt(dst []byte, v pipeline.Value, c *encodeColumn) ([]byte, error) {
	n := v.Int()
	switch v.Kind() {
	case pipeline.Int:
	case pipeline.Uint:
		if v.Uint() > math.MaxInt64 {
			return dst, fmt.Errorf("%d is out of range for bigint", v.Uint())
		}
	default:
		return dst, mismatch(v, "an integer")
	}
	switch c.OID {
	case oidInt2:
		if n != int64(int16(n)) {
			return dst, fmt.Errorf("%d is out of range for smallint", n)
		}
		return binary.BigEndian.AppendUint16(dst, uint16(n)), nil
	case oidInt4:
		if n != int64(int32(n)) {
			return dst, fmt.Errorf("%d is out of range for integer", n)
		}
		return binary.BigEndian.AppendUint32(dst, uint32(n)), nil
	case oidOid:
		if n != int64(uint32(n)) {
			return dst, fmt.Errorf("%d is out of range for oid", n)
		}
		return binary.BigEndian.AppendUint32(dst, uint32(n)), nil
	}
	return binary.BigEndian.AppendUint64(dst, uint64(n)), nil
}

func encodeFloat(dst []byte, v pipeline.Value, c *encodeColumn) ([]byte, error) {
	if v.Kind() != pipeline.Float32 && v.Kind() != pipeline.Float64 {
		return dst, mismatch(v, "a floating point number")
	}
	f := v.Float()
	if c.OID == oidFloat8 {
		return binary.BigEndian.AppendUint64(dst, math.Float64bits(f)), nil
	}
	g := float32(f)
	if math.IsInf(float64(g), 0) && !math.IsInf(f, 0) || g == 0 && f != 0 {
		return dst, fmt.Errorf("%g is out of range for real", f)
	}
	return binary.BigEndian.AppendUint32(dst, math.Float32bits(g)), nil
}

// encodeTemporal relies on the kinds' epoch being PostgreSQL's. Infinity of a date is that of int32.
func encodeTemporal(dst []byte, v pipeline.Value, c *encodeColumn) ([]byte, error) {
	want := kindOfOID(c.OID)
	if v.Kind() != want {
		return dst, mismatch(v, want.String())
	}
	n := v.Int()
	if want != pipeline.Date {
		return binary.BigEndian.AppendUint64(dst, uint64(n)), nil
	}
	switch {
	case n == pipeline.PosInfinity:
		n = math.MaxInt32
	case n == pipeline.NegInfinity:
		n = math.MinInt32
	case n <= math.MinInt32 || n >= math.MaxInt32:
		return dst, fmt.Errorf("a day %d days from 2000-01-01 is out of range for date", n)
	}
	return binary.BigEndian.AppendUint32(dst, uint32(n)), nil
}

func encodeBytea(dst []byte, v pipeline.Value, _ *encodeColumn) ([]byte, error) {
	if v.Kind() != pipeline.Bytes {
		return dst, mismatch(v, "bytea")
	}
	return append(dst, v.Bytes()...), nil
}

// encodeText writes what the source prints. Every kind has a text, but bytes are not one.
func encodeText(dst []byte, v pipeline.Value, c *encodeColumn) ([]byte, error) {
	if !v.Kind().HasBytes() {
		return AppendText(dst, v), nil
	}
	if v.Kind() == pipeline.Bytes {
		return dst, mismatch(v, "text")
	}
	return appendNoNul(dst, v.Bytes(), c.Nul)
}

func appendNoNul(dst, b []byte, nul Nul) ([]byte, error) {
	i := bytes.IndexByte(b, 0)
	if i < 0 {
		return append(dst, b...), nil
	}
	if nul == NulFail {
		return dst, errNul
	}
	for i >= 0 {
		dst = append(dst, b[:i]...)
		if nul == NulReplace {
			dst = append(dst, "\uFFFD"...)
		}
		b = b[i+1:]
		i = bytes.IndexByte(b, 0)
	}
	return append(dst, b...), nil
}

func encodeJSONB(dst []byte, v pipeline.Value, c *encodeColumn) ([]byte, error) {
	if v.Kind() != pipeline.JSON {
		return dst, mismatch(v, "jsonb")
	}
	return appendNoNul(append(dst, 1), v.Bytes(), c.Nul)
}

func encodeUUID(dst []byte, v pipeline.Value, _ *encodeColumn) ([]byte, error) {
	b := v.Bytes()
	if v.Kind() != pipeline.UUID {
		return dst, mismatch(v, "uuid")
	}
	at := len(dst)
	for i := 0; i < len(b); i++ {
		if b[i] == '-' {
			continue
		}
		if i+1 == len(b) {
			return dst, mismatch(v, "uuid")
		}
		hi, lo := hexDigit(b[i]), hexDigit(b[i+1])
		if hi > 15 || lo > 15 {
			return dst, mismatch(v, "uuid")
		}
		dst = append(dst, hi<<4|lo)
		i++
	}
	if len(dst)-at != 16 {
		return dst, mismatch(v, "uuid")
	}
	return dst, nil
}

func hexDigit(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 0xff
}

func encodeBits(dst []byte, v pipeline.Value, _ *encodeColumn) ([]byte, error) {
	b := v.Bytes()
	if v.Kind() != pipeline.Bits {
		return dst, mismatch(v, "bit varying")
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(b)))
	var acc byte
	for i, bit := range b {
		if bit != '0' && bit != '1' {
			return dst, mismatch(v, "bit varying")
		}
		acc = acc<<1 | (bit - '0')
		if i%8 == 7 {
			dst = append(dst, acc)
			acc = 0
		}
	}
	if rest := len(b) % 8; rest != 0 {
		dst = append(dst, acc<<(8-rest))
	}
	return dst, nil
}
