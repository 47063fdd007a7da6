package pgtext

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/pipe-cdc/pipe/pipeline"
)

// Nul says what happens to a NUL byte in a text, which PostgreSQL cannot hold.
type Nul uint8

// The policies for NUL bytes.
const (
	NulFail    Nul = iota // an error
	NulStrip              // leave it out
	NulReplace            // write U+FFFD in its place
)

// EncodeColumn says how one column of a row is written.
type EncodeColumn struct {
	Name  string // for messages
	Index int    // of its value in a row
	OID   uint32 // what it is written as: one of the types for which Wire returns true, or an enum's
	Elem  uint32 // the element's OID where OID is an array's, else 0
	Nul   Nul
}

// EncodeError says which column of a row could not be written, and why.
type EncodeError struct {
	Column string
	Err    error
}

// Error renders "column total: 70000 is out of range for smallint".
func (e *EncodeError) Error() string { return "column " + e.Column + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *EncodeError) Unwrap() error { return e.Err }

var (
	errNul     = errors.New("a text contains a NUL byte, which PostgreSQL cannot hold")
	errAbsent  = errors.New("the value was not sent by the source")
	errTooLong = errors.New("a value of 1 GiB or more cannot be written")
)

const maxField = 1<<30 - 1 // what a field may hold: MaxAllocSize of the server

// encodeFunc appends the binary form of v, which is neither NULL nor Absent.
type encodeFunc func(dst []byte, v pipeline.Value, c *encodeColumn) ([]byte, error)

type encodeColumn struct {
	EncodeColumn
	f    encodeFunc
	elem *encodeColumn // of an array
	form common
	kind pipeline.Kind // of the values that have the form
}

// Encoder writes rows in PostgreSQL's binary form. It is immutable and safe for concurrent use.
type Encoder struct {
	cols []encodeColumn
}

// NewEncoder returns an encoder for rows of those columns, in that order.
func NewEncoder(cols []EncodeColumn) *Encoder {
	e := &Encoder{cols: make([]encodeColumn, len(cols))}
	for i, c := range cols {
		e.cols[i] = encodeColumn{EncodeColumn: c, f: encodeFuncOf(c.OID, c.Elem)}
		e.cols[i].form, e.cols[i].kind = commonOf(c.OID, c.Elem)
		if c.Elem != 0 {
			elem := EncodeColumn{Name: c.Name, OID: c.Elem, Nul: c.Nul}
			e.cols[i].elem = &encodeColumn{EncodeColumn: elem, f: encodeFuncOf(c.Elem, 0)}
		}
	}
	return e
}

// Len returns the number of columns.
func (e *Encoder) Len() int { return len(e.cols) }

// Tuple appends one tuple of a binary COPY (PostgreSQL documentation, COPY, "Binary Format").
func (e *Encoder) Tuple(dst []byte, row []pipeline.Value) ([]byte, error) {
	var err error
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(e.cols)))
	for i := range e.cols {
		if dst, err = e.Field(dst, i, row); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// Field appends column col of a row: its length (-1 for NULL) and its binary form.
func (e *Encoder) Field(dst []byte, col int, row []pipeline.Value) ([]byte, error) {
	c := &e.cols[col]
	v := row[c.Index]
	switch v.Kind() {
	case pipeline.Null:
		return append(dst, 0xff, 0xff, 0xff, 0xff), nil
	case pipeline.Absent:
		return dst, &EncodeError{Column: c.Name, Err: errAbsent}
	}
	at := len(dst)
	out, err := c.f(append(dst, 0, 0, 0, 0), v, c)
	if err == nil && len(out)-at-4 > maxField {
		err = errTooLong
	}
	if err != nil {
		return dst[:at], &EncodeError{Column: c.Name, Err: err}
	}
	binary.BigEndian.PutUint32(out[at:], uint32(len(out)-at-4))
	return out, nil
}

// raw returns the bytes that column col of a row is written as where they are the value's own, so
// that a large value need not be copied; ok is false where it must go through Field.
func (e *Encoder) raw(col int, row []pipeline.Value) (_ []byte, ok bool) {
	c := &e.cols[col]
	v := row[c.Index]
	if !v.Kind().HasBytes() || len(v.Bytes()) > maxField {
		return nil, false
	}
	switch c.OID {
	case oidBytea:
		return v.Bytes(), v.Kind() == pipeline.Bytes
	case oidText, oidVarchar, oidBpchar, oidJSON:
		b := v.Bytes()
		return b, v.Kind() != pipeline.Bytes && bytes.IndexByte(b, 0) < 0
	}
	return nil, false
}

func encodeFuncOf(oid, elem uint32) encodeFunc {
	if elem != 0 {
		return encodeArray
	}
	switch oid {
	case oidBool:
		return encodeBool
	case oidInt2, oidInt4, oidInt8, oidOid:
		return encodeInt
	case oidFloat4, oidFloat8:
		return encodeFloat
	case oidNumeric:
		return encodeNumeric
	case oidBytea:
		return encodeBytea
	case oidUUID:
		return encodeUUID
	case oidDate, oidTime, oidTimestamp, oidTimestampTZ:
		return encodeTemporal
	case oidInterval:
		return encodeInterval
	case oidBit, oidVarbit:
		return encodeBits
	case oidJSONB:
		return encodeJSONB
	}
	return encodeText
}

func mismatch(v pipeline.Value, want string) error {
	const show = 40
	text := v.String()
	if len(text) > show {
		text = text[:show] + "..."
	}
	return fmt.Errorf("%s %q cannot be written as %s", v.Kind(), text, want)
}
