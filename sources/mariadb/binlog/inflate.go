package binlog

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
)

// MaxInflated bounds what one compressed event or value may become, in bytes: the most that a packet
// of the server may hold.
const MaxInflated = 1 << 30

// errCompressed says that compressed data is not as it should be.
var errCompressed = errors.New("damaged compressed data")

// Inflater decompresses; its memory is reused. Not safe for concurrent use.
type Inflater struct {
	source bytes.Reader
	zlib   io.ReadCloser
	flate  io.ReadCloser
	out    []byte
}

// event decompresses the compressed part of an event (MariaDB Server, sql/log_event.cc,
// binlog_buf_uncompress): a byte with the number of bytes of the length, the length, zlib.
func (z *Inflater) event(p []byte) ([]byte, error) {
	c := cursor{b: p}
	head := c.u8()
	length := bigUint(c.take(int(head & 7)))
	if c.bad || head&0xf0 != 0x80 || head&7 == 0 || head&7 > 4 || length > MaxInflated {
		return nil, errCompressed
	}
	out, err := z.inflate(z.out[:0], c.b, int(length), false)
	if err != nil {
		return nil, err
	}
	if z.out = out; len(out) != int(length) {
		return nil, errCompressed
	}
	return out, nil
}

// inflate appends what p becomes to dst, which has most bytes at the most.
func (z *Inflater) inflate(dst, p []byte, most int, raw bool) ([]byte, error) {
	r, err := z.open(p, raw)
	if err != nil {
		return dst, fmt.Errorf("%w: %w", errCompressed, err)
	}
	start := len(dst)
	for {
		if len(dst) == cap(dst) {
			dst = append(dst, 0)[:len(dst)]
		}
		n, err := r.Read(dst[len(dst):cap(dst)])
		if dst = dst[:len(dst)+n]; len(dst)-start > most {
			return dst, fmt.Errorf("%w: more than %d bytes", errCompressed, most)
		}
		if err == io.EOF {
			return dst, nil
		}
		if err != nil {
			return dst, fmt.Errorf("%w: %w", errCompressed, err)
		}
	}
}

func (z *Inflater) open(p []byte, raw bool) (r io.Reader, err error) {
	z.source.Reset(p)
	if raw {
		if z.flate == nil {
			z.flate = flate.NewReader(&z.source)
			return z.flate, nil
		}
		return z.flate, z.flate.(flate.Resetter).Reset(&z.source, nil)
	}
	if z.zlib == nil {
		z.zlib, err = zlib.NewReader(&z.source)
		return z.zlib, err
	}
	return z.zlib, z.zlib.(zlib.Resetter).Reset(&z.source, nil)
}

// column decompresses a value of a COMPRESSED column (MariaDB Server, sql/field.cc): method and
// number of bytes of the length, the length, the data. It appends to dst.
func (z *Inflater) column(dst, p []byte) ([]byte, error) {
	const methodNone, methodZlib, rawDeflate = 0, 8, 8
	if len(p) == 0 {
		return dst, nil
	}
	head := p[0]
	switch head >> 4 {
	case methodNone:
		return append(dst, p[1:]...), nil
	case methodZlib:
		sizes := int(head & 7)
		if len(p) < 1+sizes {
			return dst, errCompressed
		}
		return z.inflate(dst, p[1+sizes:], MaxInflated, head&rawDeflate != 0)
	}
	return dst, fmt.Errorf("%w: method %d is unknown", errCompressed, head>>4)
}
