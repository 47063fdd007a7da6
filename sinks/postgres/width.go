package postgres

import (
	"math"
	"strconv"
	"strings"
)

// width places a type among those of its family, where a wider one holds every value of a narrower.
type width struct {
	family       string
	rank         int
	whole, scale int // numeric: digits before and after the point. Texts: characters
}

// widthOf places a type given without and with its modifiers.
func widthOf(typ, full string) width {
	p, s, declared := modifiers(full)
	switch typ {
	case "smallint":
		return width{family: "number", rank: 1, whole: 5}
	case "integer":
		return width{family: "number", rank: 2, whole: 10}
	case "bigint":
		return width{family: "number", rank: 3, whole: 19}
	case "numeric":
		if !declared {
			return width{family: "number", rank: 4, whole: math.MaxInt32, scale: math.MaxInt32}
		}
		return width{family: "number", rank: 4, whole: p - s, scale: s}
	case "real":
		return width{family: "float", rank: 1}
	case "double precision":
		return width{family: "float", rank: 2}
	case "character varying":
		if declared {
			return width{family: "text", rank: 1, whole: p}
		}
		return width{family: "text", rank: 1, whole: math.MaxInt32}
	case "text":
		return width{family: "text", rank: 2, whole: math.MaxInt32}
	}
	return width{}
}

// less reports whether every value of w is one of o and o holds more.
func (w width) less(o width) bool {
	if w.whole > o.whole || w.scale > o.scale || w.rank > o.rank {
		return false
	}
	return w != o
}

func modifiers(full string) (p, s int, declared bool) {
	_, rest, ok := strings.Cut(full, "(")
	inner, _, closed := strings.Cut(rest, ")")
	if !ok || !closed {
		return 0, 0, false
	}
	first, second, _ := strings.Cut(inner, ",")
	p, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil {
		return 0, 0, false
	}
	if second != "" {
		if s, err = strconv.Atoi(strings.TrimSpace(second)); err != nil {
			return 0, 0, false
		}
	}
	return p, s, true
}
