package spec

import (
	"slices"
	"strconv"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// maxDynamic bounds how many blocks one dynamic block may make.
const maxDynamic = 10000

// nested decodes the nested blocks in their order, leaving out those named in skip, and returns how
// many there were of each.
func (d *decoder) nested(blocks hcl.Blocks, skip map[string]bool, ctx *hcl.EvalContext) map[string]int {
	counts := make(map[string]int)
	first := make(map[string]hcl.Range)
	for _, b := range blocks {
		name := blockName(b)
		if skip[name] {
			continue
		}
		n := d.find(name)
		if n == nil {
			d.report(hcl.Diagnostics{d.unknownName(b.LabelRanges[0], name, "block")})
			continue
		}
		if at, twice := first[name]; twice && n.Single {
			diag := errorAt(b.DefRange, "Duplicate block", "There can be only one block "+strconv.Quote(name)+
				" here.")
			diag.Extra = &Extra{Notes: []Note{{Range: at, Text: "first given here"}}}
			d.diags = append(d.diags, diag)
			continue
		}
		first[name] = b.DefRange
		if b.Type == "dynamic" {
			counts[name] += d.dynamic(n, b, ctx)
			continue
		}
		counts[name]++
		d.one(n, b.Labels, b.LabelRanges, b.Body, b.DefRange, ctx)
	}
	return counts
}

func (d *decoder) find(name string) *Nested {
	i := slices.IndexFunc(d.block.Nested, func(n *Nested) bool { return n.Name == name })
	if i < 0 {
		return nil
	}
	return d.block.Nested[i]
}

// one decodes one nested block.
func (d *decoder) one(n *Nested, labels []string, at []hcl.Range, body hcl.Body, header hcl.Range,
	ctx *hcl.EvalContext) {
	if len(n.Options) > 0 && len(labels) > 0 && !slices.Contains(n.Options, labels[0]) {
		d.fail(at[0], "Unknown "+n.Name, "There is no "+n.Name+" "+strconv.Quote(labels[0])+"; it is one of "+
			Quoted(n.Options)+"."+DidYouMean(labels[0], n.Options, strconv.Quote))
		return
	}
	inner := &decoder{block: n.add(labels), in: Input{
		Body: body, Ctx: ctx, Header: header, Shared: d.in.Shared, Partial: d.in.Partial, Row: d.in.Row,
	}}
	inner.run()
	d.report(inner.diags)
	d.unknown = d.unknown || inner.unknown
}

// dynamic decodes dynamic "NAME" { for_each, iterator, labels, content {} }: the content once for
// each element. hcl's own expansion hides the iterator from expressions that are kept unevaluated,
// which row expressions are.
func (d *decoder) dynamic(n *Nested, b *hcl.Block, ctx *hcl.EvalContext) int {
	content, diags := b.Body.Content(&hcl.BodySchema{
		Attributes: []hcl.AttributeSchema{{Name: "for_each", Required: true}, {Name: "iterator"}, {Name: "labels"}},
		Blocks:     []hcl.BlockHeaderSchema{{Type: "content"}},
	})
	d.report(diags)
	if diags.HasErrors() {
		return 1
	}
	if len(content.Blocks) != 1 {
		d.fail(b.DefRange, "Missing block", "A dynamic block has exactly one content { } block.")
		return 1
	}
	iterator := n.Name
	if a := content.Attributes["iterator"]; a != nil {
		iterator = hcl.ExprAsKeyword(a.Expr)
		if iterator == "" {
			d.fail(a.Expr.Range(), "Not a name", "\"iterator\" takes a name without quotes: iterator = item.")
			return 1
		}
	}
	each := content.Attributes["for_each"]
	v, ok := d.evaluate("for_each", each.Expr, ctx)
	if !ok {
		return 1
	}
	v, marks := v.Unmark()
	switch {
	case !v.IsKnown():
		d.unknown = true
		return 1
	case v.IsNull() || !v.CanIterateElements():
		d.fail(each.Expr.Range(), "Wrong type", "\"for_each\" takes a list, a set or a map.")
		return 1
	case v.LengthInt() > maxDynamic:
		d.fail(each.Expr.Range(), "Too many blocks", "A dynamic block makes at most "+strconv.Itoa(maxDynamic)+
			" blocks.")
		return 1
	}
	count := 0
	for it := v.ElementIterator(); it.Next(); count++ {
		key, value := it.Element()
		child := ctx.NewChild()
		child.Variables = map[string]cty.Value{iterator: cty.ObjectVal(map[string]cty.Value{
			"key": key, "value": value.WithMarks(marks),
		})}
		d.generated(n, content, b, child)
		if n.Single && count > 0 {
			d.fail(b.DefRange, "Duplicate block", "There can be only one block "+strconv.Quote(n.Name)+" here.")
			break
		}
	}
	return count
}

// generated decodes one block that a dynamic block makes.
func (d *decoder) generated(n *Nested, content *hcl.BodyContent, b *hcl.Block, ctx *hcl.EvalContext) {
	var labels []string
	where := b.DefRange
	if a := content.Attributes["labels"]; a != nil {
		v, ok := d.evaluate("labels", a.Expr, ctx)
		if !ok {
			return
		}
		v, _ = v.UnmarkDeep()
		where = a.Expr.Range()
		if !v.IsWhollyKnown() {
			d.unknown = true
			return
		}
		labels, ok = listOf(v)
		if !ok {
			d.fail(where, "Wrong type", "\"labels\" takes a list of texts.")
			return
		}
	}
	if len(labels) != len(n.Labels) {
		d.fail(where, "Wrong number of labels", "A block "+n.header()+" takes "+strconv.Itoa(len(n.Labels))+
			", given by labels = [...].")
		return
	}
	at := slices.Repeat([]hcl.Range{where}, len(labels))
	d.one(n, labels, at, content.Blocks[0].Body, b.DefRange, ctx)
}
