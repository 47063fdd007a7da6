package config

import (
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// component is one source, transform or sink block.
type component struct {
	block     *hcl.Block
	meta      hcl.Attributes // for_each, enabled, from
	rest      hcl.Body       // what the component's own definition decodes
	forEach   bool
	instances []*instance
	twice     bool // another enabled block has the name
}

func (c *component) kind() string { return c.block.Type }
func (c *component) typ() string  { return c.block.Labels[0] }
func (c *component) name() string { return c.block.Labels[1] }

// instance is one component made from a block: the only one, or that of one key of its for_each.
type instance struct {
	of      *component
	key     string
	ctx     *hcl.EvalContext
	enabled bool
	node    *Node
	edges   []edge
}

// edge is one reference in from, resolved to one instance.
type edge struct {
	to  *instance
	rng hcl.Range
}

func (i *instance) address() string {
	return spec.Ref{Kind: i.of.kind(), Name: i.of.name(), Key: i.key}.String()
}

// maxInstances bounds how many instances one for_each makes.
const maxInstances = 10000

// metaNames are the attributes that every component of a kind has besides its own.
func metaNames(kind string) []string {
	if kind == "source" {
		return []string{"for_each", "enabled"}
	}
	return []string{"from", "for_each", "enabled"}
}

// expand takes the attributes that every component has out of the block and makes its instances.
func (l *loader) expand(c *component) {
	schema := &hcl.BodySchema{}
	for _, name := range metaNames(c.kind()) {
		schema.Attributes = append(schema.Attributes, hcl.AttributeSchema{Name: name})
	}
	content, rest, _ := c.block.Body.PartialContent(schema) // what is wrong with it is found in rest
	c.meta, c.rest = content.Attributes, rest
	a := c.meta["for_each"]
	if a == nil {
		l.instance(c, "", l.ctx)
		return
	}
	c.forEach = true
	v, ok := l.value("for_each", a.Expr, l.ctx)
	if !ok {
		return
	}
	v, marks := v.Unmark()
	if !v.IsKnown() { // an address cannot depend on what is not known here: check one instance
		l.instance(c, "", eachContext(l.ctx, cty.UnknownVal(cty.String), cty.DynamicVal))
		return
	}
	if problem := forEachProblem(v); problem != "" {
		l.report(failure(a.Expr.Range(), "Wrong type", problem))
		return
	}
	for it := v.ElementIterator(); it.Next(); {
		key, value := it.Element()
		if v.Type().IsSetType() {
			key = value
		}
		key, _ = key.Unmark()
		l.instance(c, key.AsString(), eachContext(l.ctx, key, value.WithMarks(marks)))
	}
}

func forEachProblem(v cty.Value) string {
	t := v.Type()
	switch {
	case v.IsNull():
		return "\"for_each\" takes a map or a set of texts, not null."
	case t.IsTupleType() || t.IsListType():
		return "\"for_each\" takes a map or a set, whose keys become part of the address; positions in a list would" +
			" change. Write toset([...])."
	case t.IsSetType() && t.ElementType() != cty.String:
		return "\"for_each\" takes a set of texts."
	case !t.IsObjectType() && !t.IsMapType() && !t.IsSetType():
		return "\"for_each\" takes a map or a set of texts."
	case v.LengthInt() > maxInstances:
		return "\"for_each\" makes at most " + strconv.Itoa(maxInstances) + " instances."
	}
	for it := v.ElementIterator(); it.Next(); {
		key, value := it.Element()
		if t.IsSetType() {
			key = value
		}
		if key, _ = key.Unmark(); !key.IsKnown() || key.IsNull() || key.AsString() == "" {
			return "Every key of \"for_each\" must be a known text that is not empty: it becomes part of an address."
		}
	}
	return ""
}

func eachContext(ctx *hcl.EvalContext, key, value cty.Value) *hcl.EvalContext {
	child := ctx.NewChild()
	child.Variables = map[string]cty.Value{"each": cty.ObjectVal(map[string]cty.Value{"key": key, "value": value})}
	return child
}

func (l *loader) value(attr string, expr hcl.Expression, ctx *hcl.EvalContext) (cty.Value, bool) {
	if bad := spec.CheckScope(attr, expr, ctx, nil); bad.HasErrors() {
		l.report(bad...)
		return cty.NilVal, false
	}
	v, diags := expr.Value(ctx)
	l.report(diags...)
	return v, !diags.HasErrors()
}

func (l *loader) instance(c *component, key string, ctx *hcl.EvalContext) {
	i := &instance{of: c, key: key, ctx: ctx, enabled: true}
	c.instances = append(c.instances, i)
	a := c.meta["enabled"]
	if a == nil {
		return
	}
	v, ok := l.value("enabled", a.Expr, ctx)
	if !ok {
		return
	}
	v, _ = v.Unmark()
	if !v.IsKnown() {
		return
	}
	if v.IsNull() || v.Type() != cty.Bool {
		l.report(failure(a.Expr.Range(), "Wrong type", "\"enabled\" takes true or false."))
		return
	}
	i.enabled = v.True()
}

func (c *component) enabled() bool {
	return len(c.instances) == 0 || slices.ContainsFunc(c.instances, func(i *instance) bool { return i.enabled })
}

// namesOnce reports names that two enabled blocks of a kind have: blocks that exclude each other
// by enabled may share one.
func (l *loader) namesOnce() {
	first := make(map[string]*component)
	l.byName = make(map[string]*component)
	for _, c := range l.blocks {
		address := c.kind() + "." + c.name()
		if l.byName[address] == nil {
			l.byName[address] = c
		}
		if !c.enabled() {
			continue
		}
		if other := first[address]; other != nil {
			c.twice = true
			l.report(failure(c.block.LabelRanges[1], "Duplicate "+c.kind(), address+
				" is defined twice. Names are unique"+
				" among the "+c.kind()+"s, whatever their type.",
				spec.Note{Range: other.block.LabelRanges[1], Text: "first defined here"}))
			continue
		}
		first[address], l.byName[address] = c, c
	}
}

// find returns the block of that kind and name, preferring an enabled one.
func (l *loader) find(kind, name string) *component {
	return l.byName[kind+"."+name]
}

// instancesOf resolves a reference to instances, enabled or not, and reports where there is none.
func (l *loader) instancesOf(r spec.Ref) []*instance {
	c := l.find(r.Kind, r.Name)
	if c == nil {
		if !l.broken {
			l.unknownRef(r)
		}
		return nil
	}
	if r.Key == "" {
		return c.instances
	}
	if !c.forEach {
		l.report(failure(r.Range, "Unknown reference", r.Kind+"."+r.Name+" has no for_each: write "+r.Kind+
			"."+r.Name+"."))
		return nil
	}
	var keys []string
	for _, i := range c.instances {
		if i.key == r.Key || i.key == "" {
			return []*instance{i}
		}
		keys = append(keys, i.key)
	}
	detail := r.Kind + "." + r.Name + " has no instance " + strconv.Quote(r.Key) + "."
	if hint := spec.DidYouMean(r.Key, keys, strconv.Quote); hint != "" {
		detail += hint
	} else if len(keys) > 0 && len(keys) <= maxListed {
		detail += " It has " + spec.Quoted(keys) + "."
	}
	l.report(failure(r.Range, "Unknown reference", detail))
	return nil
}

// maxListed bounds how many names a message lists.
const maxListed = 12

func (l *loader) unknownRef(r spec.Ref) {
	var names []string
	kindOf := make(map[string]string)
	for _, c := range l.blocks {
		if c.kind() == r.Kind {
			names = append(names, c.name())
		}
		kindOf[c.name()] = c.kind()
	}
	detail := "No " + r.Kind + " is named " + strconv.Quote(r.Name) + "."
	show := func(s string) string { return r.Kind + "." + s }
	switch hint := spec.DidYouMean(r.Name, names, show); {
	case hint != "":
		detail += hint
	case kindOf[r.Name] != "":
		detail += " There is " + kindOf[r.Name] + "." + r.Name + "."
	case len(names) == 0:
		detail += " There is none at all."
	case len(names) <= maxListed:
		slices.Sort(names)
		detail += " There is " + r.Kind + "." + strings.Join(names, ", "+r.Kind+".") + "."
	}
	l.report(failure(r.Range, "Unknown reference", detail))
}

// resolve returns the addresses of the enabled instances that a reference names.
func (l *loader) resolve(r spec.Ref) []string {
	var out []string
	all := l.instancesOf(r)
	for _, i := range all {
		if i.enabled {
			out = append(out, i.address())
		}
	}
	if len(all) > 0 && len(out) == 0 {
		l.report(failure(r.Range, "Disabled", r.String()+" is disabled."))
	}
	return out
}

// references returns the context in which from is evaluated: the blocks as values.
func (l *loader) references(ctx *hcl.EvalContext) *hcl.EvalContext {
	child := ctx.NewChild()
	if l.refs == nil {
		l.refs = l.referenceValues()
	}
	child.Variables = l.refs
	return child
}

func (l *loader) referenceValues() map[string]cty.Value {
	kinds := map[string]map[string]cty.Value{"source": {}, "transform": {}, "sink": {}}
	for _, c := range l.blocks {
		if c.twice {
			continue
		}
		ref := spec.Ref{Kind: c.kind(), Name: c.name()}
		kinds[c.kind()][c.name()] = spec.RefVal(ref)
		if !c.forEach {
			continue
		}
		byKey := make(map[string]cty.Value)
		for _, i := range c.instances {
			byKey[i.key] = spec.RefVal(spec.Ref{Kind: c.kind(), Name: c.name(), Key: i.key})
		}
		kinds[c.kind()][c.name()] = cty.ObjectVal(byKey)
	}
	out := make(map[string]cty.Value)
	for kind, names := range kinds {
		out[kind] = cty.ObjectVal(names)
	}
	return out
}
