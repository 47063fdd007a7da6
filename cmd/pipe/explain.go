package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pipe-cdc/pipe/pipeline/config"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

func explainCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "explain PATH",
		Short: "Explain what a block or an attribute takes",
		Long: "Explains a component type, one of its blocks or one attribute: what it means, what it may be, and its\n" +
			"default. PATH is KIND.TYPE, then names of blocks and attributes; or pipeline, variable or moved.",
		Example: "  pipe explain source.postgres\n" +
			"  pipe explain source.postgres.slot\n" +
			"  pipe explain sink.kafka.format.avro\n" +
			"  pipe explain pipeline.state",
		Args:              cobra.ExactArgs(1),
		RunE:              explain,
		ValidArgsFunction: completePaths,
	}
}

// explained is a block, as JSON has it.
type explained struct {
	Path       string              `json:"path"`
	Doc        string              `json:"doc"`
	Labels     []string            `json:"labels,omitempty"`
	Connection string              `json:"connection,omitempty"` // the type of connection it can share
	Attributes []explainedAttr     `json:"attributes"`
	Blocks     []explainedBlockRef `json:"blocks,omitempty"`
	Example    string              `json:"example,omitempty"`
}

type explainedAttr struct {
	Name      string   `json:"name"`
	Type      string   `json:"type"`
	Required  bool     `json:"required"`
	Default   string   `json:"default,omitempty"`
	Options   []string `json:"options,omitempty"`
	Example   string   `json:"example,omitempty"`
	Sensitive bool     `json:"sensitive,omitempty"`
	Doc       string   `json:"doc"`
}

type explainedBlockRef struct {
	Name     string   `json:"name"`
	Labels   []string `json:"labels,omitempty"`
	Options  []string `json:"options,omitempty"`
	Single   bool     `json:"single"`
	Required bool     `json:"required"`
	Doc      string   `json:"doc"`
}

func explain(cmd *cobra.Command, args []string) error {
	steps := strings.Split(args[0], ".")
	block, rest, err := blockOf(steps)
	if err != nil {
		return err
	}
	path := strings.Join(steps[:len(steps)-len(rest)], ".")
	for len(rest) > 0 {
		if a := block.Attribute(rest[0]); a != nil && len(rest) == 1 {
			one := explainAttr(a)
			return outputOf(cmd).result(cmd, true, args[0], one, func(w io.Writer) { printAttr(w, args[0], one) })
		}
		used := 0
		if block, used, err = nestedOf(block, rest); err != nil {
			return err
		}
		path += "." + strings.Join(rest[:used], ".")
		rest = rest[used:]
	}
	e := explainBlock(path, block)
	return outputOf(cmd).result(cmd, true, path, e, func(w io.Writer) { printBlock(w, e) })
}

// blockOf finds the top-level block that a path begins with, and the steps after it.
func blockOf(steps []string) (*spec.Block, []string, error) {
	switch steps[0] {
	case "pipeline":
		return config.PipelineBlock(), steps[1:], nil
	case "moved":
		return config.MovedBlock(), steps[1:], nil
	case "variable":
		return config.VariableBlock(), steps[1:], nil
	}
	r := components()
	types := r.Types(steps[0])
	if types == nil {
		return nil, nil, usage("%q is not a kind of block; kinds are pipeline, variable, moved, %s%s", steps[0],
			strings.Join(config.Kinds(), ", "), didYouMean(steps[0], append(config.Kinds(), "pipeline", "variable", "moved")))
	}
	if len(steps) == 1 {
		return nil, nil, usage("which %s? There are %s", steps[0], steps[0]+
			"."+strings.Join(types, ", "+steps[0]+"."))
	}
	def := r.Definition(steps[0], steps[1])
	if def == nil {
		return nil, nil, usage("there is no %s type %q%s", steps[0], steps[1], didYouMean(steps[1], types))
	}
	return withMeta(steps[0], spec.Describe(steps[1], def)), steps[2:], nil
}

// metaSpec describes the attributes that every component has besides its own.
type metaSpec struct {
	from    []spec.Ref
	forEach map[string]string
	enabled bool
}

func connectionDoc(typ string) string {
	return "How to reach a " + typ + " server, shared by the blocks that say connection = connection.NAME."
}

func withMeta(kind string, b *spec.Block) *spec.Block {
	if kind == "connection" {
		if b.Text == "" {
			b.Doc(connectionDoc(b.Type))
		}
		return b
	}
	m := &metaSpec{}
	own := slices.DeleteFunc(b.Attrs, func(a *spec.Attribute) bool { return a.Name == "from" })
	b.Attrs = nil
	if kind != "source" {
		spec.Attr(b, "from", &m.from).Required().Doc("What it reads: sources and transforms.").Example("source.shop")
	}
	b.Attrs = append(b.Attrs, own...)
	if b.Conn != nil {
		spec.Attr(b, "connection", new(spec.Ref)).
			Doc("A connection block that gives " + strings.Join(append(b.Conn.Attrs, b.Conn.Blocks...), ", ") +
				".").Example("connection.main")
	}
	spec.Attr(b, "for_each", &m.forEach).Doc("Makes one instance for each key of a map or set; each.key and each.value" +
		" differ in them. The key becomes part of the address.").Example("{ eu = \"db1\", us = \"db2\" }")
	spec.Default(spec.Attr(b, "enabled", &m.enabled).Doc("false leaves the block out."), &m.enabled, true)
	return b
}

// nestedOf finds the nested block that the steps begin with, and how many of them name it: its
// name, and its first label where that decides what it takes.
func nestedOf(b *spec.Block, steps []string) (*spec.Block, int, error) {
	var names []string
	for _, n := range b.Nested {
		names = append(names, n.Name)
		if n.Name != steps[0] {
			continue
		}
		for _, option := range n.Options {
			if len(steps) > 1 && steps[1] == option {
				return n.DescribeAs(option), 2, nil
			}
		}
		plain := n.Describe()
		if len(n.Options) > 0 || len(n.Labels) == 0 || len(steps) == 1 || takes(plain, steps[1]) {
			return plain, 1, nil
		}
		return n.DescribeAs(steps[1]), 2, nil
	}
	for _, a := range b.Attrs {
		names = append(names, a.Name)
	}
	return nil, 0, usage("%s has no %q%s", b.Type, steps[0], didYouMean(steps[0], names))
}

func takes(b *spec.Block, name string) bool {
	return b.Attribute(name) != nil ||
		slices.ContainsFunc(b.Nested, func(n *spec.Nested) bool { return n.Name == name })
}

func explainBlock(path string, b *spec.Block) explained {
	e := explained{Path: path, Doc: b.Text, Labels: b.Labels, Example: b.Example, Attributes: []explainedAttr{}}
	if b.Conn != nil {
		e.Connection = b.Conn.Type
	}
	for _, a := range b.Attrs {
		e.Attributes = append(e.Attributes, explainAttr(a))
	}
	for _, n := range b.Nested {
		e.Blocks = append(e.Blocks, explainedBlockRef{Name: n.Name, Labels: n.Labels, Options: n.Options,
			Single: n.Single, Required: n.Need, Doc: n.Describe().Text})
	}
	return e
}

func explainAttr(a *spec.Attribute) explainedAttr {
	return explainedAttr{Name: a.Name, Type: a.Kind, Required: a.Need, Default: a.Fallback, Options: a.Options,
		Example: a.Sample, Sensitive: a.Secrecy, Doc: a.Text}
}

// textWidth is how wide explanations are.
const textWidth = 92

func printBlock(w io.Writer, e explained) {
	fmt.Fprintln(w, e.Path)
	if e.Doc != "" {
		fmt.Fprintf(w, "\n%s", wrap(e.Doc, "  ", textWidth))
	}
	if e.Example != "" {
		fmt.Fprintln(w)
		for line := range strings.SplitSeq(strings.TrimSpace(e.Example), "\n") {
			fmt.Fprintln(w, strings.TrimRight("  "+line, " "))
		}
	}
	if len(e.Attributes) > 0 {
		fmt.Fprintln(w, "\nAttributes")
	}
	for _, a := range e.Attributes {
		fmt.Fprintf(w, "\n  %s  %s\n", a.Name, facts(a))
		fmt.Fprint(w, wrap(a.Doc, "      ", textWidth))
	}
	if len(e.Blocks) > 0 {
		fmt.Fprintln(w, "\nBlocks")
	}
	for _, b := range e.Blocks {
		fmt.Fprintf(w, "\n  %s  %s\n", header(b), blockFacts(b))
		fmt.Fprint(w, wrap(b.Doc, "      ", textWidth))
		if len(b.Options) > 0 {
			fmt.Fprintf(w, "      See pipe explain %s.%s.%s\n", e.Path, b.Name, b.Options[0])
			continue
		}
		fmt.Fprintf(w, "      See pipe explain %s.%s\n", e.Path, b.Name)
	}
}

// facts says on one line what an attribute takes: "string, required, one of a, b".
func facts(a explainedAttr) string {
	parts := []string{a.Type}
	if a.Required {
		parts = append(parts, "required")
	}
	if a.Default != "" {
		parts = append(parts, "default "+a.Default)
	}
	if len(a.Options) > 0 {
		parts = append(parts, "one of "+spec.Quoted(a.Options))
	}
	if a.Sensitive {
		parts = append(parts, "sensitive")
	}
	return strings.Join(parts, ", ")
}

func header(b explainedBlockRef) string {
	out := b.Name
	for _, l := range b.Labels {
		out += " \"" + strings.ToUpper(l) + "\""
	}
	return out + " { }"
}

func blockFacts(b explainedBlockRef) string {
	parts := []string{"any number"}
	if b.Single {
		parts = []string{"at most one"}
	}
	if b.Required {
		parts = append(parts, "required")
	}
	if len(b.Options) > 0 {
		parts = append(parts, "one of "+spec.Quoted(b.Options))
	}
	return strings.Join(parts, ", ")
}

func printAttr(w io.Writer, path string, a explainedAttr) {
	fmt.Fprintf(w, "%s  %s\n", path, facts(a))
	fmt.Fprint(w, wrap(a.Doc, "  ", textWidth))
	if a.Example != "" {
		fmt.Fprintf(w, "\n  %s = %s\n", a.Name, a.Example)
	}
}

// completePaths offers KIND.TYPE.NAME paths to a shell.
func completePaths(_ *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	paths := []string{"pipeline", "variable", "moved"}
	r := components()
	for _, kind := range config.Kinds() {
		for _, typ := range r.Types(kind) {
			paths = append(paths, kind+"."+typ)
			for _, a := range spec.Describe(typ, r.Definition(kind, typ)).Attrs {
				paths = append(paths, kind+"."+typ+"."+a.Name)
			}
		}
	}
	return paths, cobra.ShellCompDirectiveNoFileComp
}
