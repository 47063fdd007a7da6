package spec

import (
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// refType is the type that references have inside expressions, where they are computed:
// [for k in keys(local.shops) : source.shop[k]].
var refType = cty.Capsule("reference", reflect.TypeFor[Ref]())

// RefVal returns r as a value that expressions can compute with.
func RefVal(r Ref) cty.Value { return cty.CapsuleVal(refType, &r) }

// String renders the reference as the user writes it: source.shop["eu"].
func (r Ref) String() string {
	if r.Key == "" {
		return r.Kind + "." + r.Name
	}
	return r.Kind + "." + r.Name + "[" + strconv.Quote(r.Key) + "]"
}

// DecodeRefs reads one reference or a list of them. attr and kinds are for messages and checks: the
// attribute's name and the kinds of block that it may refer to (none: any). Whether the blocks
// exist is the caller's to check.
func DecodeRefs(attr string, expr hcl.Expression, ctx *hcl.EvalContext, kinds []string) ([]Ref, hcl.Diagnostics) {
	d := refDecoder{attr: attr, ctx: ctx, kinds: kinds}
	d.expr(expr)
	d.refs = slices.DeleteFunc(d.refs, func(r Ref) bool { return !d.checkKind(r) })
	return d.refs, d.diags
}

type refDecoder struct {
	attr  string
	ctx   *hcl.EvalContext
	kinds []string
	refs  []Ref
	diags hcl.Diagnostics
}

func (d *refDecoder) fail(rng hcl.Range, summary, detail string) {
	d.diags = append(d.diags, errorAt(rng, summary, detail))
}

func (d *refDecoder) expr(expr hcl.Expression) {
	if text, ok := literalText(expr); ok {
		d.quoted(expr.Range(), text)
		return
	}
	if t, diags := hcl.AbsTraversalForExpr(expr); !diags.HasErrors() {
		d.traversal(t, expr.Range())
		return
	}
	if splat, ok := expr.(*hclsyntax.SplatExpr); ok {
		d.fail(splat.Range(), "Not a reference", "A name without [*] means every instance already.")
		return
	}
	if index, ok := expr.(*hclsyntax.IndexExpr); ok && d.index(index) {
		return
	}
	if list, diags := hcl.ExprList(expr); !diags.HasErrors() {
		for _, e := range list {
			d.expr(e)
		}
		return
	}
	d.computed(expr)
}

// literalText returns the text of a quoted literal of the native syntax.
func literalText(expr hcl.Expression) (string, bool) {
	t, ok := expr.(*hclsyntax.TemplateExpr)
	if !ok || !t.IsStringLiteral() {
		return "", false
	}
	v, _ := t.Value(nil)
	return v.AsString(), true
}

func (d *refDecoder) quoted(rng hcl.Range, text string) {
	kind, _, dotted := strings.Cut(text, ".")
	if dotted && slices.Contains(componentKinds(), kind) {
		d.fail(rng, "Not a reference", "A reference is written without quotes: "+text)
		return
	}
	d.fail(rng, "Not a reference", strconv.Quote(d.attr)+
		" takes a reference, written without quotes: "+d.sample()+".")
}

func componentKinds() []string { return []string{"source", "transform", "sink", "connection"} }

func (d *refDecoder) sample() string {
	if len(d.kinds) == 0 {
		return "source.NAME"
	}
	return d.kinds[0] + ".NAME"
}

func (d *refDecoder) traversal(t hcl.Traversal, rng hcl.Range) {
	kind := t.RootName()
	if len(t) == 2 || len(t) == 3 {
		if name, ok := t[1].(hcl.TraverseAttr); ok {
			r := Ref{Kind: kind, Name: name.Name, Range: rng}
			if len(t) == 2 || d.instance(&r, t[2], rng) {
				d.refs = append(d.refs, r)
			}
			return
		}
	}
	if v, ok := lookup(d.ctx, kind); ok && !slices.Contains(componentKinds(), kind) && v != cty.NilVal {
		d.fail(rng, "Not a reference", strconv.Quote(d.attr)+" takes a reference such as "+d.sample()+".")
		return
	}
	d.fail(rng, "Not a reference", strconv.Quote(d.attr)+" takes a kind and a name: "+d.sample()+".")
}

func (d *refDecoder) instance(r *Ref, step hcl.Traverser, rng hcl.Range) bool {
	switch step := step.(type) {
	case hcl.TraverseIndex:
		if step.Key.Type() == cty.String {
			r.Key = step.Key.AsString()
			return true
		}
		d.fail(rng, "Not a reference", "An instance is named by the key of its for_each: "+
			r.Kind+"."+r.Name+"[\"KEY\"].")
	case hcl.TraverseAttr:
		d.fail(rng, "Not a reference", "The type is not part of a reference: write "+r.Kind+"."+step.Name+".")
	default:
		d.fail(rng, "Not a reference", "Every instance is meant without [*]: write "+r.Kind+"."+r.Name+".")
	}
	return false
}

// index reads source.shop[each.key]: a traversal whose key is computed.
func (d *refDecoder) index(e *hclsyntax.IndexExpr) bool {
	t, diags := hcl.AbsTraversalForExpr(e.Collection)
	if diags.HasErrors() || len(t) != 2 {
		return false
	}
	name, ok := t[1].(hcl.TraverseAttr)
	if !ok {
		return false
	}
	if bad := CheckScope(d.attr, e.Key, d.ctx, nil); bad.HasErrors() {
		d.diags = append(d.diags, bad...)
		return true
	}
	key, diags := e.Key.Value(d.ctx)
	d.diags = append(d.diags, diags...)
	if diags.HasErrors() {
		return true
	}
	key, _ = key.Unmark()
	if !key.IsKnown() || key.IsNull() || key.Type() != cty.String {
		d.fail(e.Key.Range(), "Not a key", "The key of an instance must be a known text.")
		return true
	}
	d.refs = append(d.refs, Ref{Kind: t.RootName(), Name: name.Name, Key: key.AsString(), Range: e.Range()})
	return true
}

// computed evaluates conditionals and for expressions over references.
func (d *refDecoder) computed(expr hcl.Expression) {
	if bad := CheckScope(d.attr, expr, d.ctx, nil); bad.HasErrors() {
		d.diags = append(d.diags, bad...)
		return
	}
	v, diags := expr.Value(d.ctx)
	d.diags = append(d.diags, diags...)
	if !diags.HasErrors() {
		d.value(v, expr.Range())
	}
}

func (d *refDecoder) value(v cty.Value, rng hcl.Range) {
	v, _ = v.Unmark()
	switch {
	case !v.IsKnown() || v.IsNull():
	case v.Type().Equals(refType):
		r := *v.EncapsulatedValue().(*Ref)
		r.Range = rng
		d.refs = append(d.refs, r)
		return
	case v.CanIterateElements():
		for it := v.ElementIterator(); it.Next(); {
			_, e := it.Element()
			d.value(e, rng)
		}
		return
	}
	d.fail(rng, "Not a reference", strconv.Quote(d.attr)+" takes references such as "+d.sample()+".")
}

func (d *refDecoder) checkKind(r Ref) bool {
	if len(d.kinds) == 0 || slices.Contains(d.kinds, r.Kind) {
		return true
	}
	detail := strconv.Quote(d.attr) + " takes a " + strings.Join(d.kinds, " or a ") + "."
	switch {
	case slices.Contains(componentKinds(), r.Kind):
		detail += " " + r.String() + " is a " + r.Kind + "."
	default:
		detail += DidYouMean(r.Kind, d.kinds, func(s string) string { return s + "." + r.Name })
	}
	d.fail(r.Range, "Wrong kind of reference", detail)
	return false
}
