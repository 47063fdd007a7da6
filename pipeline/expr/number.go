package expr

import (
	"errors"
	"math"
	"strconv"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
)

func numberFunctions() []function {
	return []function{
		{Function: Function{Name: "abs", Params: "number", Result: "number", Text: "Without its sign."},
			min: 1, max: 1, args: "n", check: sameKind, emit: emitAbs, sql: sqlExact("abs")},
		{Function: Function{Name: "round", Params: "number, digits?", Result: "number",
			Text: "Rounded half away from zero, to digits after the point; a float without digits half to even."},
			min: 1, max: 2, args: "ni", check: checkRound, emit: emitRound('r'), sql: sqlExact("round")},
		{Function: Function{Name: "floor", Params: "number", Result: "number",
			Text: "The largest whole number not above."},
			min: 1, max: 1, args: "n", check: sameKind, emit: emitRound('f'), sql: sqlExact("floor")},
		{Function: Function{Name: "ceil", Params: "number", Result: "number",
			Text: "The smallest whole number not below."},
			min: 1, max: 1, args: "n", check: sameKind, emit: emitRound('c'), sql: sqlExact("ceil")},
		{Function: Function{Name: "to_int", Params: "x", Result: "int",
			Text: "A text, number or boolean as a whole number; fails where that would change it."},
			min: 1, max: 1, kind: pipeline.Int, args: "x", check: checkToInt, emit: emitToInt},
	}
}

// sameKind gives the call its argument's kind.
func sameKind(_ *compiler, n *node) bool {
	n.kind = n.args[0].kind
	return true
}

// placesMax bounds the digits argument of round.
const placesMax = 1000

func checkRound(c *compiler, n *node) bool {
	n.kind = n.args[0].kind
	if len(n.args) == 1 {
		return true
	}
	places := n.args[1]
	if !places.constant() || places.kind != pipeline.Int || places.val.Int() < 0 || places.val.Int() > placesMax {
		c.errorf(places.rng, "Not a number of digits", "The digits of round are a constant from 0 to %d.", placesMax)
		return false
	}
	if isFloat(n.kind) {
		c.errorf(n.rng, "A float has no decimal digits",
			"round with digits is exact and needs a numeric; this is %s.",
			n.args[0].describe())
		return false
	}
	return true
}

func emitAbs(n *node) valuer {
	return strict(n, func(v *Vars, x pipeline.Value) pipeline.Value {
		switch x.Kind() {
		case pipeline.Int:
			if x.Int() >= 0 {
				return x
			}
			return intResult(v, '-', 0, x.Int())
		case pipeline.Float32:
			return pipeline.Float32Value(float32(math.Abs(x.Float())))
		case pipeline.Float64:
			return pipeline.Float64Value(math.Abs(x.Float()))
		case pipeline.Decimal:
			return pipeline.StringValue(pipeline.Decimal, strings.TrimPrefix(x.View(), "-"))
		}
		return x
	})
}

func emitRound(mode byte) func(n *node) valuer {
	return func(n *node) valuer {
		places := 0
		if len(n.args) == 2 {
			places = int(n.args[1].val.Int())
		}
		return strict(n, func(v *Vars, x pipeline.Value) pipeline.Value {
			switch x.Kind() {
			case pipeline.Float32:
				return pipeline.Float32Value(float32(roundFloat(x.Float(), mode)))
			case pipeline.Float64:
				return pipeline.Float64Value(roundFloat(x.Float(), mode))
			case pipeline.Decimal:
				return roundValue(v, x, places, mode)
			}
			return x
		})
	}
}

func roundFloat(f float64, mode byte) float64 {
	switch mode {
	case 'f':
		return math.Floor(f)
	case 'c':
		return math.Ceil(f)
	}
	return math.RoundToEven(f)
}

func roundValue(v *Vars, x pipeline.Value, places int, mode byte) pipeline.Value {
	d, ok := parseDecimal(x.View())
	if !ok {
		return v.fail(errDecimal)
	}
	if d.class != finite {
		return x
	}
	room := v.arena.Grow(len(x.View()) + places + 2)
	return decimalValue(v, roundDecimal(room, &d, places, mode))
}

func checkToInt(c *compiler, n *node) bool {
	switch k := n.args[0].kind; {
	case k.Numeric(), k == pipeline.Text, k == pipeline.Bool, k == pipeline.Bits, k == pipeline.Null:
		return true
	}
	c.errorf(n.args[0].rng, "Not a number", "to_int takes text, a number, a boolean or bits; this is %s.",
		n.args[0].describe())
	return false
}

var errNotInt = errors.New("to_int: not a whole number of 64 bits")

func emitToInt(n *node) valuer {
	return strict(n, func(v *Vars, x pipeline.Value) pipeline.Value {
		i, ok := WholeNumber(x)
		if !ok {
			return v.fail(errNotInt)
		}
		return pipeline.IntValue(i)
	})
}

// WholeNumber converts a number, boolean, bits or text to an integer; false where that would change
// the value.
func WholeNumber(x pipeline.Value) (int64, bool) {
	switch x.Kind() {
	case pipeline.Int:
		return x.Int(), true
	case pipeline.Bool, pipeline.Uint:
		return int64(x.Uint()), x.Uint() <= math.MaxInt64
	case pipeline.Float32, pipeline.Float64:
		f := x.Float()
		return int64(f), f == math.Trunc(f) && f >= -1<<63 && f < 1<<63
	case pipeline.Bits:
		n, err := strconv.ParseInt(x.View(), 2, 64)
		return n, err == nil
	}
	d, ok := parseDecimal(strings.Trim(x.View(), " "))
	if !ok || d.class != finite || d.frac != "" || len(d.whole) > 19 {
		return 0, false
	}
	var u uint64
	for i := 0; i < len(d.whole); i++ {
		u = u*10 + uint64(d.whole[i]-'0')
	}
	if d.neg {
		return -int64(u), u <= 1<<63
	}
	return int64(u), u <= math.MaxInt64
}
