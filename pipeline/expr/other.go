package expr

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
)

func otherFunctions() []function {
	return []function{
		{Function: Function{Name: "coalesce", Params: "x...", Result: "as x", Text: "The first that is not NULL."},
			min: 1, max: argsMax, args: "x", emit: emitCoalesce, sql: sqlCall("coalesce")},
		{Function: Function{Name: "to_text", Params: "x", Result: "text", Text: "The value as PostgreSQL prints it."},
			min: 1, max: 1, kind: pipeline.Text, args: "x", emit: emitToText, sql: sqlToText},
		{Function: Function{Name: "date_part", Params: "field, time", Result: "int",
			Text: "year, quarter, month, day, hour, minute, second, dow (0 is Sunday) or doy, in UTC; NULL for " +
				"infinity."},
			min: 2, max: 2, kind: pipeline.Int, args: "td", check: checkDatePart, emit: emitDatePart},
		{Function: Function{Name: "epoch", Params: "time", Result: "int",
			Text: "Whole seconds since 1970-01-01 UTC; NULL for infinity."},
			min: 1, max: 1, kind: pipeline.Int, args: "d", emit: emitEpoch},
		{Function: Function{Name: "hash_sha256", Params: "text", Result: "text",
			Text: "SHA-256 of the bytes, in hexadecimal."},
			min: 1, max: 1, kind: pipeline.Text, args: "b", emit: emitSHA256},
		{Function: Function{Name: "json_get", Params: "json, key...", Result: "text",
			Text: "The member at a path of keys and indexes, as text; NULL where there is none."},
			min: 2, max: argsMax, kind: pipeline.Text, args: "jt", check: checkJSON, emit: emitJSON},
	}
}

func emitCoalesce(n *node) valuer {
	args := emitAll(n.args)
	return func(v *Vars) pipeline.Value {
		for _, arg := range args {
			if x := arg(v); !x.IsNull() {
				return x
			}
		}
		return pipeline.NullValue
	}
}

func emitToText(n *node) valuer {
	return strict(n, func(v *Vars, x pipeline.Value) pipeline.Value {
		if x.Kind().HasBytes() && x.Kind() != pipeline.Bytes {
			return pipeline.BytesValue(pipeline.Text, x.Bytes())
		}
		return pipeline.BytesValue(pipeline.Text, v.arena.Keep(AppendText(v.arena.Grow(40+2*len(x.Bytes())), x)))
	})
}

// datePart chooses a field of a date; the order of parts is that of partNames.
type datePart int

func partNames() []string {
	return []string{"year", "quarter", "month", "day", "hour", "minute", "second", "dow", "doy"}
}

func checkDatePart(c *compiler, n *node) bool {
	if !constantText(c, n, 0) {
		return false
	}
	name := n.args[0].val.View()
	i := slices.Index(partNames(), name)
	if i < 0 {
		c.errorf(n.args[0].rng, "Unknown field", "There is no field %q.%s", shorten(name), didYouMean(name,
			partNames()))
		return false
	}
	n.pattern = datePart(i)
	return true
}

func emitDatePart(n *node) valuer {
	part, _ := n.pattern.(datePart)
	arg := emit(n.args[1])
	return func(v *Vars) pipeline.Value {
		x := arg(v)
		if x.Kind() <= pipeline.Absent {
			return x
		}
		days, rest, ok := split(x)
		if !ok {
			return pipeline.NullValue
		}
		return pipeline.IntValue(part.of(days, rest))
	}
}

// split returns days since 2000-01-01 and the microseconds of the day; false for the infinities.
func split(x pipeline.Value) (days, rest int64, ok bool) {
	n := x.Int()
	if n == pipeline.PosInfinity || n == pipeline.NegInfinity {
		return 0, 0, false
	}
	if x.Kind() == pipeline.Date {
		return n, 0, true
	}
	days, rest = pipeline.SplitMicros(n)
	return days, rest, true
}

func (p datePart) of(days, rest int64) int64 {
	year, month, day := pipeline.DateOf(days)
	switch p {
	case 0:
		return year
	case 1:
		return int64(month+2) / 3
	case 2:
		return int64(month)
	case 3:
		return int64(day)
	case 4:
		return rest / (3600 * secondMicros)
	case 5:
		return rest / (60 * secondMicros) % 60
	case 6:
		return rest / secondMicros % 60
	case 7:
		return ((days+6)%7 + 7) % 7 // 2000-01-01 was a Saturday
	}
	return days - pipeline.DaysOf(year, 1, 1) + 1
}

func emitEpoch(n *node) valuer {
	return strict(n, func(_ *Vars, x pipeline.Value) pipeline.Value {
		days, rest, ok := split(x)
		if !ok {
			return pipeline.NullValue
		}
		return pipeline.IntValue((days+pipeline.EpochDays)*86_400 + rest/secondMicros)
	})
}

func emitSHA256(n *node) valuer {
	return strict(n, func(v *Vars, x pipeline.Value) pipeline.Value {
		sum := sha256.Sum256(x.Bytes())
		out := v.arena.Alloc(hex.EncodedLen(len(sum)))
		hex.Encode(out, sum[:])
		return pipeline.BytesValue(pipeline.Text, out)
	})
}

func checkJSON(c *compiler, n *node) bool {
	path := make([]string, 0, len(n.args)-1)
	for i := range n.args[1:] {
		if !constantText(c, n, i+1) {
			return false
		}
		path = append(path, strings.Clone(n.args[i+1].val.View()))
	}
	n.pattern = path
	return true
}

func emitJSON(n *node) valuer {
	path, _ := n.pattern.([]string)
	return strict(n, func(v *Vars, x pipeline.Value) pipeline.Value {
		return jsonPath(v, x.View(), path)
	})
}
