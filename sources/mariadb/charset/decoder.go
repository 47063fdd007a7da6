package charset

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/transform"
)

// ErrInvalid says that bytes are no text of the character set.
var ErrInvalid = errors.New("bytes that are no text of the column's character set")

// Decoder reads text of one character set. Not safe for concurrent use.
type Decoder struct {
	*Charset
	multi *encoding.Decoder
}

// NewDecoder returns a decoder.
func NewDecoder(c *Charset) *Decoder {
	d := &Decoder{Charset: c}
	if c.multi != nil {
		d.multi = c.multi.NewDecoder()
	}
	return d
}

// HasASCII reports whether text of nothing but bytes below 0x80 is its own UTF-8.
func (c *Charset) HasASCII() bool {
	return c.form == formUTF8 || c.form == formASCII || c.form == formSingle
}

// Direct reports whether p is its own UTF-8 already.
func (d *Decoder) Direct(p []byte) bool {
	switch d.form {
	case formUTF8:
		return utf8.Valid(p)
	case formBinary:
		return true
	case formASCII, formSingle, formMulti:
		return plain(p, d.form == formMulti)
	}
	return len(p) == 0
}

// plain reports whether every byte is ASCII. In some multi-byte sets two bytes of ASCII's range do
// not mean what they mean in ASCII: those are left to the converter.
func plain(p []byte, multi bool) bool {
	for len(p) >= 8 && !multi {
		if binary.LittleEndian.Uint64(p)&0x8080808080808080 != 0 {
			return false
		}
		p = p[8:]
	}
	for _, b := range p {
		if b >= utf8.RuneSelf || multi && (b == '\\' || b == '~') {
			return false
		}
	}
	return true
}

// Append appends p as UTF-8. With ErrInvalid, what could not be read is replaced by U+FFFD.
func (d *Decoder) Append(dst, p []byte) ([]byte, error) {
	switch d.form {
	case formUTF8, formASCII:
		return appendUTF8(dst, p, d.form == formASCII)
	case formBinary:
		return append(dst, p...), nil
	case formSingle:
		return d.appendSingle(dst, p)
	case formUTF16, formUCS2:
		return appendUTF16(dst, p, binary.BigEndian, d.form == formUTF16)
	case formUTF16LE:
		return appendUTF16(dst, p, binary.LittleEndian, true)
	case formUTF32:
		return appendUTF32(dst, p)
	}
	return d.appendMulti(dst, p)
}

func appendUTF8(dst, p []byte, ascii bool) ([]byte, error) {
	var err error
	for len(p) > 0 {
		r, n := utf8.DecodeRune(p)
		if r == utf8.RuneError && n == 1 || ascii && r >= utf8.RuneSelf {
			err, r, n = ErrInvalid, utf8.RuneError, 1
		}
		dst, p = utf8.AppendRune(dst, r), p[n:]
	}
	return dst, err
}

func (d *Decoder) appendSingle(dst, p []byte) ([]byte, error) {
	var err error
	for _, b := range p {
		r := d.table[b]
		if r == utf8.RuneError {
			err = ErrInvalid
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst, err
}

func appendUTF16(dst, p []byte, order binary.ByteOrder, pairs bool) ([]byte, error) {
	var err error
	for len(p) >= 2 {
		r := rune(order.Uint16(p))
		p = p[2:]
		if utf16.IsSurrogate(r) {
			low := rune(utf8.RuneError)
			if pairs && len(p) >= 2 {
				low = rune(order.Uint16(p))
			}
			if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
				err = ErrInvalid
			} else {
				p = p[2:]
			}
		}
		dst = utf8.AppendRune(dst, r)
	}
	if len(p) > 0 {
		return utf8.AppendRune(dst, utf8.RuneError), ErrInvalid
	}
	return dst, err
}

func appendUTF32(dst, p []byte) ([]byte, error) {
	var err error
	for len(p) >= 4 {
		n := binary.BigEndian.Uint32(p)
		r := rune(utf8.RuneError)
		if n <= utf8.MaxRune && utf8.ValidRune(rune(n)) {
			r = rune(n)
		} else {
			err = ErrInvalid
		}
		dst, p = utf8.AppendRune(dst, r), p[4:]
	}
	if len(p) > 0 {
		return utf8.AppendRune(dst, utf8.RuneError), ErrInvalid
	}
	return dst, err
}

// utf8PerByte is the most bytes of UTF-8 that one byte of a multi-byte set makes.
const utf8PerByte = 3

func (d *Decoder) appendMulti(dst, p []byte) ([]byte, error) {
	start := len(dst)
	need := start + utf8PerByte*len(p) + utf8.UTFMax
	if cap(dst) < need {
		dst = append(make([]byte, 0, need), dst...)
	}
	d.multi.Reset()
	n, read, err := d.multi.Transform(dst[start:need], p, true)
	dst = dst[:start+n]
	if err != nil && !errors.Is(err, transform.ErrShortDst) && !errors.Is(err, transform.ErrShortSrc) {
		return dst, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if read < len(p) {
		return utf8.AppendRune(dst, utf8.RuneError), ErrInvalid
	}
	for rest := dst[start:]; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		if r == utf8.RuneError {
			return dst, ErrInvalid
		}
		rest = rest[size:]
	}
	return dst, nil
}
