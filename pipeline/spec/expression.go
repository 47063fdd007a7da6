package spec

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/pipe-cdc/pipe/pipeline"
)

// native returns the expression as native syntax, unevaluated. In JSON an expression is a string
// "${...}", which hcl would only evaluate: its text is parsed again, with the ranges of the file.
func native(expr hcl.Expression) (hclsyntax.Expression, hcl.Diagnostics) {
	if e, ok := expr.(hclsyntax.Expression); ok {
		return e, nil
	}
	v, diags := expr.Value(nil) // JSON without a context: strings as they are written
	if diags.HasErrors() {
		return nil, diags
	}
	if v.IsNull() || v.Type() != cty.String {
		return &hclsyntax.LiteralValueExpr{Val: v, SrcRange: expr.Range()}, nil
	}
	rng := expr.Range()
	start := rng.Start
	start.Byte++ // the quote
	start.Column++
	e, diags := hclsyntax.ParseTemplate([]byte(v.AsString()), rng.Filename, start)
	if diags.HasErrors() {
		return nil, diags
	}
	if wrap, ok := e.(*hclsyntax.TemplateWrapExpr); ok {
		return wrap.Wrapped, nil
	}
	return e, nil
}

// rowExpr keeps a row expression; what it says of columns is checked when it is compiled.
func (d *decoder) rowExpr(attr string, expr hcl.Expression, ctx *hcl.EvalContext) (Expr, hcl.Diagnostics) {
	e, diags := native(expr)
	if diags.HasErrors() {
		return Expr{}, diags
	}
	diags = append(diags, CheckScope(attr, e, ctx, rowScope())...)
	if text, ok := literalText(e); ok && strings.Contains(text, "row.") {
		diags = append(diags, errorAt(e.Range(), "Not a row expression",
			"A row expression is written without quotes: "+text))
	}
	if !diags.HasErrors() && d.in.Row != nil {
		diags = append(diags, d.in.Row(e)...)
	}
	diags = append(diags, hyphens(e)...)
	return Expr{Syntax: e, Ctx: ctx}, diags
}

// hyphens warns of row.a-b, which is the one name "a-b" and rarely meant.
func hyphens(e hclsyntax.Expression) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, t := range e.Variables() {
		if root := t.RootName(); root != "row" && root != "old" || len(t) < 2 {
			continue
		}
		step, ok := t[1].(hcl.TraverseAttr)
		left, right, hyphen := strings.Cut(step.Name, "-")
		if !ok || !hyphen {
			continue
		}
		diag := errorAt(t.SourceRange(), "Hyphen in a name", "This is the one column "+strconv.Quote(step.Name)+
			". To subtract, put spaces around the -: "+t.RootName()+"."+left+" - "+t.RootName()+"."+right+
			". For the column, write "+t.RootName()+"["+strconv.Quote(step.Name)+"].")
		diag.Severity = hcl.DiagWarning
		diags = append(diags, diag)
	}
	return diags
}

func (d *decoder) rowExprs(attr string, expr hcl.Expression, ctx *hcl.EvalContext) (map[string]Expr,
	hcl.Diagnostics) {
	pairs, diags := hcl.ExprMap(expr)
	if diags.HasErrors() {
		return nil, hcl.Diagnostics{errorAt(expr.Range(), "Not a map",
			strconv.Quote(attr)+" takes a map of row expressions: { total = row.price * row.count }.")}
	}
	out := make(map[string]Expr, len(pairs))
	for _, pair := range pairs {
		key, more := pair.Key.Value(ctx)
		diags = append(diags, more...)
		if more.HasErrors() {
			continue
		}
		key, _ = key.Unmark()
		if key.IsNull() || !key.IsKnown() || key.Type() != cty.String {
			diags = append(diags, errorAt(pair.Key.Range(), "Not a name", "A name must be a text."))
			continue
		}
		if _, twice := out[key.AsString()]; twice {
			diags = append(diags, errorAt(pair.Key.Range(), "Duplicate name",
				strconv.Quote(key.AsString())+" is given twice."))
		}
		e, more := d.rowExpr(attr, pair.Value, ctx)
		diags = append(diags, more...)
		out[key.AsString()] = e
	}
	return out, diags
}

// decodeTemplate keeps a table template, having checked that it yields a text for any table.
func decodeTemplate(attr string, expr hcl.Expression, ctx *hcl.EvalContext) (Template, hcl.Diagnostics) {
	e, diags := native(expr)
	if diags.HasErrors() {
		return Template{}, diags
	}
	if diags = CheckScope(attr, e, ctx, templateScope()); diags.HasErrors() {
		return Template{}, diags
	}
	if diags = checkTableNames(e); diags.HasErrors() {
		return Template{}, diags
	}
	unknown := make(map[string]cty.Value)
	for name := range tableScope(&pipeline.Schema{}) {
		unknown[name] = cty.UnknownVal(cty.String)
	}
	v, diags := e.Value(withTable(ctx, unknown))
	if diags.HasErrors() {
		return Template{}, diags
	}
	v, _ = v.Unmark()
	if t := v.Type(); t != cty.DynamicPseudoType && !t.IsPrimitiveType() || v.IsNull() {
		return Template{}, append(diags, errorAt(e.Range(), "Wrong type",
			strconv.Quote(attr)+" takes a text for each table, such as \"shop.${table.name}\"."))
	}
	return Template{Syntax: e, Ctx: ctx}, diags
}

func checkTableNames(e hclsyntax.Expression) hcl.Diagnostics {
	var diags hcl.Diagnostics
	scope := tableScope(&pipeline.Schema{})
	for _, t := range e.Variables() {
		name, ok := tableName(t)
		if !ok || t.RootName() != "table" {
			continue
		}
		if _, known := scope[name]; known {
			continue
		}
		var names []string
		for n := range scope {
			names = append(names, n)
		}
		diags = append(diags, errorAt(t.SourceRange(), "Unknown name", "table has no "+strconv.Quote(name)+
			", only "+Quoted(sorted(names))+"."+
			DidYouMean(name, sorted(names), func(s string) string { return "table." + s })))
	}
	return diags
}

func tableName(t hcl.Traversal) (string, bool) {
	if len(t) < 2 {
		return "", false
	}
	step, ok := t[1].(hcl.TraverseAttr)
	return step.Name, ok
}

func withTable(ctx *hcl.EvalContext, table map[string]cty.Value) *hcl.EvalContext {
	var child *hcl.EvalContext
	if ctx == nil {
		child = &hcl.EvalContext{}
	} else {
		child = ctx.NewChild()
	}
	child.Variables = map[string]cty.Value{"table": cty.ObjectVal(table)}
	return child
}

// Text evaluates the template for a table. Names that are used as they are do not pass through
// cty, which would normalise their Unicode; those handed to a function do.
func (t Template) Text(s *pipeline.Schema) (string, error) {
	if t.Syntax == nil {
		return "", errors.New("the template is not set")
	}
	scope := tableScope(s)
	parts := []hclsyntax.Expression{t.Syntax}
	if e, ok := t.Syntax.(*hclsyntax.TemplateExpr); ok {
		parts = e.Parts
	}
	if e, ok := t.Syntax.(*hclsyntax.TemplateWrapExpr); ok {
		parts = []hclsyntax.Expression{e.Wrapped}
	}
	var b strings.Builder
	var ctx *hcl.EvalContext
	for _, part := range parts {
		if text, ok := plainPart(part, scope); ok {
			b.WriteString(text)
			continue
		}
		if ctx == nil {
			ctx = withTable(t.Ctx, values(scope))
		}
		text, err := evaluated(part, ctx)
		if err != nil {
			return "", fmt.Errorf("%s: for table %s: %w", part.Range(), s.Name(), err)
		}
		b.WriteString(text)
	}
	return b.String(), nil
}

func values(scope map[string]string) map[string]cty.Value {
	out := make(map[string]cty.Value, len(scope))
	for name, text := range scope {
		out[name] = cty.StringVal(text)
	}
	return out
}

func plainPart(part hclsyntax.Expression, scope map[string]string) (string, bool) {
	e, ok := part.(*hclsyntax.ScopeTraversalExpr)
	if !ok || len(e.Traversal) != 2 || e.Traversal.RootName() != "table" {
		return "", false
	}
	name, ok := tableName(e.Traversal)
	if !ok {
		return "", false
	}
	text, ok := scope[name]
	return text, ok
}

func evaluated(part hclsyntax.Expression, ctx *hcl.EvalContext) (string, error) {
	v, diags := part.Value(ctx)
	if diags.HasErrors() {
		return "", errors.New(diags[0].Detail)
	}
	text, ok := textOf(v)
	if !ok {
		return "", errors.New("the template does not yield a text")
	}
	return text, nil
}
