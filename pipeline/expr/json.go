package expr

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/pipe-cdc/pipe/pipeline"
)

var errJSON = errors.New("json_get: not valid JSON")

// jsonDepthMax bounds the nesting of a document.
const jsonDepthMax = 1000

// jsonPath finds a member; like PostgreSQL, of members with equal names the last counts.
func jsonPath(v *Vars, doc string, path []string) pipeline.Value {
	for _, key := range path {
		value, ok := jsonMember(doc, key)
		if !ok {
			return v.fail(errJSON)
		}
		if value == "" {
			return pipeline.NullValue
		}
		doc = value
	}
	doc = strings.Trim(doc, " \t\r\n")
	if doc == "null" {
		return pipeline.NullValue
	}
	if doc == "" || doc[0] != '"' {
		return pipeline.StringValue(pipeline.Text, doc)
	}
	return jsonString(v, doc)
}

// jsonMember returns the text of the member of an object or the element of an array, "" where there
// is none; false where doc is not JSON.
func jsonMember(doc, key string) (value string, ok bool) {
	i := space(doc, 0)
	if i == len(doc) {
		return "", false
	}
	if doc[i] != '{' && doc[i] != '[' {
		return "", true
	}
	object, end := doc[i] == '{', byte(']')
	if object {
		end = '}'
	}
	i = space(doc, i+1)
	if i < len(doc) && doc[i] == end {
		return "", true
	}
	want, ok := jsonIndex(key)
	if !object && !ok {
		return "", true
	}
	for n := 0; ; n++ {
		found := !object && n == want
		if object {
			if i, found, ok = jsonName(doc, i, key); !ok {
				return "", false
			}
		}
		next, ok := jsonSkip(doc, i, 0)
		if !ok {
			return "", false
		}
		if found {
			value = doc[i:next]
		}
		i = space(doc, next)
		if i == len(doc) || doc[i] != ',' && doc[i] != end {
			return "", false
		}
		if doc[i] == end {
			return value, true
		}
		i = space(doc, i+1)
	}
}

// jsonIndex reads an array index of at most 9 digits.
func jsonIndex(key string) (int, bool) {
	if key == "" || len(key) > 9 {
		return 0, false
	}
	n, ok := number(key)
	return int(n), ok
}

// jsonName reads a member's name and colon, and says whether it is key.
func jsonName(doc string, i int, key string) (next int, found, ok bool) {
	if i == len(doc) || doc[i] != '"' {
		return 0, false, false
	}
	end, ok := jsonSkip(doc, i, 0)
	if !ok {
		return 0, false, false
	}
	name := doc[i+1 : end-1]
	found = name == key
	if strings.IndexByte(name, '\\') >= 0 {
		unquoted, good := jsonUnquote(nil, name)
		found = good && string(unquoted) == key
	}
	i = space(doc, end)
	if i == len(doc) || doc[i] != ':' {
		return 0, false, false
	}
	return space(doc, i+1), found, true
}

func space(s string, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\t' || s[i] == '\n' || s[i] == '\r') {
		i++
	}
	return i
}

// jsonSkip returns the end of the value that begins at i.
func jsonSkip(s string, i, depth int) (int, bool) {
	if i >= len(s) || depth > jsonDepthMax {
		return 0, false
	}
	switch s[i] {
	case '"':
		return skipString(s, i)
	case '{', '[':
		return skipNested(s, i)
	}
	start := i
	for i < len(s) && strings.IndexByte(",]} \t\r\n:", s[i]) < 0 {
		i++
	}
	return i, i > start
}

func skipString(s string, i int) (int, bool) {
	for i++; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1, true
		}
	}
	return 0, false
}

// skipNested counts brackets outside strings.
func skipNested(s string, i int) (int, bool) {
	depth := 0
	for i < len(s) {
		switch s[i] {
		case '"':
			end, ok := skipString(s, i)
			if !ok {
				return 0, false
			}
			i = end
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		i++
		if depth == 0 {
			return i, true
		}
	}
	return 0, false
}

// jsonString returns the content of a quoted string, a part of it where nothing is escaped.
func jsonString(v *Vars, s string) pipeline.Value {
	if len(s) < 2 || s[len(s)-1] != '"' {
		return v.fail(errJSON)
	}
	s = s[1 : len(s)-1]
	if strings.IndexByte(s, '\\') < 0 {
		return pipeline.StringValue(pipeline.Text, s)
	}
	out, ok := jsonUnquote(v.arena.Grow(len(s)), s)
	if !ok {
		return v.fail(errJSON)
	}
	return pipeline.BytesValue(pipeline.Text, v.arena.Keep(out))
}

// jsonUnquote appends s, the inside of a string, without escapes.
func jsonUnquote(dst []byte, s string) ([]byte, bool) {
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			dst = append(dst, s[i])
			continue
		}
		if i++; i == len(s) {
			return dst, false
		}
		if s[i] == 'u' {
			r, n, ok := jsonRune(s[i+1:])
			if !ok {
				return dst, false
			}
			dst = utf8.AppendRune(dst, r)
			i += n
			continue
		}
		k := strings.IndexByte(`"\/bfnrt`, s[i])
		if k < 0 {
			return dst, false
		}
		dst = append(dst, "\"\\/\b\f\n\r\t"[k])
	}
	return dst, true
}

// jsonRune reads what follows \u: four digits, or a surrogate pair.
func jsonRune(s string) (r rune, n int, ok bool) {
	a, ok := hex4(s)
	if !ok {
		return 0, 0, false
	}
	if !utf16.IsSurrogate(a) {
		return a, 4, true
	}
	if len(s) < 10 || s[4:6] != `\u` {
		return 0, 0, false
	}
	b, ok := hex4(s[6:])
	r = utf16.DecodeRune(a, b)
	return r, 10, ok && r != utf8.RuneError
}

func hex4(s string) (rune, bool) {
	if len(s) < 4 {
		return 0, false
	}
	n, err := strconv.ParseUint(s[:4], 16, 32)
	return rune(n), err == nil
}
