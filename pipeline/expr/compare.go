package expr

import (
	"strconv"
	"strings"
	"unsafe"

	"github.com/pipe-cdc/pipe/pipeline"
)

// incomparable is what a comparer returns for values that it cannot read.
const incomparable = 2

// comparer orders two values that are neither NULL nor Absent: -1, 0, 1 or incomparable.
type comparer func(a, b pipeline.Value) int

// emitPredicate makes the closure for a node of kind Bool, or a constant null.
func emitPredicate(n *node) predicate {
	switch n.op {
	case opAnd:
		return emitAnd(n)
	case opOr:
		return emitOr(n)
	case opNot:
		p := emitPredicate(n.args[0])
		return func(v *Vars) tri {
			t := p(v)
			if t <= triTrue {
				return t ^ 1
			}
			return t
		}
	case opIsNull:
		return emitIsNull(n)
	case opCompare:
		return emitCompare(n)
	case opIn:
		return emitIn(n)
	case opCall:
		if n.fn.test != nil {
			return n.fn.test(n)
		}
	}
	value := emit(n)
	return func(v *Vars) tri {
		x := value(v)
		switch x.Kind() {
		case pipeline.Bool:
			return tri(x.Uint())
		case pipeline.Null:
			return triUnknown
		}
		return triFailed
	}
}

func emitAnd(n *node) predicate {
	l, r := emitPredicate(n.args[0]), emitPredicate(n.args[1])
	return func(v *Vars) tri {
		a := l(v)
		if a == triFalse {
			return triFalse
		}
		b := r(v)
		if b == triFalse {
			return triFalse
		}
		return max(a, b)
	}
}

func emitOr(n *node) predicate {
	l, r := emitPredicate(n.args[0]), emitPredicate(n.args[1])
	return func(v *Vars) tri {
		a := l(v)
		if a == triTrue {
			return triTrue
		}
		b := r(v)
		if b == triTrue {
			return triTrue
		}
		return max(a, b)
	}
}

func emitIsNull(n *node) predicate {
	arg := n.args[0]
	read := emit(arg)
	if arg.op == opColumn {
		read = emitRaw(arg)
	}
	return func(v *Vars) tri {
		switch read(v).Kind() {
		case pipeline.Null:
			return triTrue
		case pipeline.Absent:
			return triFailed
		}
		return triFalse
	}
}

// emitCompare prefers closures that know a column is compared with a constant.
func emitCompare(n *node) predicate {
	l, r := n.args[0], n.args[1]
	general := emitGeneral(n)
	if l.op != opColumn || l.old || l.trimmed || !r.constant() {
		return general
	}
	switch {
	case l.kind == r.kind && l.kind < pipeline.Text && l.kind != pipeline.Uint && !isFloat(l.kind):
		return compareInt(l, r.val.Int(), n.mask, general)
	case l.kind == pipeline.Decimal && (r.kind == pipeline.Decimal || r.kind == pipeline.Int):
		return compareDecimal(l, r.val.String(), n.mask, general)
	case l.kind == r.kind && l.kind == pipeline.Text && equality(n.mask):
		return compareText(l, r.val.View(), n.mask == maskEqual, general)
	}
	return general
}

func compareInt(l *node, k int64, mask uint8, general predicate) predicate {
	i, kind := l.index, l.kind
	return func(v *Vars) tri {
		if i >= len(v.New) || v.New[i].Kind() != kind {
			return general(v)
		}
		return outcome(mask, order(v.New[i].Int(), k))
	}
}

func compareText(l *node, k string, equal bool, general predicate) predicate {
	i, kind := l.index, l.kind
	same, other := triFalse, triTrue
	if equal {
		same, other = triTrue, triFalse
	}
	return func(v *Vars) tri {
		if i >= len(v.New) || v.New[i].Kind() != kind {
			return general(v)
		}
		if v.New[i].View() == k {
			return same
		}
		return other
	}
}

func compareDecimal(l *node, text string, mask uint8, general predicate) predicate {
	i, kind := l.index, l.kind
	d, _ := parseDecimal(text)
	k, ok := newScaled(&d)
	if !ok {
		return general
	}
	return func(v *Vars) tri {
		if i >= len(v.New) || v.New[i].Kind() != kind {
			return general(v)
		}
		if c, ok := k.compare(v.New[i].View()); ok {
			return outcome(mask, c)
		}
		return general(v)
	}
}

// outcome says whether the order c is among those of mask.
func outcome(mask uint8, c int) tri { return tri(mask >> uint(c+1) & 1) }

func emitGeneral(n *node) predicate {
	l, r, mask := emit(n.args[0]), emit(n.args[1]), n.mask
	compare := comparerOf(n.args[0].kind, n.args[1].kind)
	return func(v *Vars) tri {
		a := l(v)
		if a.Kind() == pipeline.Absent {
			return triFailed
		}
		b := r(v)
		if b.Kind() == pipeline.Absent {
			return triFailed
		}
		if a.IsNull() || b.IsNull() {
			return triUnknown
		}
		c := compare(a, b)
		if c == incomparable {
			v.fail(errDecimal)
			return triFailed
		}
		return outcome(mask, c)
	}
}

// comparerOf chooses by static kinds, as comparable allowed them.
func comparerOf(a, b pipeline.Kind) comparer {
	switch {
	case isFloat(a) || isFloat(b):
		return compareFloats
	case a == pipeline.Int && b == pipeline.Uint:
		return func(a, b pipeline.Value) int { return orderIntUint(a.Int(), b.Uint()) }
	case a == pipeline.Uint && b == pipeline.Int:
		return func(a, b pipeline.Value) int { return -orderIntUint(b.Int(), a.Uint()) }
	case a == pipeline.Uint && b == pipeline.Uint:
		return func(a, b pipeline.Value) int { return order(a.Uint(), b.Uint()) }
	case a == pipeline.Decimal || b == pipeline.Decimal:
		return compareNumbers
	case a == pipeline.Bool:
		return orderBools
	case a >= pipeline.Text:
		return func(a, b pipeline.Value) int { return strings.Compare(a.View(), b.View()) }
	}
	return func(a, b pipeline.Value) int { return order(a.Int(), b.Int()) }
}

// compareFloats compares as PostgreSQL does where one side is a float: both as float8.
func compareFloats(a, b pipeline.Value) int {
	x, ok1 := toFloat(a)
	y, ok2 := toFloat(b)
	if !ok1 || !ok2 {
		return incomparable
	}
	return orderFloats(x, y)
}

// compareNumbers compares exactly where one side is decimal text and none is a float.
func compareNumbers(a, b pipeline.Value) int {
	var bufA, bufB [24]byte
	c, ok := CompareDecimals(numberText(bufA[:0], a), numberText(bufB[:0], b))
	if !ok {
		return incomparable
	}
	return c
}

// numberText returns the decimal text of a number that is no float; of an integer in buf.
func numberText(buf []byte, v pipeline.Value) string {
	if v.Kind() == pipeline.Decimal {
		return v.View()
	}
	buf = appendNumber(buf, v)
	return unsafe.String(unsafe.SliceData(buf), len(buf))
}

// appendNumber appends a number that is no float as decimal text.
func appendNumber(dst []byte, v pipeline.Value) []byte {
	switch v.Kind() {
	case pipeline.Int:
		return strconv.AppendInt(dst, v.Int(), 10)
	case pipeline.Uint:
		return strconv.AppendUint(dst, v.Uint(), 10)
	}
	return append(dst, v.View()...)
}

func toFloat(v pipeline.Value) (float64, bool) {
	switch v.Kind() {
	case pipeline.Float32, pipeline.Float64:
		return v.Float(), true
	case pipeline.Int:
		return float64(v.Int()), true
	case pipeline.Uint:
		return float64(v.Uint()), true
	}
	f, err := strconv.ParseFloat(v.View(), 64)
	return f, err == nil
}

// inSetMin is the number of text constants from which a list is looked up rather than walked.
const inSetMin = 8

func emitIn(n *node) predicate {
	read, items := emit(n.args[0]), n.args[1:]
	if set := textSet(n); set != nil {
		return func(v *Vars) tri {
			x := read(v)
			switch x.Kind() {
			case pipeline.Null:
				return triUnknown
			case pipeline.Absent:
				return triFailed
			}
			if _, ok := set[x.View()]; ok {
				return triTrue
			}
			return triFalse
		}
	}
	tests := make([]inItem, len(items))
	for i, item := range items {
		tests[i] = inItem{emit(item), comparerOf(n.args[0].kind, item.kind)}
	}
	return func(v *Vars) tri {
		x := read(v)
		switch x.Kind() {
		case pipeline.Null:
			if len(tests) == 0 {
				return triFalse
			}
			return triUnknown
		case pipeline.Absent:
			return triFailed
		}
		return isIn(v, x, tests)
	}
}

type inItem struct {
	read    valuer
	compare comparer
}

func isIn(v *Vars, x pipeline.Value, items []inItem) tri {
	result := triFalse
	for _, item := range items {
		y := item.read(v)
		switch {
		case y.Kind() == pipeline.Absent:
			result = triFailed
		case y.IsNull():
			result = max(result, triUnknown)
		default:
			switch item.compare(x, y) {
			case 0:
				return triTrue
			case incomparable:
				v.fail(errDecimal)
				result = triFailed
			}
		}
	}
	return result
}

// textSet returns the constants of a long list of texts, nil for another list.
func textSet(n *node) map[string]struct{} {
	if n.args[0].kind != pipeline.Text || len(n.args) <= inSetMin {
		return nil
	}
	set := make(map[string]struct{}, len(n.args))
	for _, item := range n.args[1:] {
		if !item.constant() || item.kind != pipeline.Text {
			return nil
		}
		set[item.val.View()] = struct{}{}
	}
	return set
}
