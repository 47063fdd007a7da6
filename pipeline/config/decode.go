package config

import (
	"maps"
	"slices"
	"strconv"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/pipe-cdc/pipe/pipeline/expr"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// shared is a connection block.
type shared struct {
	block *hcl.Block
	used  bool
}

// decodeShared checks the connection blocks by themselves.
func (l *loader) decodeShared() {
	for _, s := range l.shared {
		b := s.block
		build := l.opt.Registry.Connections[b.Labels[0]]
		if build == nil {
			l.unknownType("connection", b.Labels[0], b.LabelRanges[0])
			continue
		}
		desc := spec.Describe(b.Labels[0], build())
		l.report(desc.Decode(spec.Input{Body: b.Body, Ctx: l.ctx, Header: b.DefRange, Partial: true})...)
	}
}

// connection finds the block that "connection = connection.NAME" refers to.
func (l *loader) connection(typ string) func(spec.Ref) (hcl.Body, *hcl.EvalContext, hcl.Diagnostics) {
	return func(r spec.Ref) (hcl.Body, *hcl.EvalContext, hcl.Diagnostics) {
		var names []string
		for _, s := range l.shared {
			if s.block.Labels[1] != r.Name {
				names = append(names, s.block.Labels[1])
				continue
			}
			s.used = true
			if given := s.block.Labels[0]; given != typ {
				return nil, nil, hcl.Diagnostics{failure(r.Range, "Wrong type of connection", r.String()+" is a "+
					strconv.Quote(given)+" connection; a "+strconv.Quote(typ)+" one is needed.",
					spec.Note{Range: s.block.DefRange, Text: "defined here"})}
			}
			return s.block.Body, l.ctx, nil
		}
		detail := "No connection is named " + strconv.Quote(r.Name) + "." +
			spec.DidYouMean(r.Name, names, func(s string) string { return "connection." + s })
		return nil, nil, hcl.Diagnostics{failure(r.Range, "Unknown reference", detail)}
	}
}

// definition builds an empty definition of a type; nil where the type does not exist.
func (r Registry) definition(kind, typ string) spec.Definition {
	switch kind {
	case "source":
		if build := r.Sources[typ]; build != nil {
			return build()
		}
	case "transform":
		if build := r.Transforms[typ]; build != nil {
			return build()
		}
	case "sink":
		if build := r.Sinks[typ]; build != nil {
			return build()
		}
	case "connection":
		if build := r.Connections[typ]; build != nil {
			return build()
		}
	}
	return nil
}

// Definition builds an empty definition of a type of a kind; nil where there is none.
func (r Registry) Definition(kind, typ string) spec.Definition { return r.definition(kind, typ) }

// Kinds returns the kinds of components, in the order that data flows.
func Kinds() []string { return []string{"source", "transform", "sink", "connection"} }

// Types returns the types of a kind, in order.
func (r Registry) Types(kind string) []string {
	switch kind {
	case "source":
		return slices.Sorted(maps.Keys(r.Sources))
	case "transform":
		return slices.Sorted(maps.Keys(r.Transforms))
	case "sink":
		return slices.Sorted(maps.Keys(r.Sinks))
	case "connection":
		return slices.Sorted(maps.Keys(r.Connections))
	}
	return nil
}

func (l *loader) unknownType(kind, typ string, rng hcl.Range) {
	types := l.opt.Registry.Types(kind)
	detail := "There is no " + kind + " type " + strconv.Quote(typ) + "."
	if hint := spec.DidYouMean(typ, types, strconv.Quote); hint != "" {
		detail += hint
	} else if len(types) > 0 {
		detail += " It is one of " + spec.Quoted(types) + "."
	}
	for _, other := range Kinds() {
		if other != kind && l.opt.Registry.definition(other, typ) != nil {
			detail += " " + strconv.Quote(typ) + " is a type of " + other + "."
		}
	}
	l.report(failure(rng, "Unknown "+kind+" type", detail))
}

// decode makes the nodes of a block's instances.
func (l *loader) decode(c *component) {
	if l.opt.Registry.definition(c.kind(), c.typ()) == nil {
		l.unknownType(c.kind(), c.typ(), c.block.LabelRanges[0])
		return
	}
	for _, i := range c.instances {
		l.decodeInstance(i)
	}
}

// checkRow checks a row expression without columns. The names in it were held against the context
// already, which package expr does not see here.
func checkRow(e hclsyntax.Expression) hcl.Diagnostics {
	return slices.DeleteFunc(expr.Check(e), func(d *hcl.Diagnostic) bool { return d.Summary == "Unknown name" })
}

func (l *loader) decodeInstance(i *instance) {
	c := i.of
	def := l.opt.Registry.definition(c.kind(), c.typ())
	desc := spec.Describe(c.typ(), def)
	own := takeFrom(desc)
	in := spec.Input{Body: c.rest, Ctx: i.ctx, Header: c.block.DefRange, Also: metaNames(c.kind()), Row: checkRow}
	if desc.Conn != nil {
		in.Shared = l.connection(desc.Conn.Type)
	}
	if !i.enabled { // checked, but an environment that it alone needs may be missing
		in.Ctx = i.ctx.NewChild()
		in.Ctx.Functions = l.lenient.Functions
	}
	diags := desc.Decode(in)
	if c.kind() != "source" {
		refs, more := l.from(i, in.Ctx)
		diags = append(diags, more...)
		if own != nil {
			*own = refs
		}
	}
	l.report(explained(diags)...)
	i.node = &Node{
		Address: i.address(), Kind: c.kind(), Type: c.typ(), Name: c.name(), Key: i.key, Def: def, Block: desc,
		Range: c.block.DefRange, Body: blockRange(c.block),
	}
}

// takeFrom takes the attribute from out of a definition that describes it itself, and returns what
// it is bound to; nil where it does not. from is decoded here, with references that are computed.
func takeFrom(b *spec.Block) *[]spec.Ref {
	a := b.Attribute("from")
	if a == nil {
		return nil
	}
	p, ok := a.Target().(*[]spec.Ref)
	if !ok {
		return nil
	}
	b.Attrs = slices.DeleteFunc(b.Attrs, func(other *spec.Attribute) bool { return other == a })
	return p
}

// explained drops the error that from is missing where a misspelt from explains it.
func explained(diags hcl.Diagnostics) hcl.Diagnostics {
	misspelt := slices.ContainsFunc(diags, func(d *hcl.Diagnostic) bool { return spec.ExtraOf(d).Suggested == "from" })
	return slices.DeleteFunc(diags, func(d *hcl.Diagnostic) bool {
		return misspelt &&
			spec.ExtraOf(d).Missing == "from"
	})
}

// from resolves what an instance reads from.
func (l *loader) from(i *instance, ctx *hcl.EvalContext) ([]spec.Ref, hcl.Diagnostics) {
	a := i.of.meta["from"]
	if a == nil {
		d := failure(i.of.block.DefRange, "Missing attribute",
			"\"from\" must be given: what the "+i.of.kind()+" reads. For example: from = "+l.sampleFrom(i)+".")
		d.Extra = &spec.Extra{Missing: "from"}
		return nil, hcl.Diagnostics{d}
	}
	refs, diags := spec.DecodeRefs("from", a.Expr, l.references(ctx), []string{"source", "transform"})
	disabled := 0
	for _, r := range refs {
		for _, to := range l.instancesOf(r) {
			if !to.enabled {
				disabled++
				continue
			}
			i.edges = append(i.edges, edge{to: to, rng: r.Range})
		}
	}
	if i.enabled && len(i.edges) == 0 && disabled > 0 {
		diags = append(diags, failure(a.Expr.Range(), "Disabled", "Everything that "+i.address()+
			" reads from is disabled."))
	}
	if len(refs) == 0 && !diags.HasErrors() {
		diags = append(diags, failure(a.Expr.Range(), "Empty list",
			"\"from\" names at least one source or transform."))
	}
	return refs, diags
}

func (l *loader) sampleFrom(i *instance) string {
	for _, c := range l.blocks {
		if c.kind() == "source" && c != i.of {
			return "source." + c.name()
		}
	}
	return "source.NAME"
}

// blockRange is the range of a whole block, where the syntax tells it.
func blockRange(b *hcl.Block) hcl.Range {
	if body, ok := b.Body.(*hclsyntax.Body); ok {
		return hcl.RangeBetween(b.DefRange, body.SrcRange)
	}
	return b.DefRange
}
