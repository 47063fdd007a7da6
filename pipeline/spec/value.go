package spec

import (
	"errors"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// decodeAttr writes the value of an attribute to the pointer that it is bound to.
func (d *decoder) decodeAttr(a *Attribute, expr hcl.Expression, ctx *hcl.EvalContext) {
	a.rng, a.isSet = expr.Range(), true
	if a.Secrecy && len(expr.Variables()) == 0 {
		defer d.hide(len(d.diags), expr.Range(), fromOutside(expr))
	}
	var diags hcl.Diagnostics
	switch p := a.Target().(type) {
	case *Expr:
		*p, diags = d.rowExpr(a.Name, expr, ctx)
	case *map[string]Expr:
		*p, diags = d.rowExprs(a.Name, expr, ctx)
	case *Template:
		*p, diags = decodeTemplate(a.Name, expr, ctx)
	case *Ref:
		*p, diags = oneRef(a, expr, ctx)
	case *[]Ref:
		*p, diags = DecodeRefs(a.Name, expr, ctx, a.Refs)
	default:
		d.decodeValue(a, expr, ctx)
		return
	}
	d.report(diags)
}

// hide keeps a secret attribute's text out of the diagnostics about it, those from index on.
// Where the text comes from outside, the expression may be shown.
func (d *decoder) hide(from int, rng hcl.Range, outside bool) {
	if len(d.diags) == from || outside {
		return
	}
	e := ExtraOf(d.diags[from])
	e.Hide = append(e.Hide, rng)
	d.diags[from].Extra = &e
}

// fromOutside reports whether an expression takes its value from the environment or a file.
func fromOutside(expr hcl.Expression) bool {
	found := false
	calls(expr, func(call *hclsyntax.FunctionCallExpr) {
		found = found || call.Name == "env" || call.Name == "file"
	})
	return found
}

func oneRef(a *Attribute, expr hcl.Expression, ctx *hcl.EvalContext) (Ref, hcl.Diagnostics) {
	refs, diags := DecodeRefs(a.Name, expr, ctx, a.Refs)
	if diags.HasErrors() {
		return Ref{}, diags
	}
	if len(refs) != 1 {
		return Ref{}, hcl.Diagnostics{errorAt(expr.Range(), "Not one reference",
			strconv.Quote(a.Name)+" takes exactly one reference.")}
	}
	return refs[0], nil
}

// decodeValue evaluates an attribute of the config scope.
func (d *decoder) decodeValue(a *Attribute, expr hcl.Expression, ctx *hcl.EvalContext) {
	v, ok := d.evaluate(a.Name, expr, ctx)
	if !ok {
		return
	}
	v, marks := v.UnmarkDeep()
	a.hidden = len(marks) > 0
	if v.IsNull() {
		a.isSet = false
		return
	}
	if !v.IsWhollyKnown() {
		d.unknown = true
		return
	}
	d.warnLiteral(a, v, expr)
	if err := assign(a, v); err != nil {
		d.fail(expr.Range(), err.summary, err.detail)
		return
	}
	d.checkOptions(a, v, expr)
}

func (d *decoder) evaluate(attr string, expr hcl.Expression, ctx *hcl.EvalContext) (cty.Value, bool) {
	if bad := CheckScope(attr, expr, ctx, nil); bad.HasErrors() {
		d.report(bad)
		return cty.NilVal, false
	}
	v, diags := expr.Value(ctx)
	d.report(diags)
	return v, !diags.HasErrors()
}

// wrong is a value that does not fit its attribute.
type wrong struct{ summary, detail string }

// assign converts v to the attribute's type and writes it, within the attribute's bounds.
func assign(a *Attribute, v cty.Value) *wrong {
	switch p := a.Target().(type) {
	case *string:
		text, ok := textOf(v)
		*p = text
		return a.unless(ok, v)
	case *Secret:
		text, ok := textOf(v)
		*p = Secret(text)
		return a.unless(ok, v)
	case *bool:
		b, err := convert.Convert(v, cty.Bool)
		if err == nil {
			*p = b.True()
		}
		return a.unless(err == nil, v)
	case *int:
		n, w := a.whole(v)
		*p = int(n)
		return w
	case *int64:
		n, w := a.whole(v)
		*p = n
		return w
	case *float64:
		return a.float(p, v)
	case *time.Duration:
		return a.duration(p, v)
	case *Bytes:
		return a.size(p, v)
	case *[]string:
		list, ok := listOf(v)
		*p = list
		return a.unless(ok, v)
	case *map[string]string:
		m, ok := mapOf(v)
		*p = m
		return a.unless(ok, v)
	}
	return &wrong{"Unsupported attribute", strconv.Quote(a.Name) + " cannot be decoded."}
}

// unless returns the complaint that v has the wrong type, where it has.
func (a *Attribute) unless(ok bool, v cty.Value) *wrong {
	if ok {
		return nil
	}
	takes := map[string]string{
		"string": "a text", "bool": "true or false", "whole number": "a whole number", "number": "a number",
		"list of strings": "a list of texts", "map of strings": "a map of texts",
	}[a.Kind]
	detail := strconv.Quote(a.Name) + " takes " + takes + ", not " + describe(v) + "."
	if a.Kind == "list of strings" && v.Type() == cty.String {
		detail += " Write it in brackets, even where there is only one."
	}
	return &wrong{"Wrong type", detail}
}

func describe(v cty.Value) string {
	t := v.Type()
	switch {
	case t == cty.String:
		return "a text"
	case t == cty.Number:
		return "a number"
	case t == cty.Bool:
		return "true or false"
	case t.IsObjectType() || t.IsMapType():
		return "a map"
	case t.IsCapsuleType():
		return "a reference"
	}
	return "a list"
}

func (a *Attribute) whole(v cty.Value) (int64, *wrong) {
	n, err := convert.Convert(v, cty.Number)
	if err != nil {
		return 0, a.unless(false, v)
	}
	i, accuracy := n.AsBigFloat().Int64()
	if accuracy != big.Exact {
		return 0, &wrong{"Not a whole number", strconv.Quote(a.Name) + " takes a whole number."}
	}
	if a.Bounded && (i < a.Min || i > a.Max) {
		return 0, a.outside(strconv.FormatInt(a.Min, 10), strconv.FormatInt(a.Max, 10))
	}
	return i, nil
}

func (a *Attribute) outside(low, high string) *wrong {
	return &wrong{"Out of range", strconv.Quote(a.Name) + " must be from " + low + " to " + high + "."}
}

func (a *Attribute) float(p *float64, v cty.Value) *wrong {
	n, err := convert.Convert(v, cty.Number)
	if err != nil {
		return a.unless(false, v)
	}
	*p, _ = n.AsBigFloat().Float64()
	if a.Bounded && (*p < float64(a.Min) || *p > float64(a.Max)) {
		return a.outside(strconv.FormatInt(a.Min, 10), strconv.FormatInt(a.Max, 10))
	}
	return nil
}

func (a *Attribute) duration(p *time.Duration, v cty.Value) *wrong {
	text, ok := textOf(v)
	dur, err := ParseDuration(text)
	if !ok || err != nil {
		detail := strconv.Quote(a.Name) + ` takes a duration such as "500ms", "10s" or "1h30m".`
		if errors.Is(err, errNoUnit) && !a.hidden {
			detail += " Write a unit, for example " + strconv.Quote(text+"s") + "."
		}
		return &wrong{"Not a duration", detail}
	}
	if a.Bounded && (int64(dur) < a.Min || int64(dur) > a.Max) {
		low, high := shortDuration(time.Duration(a.Min)), shortDuration(time.Duration(a.Max))
		return a.outside(low, high)
	}
	*p = dur
	return nil
}

func (a *Attribute) size(p *Bytes, v cty.Value) *wrong {
	text, ok := textOf(v)
	size, err := ParseBytes(text)
	if !ok || err != nil {
		detail := strconv.Quote(a.Name) + ` takes a size such as "512KiB", "64MiB" or "2GiB".`
		if errors.Is(err, errNoUnit) && !a.hidden {
			detail += " Write a unit, for example " + strconv.Quote(text+"MiB") + "."
		}
		return &wrong{"Not a size", detail}
	}
	if a.Bounded && (int64(size) < a.Min || int64(size) > a.Max) {
		return a.outside(Bytes(a.Min).String(), Bytes(a.Max).String())
	}
	*p = size
	return nil
}

// textOf converts a known primitive to its text.
func textOf(v cty.Value) (string, bool) {
	v, _ = v.Unmark()
	if v.IsNull() || !v.IsKnown() || !v.Type().IsPrimitiveType() {
		return "", false
	}
	s, err := convert.Convert(v, cty.String)
	if err != nil {
		return "", false
	}
	return s.AsString(), true
}

func listOf(v cty.Value) ([]string, bool) {
	t := v.Type()
	if !t.IsTupleType() && !t.IsListType() && !t.IsSetType() {
		return nil, false
	}
	out := make([]string, 0, v.LengthInt())
	for it := v.ElementIterator(); it.Next(); {
		_, e := it.Element()
		text, ok := textOf(e)
		if !ok {
			return nil, false
		}
		out = append(out, text)
	}
	return out, true
}

func mapOf(v cty.Value) (map[string]string, bool) {
	t := v.Type()
	if !t.IsObjectType() && !t.IsMapType() {
		return nil, false
	}
	out := make(map[string]string, v.LengthInt())
	for it := v.ElementIterator(); it.Next(); {
		k, e := it.Element()
		text, ok := textOf(e)
		if !ok {
			return nil, false
		}
		out[k.AsString()] = text
	}
	return out, true
}

// checkOptions holds a value, or each element of a list, against the attribute's options.
func (d *decoder) checkOptions(a *Attribute, v cty.Value, expr hcl.Expression) {
	if a.Options == nil {
		return
	}
	if text, ok := textOf(v); ok {
		d.checkOption(a, text, expr.Range())
		return
	}
	list, _ := listOf(v)
	parts, diags := hcl.ExprList(expr)
	for i, text := range list {
		rng := expr.Range()
		if !diags.HasErrors() && i < len(parts) {
			rng = parts[i].Range()
		}
		d.checkOption(a, text, rng)
	}
}

func (d *decoder) checkOption(a *Attribute, text string, rng hcl.Range) {
	if slices.Contains(a.Options, text) {
		return
	}
	detail := strconv.Quote(a.Name) + " must be one of " + Quoted(a.Options) + "."
	if !a.hidden {
		detail += DidYouMean(text, a.Options, strconv.Quote)
	}
	d.fail(rng, "Unknown value", detail)
}

// dsnPassword finds a password inside a connection string.
var dsnPassword = regexp.MustCompile(`://[^/@:]*:[^@]+@|(?i)\bpassword\s*=\s*[^\s]`)

// warnLiteral warns of a secret written into the file.
func (d *decoder) warnLiteral(a *Attribute, v cty.Value, expr hcl.Expression) {
	if !a.Secrecy || a.hidden || len(expr.Variables()) > 0 {
		return
	}
	text, ok := textOf(v)
	_, secret := a.Target().(*Secret)
	if strings.Contains(text, "://") || strings.Contains(text, "host=") {
		secret = false // a connection string, which need not hold a password
	}
	if !ok || text == "" || !secret && !dsnPassword.MatchString(text) {
		return
	}
	rng := expr.Range()
	d.report(hcl.Diagnostics{{
		Severity: hcl.DiagWarning, Summary: "Secret in the file", Subject: &rng,
		Detail: strconv.Quote(a.Name) + " holds a secret written as a literal. Take it from the environment: " +
			a.Name + " = env(\"NAME\").",
		Extra: &Extra{Hide: []hcl.Range{rng}},
	}})
}
