package spec

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Input is what a block is decoded from.
type Input struct {
	Body   hcl.Body
	Ctx    *hcl.EvalContext
	Header hcl.Range // of the block, for what is missing; zero: the body's own range
	// Also names attributes and blocks that the caller has taken out of the body already: suggestions
	// include them.
	Also []string
	// Shared finds the body of the connection block that "connection = ..." refers to, and the
	// context to evaluate it in; the body is nil where there is none (and that is reported). A nil
	// Shared ignores the reference.
	Shared func(Ref) (hcl.Body, *hcl.EvalContext, hcl.Diagnostics)
	// Row checks what a row expression consists of, without the columns of a table; nil: nothing.
	Row func(hclsyntax.Expression) hcl.Diagnostics
	// Partial leaves out the checks that only a whole block can pass: a connection block gives what
	// it gives, the rest comes from the blocks that use it.
	Partial bool
}

// Decode reads a body into the struct that b is bound to and reports everything that is wrong in it.
func Decode(b *Block, body hcl.Body, ctx *hcl.EvalContext) hcl.Diagnostics {
	return b.Decode(Input{Body: body, Ctx: ctx})
}

// Decode reads a block into the struct that b is bound to and reports everything that is wrong in it.
func (b *Block) Decode(in Input) hcl.Diagnostics {
	if in.Header == (hcl.Range{}) {
		in.Header = in.Body.MissingItemRange()
	}
	d := &decoder{block: b, in: in}
	d.run()
	return d.diags
}

// decoder reads one block.
type decoder struct {
	block   *Block
	in      Input
	diags   hcl.Diagnostics
	unknown bool // some value is not known: checks that need it are left out
	loose   bool // the connection could not be read: what it might give is not missing
}

func (d *decoder) report(diags hcl.Diagnostics) { d.diags = append(d.diags, diags...) }

func (d *decoder) fail(rng hcl.Range, summary, detail string) {
	d.diags = append(d.diags, errorAt(rng, summary, detail))
}

func (d *decoder) run() {
	content, diags := d.in.Body.Content(d.block.schema())
	d.unexpected(diags)
	own := make(map[string]bool)
	for name := range content.Attributes {
		own[name] = true
	}
	for _, nested := range content.Blocks {
		own[blockName(nested)] = true
	}
	if d.block.Conn != nil {
		d.connection(content, own)
	}
	for _, a := range d.block.Attrs {
		if given := content.Attributes[a.Name]; given != nil {
			d.decodeAttr(a, given.Expr, d.in.Ctx)
		}
	}
	counts := d.nested(content.Blocks, nil, d.in.Ctx)
	if d.in.Partial {
		return
	}
	d.missing(counts)
	d.checks()
}

// schema is what hcl needs to split the body. Nothing is required there: what is missing depends
// on the connection too.
func (b *Block) schema() *hcl.BodySchema {
	s := &hcl.BodySchema{}
	for _, a := range b.Attrs {
		s.Attributes = append(s.Attributes, hcl.AttributeSchema{Name: a.Name})
	}
	if b.Conn != nil {
		s.Attributes = append(s.Attributes, hcl.AttributeSchema{Name: "connection"})
	}
	for _, n := range b.Nested {
		s.Blocks = append(s.Blocks, hcl.BlockHeaderSchema{Type: n.Name, LabelNames: n.Labels})
	}
	if len(b.Nested) > 0 {
		s.Blocks = append(s.Blocks, hcl.BlockHeaderSchema{Type: "dynamic", LabelNames: []string{"block"}})
	}
	return s
}

func blockName(b *hcl.Block) string {
	if b.Type == "dynamic" && len(b.Labels) == 1 {
		return b.Labels[0]
	}
	return b.Type
}

// connection reads the shared attributes and blocks from the connection block, where the block
// does not give them itself. What is wrong there is reported with that block, once.
func (d *decoder) connection(content *hcl.BodyContent, own map[string]bool) {
	given := content.Attributes["connection"]
	if given == nil {
		return
	}
	conn := d.block.Conn
	refs, diags := DecodeRefs("connection", given.Expr, d.in.Ctx, []string{"connection"})
	d.report(diags)
	d.loose = true
	if diags.HasErrors() || len(refs) != 1 || d.in.Shared == nil {
		return
	}
	conn.Ref = refs[0]
	body, ctx, diags := d.in.Shared(conn.Ref)
	d.report(diags)
	if body == nil {
		return
	}
	d.loose = false
	shared := d.block.shared()
	theirs, _, _ := body.PartialContent(shared.schema())
	silent := &decoder{block: d.block, in: d.in}
	for _, a := range shared.Attrs {
		if attr := theirs.Attributes[a.Name]; attr != nil && !own[a.Name] {
			silent.decodeAttr(a, attr.Expr, ctx)
		}
	}
	silent.nested(theirs.Blocks, own, ctx)
	d.unknown = d.unknown || silent.unknown || silent.diags.HasErrors()
}

// shared is the part of the block that a connection may give.
func (b *Block) shared() *Block {
	part := &Block{Type: b.Conn.Type}
	for _, a := range b.Attrs {
		if slices.Contains(b.Conn.Attrs, a.Name) {
			part.Attrs = append(part.Attrs, a)
		}
	}
	for _, n := range b.Nested {
		if slices.Contains(b.Conn.Blocks, n.Name) {
			part.Nested = append(part.Nested, n)
		}
	}
	return part
}

// missing reports required attributes and blocks that are not given.
func (d *decoder) missing(counts map[string]int) {
	for _, a := range d.block.Attrs {
		if !a.Need || a.isSet || d.loose && slices.Contains(d.block.Conn.Attrs, a.Name) {
			continue
		}
		detail := strconv.Quote(a.Name) + " must be given."
		if a.Sample != "" {
			detail += " For example: " + a.Name + " = " + a.Sample + "."
		}
		diag := errorAt(d.in.Header, "Missing attribute", detail)
		diag.Extra = &Extra{Missing: a.Name}
		d.diags = append(d.diags, diag)
	}
	for _, n := range d.block.Nested {
		if n.Need && counts[n.Name] == 0 {
			d.fail(d.in.Header, "Missing block", "A block "+n.header()+" must be given.")
		}
	}
	d.diags = dropExplained(d.diags)
}

// dropExplained removes "missing password" where another error suggests password for a misspelt name.
func dropExplained(diags hcl.Diagnostics) hcl.Diagnostics {
	explained := make(map[string]bool)
	for _, diag := range diags {
		if s := ExtraOf(diag).Suggested; s != "" {
			explained[s] = true
		}
	}
	return slices.DeleteFunc(diags, func(diag *hcl.Diagnostic) bool { return explained[ExtraOf(diag).Missing] })
}

func (n *Nested) header() string {
	var b strings.Builder
	b.WriteString(n.Name)
	for _, l := range n.Labels {
		b.WriteString(" \"" + strings.ToUpper(l) + "\"")
	}
	b.WriteString(" { }")
	return b.String()
}

// checks runs the block's own checks, where everything that they may read is there.
func (d *decoder) checks() {
	if d.diags.HasErrors() || d.unknown {
		return
	}
	p := &Problems{Block: d.block, Where: d.in.Header}
	for _, check := range d.block.Checks {
		check(p)
	}
	d.report(p.Diags)
}

// named finds the name in hcl's own messages about what it did not expect.
var named = regexp.MustCompile(`(?:named|of type) "([^"]+)"`)

// unexpected says hcl's messages about unknown attributes and blocks with what is allowed and what
// was probably meant; other messages stay as they are.
func (d *decoder) unexpected(diags hcl.Diagnostics) {
	for _, diag := range diags {
		m := named.FindStringSubmatch(diag.Detail)
		if m == nil || diag.Subject == nil {
			d.diags = append(d.diags, diag)
			continue
		}
		switch diag.Summary {
		case "Attribute redefined":
			d.fail(*diag.Subject, "Duplicate attribute", strconv.Quote(m[1])+" is given twice.")
		case "Unsupported argument":
			d.diags = append(d.diags, d.unknownName(*diag.Subject, m[1], "attribute"))
		case "Unsupported block type":
			d.diags = append(d.diags, d.unknownName(*diag.Subject, m[1], "block"))
		case "Extraneous JSON object property":
			d.diags = append(d.diags, d.unknownName(*diag.Subject, m[1], "attribute"))
		default:
			d.diags = append(d.diags, diag)
		}
	}
}

// maxListed bounds how many allowed names a message lists.
const maxListed = 12

func (d *decoder) unknownName(rng hcl.Range, name, what string) *hcl.Diagnostic {
	attrs, blocks := d.names()
	detail := strconv.Quote(name) + " is not " + article(what) + " of " + d.block.Type + "."
	extra := &Extra{}
	all := append(slices.Clone(attrs), blocks...)
	near := Nearest(name, blocks)
	if what == "attribute" {
		near = cmp.Or(Nearest(name, attrs), near)
	}
	switch {
	case what == "attribute" && slices.Contains(blocks, name):
		n := d.block.Nested[slices.IndexFunc(d.block.Nested, func(n *Nested) bool { return n.Name == name })]
		detail = strconv.Quote(name) + " is a block: write " + n.header() + " without =."
	case what == "block" && slices.Contains(attrs, name):
		detail = strconv.Quote(name) + " is an attribute: write " + name + " = ..."
		extra.Suggested = name
	case near != "":
		detail += " Did you mean " + strconv.Quote(near) + "?"
		extra.Suggested = near
	case what == "block":
		detail += listed(blocks, " It has no blocks.")
	default:
		detail += listed(all, "")
	}
	diag := errorAt(rng, "Unknown "+what, detail)
	diag.Extra = extra
	return diag
}

func listed(names []string, none string) string {
	switch {
	case len(names) == 0:
		return none
	case len(names) > maxListed:
		return ""
	}
	return " It takes " + Quoted(sorted(names)) + "."
}

func article(what string) string {
	if what == "attribute" {
		return "an attribute"
	}
	return "a block"
}

func (d *decoder) names() (attrs, blocks []string) {
	for _, a := range d.block.Attrs {
		attrs = append(attrs, a.Name)
	}
	if d.block.Conn != nil {
		attrs = append(attrs, "connection")
	}
	attrs = append(attrs, d.in.Also...)
	for _, n := range d.block.Nested {
		blocks = append(blocks, n.Name)
	}
	return attrs, blocks
}
