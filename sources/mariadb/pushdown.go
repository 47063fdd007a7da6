package mariadb

import (
	"encoding/hex"
	"math/big"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// maxPushed bounds how deep a condition is looked into.
const maxPushed = 64

// pushdown renders in SQL what the server can decide of a condition; "" where that is nothing. Every
// row that the condition is true of is among those that the server then sends, and more may be: the
// filter here is the truth. So a text is compared in the column's own collation, which finds whatever
// is equal byte by byte, by an index where there is one.
func pushdown(x spec.Expr, t *table) string {
	if !x.IsSet() {
		return ""
	}
	p := pusher{ctx: x.Ctx, table: t}
	return p.node(x.Syntax, maxPushed)
}

type pusher struct {
	ctx   *hcl.EvalContext
	table *table
}

func (p *pusher) node(x hclsyntax.Expression, depth int) string {
	if depth == 0 {
		return ""
	}
	switch x := x.(type) {
	case *hclsyntax.ParenthesesExpr:
		return p.node(x.Expression, depth-1)
	case *hclsyntax.BinaryOpExpr:
		return p.binary(x, depth)
	}
	return ""
}

// binary: of a conjunction one side will do, of a disjunction both are needed.
func (p *pusher) binary(x *hclsyntax.BinaryOpExpr, depth int) string {
	switch x.Op {
	case hclsyntax.OpLogicalAnd, hclsyntax.OpLogicalOr:
		l, r := p.node(x.LHS, depth-1), p.node(x.RHS, depth-1)
		switch {
		case l != "" && r != "" && x.Op == hclsyntax.OpLogicalAnd:
			return "(" + l + " AND " + r + ")"
		case l != "" && r != "":
			return "(" + l + " OR " + r + ")"
		case x.Op == hclsyntax.OpLogicalAnd:
			return l + r
		}
		return ""
	}
	if c := p.column(x.LHS); c != nil {
		return compare(c, operator(x.Op), p.constant(x.RHS))
	}
	if c := p.column(x.RHS); c != nil {
		return compare(c, mirrored(operator(x.Op)), p.constant(x.LHS))
	}
	return ""
}

func operator(op *hclsyntax.Operation) string {
	switch op {
	case hclsyntax.OpEqual:
		return "="
	case hclsyntax.OpLessThan:
		return "<"
	case hclsyntax.OpLessThanOrEqual:
		return "<="
	case hclsyntax.OpGreaterThan:
		return ">"
	case hclsyntax.OpGreaterThanOrEqual:
		return ">="
	}
	return ""
}

func mirrored(op string) string {
	switch op {
	case "<":
		return ">"
	case "<=":
		return ">="
	case ">":
		return "<"
	case ">=":
		return "<="
	}
	return op
}

// column returns the column that row.NAME is, nil for anything else.
func (p *pusher) column(x hclsyntax.Expression) *column {
	s, ok := x.(*hclsyntax.ScopeTraversalExpr)
	if !ok || len(s.Traversal) != 2 || s.Traversal.RootName() != "row" {
		return nil
	}
	attr, ok := s.Traversal[1].(hcl.TraverseAttr)
	if !ok || p.table.Schema.Index(attr.Name) < 0 {
		return nil
	}
	return p.table.relation.Column(attr.Name)
}

// constant returns the value of an expression that has nothing of the row, else an unknown one.
func (p *pusher) constant(x hclsyntax.Expression) cty.Value {
	for _, v := range x.Variables() {
		if root := v.RootName(); root == "row" || root == "old" || root == "op" {
			return cty.DynamicVal
		}
	}
	v, diags := x.Value(p.ctx)
	if diags.HasErrors() {
		return cty.DynamicVal
	}
	v, _ = v.Unmark()
	return v
}

// compare compares whole and decimal numbers with numbers, and texts by equality.
func compare(c *column, op string, v cty.Value) string {
	if op == "" || !v.IsKnown() || v.IsNull() {
		return ""
	}
	name := quoteName(c.Name)
	switch {
	case v.Type() == cty.Number && (c.integer() && c.Type != "tinyint" || c.Type == "decimal"):
		n, ok := exact(v.AsBigFloat())
		if !ok {
			return ""
		}
		return name + " " + op + " " + n
	case v.Type() == cty.String && op == "=" && isText(c.Type) && c.Type != "json" && !strings.Contains(v.AsString(), "\uFFFD"):
		literal, err := c.literal(utf8Mark + hex.EncodeToString([]byte(v.AsString())))
		if err != nil {
			return ""
		}
		return name + " = " + literal
	}
	return ""
}

// exact renders a whole number, of as many digits as a decimal has.
func exact(f *big.Float) (string, bool) {
	const most = 60
	n, accuracy := f.Int(nil)
	text := ""
	if n != nil {
		text = n.String()
	}
	return text, n != nil && accuracy == big.Exact && len(text) <= most
}
