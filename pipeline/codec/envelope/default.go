package envelope

import (
	"strconv"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
)

// defaultOf returns the JSON literal of a column's default, "" for none: literals as they are; of a
// required column a function (a sequence's nextval, now()) as the type's zero, as Debezium does.
func defaultOf(c *pipeline.Column, t *Type) string {
	expr := strings.TrimSpace(c.Default)
	if expr == "" || strings.EqualFold(expr, "null") || t.Name != "" {
		return ""
	}
	base := t.Form.Base()
	if lit := literal(expr, base); lit != "" {
		return lit
	}
	if c.Nullable || !strings.HasSuffix(expr, ")") {
		return ""
	}
	switch base {
	case Int, Long:
		return "0"
	case Float, Double:
		return "0.0"
	case Boolean:
		return "false"
	case Str:
		return `""`
	}
	return ""
}

func literal(expr string, base Base) string {
	text, quoted := unquote(expr)
	switch base {
	case Int, Long:
		bits := 64
		if base == Int {
			bits = 32
		}
		if n, err := strconv.ParseInt(text, 10, bits); err == nil {
			return strconv.FormatInt(n, 10)
		}
	case Boolean:
		if l := strings.ToLower(text); l == "true" || l == "false" {
			return l
		}
	case Str:
		if quoted {
			return string(AppendJSONString(nil, text))
		}
	}
	return ""
}

// unquote returns the text of 'x'::type, and whether there were quotes.
func unquote(expr string) (string, bool) {
	if !strings.HasPrefix(expr, "'") {
		text, _, _ := strings.Cut(expr, "::")
		return strings.Trim(text, "()"), false
	}
	end := strings.LastIndexByte(expr, '\'')
	if end == 0 {
		return expr, false
	}
	return strings.ReplaceAll(expr[1:end], "''", "'"), true
}
