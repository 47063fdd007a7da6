package pgtext

import (
	"encoding/binary"
	"io"

	"github.com/pipe-cdc/pipe/pipeline"
)

// copyHeader is what a binary COPY begins with: signature, flags, length of the extension.
const copyHeader = "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"

const (
	copyChunk = 64 << 10 // encoded ahead of what is read
	copyLarge = 16 << 10 // a value's bytes from here on are passed on without encoding them first
)

// CopyReader yields a binary COPY of rows, encoding as it is read: its memory does not depend on the
// number of rows or the size of a value. The zero value is not ready: call Reset.
type CopyReader struct {
	enc  *Encoder
	rows [][]pipeline.Value
	row  int // being encoded
	col  int // next column of it
	buf  []byte
	off  int    // what of buf was read
	big  []byte // follows buf
	done bool   // the trailer is in buf
	err  error
}

// Reset starts over with rows, which must stay as they are until the reader is drained.
func (r *CopyReader) Reset(enc *Encoder, rows [][]pipeline.Value) {
	*r = CopyReader{enc: enc, rows: rows, buf: append(r.buf[:0], copyHeader...)}
}

// Failed returns the index of the row that could not be encoded and why, as an *EncodeError; -1 and
// nil where there was none.
func (r *CopyReader) Failed() (int, error) {
	if r.err == nil {
		return -1, nil
	}
	return r.row, r.err
}

// Read implements io.Reader.
func (r *CopyReader) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		switch {
		case r.off < len(r.buf):
			k := copy(p[n:], r.buf[r.off:])
			n, r.off = n+k, r.off+k
		case len(r.big) > 0:
			k := copy(p[n:], r.big)
			n, r.big = n+k, r.big[k:]
		case r.done:
			return n, io.EOF
		case r.err != nil:
			return n, r.err
		default:
			r.fill()
		}
	}
	return n, nil
}

// fill encodes the next chunk, up to a large value.
func (r *CopyReader) fill() {
	r.buf, r.off = r.buf[:0], 0
	for len(r.buf) < copyChunk {
		if r.row == len(r.rows) {
			r.buf = binary.BigEndian.AppendUint16(r.buf, 0xffff)
			r.done = true
			return
		}
		row := r.rows[r.row]
		if r.col == 0 {
			r.buf = binary.BigEndian.AppendUint16(r.buf, uint16(r.enc.Len()))
		}
		if r.field(row); r.err != nil || r.big != nil {
			return
		}
	}
}

func (r *CopyReader) field(row []pipeline.Value) {
	r.big = nil
	for r.col < r.enc.Len() {
		c := &r.enc.cols[r.col]
		if v := &row[c.Index]; v.Kind() == c.kind {
			if buf, ok := appendCommon(r.buf, *v, c.form); ok {
				r.buf = buf
				r.col++
				continue
			}
		}
		if b, ok := r.large(row); ok {
			r.buf = binary.BigEndian.AppendUint32(r.buf, uint32(len(b)))
			r.big = b
			r.advance()
			return
		}
		if r.buf, r.err = r.enc.Field(r.buf, r.col, row); r.err != nil {
			return
		}
		r.col++
	}
	r.col = r.enc.Len() - 1
	r.advance()
}

func (r *CopyReader) large(row []pipeline.Value) ([]byte, bool) {
	v := row[r.enc.cols[r.col].Index]
	if !v.Kind().HasBytes() || len(v.Bytes()) < copyLarge {
		return nil, false
	}
	return r.enc.raw(r.col, row)
}

// advance goes to the next column, or the next row.
func (r *CopyReader) advance() {
	if r.col++; r.col >= r.enc.Len() {
		r.row, r.col = r.row+1, 0
	}
}
