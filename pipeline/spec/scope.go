package spec

import (
	"slices"
	"strconv"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// Scope lists the names that an expression may use beside those of its context.
type Scope []string

// rowScope is what a row expression sees; package expr knows their types.
func rowScope() Scope { return Scope{"row", "old", "op", "table"} }

// templateScope is what a table template sees.
func templateScope() Scope { return Scope{"table"} }

// CheckScope reports every name in the expression that is neither in ctx nor in the scope, with
// what was probably meant. attr is the attribute's name, for the messages.
func CheckScope(attr string, expr hcl.Expression, ctx *hcl.EvalContext, also Scope) hcl.Diagnostics {
	var diags hcl.Diagnostics
	guarded := guardedRanges(expr)
	if !slices.Contains(also, "row") { // the functions of row expressions are those of package expr
		diags = unknownFunctions(expr, ctx)
	}
	for _, t := range expr.Variables() {
		root := t.RootName()
		if slices.Contains(also, root) || within(t.SourceRange(), guarded) {
			continue
		}
		v, ok := lookup(ctx, root)
		if !ok {
			diags = append(diags, unknownRoot(attr, t, ctx, also))
			continue
		}
		if d := unknownMember(root, v, t); d != nil {
			diags = append(diags, d)
		}
	}
	return diags
}

// guardedRanges returns the calls of try and can, inside which anything may be missing.
func guardedRanges(expr hcl.Expression) []hcl.Range {
	var out []hcl.Range
	calls(expr, func(call *hclsyntax.FunctionCallExpr) {
		if call.Name == "try" || call.Name == "can" {
			out = append(out, call.Range())
		}
	})
	return out
}

func within(r hcl.Range, outer []hcl.Range) bool {
	return slices.ContainsFunc(outer, func(o hcl.Range) bool {
		return o.Start.Byte <= r.Start.Byte && r.End.Byte <= o.End.Byte
	})
}

// calls visits the function calls of an expression of the native syntax.
func calls(expr hcl.Expression, f func(*hclsyntax.FunctionCallExpr)) {
	node, ok := expr.(hclsyntax.Expression)
	if !ok {
		return
	}
	hclsyntax.VisitAll(node, func(n hclsyntax.Node) hcl.Diagnostics {
		if call, ok := n.(*hclsyntax.FunctionCallExpr); ok {
			f(call)
		}
		return nil
	})
}

// unknownFunctions finds calls of functions that do not exist: hcl suggests only from the
// innermost context.
func unknownFunctions(expr hcl.Expression, ctx *hcl.EvalContext) hcl.Diagnostics {
	var diags hcl.Diagnostics
	calls(expr, func(call *hclsyntax.FunctionCallExpr) {
		var names []string
		for c := ctx; c != nil; c = c.Parent() {
			if _, ok := c.Functions[call.Name]; ok {
				return
			}
			for name := range c.Functions {
				names = append(names, name)
			}
		}
		diags = append(diags, errorAt(call.NameRange, "Unknown function", "There is no function "+
			strconv.Quote(call.Name)+"."+DidYouMean(call.Name, sorted(names), func(s string) string { return s })))
	})
	return diags
}

func lookup(ctx *hcl.EvalContext, name string) (cty.Value, bool) {
	for ; ctx != nil; ctx = ctx.Parent() {
		if v, ok := ctx.Variables[name]; ok {
			return v, true
		}
	}
	return cty.NilVal, false
}

func namesIn(ctx *hcl.EvalContext) []string {
	var names []string
	for ; ctx != nil; ctx = ctx.Parent() {
		for name := range ctx.Variables {
			names = append(names, name)
		}
	}
	return sorted(names)
}

func unknownRoot(attr string, t hcl.Traversal, ctx *hcl.EvalContext, also Scope) *hcl.Diagnostic {
	rng, name := t.SourceRange(), t.RootName()
	switch name {
	case "row", "old", "op":
		detail := strconv.Quote(attr) + " is read before there are rows: row, old and op can only be used in row" +
			" expressions, such as where of a filter or the columns of a set."
		if slices.Contains(also, "table") {
			detail = strconv.Quote(attr) + " is worked out once for each table: use table.database, table.schema or" +
				" table.name. To choose by row, put a transform \"route\" before it."
		}
		return errorAt(rng, "No row here", detail)
	case "table":
		return errorAt(rng, "No table here", strconv.Quote(attr)+" is read before there are tables: table.name and"+
			" its like can only be used in table templates (topic, into) and row expressions.")
	case "source", "transform", "sink", "connection":
		return errorAt(rng, "Reference not expected", strconv.Quote(attr)+
			" takes a value, not a reference to a block.")
	case "each":
		return errorAt(rng, "No each here", "each.key and each.value exist only in a block with for_each.")
	}
	detail := "There is nothing named " + strconv.Quote(name) + " here."
	hint := DidYouMean(name, append(namesIn(ctx), also...), func(s string) string { return s })
	switch {
	case hint != "":
		detail += hint
	case len(t) == 1:
		detail += " If a text is meant, write it with quotes: " + strconv.Quote(name) + "."
	}
	return errorAt(rng, "Unknown name", detail)
}

// unknownMember checks the second step of var.NAME, local.NAME and their like: hcl's own evaluator
// finds these too, but suggests nothing.
func unknownMember(root string, v cty.Value, t hcl.Traversal) *hcl.Diagnostic {
	if len(t) < 2 || !v.IsKnown() || !v.Type().IsObjectType() {
		return nil
	}
	step, ok := t[1].(hcl.TraverseAttr)
	if !ok || v.Type().HasAttribute(step.Name) {
		return nil
	}
	var names []string
	for name := range v.Type().AttributeTypes() {
		names = append(names, name)
	}
	what := map[string]string{"var": "variable", "local": "local value"}[root]
	if what == "" {
		what = root
	}
	detail := "There is no " + what + " named " + strconv.Quote(step.Name) + "." +
		DidYouMean(step.Name, sorted(names), func(s string) string { return root + "." + s })
	if root == "var" && Nearest(step.Name, names) == "" {
		detail += " Declare it: variable " + strconv.Quote(step.Name) + " {}."
	}
	return errorAt(t.SourceRange(), "Unknown "+what, detail)
}
