package expr

import (
	"errors"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pipe-cdc/pipe/pipeline"
)

func textFunctions() []function {
	text, boolean := pipeline.Text, pipeline.Bool
	return []function{
		{Function: Function{Name: "lower", Params: "text", Result: "text", Text: "Lower case, by Unicode."},
			min: 1, max: 1, kind: text, args: "t", emit: emitCase(false)},
		{Function: Function{Name: "upper", Params: "text", Result: "text", Text: "Upper case, by Unicode."},
			min: 1, max: 1, kind: text, args: "t", emit: emitCase(true)},
		{Function: Function{Name: "length", Params: "text", Result: "int",
			Text: "Number of characters, or of bytes."},
			min: 1, max: 1, kind: pipeline.Int, args: "b", emit: emitLength, sql: sqlCall("length")},
		{Function: Function{Name: "substr", Params: "text, start, length?", Result: "text",
			Text: "Characters from start, counted from 1."},
			min: 2, max: 3, kind: text, args: "ti", emit: emitSubstr, sql: sqlSubstr},
		{Function: Function{Name: "startswith", Params: "text, prefix", Result: "bool",
			Text: "Whether text begins with prefix."},
			min: 2, max: 2, kind: boolean, args: "t", test: textTest(strings.HasPrefix), sql: sqlCall("starts_with")},
		{Function: Function{Name: "endswith", Params: "text, suffix", Result: "bool",
			Text: "Whether text ends with suffix."},
			min: 2, max: 2, kind: boolean, args: "t", test: textTest(strings.HasSuffix), sql: sqlEndsWith},
		{Function: Function{Name: "contains", Params: "list or text, x", Result: "bool",
			Text: "Whether the list has x, or the text contains x."},
			min: 2, max: 2, kind: boolean, args: "t", test: textTest(strings.Contains), sql: sqlContains},
		{Function: Function{Name: "regex_match", Params: "pattern, text", Result: "bool",
			Text: "Whether the RE2 pattern matches anywhere in text."},
			min: 2, max: 2, kind: boolean, args: "t", check: checkRegex, test: emitRegex},
		{Function: Function{Name: "replace", Params: "text, from, to", Result: "text",
			Text: "Every occurrence of from replaced by to."},
			min: 3, max: 3, kind: text, args: "t", emit: emitReplace, sql: sqlCall("replace")},
		{Function: Function{Name: "trim", Params: "text", Result: "text", Text: "Without blanks at both ends."},
			min: 1, max: 1, kind: text, args: "t", emit: emitTrim, sql: sqlCall("btrim")},
		{Function: Function{Name: "concat", Params: "text...", Result: "text",
			Text: "Texts joined; NULL counts as empty."},
			min: 1, max: argsMax, kind: text, args: "x", check: checkConcat, emit: emitJoin, sql: sqlConcat},
	}
}

func textTest(f func(a, b string) bool) func(n *node) predicate {
	return func(n *node) predicate { return strictTest(n, f) }
}

// emitCase copies only what changes.
func emitCase(upper bool) func(n *node) valuer {
	convert, low, shift := unicode.ToLower, byte('A'), byte(32)
	if upper {
		convert, low, shift = unicode.ToUpper, 'a', 256-32
	}
	return func(n *node) valuer {
		return strict(n, func(v *Vars, x pipeline.Value) pipeline.Value {
			if ascii(x.View()) {
				return foldASCII(v, x, low, shift)
			}
			out := v.arena.Grow(len(x.View()) + utf8.UTFMax)
			for _, r := range x.View() {
				out = utf8.AppendRune(out, convert(r))
			}
			return pipeline.BytesValue(pipeline.Text, v.arena.Keep(out))
		})
	}
}

func ascii(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// foldASCII adds shift to the 26 letters from low, in a copy where there is one.
func foldASCII(v *Vars, x pipeline.Value, low, shift byte) pipeline.Value {
	s := x.View()
	i := 0
	for i < len(s) && s[i]-low >= 26 {
		i++
	}
	if i == len(s) {
		return x
	}
	out := v.arena.Copy(x.Bytes())
	for ; i < len(out); i++ {
		if out[i]-low < 26 {
			out[i] += shift
		}
	}
	return pipeline.BytesValue(pipeline.Text, out)
}

func emitLength(n *node) valuer {
	return strict(n, func(_ *Vars, x pipeline.Value) pipeline.Value {
		if x.Kind() == pipeline.Bytes {
			return pipeline.IntValue(int64(len(x.Bytes())))
		}
		return pipeline.IntValue(int64(utf8.RuneCountInString(x.View())))
	})
}

var errLength = errors.New("substr with a negative length")

// emitSubstr counts as PostgreSQL does: what lies before character 1 counts but is not there.
func emitSubstr(n *node) valuer {
	args := emitAll(n.args)
	return func(v *Vars) pipeline.Value {
		var vals [3]pipeline.Value
		for i, arg := range args {
			if vals[i] = arg(v); vals[i].Kind() <= pipeline.Absent {
				return vals[i]
			}
		}
		start, s := vals[1].Int(), vals[0].View()
		end := int64(len(s)) + 1
		if len(args) == 3 {
			if vals[2].Int() < 0 {
				return v.fail(errLength)
			}
			if sum := start + vals[2].Int(); sum >= start {
				end = min(end, sum)
			}
		}
		from := skip(s, max(start, 1)-1)
		to := skip(s, max(end, 1)-1)
		return pipeline.StringValue(pipeline.Text, s[from:max(from, to)])
	}
}

// skip returns the offset of character n in s, or its length.
func skip(s string, n int64) int {
	for i := range s {
		if n == 0 {
			return i
		}
		n--
	}
	return len(s)
}

func checkRegex(c *compiler, n *node) bool {
	if !constantText(c, n, 0) {
		return false
	}
	re, err := regexp.Compile(n.args[0].val.View())
	if err != nil {
		c.errorf(n.args[0].rng, "Wrong pattern", "The regular expression is not valid RE2: %v.", err)
		return false
	}
	n.pattern = re
	return true
}

func emitRegex(n *node) predicate {
	arg := emit(n.args[1])
	re, ok := n.pattern.(*regexp.Regexp)
	if !ok {
		return func(*Vars) tri { return triUnknown }
	}
	return func(v *Vars) tri {
		x := arg(v)
		switch x.Kind() {
		case pipeline.Absent:
			return triFailed
		case pipeline.Null:
			return triUnknown
		}
		if re.Match(x.Bytes()) {
			return triTrue
		}
		return triFalse
	}
}

func emitReplace(n *node) valuer {
	args := emitAll(n.args)
	return func(v *Vars) pipeline.Value {
		var vals [3]pipeline.Value
		for i, arg := range args {
			if vals[i] = arg(v); vals[i].Kind() <= pipeline.Absent {
				return vals[i]
			}
		}
		s, from, to := vals[0].View(), vals[1].View(), vals[2].View()
		if from == "" || !strings.Contains(s, from) {
			return vals[0]
		}
		out := v.arena.Grow(len(s) + strings.Count(s, from)*max(0, len(to)-len(from)))
		for {
			i := strings.Index(s, from)
			if i < 0 {
				break
			}
			out = append(append(out, s[:i]...), to...)
			s = s[i+len(from):]
		}
		return pipeline.BytesValue(pipeline.Text, v.arena.Keep(append(out, s...)))
	}
}

func emitTrim(n *node) valuer {
	return strict(n, func(_ *Vars, x pipeline.Value) pipeline.Value {
		return pipeline.StringValue(pipeline.Text, strings.Trim(x.View(), " "))
	})
}

func checkConcat(c *compiler, n *node) bool {
	for i, a := range n.args {
		if n.args[i] = c.text(a); n.args[i] == nil {
			return false
		}
	}
	return true
}

func emitJoin(n *node) valuer {
	parts := emitAll(n.args)
	return func(v *Vars) pipeline.Value {
		values, size := v.arena.Values(len(parts)), 0
		for i, part := range parts {
			x := part(v)
			if x.Kind() == pipeline.Absent {
				return x
			}
			values[i] = x
			size += len(x.View())
		}
		out := v.arena.Grow(size)
		for i := range values {
			out = append(out, values[i].View()...)
		}
		return pipeline.BytesValue(pipeline.Text, v.arena.Keep(out))
	}
}
