package expr

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
)

// errForeign says that a column holds what its kind cannot.
var errForeign = errors.New("the source sent a value that the column's type cannot hold")

// emit makes the closure that computes a node. Absent stands for failure, with Vars.err.
func emit(n *node) valuer {
	switch n.op {
	case opConst:
		val := n.val
		return func(*Vars) pipeline.Value { return val }
	case opColumn:
		return emitColumn(n)
	case opEvent:
		return func(v *Vars) pipeline.Value {
			if v.Row == nil {
				return pipeline.NullValue
			}
			return pipeline.StringValue(pipeline.Text, v.Row.Op.String())
		}
	case opCompare, opIsNull, opNot, opAnd, opOr, opIn:
		return fromPredicate(emitPredicate(n))
	case opNegate:
		return emitNegate(n)
	case opArith:
		return emitArith(n)
	case opConcat:
		return emitConcat(n)
	case opIf:
		return emitIf(n)
	case opCast:
		return emitCast(n)
	}
	if n.kind == pipeline.Bool && n.fn.test != nil {
		return fromPredicate(emitPredicate(n))
	}
	return n.fn.emit(n)
}

func emitAll(nodes []*node) []valuer {
	out := make([]valuer, len(nodes))
	for i, n := range nodes {
		out[i] = emit(n)
	}
	return out
}

func fromPredicate(p predicate) valuer {
	return func(v *Vars) pipeline.Value {
		switch p(v) {
		case triTrue:
			return pipeline.BoolValue(true)
		case triFalse:
			return pipeline.BoolValue(false)
		case triUnknown:
			return pipeline.NullValue
		}
		return pipeline.AbsentValue
	}
}

// emitColumn reads a column; what is neither NULL nor of the column's kind takes the slow path.
func emitColumn(n *node) valuer {
	raw := emitRaw(n)
	wrong := fmt.Errorf("column %s: %w", n.column.Name, errForeign)
	kind := n.kind
	slow := func(v *Vars, x pipeline.Value) pipeline.Value {
		if x.Kind() == pipeline.Absent || x.Kind() == pipeline.Null {
			return x
		}
		return v.fail(wrong)
	}
	if n.trimmed {
		return func(v *Vars) pipeline.Value {
			x := raw(v)
			if x.Kind() != kind {
				return slow(v, x)
			}
			return pipeline.StringValue(kind, strings.TrimRight(x.View(), " "))
		}
	}
	return func(v *Vars) pipeline.Value {
		if x := raw(v); x.Kind() != kind {
			return slow(v, x)
		} else {
			return x
		}
	}
}

// emitRaw reads a column whatever it holds; Absent only where neither image has it.
func emitRaw(n *node) valuer {
	i := n.index
	missing := fmt.Errorf("column %s: %w", n.column.Name, ErrAbsent)
	before := func(v *Vars) pipeline.Value {
		if i < len(v.Old) && v.Old[i].Kind() != pipeline.Absent {
			return v.Old[i]
		}
		return v.fail(missing)
	}
	if n.old {
		return func(v *Vars) pipeline.Value {
			if v.Old == nil {
				return pipeline.NullValue
			}
			return before(v)
		}
	}
	return func(v *Vars) pipeline.Value {
		if i < len(v.New) && v.New[i].Kind() != pipeline.Absent {
			return v.New[i]
		}
		return before(v)
	}
}

func emitIf(n *node) valuer {
	cond, then, other := emitPredicate(n.args[0]), emit(n.args[1]), emit(n.args[2])
	return func(v *Vars) pipeline.Value {
		switch cond(v) {
		case triTrue:
			return then(v)
		case triFailed:
			return pipeline.AbsentValue
		}
		return other(v)
	}
}

func emitCast(n *node) valuer {
	from, kind := emit(n.args[0]), n.kind
	return func(v *Vars) pipeline.Value {
		x := from(v)
		if x.Kind() <= pipeline.Absent || x.Kind() == kind {
			return x
		}
		return cast(v, x, kind)
	}
}

// cast widens a value as unify and comparable decided.
func cast(v *Vars, x pipeline.Value, kind pipeline.Kind) pipeline.Value {
	switch kind {
	case pipeline.Float64:
		f, ok := toFloat(x)
		if !ok {
			return v.fail(errDecimal)
		}
		return pipeline.Float64Value(f)
	case pipeline.Decimal:
		return decimalValue(v, appendNumber(v.arena.Grow(24), x))
	case pipeline.Timestamp:
		return widenDate(v, x.Int())
	}
	return x
}

func widenDate(v *Vars, days int64) pipeline.Value {
	if days == pipeline.PosInfinity || days == pipeline.NegInfinity {
		return pipeline.TimestampValue(days)
	}
	micros := days * dayMicros
	if micros/dayMicros != days {
		return v.fail(errors.New("date out of range for a timestamp"))
	}
	return pipeline.TimestampValue(micros)
}

func emitNegate(n *node) valuer {
	from, kind := emit(n.args[0]), n.kind
	return func(v *Vars) pipeline.Value {
		x := from(v)
		if x.Kind() <= pipeline.Absent {
			return x
		}
		switch kind {
		case pipeline.Int:
			return intResult(v, '-', 0, x.Int())
		case pipeline.Float32:
			return pipeline.Float32Value(float32(-x.Float()))
		case pipeline.Float64:
			return pipeline.Float64Value(-x.Float())
		}
		return decimalResult(v, '-', pipeline.IntValue(0), x)
	}
}

func emitArith(n *node) valuer {
	l, r, sign, kind := emit(n.args[0]), emit(n.args[1]), n.sign, n.kind
	return func(v *Vars) pipeline.Value {
		a := l(v)
		if a.Kind() <= pipeline.Absent {
			return a
		}
		b := r(v)
		if b.Kind() <= pipeline.Absent {
			return b
		}
		switch kind {
		case pipeline.Int:
			return intResult(v, sign, a.Int(), b.Int())
		case pipeline.Float64:
			return floatResult(v, sign, a, b)
		}
		return decimalResult(v, sign, a, b)
	}
}

func intResult(v *Vars, sign byte, a, b int64) pipeline.Value {
	n, err := arithInt(sign, a, b)
	if err != nil {
		return v.fail(err)
	}
	return pipeline.IntValue(n)
}

func floatResult(v *Vars, sign byte, a, b pipeline.Value) pipeline.Value {
	x, ok1 := toFloat(a)
	y, ok2 := toFloat(b)
	if !ok1 || !ok2 {
		return v.fail(errDecimal)
	}
	f, err := arithFloat(sign, x, y)
	if err != nil {
		return v.fail(err)
	}
	return pipeline.Float64Value(f)
}

func decimalResult(v *Vars, sign byte, a, b pipeline.Value) pipeline.Value {
	var bufA, bufB [24]byte
	x, y := numberText(bufA[:0], a), numberText(bufB[:0], b)
	out, err := arithDecimal(v.arena.Grow(len(x)+len(y)+divisionScale+2), sign, x, y)
	if err != nil {
		return v.fail(err)
	}
	return decimalValue(v, out)
}

// emitConcat joins texts; NULL if any part is, as || in SQL.
func emitConcat(n *node) valuer {
	parts := emitAll(n.args)
	return func(v *Vars) pipeline.Value {
		values, size := v.arena.Values(len(parts)), 0
		for i, part := range parts {
			x := part(v)
			if x.Kind() <= pipeline.Absent {
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
