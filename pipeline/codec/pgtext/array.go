package pgtext

import (
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
)

// maxDims is PostgreSQL's MAXDIM.
const maxDims = 6

// arrayShape is the head of an array's binary form.
type arrayShape struct {
	dims  int
	size  [maxDims]int
	lower [maxDims]int32
}

// array: number of dimensions, whether there are NULLs, the element's type; size and lower bound of
// each dimension; then each element as length and bytes. Printed as array_out does.
func (p printer) array(dst []byte, elem *pipeline.Column, src []byte) ([]byte, bool) {
	shape, rest, ok := readShape(elem, src)
	if !ok {
		return dst, false
	}
	if shape.dims == 0 {
		return append(dst, "{}"...), len(rest) == 0
	}
	dst = appendBounds(dst, &shape)
	e := elements{printer: p, form: formOfType(elem.Kind, elem.TypeID), elem: elem, rest: rest}
	dst, ok = e.level(dst, &shape, 0)
	return dst, ok && len(e.rest) == 0
}

func readShape(elem *pipeline.Column, src []byte) (s arrayShape, rest []byte, ok bool) {
	const head, each = 12, 8
	if len(src) < head {
		return s, nil, false
	}
	dims, typ := binary.BigEndian.Uint32(src), binary.BigEndian.Uint32(src[8:])
	if dims > maxDims || len(src) < head+each*int(dims) {
		return s, nil, false
	}
	if typ < firstUserOID && typ != elem.TypeID { // a domain's own number is a user's
		return s, nil, false
	}
	s.dims, rest = int(dims), src[head:]
	for i := range s.dims {
		n := int32(binary.BigEndian.Uint32(rest))
		s.lower[i] = int32(binary.BigEndian.Uint32(rest[4:]))
		if n <= 0 || int64(n) > int64(len(src)) {
			return s, nil, false
		}
		s.size[i], rest = int(n), rest[each:]
	}
	return s, rest, true
}

// appendBounds prints [l:u]... = where a lower bound is not 1.
func appendBounds(dst []byte, s *arrayShape) []byte {
	plain := true
	for i := range s.dims {
		plain = plain && s.lower[i] == 1
	}
	if plain {
		return dst
	}
	for i := range s.dims {
		dst = strconv.AppendInt(append(dst, '['), int64(s.lower[i]), 10)
		dst = strconv.AppendInt(append(dst, ':'), int64(s.lower[i])+int64(s.size[i])-1, 10)
		dst = append(dst, ']')
	}
	return append(dst, '=')
}

// elements walks the elements of an array.
type elements struct {
	printer
	form form
	elem *pipeline.Column
	rest []byte
}

func (e *elements) level(dst []byte, s *arrayShape, depth int) ([]byte, bool) {
	dst = append(dst, '{')
	ok := true
	for i := 0; i < s.size[depth]; i++ {
		if i > 0 {
			dst = append(dst, ',')
		}
		if depth+1 < s.dims {
			dst, ok = e.level(dst, s, depth+1)
		} else {
			dst, ok = e.next(dst)
		}
		if !ok {
			return dst, false
		}
	}
	return append(dst, '}'), true
}

func (e *elements) next(dst []byte) ([]byte, bool) {
	src, null, rest, ok := lengthPrefixed(e.rest)
	if !ok {
		return dst, false
	}
	e.rest = rest
	if null {
		return append(dst, "NULL"...), true
	}
	at := len(dst)
	dst, ok = e.value(dst, e.form, e.elem, src)
	if ok && arrayQuotes(dst[at:]) {
		dst = quoteFrom(dst, at, escapeBackslash)
	}
	return dst, ok
}

// lengthPrefixed splits an int32 length, -1 for NULL, and that many bytes off src.
func lengthPrefixed(src []byte) (value []byte, null bool, rest []byte, ok bool) {
	if len(src) < 4 {
		return nil, false, nil, false
	}
	n := int32(binary.BigEndian.Uint32(src))
	if n == -1 {
		return nil, true, src[4:], true
	}
	if n < 0 || int(n) > len(src)-4 {
		return nil, false, nil, false
	}
	return src[4 : 4+n : 4+n], false, src[4+n:], true
}

// arrayQuotes reports whether array_out puts an element in quotes.
func arrayQuotes(text []byte) bool {
	if len(text) == 0 || len(text) == 4 && strings.EqualFold(string(text), "null") {
		return true
	}
	for _, c := range text {
		if c == '"' || c == '\\' || c == '{' || c == '}' || c == ',' || isSpace(c) {
			return true
		}
	}
	return false
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// escaping is how a quote or a backslash is written inside quotes.
type escaping uint8

const (
	escapeBackslash escaping = iota // \" in arrays
	escapeDouble                    // "" in ranges and composites
)

// quoteFrom puts dst[at:] in quotes, in place.
func quoteFrom(dst []byte, at int, how escaping) []byte {
	extra := 2
	for _, c := range dst[at:] {
		if c == '"' || c == '\\' {
			extra++
		}
	}
	from := len(dst)
	for range extra {
		dst = append(dst, '"')
	}
	to := len(dst) - 1
	for from--; from >= at; from-- { // backwards: what is written lies behind what is read
		c := dst[from]
		to--
		dst[to] = c
		if c != '"' && c != '\\' {
			continue
		}
		to--
		dst[to] = c
		if how == escapeBackslash {
			dst[to] = '\\'
		}
	}
	dst[at] = '"'
	return dst
}
