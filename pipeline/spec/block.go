package spec

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
)

// Block is the description of one block, bound to a configuration struct. Definitions fill it;
// package config decodes a body through it; explain and the reference pages read it.
type Block struct {
	Type    string // "postgres"; for a nested block its name: "table"
	Labels  []string
	Text    string // what Doc said
	Attrs   []*Attribute
	Nested  []*Nested
	Conn    *Shared
	Checks  []func(*Problems)
	Example string
}

// Attribute is the description of one attribute.
type Attribute struct {
	Name     string
	Kind     string // "string", "duration", "size", "list of string", "reference", "row expression", ...
	Text     string
	Need     bool
	Fallback string   // the default, as the user would write it; "" where there is none
	Options  []string // what it may be; nil: anything
	Sample   string
	Secrecy  bool
	Min, Max int64 // bounds where Bounded
	Bounded  bool
	Refs     []string // the kinds of block that a reference may name

	bind   binding
	rng    hcl.Range // of the value, once decoded
	isSet  bool
	hidden bool // the value came from env(), file() or a sensitive variable
}

// Nested is the description of a nested block.
type Nested struct {
	Name     string
	Labels   []string
	Single   bool // at most one
	Need     bool
	Options  []string      // what the first label may be; nil: anything
	Describe func() *Block // the block of a zero element, for documentation
	// DescribeAs is Describe for an element with these labels, where they decide what it takes.
	DescribeAs func(labels ...string) *Block

	add func(labels []string) *Block
}

// Shared marks that the block's connection attributes may come from a connection block.
type Shared struct {
	Type   string   // the connection's type
	Attrs  []string // the names of the attributes that it may set
	Blocks []string // the names of the nested blocks that it may give
	Ref    Ref      // the connection block, once decoded; zero where the block names none
}

// Describe returns the description of a definition, bound to it.
func Describe(typ string, d Definition) *Block {
	b := &Block{Type: typ}
	d.Spec(b)
	return b
}

// Doc says what the block does, in sentences.
func (b *Block) Doc(text string) { b.Text = text }

// Attr binds the attribute name to p.
func Attr[T Value](b *Block, name string, p *T) *Attribute {
	a := &Attribute{Name: name, Kind: kindOf[T](), bind: bind(p)}
	_, a.Secrecy = any(p).(*Secret)
	b.Attrs = append(b.Attrs, a)
	return a
}

// Doc says what the attribute does, in sentences.
func (a *Attribute) Doc(text string) *Attribute { a.Text = text; return a }

// Required says that the attribute must be given.
func (a *Attribute) Required() *Attribute { a.Need = true; return a }

// OneOf lists what the attribute may be (for a list: each element).
func (a *Attribute) OneOf(options ...string) *Attribute { a.Options = options; return a }

// Range bounds a number, a duration in nanoseconds or a size in bytes, inclusively.
func (a *Attribute) Range(low, high int64) *Attribute {
	a.Min, a.Max, a.Bounded = low, high, true
	return a
}

// Example gives a value as the user would write it.
func (a *Attribute) Example(text string) *Attribute { a.Sample = text; return a }

// Sensitive says that the value is hidden although its type does not say so (a DSN).
func (a *Attribute) Sensitive() *Attribute { a.Secrecy = true; return a }

// To says which kinds of block a reference may name.
func (a *Attribute) To(kinds ...string) *Attribute { a.Refs = kinds; return a }

// IsSet reports whether the attribute was given in the file, once decoded.
func (a *Attribute) IsSet() bool { return a.isSet }

// Hidden reports whether the value, once decoded, must not be shown: a secret, or one that came
// from env(), file() or a sensitive variable.
func (a *Attribute) Hidden() bool { return a.Secrecy || a.hidden }

// AttrRange returns the source range of the value, once decoded; zero where it was not given.
func (a *Attribute) AttrRange() hcl.Range { return a.rng }

// Default gives the attribute its value where the file has none: p must be the pointer it is bound to.
func Default[T Value](a *Attribute, p *T, v T) *Attribute {
	*p = v
	a.Fallback = literal(v)
	return a
}

// Blocks binds the nested blocks name, with the given labels, to a slice: each occurrence appends an
// element, which def describes and binds.
func Blocks[T any](b *Block, name string, labels []string, p *[]*T,
	def func(b *Block, t *T, labels []string)) *Nested {
	n := &Nested{Name: name, Labels: labels}
	n.DescribeAs = func(given ...string) *Block {
		nb := &Block{Type: name, Labels: labels}
		def(nb, new(T), append(given, make([]string, max(0, len(labels)-len(given)))...))
		return nb
	}
	n.Describe = func() *Block { return n.DescribeAs() }
	n.add = func(given []string) *Block {
		t := new(T)
		*p = append(*p, t)
		nb := &Block{Type: name, Labels: labels}
		def(nb, t, given)
		return nb
	}
	b.Nested = append(b.Nested, n)
	return n
}

// Sub binds the nested block name, which may occur once, to a pointer that stays nil without it.
func Sub[T any](b *Block, name string, labels []string, p **T, def func(b *Block, t *T, labels []string)) *Nested {
	n := &Nested{Name: name, Labels: labels, Single: true}
	n.DescribeAs = func(given ...string) *Block {
		nb := &Block{Type: name, Labels: labels}
		def(nb, new(T), append(given, make([]string, max(0, len(labels)-len(given)))...))
		return nb
	}
	n.Describe = func() *Block { return n.DescribeAs() }
	n.add = func(given []string) *Block {
		*p = new(T)
		nb := &Block{Type: name, Labels: labels}
		def(nb, *p, given)
		return nb
	}
	b.Nested = append(b.Nested, n)
	return n
}

// Required says that the nested block must be given.
func (n *Nested) Required() *Nested { n.Need = true; return n }

// OneOf lists what the block's first label may be: format "avro", format "json".
func (n *Nested) OneOf(options ...string) *Nested { n.Options = options; return n }

// Connection includes the attributes of d, which may also come from a connection block of type typ
// by "connection = connection.NAME"; the block's own attributes win.
func (b *Block) Connection(typ string, d Definition) {
	from, fromNested := len(b.Attrs), len(b.Nested)
	d.Spec(b)
	b.Conn = &Shared{Type: typ}
	for _, a := range b.Attrs[from:] {
		b.Conn.Attrs = append(b.Conn.Attrs, a.Name)
	}
	for _, n := range b.Nested[fromNested:] {
		b.Conn.Blocks = append(b.Conn.Blocks, n.Name)
	}
}

// Check adds a check across attributes, run once the block was decoded without errors.
func (b *Block) Check(f func(*Problems)) { b.Checks = append(b.Checks, f) }

// Attribute returns the attribute of that name, nil where there is none.
func (b *Block) Attribute(name string) *Attribute {
	i := slices.IndexFunc(b.Attrs, func(a *Attribute) bool { return a.Name == name })
	if i < 0 {
		return nil
	}
	return b.Attrs[i]
}

// Problems collects what a Check finds.
type Problems struct {
	Block *Block
	Diags hcl.Diagnostics
	Where hcl.Range // of the block's header, for problems with no attribute
}

// Errorf-like reporting: Error records a problem with the value of the attribute attr ("" or an
// unset one: with the block itself). detail says what is wrong, what is allowed and the fix.
func (p *Problems) Error(attr, summary, detail string) { p.add(hcl.DiagError, attr, summary, detail) }

// Warning records what may be meant but probably is not.
func (p *Problems) Warning(attr, summary, detail string) {
	p.add(hcl.DiagWarning, attr, summary, detail)
}

func (p *Problems) add(sev hcl.DiagnosticSeverity, attr, summary, detail string) {
	rng := p.Where
	if a := p.Block.Attribute(attr); a != nil && a.isSet {
		rng = a.rng
	}
	p.Diags = append(p.Diags, &hcl.Diagnostic{Severity: sev, Summary: summary, Detail: detail, Subject: &rng})
}
