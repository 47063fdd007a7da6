package spec

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// binding is a typed pointer behind an interface: what an attribute writes to.
type binding interface{ target() any }

type bound[T Value] struct{ p *T }

func (b bound[T]) target() any { return b.p }

func bind[T Value](p *T) binding { return bound[T]{p} }

// Target returns the pointer that the attribute is bound to: *string, *time.Duration, ...
func (a *Attribute) Target() any { return a.bind.target() }

// kindOf names a bound type as messages and documentation do.
func kindOf[T Value]() string {
	switch any(*new(T)).(type) {
	case string, Secret:
		return "string"
	case bool:
		return "bool"
	case int, int64:
		return "whole number"
	case float64:
		return "number"
	case time.Duration:
		return "duration"
	case Bytes:
		return "size"
	case []string:
		return "list of strings"
	case map[string]string:
		return "map of strings"
	case Ref:
		return "reference"
	case []Ref:
		return "reference or list of references"
	case Expr:
		return "row expression"
	case map[string]Expr:
		return "map of row expressions"
	}
	return "table template"
}

// literal renders a default as the user would write it.
func literal(v any) string {
	switch v := v.(type) {
	case string:
		return strconv.Quote(v)
	case time.Duration:
		return strconv.Quote(shortDuration(v))
	case Bytes:
		return strconv.Quote(v.String())
	case []string:
		quoted := make([]string, len(v))
		for i, s := range v {
			quoted[i] = strconv.Quote(s)
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	case bool, int, int64, float64:
		return fmt.Sprint(v)
	}
	return ""
}

// shortDuration drops the zero parts of a duration: "10s", not "0h0m10s"; "1h" not "1h0m0s".
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// String renders the size with the largest unit that divides it: "64MiB".
func (b Bytes) String() string {
	units := []struct {
		name string
		size Bytes
	}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}
	for _, u := range units {
		if b != 0 && b%u.size == 0 {
			return strconv.FormatInt(int64(b/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10) + "B"
}
