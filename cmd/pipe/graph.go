package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/pipe-cdc/pipe/pipeline/config"
)

func graphCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "graph [FILE|DIR|-]",
		Short: "Draw what flows where",
		Long:  "Draws the sources, transforms and sinks of a configuration, without contacting anything.",
		Example: "  pipe graph shop.hcl\n" +
			"  pipe graph --format mermaid shop.hcl    for a README\n" +
			"  pipe graph --format dot shop.hcl | dot -Tsvg > shop.svg",
		Args: cobra.MaximumNArgs(1),
		RunE: graph,
	}
	configFlags(cmd)
	cmd.Flags().Bool("no-env", true, "let unset environment variables pass")
	cmd.Flags().String("format", "text", "text, mermaid, dot or json")
	return cmd
}

// graphNode is one node of the graph, as JSON has it.
type graphNode struct {
	Address string   `json:"address"`
	Kind    string   `json:"kind"`
	Type    string   `json:"type"`
	From    []string `json:"from"`
}

func graph(cmd *cobra.Command, args []string) error {
	o := outputOf(cmd)
	c, diags := loadConfig(cmd, args)
	if err := o.refused(cmd, c, diags); err != nil {
		return err
	}
	draw := map[string]func(io.Writer, *config.Config){"text": drawText, "mermaid": drawMermaid, "dot": drawDot}
	name := cmd.Flag("format").Value.String()
	if name == "json" {
		o.json = true
	} else if draw[name] == nil {
		return usage("--format is text, mermaid, dot or json, not %q", name)
	}
	nodes := []graphNode{}
	for _, n := range c.Nodes {
		nodes = append(nodes, graphNode{Address: n.Address, Kind: n.Kind, Type: n.Type,
			From: append([]string{}, n.From...)})
	}
	summary := plural(len(nodes), "node")
	return o.result(cmd, true, summary, nodes, func(w io.Writer) { draw[name](w, c) })
}

// drawDot prints the graph in the language of Graphviz.
func drawDot(w io.Writer, c *config.Config) {
	shapes := map[string]string{"source": "cylinder", "transform": "box", "sink": "house"}
	fmt.Fprintf(w, "digraph %q {\n  rankdir=LR\n", c.Settings.Name)
	for _, n := range c.Nodes {
		fmt.Fprintf(w, "  %q [shape=%s, label=%q]\n", n.Address, shapes[n.Kind], n.Address+"\n"+n.Type)
	}
	for _, n := range c.Nodes {
		for _, from := range n.From {
			fmt.Fprintf(w, "  %q -> %q\n", from, n.Address)
		}
	}
	fmt.Fprintln(w, "}")
}

// drawMermaid prints the graph as Markdown renderers draw it.
func drawMermaid(w io.Writer, c *config.Config) {
	shapes := map[string][2]string{"source": {"[(", ")]"}, "transform": {"[", "]"}, "sink": {"[[", "]]"}}
	id := make(map[string]string)
	fmt.Fprintln(w, "flowchart LR")
	for i, n := range c.Nodes {
		id[n.Address] = fmt.Sprintf("n%d", i)
		label := strings.NewReplacer(`"`, "#quot;").Replace(n.Address)
		fmt.Fprintf(w, "  %s%s\"%s<br>%s\"%s\n", id[n.Address], shapes[n.Kind][0], label, n.Type, shapes[n.Kind][1])
	}
	for _, n := range c.Nodes {
		for _, from := range n.From {
			fmt.Fprintf(w, "  %s --> %s\n", id[from], id[n.Address])
		}
	}
}

// boxes draws a graph as a tree of boxes. A node that several feed is drawn under the first; the
// others point to it by name.
type boxes struct {
	w     io.Writer
	c     *config.Config
	drawn map[string]bool
}

func drawText(w io.Writer, c *config.Config) {
	b := &boxes{w: w, c: c, drawn: make(map[string]bool)}
	for _, n := range c.Kind("source") {
		b.node(n, "", "")
	}
}

// node draws a box and below it what it feeds. first stands before its first line, rest before the others.
func (b *boxes) node(n *config.Node, first, rest string) {
	if b.drawn[n.Address] {
		fmt.Fprintf(b.w, "%s %s (above)\n", first, n.Address)
		return
	}
	b.drawn[n.Address] = true
	width := max(utf8.RuneCountInString(n.Address), utf8.RuneCountInString(n.Type))
	consumers := b.c.Consumers(n.Address)
	bottom := "└" + strings.Repeat("─", width+2) + "┘"
	if len(consumers) > 0 {
		bottom = "└──┬" + strings.Repeat("─", max(0, width-1)) + "┘"
	}
	fmt.Fprintf(b.w, "%s┌%s┐\n", first, strings.Repeat("─", width+2))
	for _, text := range []string{n.Address, n.Type} {
		fmt.Fprintf(b.w, "%s│ %s%s │\n", rest, text, strings.Repeat(" ", width-utf8.RuneCountInString(text)))
	}
	fmt.Fprintf(b.w, "%s%s\n", rest, bottom)
	for i, next := range consumers {
		if i == len(consumers)-1 {
			b.node(next, rest+"   └─▶", rest+"      ")
			continue
		}
		b.node(next, rest+"   ├─▶", rest+"   │  ")
	}
}
