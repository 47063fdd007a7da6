package expr

import (
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/pipe-cdc/pipe/pipeline"
)

// depthMax bounds how deep an expression may be nested.
const depthMax = 200

// Allowed says what a row expression may consist of, for messages and documentation.
const Allowed = "A row expression may use row.NAME, row[\"odd name\"], old.NAME, op, table.database, " +
	"table.schema, " +
	"table.name, var, local, each, literals, templates, ! && || == != < <= > >= + - * / %, " +
	"condition ? a : b, and the functions that \"pipe explain functions\" lists."

// Compile compiles x for rows of s. ctx holds var, local, each and functions for the parts that do
// not refer to the row: they are evaluated now, once. It may be nil.
func Compile(x hclsyntax.Expression, s *pipeline.Schema, ctx *hcl.EvalContext) (*Program, hcl.Diagnostics) {
	c := &compiler{schema: s, ctx: ctx, functions: functions()}
	root := c.node(x)
	if root != nil && root.op == opList {
		c.errorf(root.rng, "A list is not a value", "A list may only be the first argument of contains.")
	}
	if c.diags.HasErrors() {
		return nil, c.diags
	}
	return newProgram(root, s), c.diags
}

// CompileBool is Compile for a condition: what is not true or false is an error.
func CompileBool(x hclsyntax.Expression, s *pipeline.Schema, ctx *hcl.EvalContext) (*Program, hcl.Diagnostics) {
	p, diags := Compile(x, s, ctx)
	if diags.HasErrors() || p.pred != nil {
		return p, diags
	}
	return nil, append(diags, problem(x.Range(), "Not a condition",
		"A condition must be true or false; this is %s. Compare it, for example with == or > or != null.",
		p.root.describe()))
}

func newProgram(root *node, s *pipeline.Schema) *Program {
	p := &Program{root: root, schema: s, eval: emit(root)}
	if root.kind == pipeline.Bool || root.constant() && root.kind == pipeline.Null {
		p.pred = emitPredicate(root)
	}
	root.walk(func(n *node) {
		p.memory = p.memory || n.op == opCall || n.op == opConcat || n.op == opArith || n.op == opNegate ||
			n.op == opCast
		p.event = p.event || n.op == opEvent
		if n.op != opColumn {
			return
		}
		p.old = p.old || n.old
		if !n.old && !slices.Contains(p.columns, n.index) {
			p.columns = append(p.columns, n.index)
		}
	})
	slices.Sort(p.columns)
	return p
}

type compiler struct {
	schema    *pipeline.Schema
	ctx       *hcl.EvalContext
	functions []function
	diags     hcl.Diagnostics
	depth     int
}

func problem(rng hcl.Range, summary, format string, args ...any) *hcl.Diagnostic {
	return &hcl.Diagnostic{
		Severity: hcl.DiagError, Summary: summary, Detail: fmt.Sprintf(format, args...), Subject: &rng,
	}
}

// errorf records a problem and returns nil, for the node that could not be made.
func (c *compiler) errorf(rng hcl.Range, summary, format string, args ...any) *node {
	c.diags = append(c.diags, problem(rng, summary, format, args...))
	return nil
}

// node makes the typed node of x, nil where it recorded a problem.
func (c *compiler) node(x hclsyntax.Expression) *node {
	if c.depth++; c.depth > depthMax {
		return c.errorf(x.Range(), "Expression nested too deep", "At most %d levels are allowed.", depthMax)
	}
	defer func() { c.depth-- }()
	switch x := x.(type) {
	case *hclsyntax.ParenthesesExpr:
		return c.node(x.Expression)
	case *hclsyntax.LiteralValueExpr:
		return c.literal(x.Val, x.Range())
	case *hclsyntax.TemplateExpr:
		return c.template(x)
	case *hclsyntax.TemplateWrapExpr:
		return c.node(x.Wrapped)
	case *hclsyntax.ScopeTraversalExpr:
		return c.traversal(x)
	case *hclsyntax.IndexExpr:
		return c.index(x)
	case *hclsyntax.FunctionCallExpr:
		return c.call(x)
	case *hclsyntax.ConditionalExpr:
		return c.conditional(x)
	case *hclsyntax.BinaryOpExpr:
		return c.binary(x)
	case *hclsyntax.UnaryOpExpr:
		return c.unary(x)
	case *hclsyntax.TupleConsExpr:
		return c.list(x)
	}
	return c.outside(x)
}

// all makes the nodes of several expressions; false where one could not be made.
func (c *compiler) all(xs []hclsyntax.Expression) ([]*node, bool) {
	nodes, ok := make([]*node, len(xs)), true
	for i, x := range xs {
		nodes[i] = c.node(x)
		ok = ok && nodes[i] != nil
	}
	return nodes, ok
}

func (c *compiler) template(x *hclsyntax.TemplateExpr) *node {
	parts, ok := c.all(x.Parts)
	if !ok {
		return nil
	}
	if len(parts) == 1 && parts[0].constant() && parts[0].kind == pipeline.Text {
		return parts[0]
	}
	for i := range parts {
		if parts[i] = c.text(parts[i]); parts[i] == nil {
			return nil
		}
	}
	return c.fold(&node{op: opConcat, kind: pipeline.Text, rng: x.Range(), args: parts})
}

// text turns a node into its text, as to_text does.
func (c *compiler) text(n *node) *node {
	if n.kind == pipeline.Text || n.kind == pipeline.Null {
		return n
	}
	if n.op == opList {
		return c.errorf(n.rng, "A list is not a value", "A list may only be the first argument of contains.")
	}
	call := &node{op: opCall, kind: pipeline.Text, rng: n.rng, args: []*node{n}, fn: c.lookup("to_text")}
	return c.fold(call)
}

func (c *compiler) list(x *hclsyntax.TupleConsExpr) *node {
	items, ok := c.all(x.Exprs)
	if !ok {
		return nil
	}
	return &node{op: opList, rng: x.Range(), args: items}
}

func (c *compiler) conditional(x *hclsyntax.ConditionalExpr) *node {
	cond, then, other := c.node(x.Condition), c.node(x.TrueResult), c.node(x.FalseResult)
	if cond = c.truth(cond); cond == nil || then == nil || other == nil {
		return nil
	}
	branches, kind, ok := c.unify([]*node{then, other}, x.Range())
	if !ok {
		return nil
	}
	args := []*node{cond, branches[0], branches[1]}
	return c.fold(&node{op: opIf, kind: kind, rng: x.Range(), args: args})
}

// truth checks that n can be true or false.
func (c *compiler) truth(n *node) *node {
	if n == nil || n.kind == pipeline.Bool || n.constant() && n.kind == pipeline.Null {
		return n
	}
	return c.errorf(n.rng, "Not a condition",
		"A condition must be true or false; this is %s. Compare it, for example with == or > or != null.",
		n.describe())
}

func (c *compiler) unary(x *hclsyntax.UnaryOpExpr) *node {
	n := c.node(x.Val)
	if n == nil {
		return nil
	}
	if x.Op == hclsyntax.OpLogicalNot {
		if n = c.truth(n); n == nil {
			return nil
		}
		return c.fold(&node{op: opNot, kind: pipeline.Bool, rng: x.Range(), args: []*node{n}})
	}
	if !n.kind.Numeric() {
		return c.errorf(n.rng, "Not a number", "Only a number has a negative; this is %s.", n.describe())
	}
	kind := n.kind
	if kind == pipeline.Uint {
		kind = pipeline.Decimal
	}
	return c.fold(&node{op: opNegate, kind: kind, rng: x.Range(), args: []*node{n}})
}

// fold evaluates a node whose arguments are constants.
func (c *compiler) fold(n *node) *node {
	for _, a := range n.args {
		if !a.constant() {
			return n
		}
	}
	for _, a := range n.args {
		n.secret = n.secret || a.secret
		n.unknown = n.unknown || a.unknown
	}
	out := &node{op: opConst, kind: n.kind, rng: n.rng, secret: n.secret, unknown: n.unknown}
	if n.unknown {
		return out
	}
	v := Vars{arena: new(pipeline.Arena)}
	out.val = emit(n)(&v)
	if out.val.Kind() == pipeline.Absent {
		return c.errorf(n.rng, "Expression fails", "This can never be computed: %v.", v.err)
	}
	if out.val.IsNull() {
		out.kind = pipeline.Null
	}
	return out
}
