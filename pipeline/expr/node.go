package expr

import (
	"github.com/hashicorp/hcl/v2"

	"github.com/pipe-cdc/pipe/pipeline"
)

// opcode says what a node of the typed tree does.
type opcode uint8

const (
	opConst   opcode = iota // val
	opColumn                // column index, old
	opEvent                 // the name of the row's operation
	opCompare               // args[0] mask args[1]
	opIsNull                // args[0]
	opNot
	opAnd
	opOr
	opNegate
	opArith  // args[0] sign args[1]
	opConcat // args are text; NULL if any is
	opIf     // args: condition, then, else
	opIn     // args[0] in args[1:]
	opCast   // args[0] as kind: a widening that loses nothing
	opCall   // fn
	opList   // of constants or expressions; only inside contains
)

// The comparisons, as sets of the outcomes less, equal, greater.
const (
	maskLess    = 1 << 0
	maskEqual   = 1 << 1
	maskGreater = 1 << 2
)

// node is one node of the typed tree, from which closures and SQL are made.
type node struct {
	op      opcode
	kind    pipeline.Kind // static; Null: only ever null
	rng     hcl.Range
	args    []*node
	val     pipeline.Value
	column  *pipeline.Column
	index   int
	old     bool
	mask    uint8
	sign    byte // + - * / %
	fn      *function
	pattern any // what fn prepared at compile time; read through its own type
	labels  []string
	unknown bool // a constant whose value is not known yet
	secret  bool // a constant that must not be shown
	trimmed bool // a column padded with blanks, read without them
}

func (n *node) constant() bool { return n.op == opConst }

func (n *node) isNull() bool {
	return n.op == opConst && n.kind == pipeline.Null && !n.unknown
}

// walk calls f for n and everything below it.
func (n *node) walk(f func(*node)) {
	f(n)
	for _, a := range n.args {
		a.walk(f)
	}
}

// describe names what the node is for a message: the column with its type, or the kind.
func (n *node) describe() string {
	switch {
	case n.op == opColumn:
		scope := "row."
		if n.old {
			scope = "old."
		}
		if n.column.Type == "" {
			return scope + n.column.Name + " (" + kindName(n.kind) + ")"
		}
		return scope + n.column.Name + " (" + n.column.Type + ")"
	case n.constant() && !n.secret && n.kind == pipeline.Text:
		return "text \"" + shorten(n.val.View()) + "\""
	case n.constant() && !n.secret:
		return shorten(n.val.String())
	}
	return "a value of type " + kindName(n.kind)
}

// shownMax bounds, in bytes, how much of a constant a message repeats.
const shownMax = 40

func shorten(s string) string {
	if len(s) <= shownMax {
		return s
	}
	return s[:shownMax] + "..."
}

// kindName names a kind as users know it.
func kindName(k pipeline.Kind) string {
	switch {
	case k.Numeric():
		return "numeric"
	case k == pipeline.Null:
		return "null"
	}
	return k.String()
}
