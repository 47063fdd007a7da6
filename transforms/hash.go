package transforms

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"unicode/utf8"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/expr"
)

func hashNames() []string { return []string{"sha256", "sha512", "sha1", "md5"} }

// hasher hashes values; it keeps its own scratch memory and is not safe for concurrent use.
type hasher struct {
	state hash.Hash
	salt  []byte
	java  bool
	limit int // of the hexadecimal digits; 0: none
	text  []byte
	sum   []byte
}

func newHasher(name, form, salt string) *hasher {
	h := &hasher{salt: []byte(salt), java: form == formJava}
	switch name {
	case "sha512":
		h.state = sha512.New()
	case "sha1":
		h.state = sha1.New()
	case "md5":
		h.state = md5.New()
	default:
		h.state = sha256.New()
	}
	return h
}

// mask replaces a value by its hash.
func (h *hasher) mask(a *pipeline.Arena, x pipeline.Value) pipeline.Value {
	h.text = h.text[:0]
	if h.java {
		s := x.View()
		if !x.Kind().HasBytes() || x.Kind() == pipeline.Bytes {
			s = string(expr.AppendText(nil, x))
		}
		h.text = appendJavaString(h.text, s)
	} else {
		h.text = expr.AppendText(h.text, x)
	}
	h.state.Reset()
	h.state.Write(h.salt)
	h.state.Write(h.text)
	h.sum = h.state.Sum(h.sum[:0])
	out := a.Alloc(hex.EncodedLen(len(h.sum)))
	hex.Encode(out, h.sum)
	if h.limit > 0 && h.limit < len(out) {
		out = out[:h.limit]
	}
	return pipeline.BytesValue(pipeline.Text, out)
}

// javaShortMax is the length in bytes from which a serialised string has a long header.
const javaShortMax = 0xFFFF

// appendJavaString appends s as Java's ObjectOutputStream writes it: stream header, TC_STRING with
// two bytes of length (TC_LONGSTRING with eight), modified UTF-8. (Java Object Serialization
// Specification, 6.4.2.)
func appendJavaString(dst []byte, s string) []byte {
	dst = append(dst, 0xAC, 0xED, 0x00, 0x05)
	n := javaLength(s)
	if n <= javaShortMax {
		dst = binary.BigEndian.AppendUint16(append(dst, 0x74), uint16(n))
	} else {
		dst = binary.BigEndian.AppendUint64(append(dst, 0x7C), uint64(n))
	}
	for _, r := range s {
		switch {
		case r == 0:
			dst = append(dst, 0xC0, 0x80)
		case r >= 0x10000:
			r -= 0x10000
			dst = appendUnit(appendUnit(dst, 0xD800+r>>10), 0xDC00+r&0x3FF)
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return dst
}

// javaLength is the length of s in modified UTF-8.
func javaLength(s string) int {
	n := 0
	for _, r := range s {
		switch {
		case r == 0:
			n += 2
		case r >= 0x10000:
			n += 6
		default:
			n += utf8.RuneLen(r)
		}
	}
	return n
}

// appendUnit appends a UTF-16 surrogate in three bytes.
func appendUnit(dst []byte, u rune) []byte {
	return append(dst, 0xE0|byte(u>>12), 0x80|byte(u>>6)&0x3F, 0x80|byte(u)&0x3F)
}
