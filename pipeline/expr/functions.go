package expr

import (
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/pipe-cdc/pipe/pipeline"
)

// Function documents one function of row expressions.
type Function struct {
	Name   string
	Params string // "text, start, length?"
	Result string // kind of the result
	Text   string // one sentence
	SQL    bool   // means exactly the same in PostgreSQL, so that a condition with it can be pushed down
}

// function is a Function with its behaviour. A nil argument list check takes any kinds.
type function struct {
	Function
	min, max int
	kind     pipeline.Kind // of the result, where it does not depend on the arguments
	// args has a letter per argument, of which the last repeats: t text, b text or bytes, n number,
	// i whole number, d date or timestamp, j JSON, x anything.
	args  string
	check func(c *compiler, call *node) bool // what args cannot say; may set kind and pattern
	emit  func(n *node) valuer
	test  func(n *node) predicate // instead of emit, for conditions
	sql   func(w *sqlWriter, n *node) error
}

// argsMax is the largest number of arguments a function takes.
const argsMax = 32

// Functions lists the functions of row expressions, for documentation.
func Functions() []Function {
	list := functions()
	out := make([]Function, len(list))
	for i := range list {
		out[i] = list[i].Function
		out[i].SQL = list[i].sql != nil
	}
	return out
}

// functions is the one table of functions.
func functions() []function {
	list := append(textFunctions(), numberFunctions()...)
	return append(list, otherFunctions()...)
}

func (c *compiler) lookup(name string) *function {
	for i := range c.functions {
		if c.functions[i].Name == name {
			return &c.functions[i]
		}
	}
	return nil
}

func (c *compiler) call(x *hclsyntax.FunctionCallExpr) *node {
	fn := c.lookup(x.Name)
	if fn == nil {
		return c.foreign(x)
	}
	if x.ExpandFinal {
		return c.outside(x)
	}
	args, ok := c.all(x.Args)
	if !ok {
		return nil
	}
	if !c.arity(fn, x) {
		return nil
	}
	n := &node{op: opCall, kind: fn.kind, rng: x.Range(), args: args, fn: fn}
	if fn.Name == "contains" && args[0].op == opList {
		return c.in(n)
	}
	if !c.arguments(n) || fn.check != nil && !anyUnknown(args) && !fn.check(c, n) {
		return nil
	}
	if fn.Name == "coalesce" {
		return c.coalesce(n)
	}
	return c.fold(n)
}

func anyUnknown(nodes []*node) bool {
	for _, n := range nodes {
		if n.unknown {
			return true
		}
	}
	return false
}

func (c *compiler) arity(fn *function, x *hclsyntax.FunctionCallExpr) bool {
	if len(x.Args) >= fn.min && len(x.Args) <= fn.max {
		return true
	}
	c.errorf(x.Range(), "Wrong number of arguments", "Write %s(%s).", fn.Name, fn.Params)
	return false
}

// foreign handles a function that is not of the row scope: one of the configuration over constants.
func (c *compiler) foreign(x *hclsyntax.FunctionCallExpr) *node {
	if c.ctx != nil && !ofRow(x) {
		return c.outside(x)
	}
	names := make([]string, len(c.functions))
	for i := range names {
		names[i] = c.functions[i].Name
	}
	hint := didYouMean(x.Name, names)
	if hint == "" {
		hint = " There are: " + strings.Join(names, ", ") + "."
	}
	return c.errorf(x.NameRange, "Unknown function", "There is no function %q for rows.%s", x.Name, hint)
}

// arguments checks the kinds of a call's arguments.
func (c *compiler) arguments(n *node) bool {
	for i, a := range n.args {
		want := n.fn.args[min(i, len(n.fn.args)-1)]
		if a.op == opList {
			c.errorf(a.rng, "A list is not a value", "A list may only be the first argument of contains.")
			return false
		}
		if a.unknown || a.kind == pipeline.Null || accepts(want, a.kind) {
			continue
		}
		c.errorf(a.rng, "Wrong type of argument", "%s(%s) takes %s here; this is %s.",
			n.fn.Name, n.fn.Params, wanted(want), a.describe())
		return false
	}
	return true
}

func accepts(want byte, k pipeline.Kind) bool {
	switch want {
	case 't':
		return k == pipeline.Text
	case 'b':
		return k == pipeline.Text || k == pipeline.Bytes
	case 'n':
		return k.Numeric()
	case 'i':
		return k == pipeline.Int
	case 'd':
		return k == pipeline.Date || k == pipeline.Timestamp || k == pipeline.TimestampTZ
	case 'j':
		return k == pipeline.JSON || k == pipeline.Text
	}
	return true
}

func wanted(want byte) string {
	switch want {
	case 't':
		return "text"
	case 'b':
		return "text or bytes"
	case 'n':
		return "a number"
	case 'i':
		return "a whole number"
	case 'd':
		return "a date or timestamp"
	case 'j':
		return "JSON"
	}
	return "any value"
}

// in makes the search in a list.
func (c *compiler) in(n *node) *node {
	x, list := n.args[1], n.args[0]
	args := []*node{x}
	for _, item := range list.args {
		if item.isNull() {
			args = append(args, item)
			continue
		}
		l, r, ok := c.comparable(maskEqual, x, item, item.rng)
		if !ok {
			return nil
		}
		if l != x {
			return c.errorf(item.rng, "Types do not match", "%s is looked up in a list with %s.", x.describe(),
				item.describe())
		}
		args = append(args, r)
	}
	return c.fold(&node{op: opIn, kind: pipeline.Bool, rng: n.rng, args: args})
}

func (c *compiler) coalesce(n *node) *node {
	args, kind, ok := c.unify(n.args, n.rng)
	if !ok {
		return nil
	}
	n.args, n.kind = args, kind
	return c.fold(n)
}

// constantText checks that argument i is constant text.
func constantText(c *compiler, n *node, i int) bool {
	if n.args[i].constant() && n.args[i].kind == pipeline.Text {
		return true
	}
	c.errorf(n.args[i].rng, "Not constant", "This argument of %s must be constant text.", n.fn.Name)
	return false
}

// strict makes a valuer that is NULL or Absent where the first argument is.
func strict(n *node, f func(*Vars, pipeline.Value) pipeline.Value) valuer {
	arg := emit(n.args[0])
	return func(v *Vars) pipeline.Value {
		x := arg(v)
		if x.Kind() <= pipeline.Absent {
			return x
		}
		return f(v, x)
	}
}

// strictTest makes a predicate over two texts that is unknown where one is NULL.
func strictTest(n *node, f func(a, b string) bool) predicate {
	l, r := emit(n.args[0]), emit(n.args[1])
	return func(v *Vars) tri {
		a := l(v)
		if a.Kind() == pipeline.Absent {
			return triFailed
		}
		b := r(v)
		switch {
		case b.Kind() == pipeline.Absent:
			return triFailed
		case a.IsNull() || b.IsNull():
			return triUnknown
		case f(a.View(), b.View()):
			return triTrue
		}
		return triFalse
	}
}
