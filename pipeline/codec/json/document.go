package json

import (
	"unicode/utf8"

	"github.com/pipe-cdc/pipe/pipeline/codec/envelope"
)

// MaxDepth is how deep a document may be nested to be embedded.
const MaxDepth = 512

// AppendDocument appends a JSON document without the white space around its tokens, and reports
// whether it is valid (RFC 8259, UTF-8); otherwise dst is returned as it was.
func AppendDocument(dst, doc []byte) ([]byte, bool) {
	s := scanner{in: doc, out: dst}
	if !s.value(0) {
		return dst, false
	}
	s.space()
	if s.at < len(doc) {
		return dst, false
	}
	return s.out, true
}

// scanner copies a document while it checks it.
type scanner struct {
	in, out []byte
	at      int
}

func (s *scanner) space() {
	for s.at < len(s.in) {
		switch s.in[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return
		}
	}
}

// next skips white space and returns the byte after it, 0 at the end.
func (s *scanner) next() byte {
	s.space()
	if s.at == len(s.in) {
		return 0
	}
	return s.in[s.at]
}

// take copies the next byte, where it is c.
func (s *scanner) take(c byte) bool {
	if s.next() != c {
		return false
	}
	s.at++
	s.out = append(s.out, c)
	return true
}

func (s *scanner) value(depth int) bool {
	switch c := s.next(); c {
	case '{':
		return depth < MaxDepth && s.members(depth)
	case '[':
		return depth < MaxDepth && s.elements(depth)
	case '"':
		return s.text()
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	}
	n := scanNumber(s.in[s.at:])
	s.out = append(s.out, s.in[s.at:s.at+n]...)
	s.at += n
	return n > 0
}

func (s *scanner) word(w string) bool {
	if len(s.in)-s.at < len(w) || string(s.in[s.at:s.at+len(w)]) != w {
		return false
	}
	s.at += len(w)
	s.out = append(s.out, w...)
	return true
}

func (s *scanner) members(depth int) bool {
	s.take('{')
	if s.take('}') {
		return true
	}
	for {
		if s.next() != '"' || !s.text() || !s.take(':') || !s.value(depth+1) {
			return false
		}
		if s.take('}') {
			return true
		}
		if !s.take(',') {
			return false
		}
	}
}

func (s *scanner) elements(depth int) bool {
	s.take('[')
	if s.take(']') {
		return true
	}
	for {
		if !s.value(depth + 1) {
			return false
		}
		if s.take(']') {
			return true
		}
		if !s.take(',') {
			return false
		}
	}
}

// text copies a string; what could drive a terminal is escaped on the way.
func (s *scanner) text() bool {
	start := s.at
	for i := s.at + 1; i < len(s.in); {
		switch c := s.in[i]; {
		case c == '"':
			s.out = append(s.out, s.in[start:i+1]...)
			s.at = i + 1
			return true
		case c < ' ':
			return false
		case c == '\\':
			n := escape(s.in[i:])
			if n == 0 {
				return false
			}
			i += n
		case c < 0x7f:
			i++
		default:
			r, n := utf8.DecodeRune(s.in[i:])
			if r == utf8.RuneError && n == 1 {
				return false
			}
			if envelope.Hidden(r) {
				s.out = append(s.out, s.in[start:i]...)
				s.out = envelope.AppendEscape(s.out, r)
				start = i + n
			}
			i += n
		}
	}
	return false
}

// escape returns the length of the escape sequence that s begins with, 0 where it is none.
func escape(s []byte) int {
	if len(s) < 2 {
		return 0
	}
	switch s[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(s) < 6 {
			return 0
		}
		for _, c := range s[2:6] {
			if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
				return 0
			}
		}
		return 6
	}
	return 0
}
