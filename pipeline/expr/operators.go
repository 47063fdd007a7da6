package expr

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/pipe-cdc/pipe/pipeline"
)

func (c *compiler) binary(x *hclsyntax.BinaryOpExpr) *node {
	l, r := c.node(x.LHS), c.node(x.RHS)
	if l == nil || r == nil {
		return nil
	}
	for _, n := range []*node{l, r} {
		if n.op == opList {
			return c.errorf(n.rng, "A list is not a value", "Write contains([...], x) to look for x in a list.")
		}
	}
	switch x.Op {
	case hclsyntax.OpLogicalAnd:
		return c.logic(opAnd, l, r, x.Range())
	case hclsyntax.OpLogicalOr:
		return c.logic(opOr, l, r, x.Range())
	case hclsyntax.OpAdd:
		return c.arith('+', l, r, x.Range())
	case hclsyntax.OpSubtract:
		return c.arith('-', l, r, x.Range())
	case hclsyntax.OpMultiply:
		return c.arith('*', l, r, x.Range())
	case hclsyntax.OpDivide:
		return c.arith('/', l, r, x.Range())
	case hclsyntax.OpModulo:
		return c.arith('%', l, r, x.Range())
	}
	mask := maskOf(x.Op)
	if mask == 0 {
		return c.outside(x)
	}
	return c.compare(mask, l, r, x.Range())
}

func maskOf(op *hclsyntax.Operation) uint8 {
	switch op {
	case hclsyntax.OpEqual:
		return maskEqual
	case hclsyntax.OpNotEqual:
		return maskLess | maskGreater
	case hclsyntax.OpLessThan:
		return maskLess
	case hclsyntax.OpLessThanOrEqual:
		return maskLess | maskEqual
	case hclsyntax.OpGreaterThan:
		return maskGreater
	case hclsyntax.OpGreaterThanOrEqual:
		return maskGreater | maskEqual
	}
	return 0
}

func equality(mask uint8) bool { return mask == maskEqual || mask == maskLess|maskGreater }

// flip is the mask with its sides exchanged.
func flip(mask uint8) uint8 {
	return mask&maskEqual | mask>>2&maskLess | mask<<2&maskGreater
}

func (c *compiler) logic(op opcode, l, r *node, rng hcl.Range) *node {
	l, r = c.truth(l), c.truth(r)
	if l == nil || r == nil {
		return nil
	}
	return c.fold(&node{op: op, kind: pipeline.Bool, rng: rng, args: []*node{l, r}})
}

func (c *compiler) arith(sign byte, l, r *node, rng hcl.Range) *node {
	for _, n := range []*node{l, r} {
		if !n.kind.Numeric() && !n.unknown {
			return c.errorf(n.rng, "Not a number", "%c needs numbers; this is %s.%s", sign, n.describe(),
				joinHint(sign, n))
		}
	}
	n := &node{op: opArith, kind: arithKind(l.kind, r.kind), rng: rng, args: []*node{l, r}, sign: sign}
	return c.fold(n)
}

func joinHint(sign byte, n *node) string {
	if sign == '+' && n.kind == pipeline.Text {
		return ` Text is joined by a template: "${row.a}${row.b}".`
	}
	return ""
}

// arithKind is the kind of a result: floats make floats, two ints an int, all else is exact decimal.
func arithKind(a, b pipeline.Kind) pipeline.Kind {
	switch {
	case isFloat(a) || isFloat(b):
		return pipeline.Float64
	case a == pipeline.Int && b == pipeline.Int:
		return pipeline.Int
	}
	return pipeline.Decimal
}

func isFloat(k pipeline.Kind) bool { return k == pipeline.Float32 || k == pipeline.Float64 }

func (c *compiler) compare(mask uint8, l, r *node, rng hcl.Range) *node {
	if l.isNull() || r.isNull() {
		return c.nullTest(mask, l, r, rng)
	}
	l, r, ok := c.comparable(mask, l, r, rng)
	if !ok {
		return nil
	}
	if l.constant() && !r.constant() {
		l, r, mask = r, l, flip(mask)
	}
	return c.fold(&node{op: opCompare, kind: pipeline.Bool, rng: rng, args: []*node{l, r}, mask: mask})
}

func (c *compiler) nullTest(mask uint8, l, r *node, rng hcl.Range) *node {
	if !equality(mask) {
		return c.errorf(rng, "Comparison with null",
			"null is neither less nor greater than anything; only == null and != null are allowed.")
	}
	n := l
	if l.isNull() {
		n = r
	}
	test := &node{op: opIsNull, kind: pipeline.Bool, rng: rng, args: []*node{n}}
	if mask != maskEqual {
		test = &node{op: opNot, kind: pipeline.Bool, rng: rng, args: []*node{test}}
	}
	if n.constant() && !n.unknown {
		value := pipeline.BoolValue((n.kind == pipeline.Null) == (mask == maskEqual))
		return &node{op: opConst, kind: pipeline.Bool, val: value, rng: rng}
	}
	return c.fold(test)
}

// comparable gives two nodes one type to be compared in, or records why that is wrong.
func (c *compiler) comparable(mask uint8, l, r *node, rng hcl.Range) (_, _ *node, ok bool) {
	if l.unknown || r.unknown || l.kind.Numeric() && r.kind.Numeric() {
		return l, r, true
	}
	switch {
	case len(l.labels) > 0 && r.kind == pipeline.Text || len(r.labels) > 0 && l.kind == pipeline.Text:
		return l, r, c.labels(mask, l, r, rng)
	case r.kind == pipeline.Text && r.constant() && l.kind != pipeline.Text:
		r = c.convert(r, l)
		return l, r, r != nil && c.ordered(mask, l, rng)
	case l.kind == pipeline.Text && l.constant() && r.kind != pipeline.Text:
		l = c.convert(l, r)
		return l, r, l != nil && c.ordered(mask, r, rng)
	case l.kind == r.kind:
		return l, r, c.ordered(mask, l, rng)
	case l.kind == pipeline.Date && r.kind == pipeline.Timestamp:
		return c.widen(l, r.kind), r, true
	case l.kind == pipeline.Timestamp && r.kind == pipeline.Date:
		return l, c.widen(r, l.kind), true
	}
	c.errorf(rng, "Types do not match", "%s compared with %s: %s and %s.%s",
		kindName(l.kind), kindName(r.kind), l.describe(), r.describe(), quoteHint(l, r))
	return nil, nil, false
}

func quoteHint(l, r *node) string {
	switch {
	case l.kind == pipeline.TimestampTZ || r.kind == pipeline.TimestampTZ:
		return " A timestamptz is compared with a literal such as \"2024-01-01 00:00:00Z\"."
	case l.kind == pipeline.Text && r.constant() && r.kind.Numeric():
		return " Write the number in quotes."
	case r.kind == pipeline.Text && l.constant() && l.kind.Numeric():
		return " Write the number in quotes."
	}
	return ""
}

// ordered checks that the kind of n can be compared in the way of mask.
func (c *compiler) ordered(mask uint8, n *node, rng hcl.Range) bool {
	switch n.kind {
	case pipeline.Bool, pipeline.UUID, pipeline.Bits:
		if equality(mask) {
			return true
		}
		c.errorf(rng, "No order", "%s has no order here; only == and != are allowed.", n.describe())
		return false
	case pipeline.JSON:
		c.errorf(rng, "JSON is not compared", "Take a member out as text: json_get(row.NAME, \"member\") == \"x\".")
		return false
	case pipeline.Bytes, pipeline.Interval, pipeline.Array, pipeline.Other:
		c.errorf(rng, "Type is not compared",
			"%s can only be tested with == null and != null, or turned into text with to_text.", n.describe())
		return false
	}
	return true
}

// widen casts without loss; constants at once.
func (c *compiler) widen(n *node, kind pipeline.Kind) *node {
	if n.kind == kind || n.kind == pipeline.Null {
		return n
	}
	return c.fold(&node{op: opCast, kind: kind, rng: n.rng, args: []*node{n}})
}

// unify gives the results of several branches one kind.
func (c *compiler) unify(nodes []*node, rng hcl.Range) ([]*node, pipeline.Kind, bool) {
	kind := pipeline.Null
	for _, n := range nodes {
		if n.op == opList {
			c.errorf(n.rng, "A list is not a value", "A list may only be the first argument of contains.")
			return nil, kind, false
		}
		next, ok := common(kind, n.kind)
		if !ok {
			c.errorf(rng, "Types do not match", "All results must have one type; here are %s and %s.",
				kindName(kind), kindName(n.kind))
			return nil, kind, false
		}
		kind = next
	}
	out := make([]*node, len(nodes))
	for i, n := range nodes {
		if out[i] = c.widen(n, kind); out[i] == nil {
			return nil, kind, false
		}
	}
	return out, kind, true
}

// common is the kind that holds both without loss.
func common(a, b pipeline.Kind) (pipeline.Kind, bool) {
	switch {
	case a == b || b == pipeline.Null:
		return a, true
	case a == pipeline.Null:
		return b, true
	case a.Numeric() && b.Numeric():
		return arithKind(a, b), true
	}
	return a, false
}
