package expr

import (
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Check checks what can be checked of a row expression without a schema: the kinds of its parts, the
// names of functions and the number of their arguments.
func Check(x hclsyntax.Expression) hcl.Diagnostics {
	c := &checker{compiler: compiler{functions: functions()}}
	c.check(x)
	return c.diags
}

type checker struct{ compiler }

func (c *checker) check(x hclsyntax.Expression) {
	if c.depth++; c.depth > depthMax {
		c.errorf(x.Range(), "Expression nested too deep", "At most %d levels are allowed.", depthMax)
		return
	}
	defer func() { c.depth-- }()
	switch x := x.(type) {
	case *hclsyntax.LiteralValueExpr:
	case *hclsyntax.ParenthesesExpr:
		c.check(x.Expression)
	case *hclsyntax.TemplateWrapExpr:
		c.check(x.Wrapped)
	case *hclsyntax.TemplateExpr:
		c.each(x.Parts)
	case *hclsyntax.TupleConsExpr:
		c.each(x.Exprs)
	case *hclsyntax.ConditionalExpr:
		c.each([]hclsyntax.Expression{x.Condition, x.TrueResult, x.FalseResult})
	case *hclsyntax.BinaryOpExpr:
		c.each([]hclsyntax.Expression{x.LHS, x.RHS})
	case *hclsyntax.UnaryOpExpr:
		c.check(x.Val)
	case *hclsyntax.FunctionCallExpr:
		c.checkCall(x)
	case *hclsyntax.ScopeTraversalExpr:
		c.checkRoot(x)
	case *hclsyntax.IndexExpr:
		c.check(x.Key)
	default:
		if ofRow(x) {
			c.errorf(x.Range(), "Not allowed in a row expression", "%s", Allowed)
		}
	}
}

func (c *checker) each(xs []hclsyntax.Expression) {
	for _, x := range xs {
		c.check(x)
	}
}

func (c *checker) checkCall(x *hclsyntax.FunctionCallExpr) {
	fn := c.lookup(x.Name)
	if fn == nil {
		if ofRow(x) {
			c.foreign(x)
		}
		return
	}
	if !x.ExpandFinal {
		c.arity(fn, x)
	}
	c.each(x.Args)
}

// checkRoot checks the first name of a reference.
func (c *checker) checkRoot(x *hclsyntax.ScopeTraversalExpr) {
	name := x.Traversal.RootName()
	switch name {
	case "row", "old":
		if _, ok := stepName(x.Traversal, 1); !ok {
			c.errorf(x.Range(), "Column missing", "Write %s.NAME or %s[\"odd name\"].", name, name)
		}
	case "table":
		attr, ok := stepName(x.Traversal, 1)
		if !ok || !strings.Contains(" database schema name target ", " "+attr+" ") {
			c.errorf(x.Range(), "Unknown attribute of table",
				"Write table.database, table.schema, table.name or table.target.")
		}
	case "op", "var", "local", "each":
	default:
		c.errorf(x.Range(), "Unknown name", "There is no %q here.%s A column is written row.%s.", name,
			didYouMean(name, []string{"row", "old", "op", "table", "var", "local", "each"}), name)
	}
}
