package pgtext

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/pipe-cdc/pipe/pipeline"
)

// copySignature begins what COPY (FORMAT binary) sends; flags and the length of an extension follow
// (PostgreSQL documentation, COPY, "Binary Format").
const copySignature = "PGCOPY\n\377\r\n\x00"

// copyTrailer stands where the next row's number of columns would.
const copyTrailer = 0xffff

var errCopyShort = errors.New("a COPY row is cut off")

// CopyHeader takes the header off the first bytes of a binary COPY.
func CopyHeader(src []byte) (rest []byte, err error) {
	const flagsAndLength = 8
	n := len(copySignature)
	if len(src) < n+flagsAndLength || string(src[:n]) != copySignature {
		return nil, errors.New("a binary COPY does not begin with its signature")
	}
	const known = 0xffff // the lower flags may be ignored, the upper are critical
	if flags := binary.BigEndian.Uint32(src[n:]); flags&^known != 0 {
		return nil, fmt.Errorf("binary COPY with unknown flags %08x", flags)
	}
	extension := binary.BigEndian.Uint32(src[n+4:])
	src = src[n+flagsAndLength:]
	if uint64(extension) > uint64(len(src)) {
		return nil, errors.New("the header of a binary COPY is cut off")
	}
	return src[extension:], nil
}

// CopyEnd reports whether src is the trailer of a binary COPY.
func CopyEnd(src []byte) bool {
	return len(src) == 2 && binary.BigEndian.Uint16(src) == copyTrailer
}

// CopyRow decodes the row of a binary COPY that src begins with into values, one for each column,
// and returns what follows. The columns for which BinaryOK does not hold must have been selected as
// text. Values point into src, which must live as long as the arena.
func (d *Decoder) CopyRow(a *pipeline.Arena, values []pipeline.Value, src []byte) (rest []byte, err error) {
	if len(src) < 2 {
		return nil, errCopyShort
	}
	if n := int(binary.BigEndian.Uint16(src)); n != len(d.cols) {
		return nil, fmt.Errorf("a COPY row has %d columns, want %d", n, len(d.cols))
	}
	src = src[2:]
	for i := range d.cols {
		if len(src) < 4 {
			return nil, errCopyShort
		}
		n := int(int32(binary.BigEndian.Uint32(src)))
		if src = src[4:]; n == -1 {
			values[i] = pipeline.NullValue
			continue
		}
		if n < 0 || n > len(src) {
			return nil, errCopyShort
		}
		if values[i], err = d.copyValue(a, i, src[:n:n]); err != nil {
			return nil, err
		}
		src = src[n:]
	}
	return src, nil
}

// copyValue decodes one column. The commonest forms come first, without a further call.
func (d *Decoder) copyValue(a *pipeline.Arena, i int, src []byte) (pipeline.Value, error) {
	c := &d.cols[i]
	switch c.binary {
	case formUnknown:
		return d.TextOwned(a, i, src)
	case formRaw:
		return pipeline.BytesValue(c.kind, src), nil
	case formInt8:
		if len(src) == 8 {
			return pipeline.IntValue(int64(binary.BigEndian.Uint64(src))), nil
		}
	case formInt4:
		if len(src) == 4 {
			return pipeline.IntValue(int64(int32(binary.BigEndian.Uint32(src)))), nil
		}
	}
	return d.BinaryOwned(a, i, src)
}
