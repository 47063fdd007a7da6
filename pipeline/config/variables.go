package config

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// given is a value for a variable from outside the configuration.
type given struct {
	val   cty.Value
	text  string // of --var, not yet parsed: the variable's type says how
	plain bool   // text is set
	rng   hcl.Range
	used  bool
}

// variable is a variable block.
type variable struct {
	name      string
	block     *hcl.Block
	content   *hcl.BodyContent
	typ       cty.Type
	defaults  *typeexpr.Defaults
	sensitive bool
}

// variableValues decodes the variable blocks and returns their values. A variable with an error
// gets an unknown value, so that it causes no further ones.
func (l *loader) variableValues() map[string]cty.Value {
	outer := l.givenValues()
	values := make(map[string]cty.Value)
	var all []*variable
	for _, b := range l.variables {
		v := l.variable(b)
		values[v.name] = cty.DynamicVal
		if val, ok := l.variableValue(v, outer[v.name]); ok {
			values[v.name] = val
			all = append(all, v)
		}
	}
	var names []string
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range slices.Sorted(maps.Keys(outer)) {
		if !outer[name].used {
			l.unknownVariable(name, outer[name], names)
		}
	}
	for _, v := range all {
		l.validate(v, values)
	}
	return values
}

func (l *loader) unknownVariable(name string, g *given, names []string) {
	detail := "The configuration has no variable " + strconv.Quote(name) + "." +
		spec.DidYouMean(name, names, strconv.Quote)
	if g.plain {
		l.report(outside("Unknown variable", "--var "+name+": "+detail))
		return
	}
	l.report(failure(g.rng, "Unknown variable", detail))
}

// givenValues collects what --var-file and --var say.
func (l *loader) givenValues() map[string]*given {
	out := make(map[string]*given)
	for _, name := range l.opt.VarFiles {
		l.varFile(name, out)
	}
	for _, arg := range l.opt.Vars {
		name, text, ok := strings.Cut(arg, "=")
		if !ok || name == "" {
			l.report(outside("Not a variable", "--var takes NAME=VALUE."))
			continue
		}
		out[strings.TrimSpace(name)] = &given{text: text, plain: true}
	}
	return out
}

func (l *loader) varFile(name string, out map[string]*given) {
	text, err := readFile(name)
	if err != nil {
		l.report(outside("Cannot read a file of variables", readError(err)))
		return
	}
	l.out.Files[name] = text
	f, diags := Parse(name, text)
	l.report(diags...)
	if f == nil || diags.HasErrors() {
		return
	}
	attrs, diags := f.Body.JustAttributes()
	l.report(diags...)
	ctx := &hcl.EvalContext{Functions: l.ctx.Functions}
	for _, a := range attrs {
		v, diags := a.Expr.Value(ctx)
		l.report(diags...)
		if !diags.HasErrors() {
			out[a.Name] = &given{val: v, rng: a.Expr.Range()}
		}
	}
}

func (l *loader) variable(b *hcl.Block) *variable {
	v := &variable{name: b.Labels[0], block: b, typ: cty.DynamicPseudoType}
	d := &variableSpec{}
	desc := spec.Describe("variable", d)
	content, rest, _ := b.Body.PartialContent(&hcl.BodySchema{
		Attributes: []hcl.AttributeSchema{{Name: "type"}, {Name: "default"}},
		Blocks:     []hcl.BlockHeaderSchema{{Type: "validation"}},
	})
	l.report(desc.Decode(spec.Input{Body: rest, Ctx: l.ctx, Header: b.DefRange,
		Also: []string{"type", "default", "validation"}})...)
	v.content, v.sensitive = content, d.Sensitive
	if t := content.Attributes["type"]; t != nil {
		typ, defaults, diags := typeexpr.TypeConstraintWithDefaults(t.Expr)
		l.report(diags...)
		if !diags.HasErrors() {
			v.typ, v.defaults = typ, defaults
		}
	}
	return v
}

// variableSpec describes the attributes of a variable block that are ordinary values.
type variableSpec struct {
	Description string
	Sensitive   bool
}

// Spec describes the block.
func (v *variableSpec) Spec(b *spec.Block) {
	b.Doc("A value given when the configuration is loaded, by --var NAME=VALUE or --var-file; used as var.NAME.")
	spec.Attr(b, "description", &v.Description).Doc("What it is for.")
	spec.Attr(b, "sensitive", &v.Sensitive).Doc("Never show its value.")
}

// VariableBlock describes the variable block, for "pipe explain variable".
func VariableBlock() *spec.Block {
	b := spec.Describe("variable", &variableSpec{})
	var text string
	a := spec.Attr(b, "type", &text).Example("map(object({ host = string, port = optional(number, 5432) }))").
		Doc("string, number, bool, list(T), set(T), map(T), object({ NAME = T }), any; optional(T, DEFAULT) in objects.")
	a.Kind = "type"
	a = spec.Attr(b, "default", &text).Doc("Its value where none is given; without one it must be given.")
	a.Kind = "value of the type"
	spec.Blocks(b, "validation", nil, new([]*string), func(b *spec.Block, _ *string, _ []string) {
		b.Doc("A condition that the value must meet.")
		spec.Attr(b, "condition", new(bool)).Required().Example("var.port < 65536").Doc("True where the value is good.")
		spec.Attr(b, "error_message", new(string)).Required().Doc("What to say where it is not.")
	})
	return b
}

func (l *loader) variableValue(v *variable, g *given) (cty.Value, bool) {
	val, rng, ok := l.rawValue(v, g)
	if !ok {
		return cty.NilVal, false
	}
	if v.defaults != nil && !val.IsNull() && val.IsKnown() {
		val = v.defaults.Apply(val)
	}
	converted, err := convert.Convert(val, v.typ)
	if err != nil {
		diag := failure(rng, "Wrong type", "variable "+strconv.Quote(v.name)+" takes "+
			typeexpr.TypeString(v.typ)+": "+err.Error()+".")
		if g != nil && g.plain {
			diag = outside("Wrong type", "--var "+v.name+": takes "+typeexpr.TypeString(v.typ)+": "+err.Error()+".")
		}
		l.report(diag)
		return cty.NilVal, false
	}
	if v.sensitive {
		l.keepSecrets(converted)
		converted = converted.Mark(sensitive)
	}
	return converted, true
}

// rawValue returns the value given from outside or the default.
func (l *loader) rawValue(v *variable, g *given) (cty.Value, hcl.Range, bool) {
	if g != nil {
		g.used = true
		if !g.plain {
			return g.val, g.rng, true
		}
		return l.parseGiven(v, g)
	}
	a := v.content.Attributes["default"]
	if a == nil {
		l.report(failure(v.block.DefRange, "No value for a variable", "variable "+strconv.Quote(v.name)+
			" has no default: give it by --var "+v.name+"=VALUE or in a --var-file."))
		return cty.NilVal, hcl.Range{}, false
	}
	ctx := &hcl.EvalContext{Functions: l.ctx.Functions}
	if bad := spec.CheckScope("default", a.Expr, ctx, nil); bad.HasErrors() {
		l.report(bad...)
		return cty.NilVal, hcl.Range{}, false
	}
	val, diags := a.Expr.Value(ctx)
	l.report(diags...)
	return val, a.Expr.Range(), !diags.HasErrors()
}

// parseGiven reads the text of --var: as it is for a string, else as an expression.
func (l *loader) parseGiven(v *variable, g *given) (cty.Value, hcl.Range, bool) {
	if v.typ == cty.String || v.typ == cty.DynamicPseudoType {
		return cty.StringVal(g.text), v.block.DefRange, true
	}
	if len(g.text) <= maxFile {
		tokens, _ := hclsyntax.LexExpression([]byte(g.text), "--var "+v.name, hcl.InitialPos)
		if !checkTokens(tokens).HasErrors() {
			e, diags := hclsyntax.ParseExpression([]byte(g.text), "--var "+v.name, hcl.InitialPos)
			if !diags.HasErrors() {
				val, diags := e.Value(nil)
				if !diags.HasErrors() {
					return val, v.block.DefRange, true
				}
			}
		}
	}
	l.report(outside("Wrong type", "--var "+v.name+": not an expression of type "+typeexpr.TypeString(v.typ)+
		". Texts inside lists and maps are quoted."))
	return cty.NilVal, hcl.Range{}, false
}

// validate runs the validation blocks of a variable.
func (l *loader) validate(v *variable, values map[string]cty.Value) {
	for _, b := range v.content.Blocks {
		content, diags := b.Body.Content(&hcl.BodySchema{Attributes: []hcl.AttributeSchema{
			{Name: "condition", Required: true}, {Name: "error_message", Required: true},
		}})
		l.report(diags...)
		if diags.HasErrors() {
			continue
		}
		ctx := &hcl.EvalContext{Functions: l.ctx.Functions,
			Variables: map[string]cty.Value{"var": cty.ObjectVal(values)}}
		condition := content.Attributes["condition"].Expr
		if bad := spec.CheckScope("condition", condition, ctx, nil); bad.HasErrors() {
			l.report(bad...)
			continue
		}
		ok, diags := condition.Value(ctx)
		l.report(diags...)
		ok, _ = ok.Unmark()
		if diags.HasErrors() || !ok.IsKnown() {
			continue
		}
		if ok.IsNull() || ok.Type() != cty.Bool {
			l.report(failure(condition.Range(), "Wrong type", "\"condition\" must be true or false."))
			continue
		}
		if ok.True() {
			continue
		}
		message, _ := content.Attributes["error_message"].Expr.Value(ctx)
		l.report(failure(condition.Range(), "Invalid value for variable "+v.name, sentence(message)))
	}
}

func sentence(v cty.Value) string {
	v, marks := v.Unmark()
	if len(marks) > 0 || !v.IsKnown() || v.IsNull() || v.Type() != cty.String {
		return "The condition does not hold."
	}
	return v.AsString()
}
