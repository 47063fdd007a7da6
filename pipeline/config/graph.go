package config

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// graph checks how the instances are connected and orders them.
func (l *loader) graph() {
	g := &walk{l: l, state: make(map[*instance]int)}
	var order []*instance
	for _, kind := range []string{"source", "transform", "sink"} {
		for _, c := range l.blocks {
			if c.kind() == kind {
				order = append(order, c.instances...)
			}
		}
	}
	for _, i := range order {
		g.visit(i)
	}
	l.out.Nodes = append(l.out.Nodes, g.nodes("source")...)
	l.out.Nodes = append(l.out.Nodes, g.nodes("transform")...)
	l.out.Nodes = append(l.out.Nodes, g.nodes("sink")...)
	if g.cyclic {
		return
	}
	l.unused(order)
	for _, i := range order {
		if i.enabled && i.of.kind() == "sink" {
			l.arrivals(i)
		}
	}
	l.sameSink()
	l.sameTarget()
	l.nothing()
}

// walk visits instances depth first, upstream before downstream.
type walk struct {
	l      *loader
	state  map[*instance]int
	path   []*instance
	edges  []edge // edges[n] leads from path[n] to path[n+1]
	done   []*instance
	cyclic bool
}

const (
	unseen = iota
	open
	closed
)

func (w *walk) visit(i *instance) {
	switch w.state[i] {
	case closed:
		return
	case open:
		w.cycle(i)
		return
	}
	w.state[i] = open
	w.path = append(w.path, i)
	for _, e := range i.edges {
		w.edges = append(w.edges, e)
		w.visit(e.to)
		w.edges = w.edges[:len(w.edges)-1]
	}
	w.path = w.path[:len(w.path)-1]
	w.state[i] = closed
	w.done = append(w.done, i)
}

// cycle reports the path that leads back to i, every edge with its place.
func (w *walk) cycle(i *instance) {
	w.cyclic = true
	from := slices.Index(w.path, i)
	names := []string{i.address()}
	var notes []spec.Note
	for n, e := range w.edges[from:] {
		reader := w.path[from+n]
		names = append(names, e.to.address())
		if n > 0 {
			notes = append(notes, spec.Note{Range: e.rng, Text: reader.address() + " reads from " + e.to.address()})
		}
	}
	first := w.edges[from]
	detail := strings.Join(names, " <- ") + ": each waits for the next. Take one of these references out."
	w.l.report(failure(first.rng, "Cycle", detail, notes...))
}

func (w *walk) nodes(kind string) []*Node {
	var out []*Node
	for _, i := range w.done {
		if i.of.kind() != kind || !i.enabled || i.node == nil || i.of.twice {
			continue
		}
		for _, e := range i.edges {
			i.node.From = append(i.node.From, e.to.address())
		}
		out = append(out, i.node)
	}
	return out
}

// unused reports sources and transforms whose rows go nowhere.
func (l *loader) unused(order []*instance) {
	read := make(map[*instance]bool)
	for _, i := range order {
		for _, e := range i.edges {
			read[e.to] = true
		}
	}
	broken := l.diags.HasErrors() // a broken reference elsewhere may be the one that is missing here
	for _, i := range order {
		if read[i] || !i.enabled || i.of.kind() == "sink" || i.node == nil || broken {
			continue
		}
		rng := i.of.block.DefRange
		if i.of.kind() == "source" {
			l.report(failure(rng, "Source without a sink", "Nothing reads from "+i.address()+
				". Add it to the from of a"+
				" sink, or set enabled = false."))
			continue
		}
		l.report(warning(rng, "Unused transform", "Nothing reads from "+i.address()+": its rows go nowhere."))
	}
	for _, s := range l.shared {
		if !s.used && !broken {
			l.report(warning(s.block.DefRange, "Unused connection", "Nothing uses connection."+s.block.Labels[1]+
				"."))
		}
	}
}

// arrivals reports a sink that the same rows reach by two ways.
func (l *loader) arrivals(sink *instance) {
	first := make(map[*instance]edge)
	for _, e := range sink.edges {
		for _, source := range sourcesOf(e.to) {
			other, twice := first[source]
			if !twice {
				first[source] = e
				continue
			}
			notes := []spec.Note{{Range: other.rng, Text: "first way"}}
			if other.to == e.to {
				notes[0].Text = "first given here"
				l.report(failure(e.rng, "Given twice", sink.address()+" reads from "+e.to.address()+" twice.",
					notes...))
				return
			}
			l.report(warning(e.rng, "Rows arrive twice", "Rows of "+source.address()+" reach "+sink.address()+
				" by two ways. That is right only where the ways take different tables or rows.", notes...))
			return
		}
	}
}

func sourcesOf(i *instance) []*instance {
	seen := make(map[*instance]bool)
	var out []*instance
	var visit func(i *instance)
	visit = func(i *instance) {
		if seen[i] {
			return
		}
		seen[i] = true
		if i.of.kind() == "source" {
			out = append(out, i)
		}
		for _, e := range i.edges {
			visit(e.to)
		}
	}
	visit(i)
	return out
}

// sameSink warns of two sinks that say the same but for from: both write the same target. Those that name
// their target are looked at by sameTarget.
func (l *loader) sameSink() {
	first := make(map[string]*component)
	for _, c := range l.blocks {
		if c.kind() != "sink" || !c.enabled() || c.forEach || aims(c) {
			continue
		}
		text := l.textWithoutFrom(c)
		if text == "" {
			continue
		}
		other := first[text]
		if other == nil {
			first[text] = c
			continue
		}
		l.report(warning(c.block.DefRange, "Two sinks with one target", "sink."+c.name()+" and sink."+other.name()+
			" differ only in from: they write the same tables. One sink with from = [...] keeps the order of rows.",
			spec.Note{Range: other.block.DefRange, Text: "the other one"}))
	}
}

func aims(c *component) bool {
	return slices.ContainsFunc(c.instances, func(i *instance) bool {
		if i.node == nil {
			return false
		}
		_, ok := i.node.Def.(spec.Targeter)
		return ok
	})
}

// textWithoutFrom is the text of a sink's block without its from and spaces; "" where it says nothing.
func (l *loader) textWithoutFrom(c *component) string {
	body, ok := c.block.Body.(*hclsyntax.Body)
	if !ok {
		return ""
	}
	text := l.out.Files[body.SrcRange.Filename]
	cut := hcl.Range{}
	if a := body.Attributes["from"]; a != nil {
		cut = a.SrcRange
	}
	start, end := body.SrcRange.Start.Byte, min(body.SrcRange.End.Byte, len(text))
	if cut.End.Byte == 0 || cut.Start.Byte < start || cut.End.Byte > end {
		return ""
	}
	rest := strings.Fields(string(text[start:cut.Start.Byte]) + " " + string(text[cut.End.Byte:end]))
	if len(rest) <= 2 { // the braces
		return ""
	}
	return c.typ() + " " + strings.Join(rest, " ")
}

// nothing reports a configuration that has nothing to run.
func (l *loader) nothing() {
	if len(l.out.Nodes) > 0 || l.diags.HasErrors() {
		return
	}
	d := outside("Nothing to run", "The configuration has no source that is enabled. The smallest one is a source and a sink:\n"+
		"source \"postgres\" \"shop\" { ... }\nsink \"stdout\" \"out\" { from = source.shop }")
	if len(l.blocks) == 0 && len(l.out.Files) == 1 {
		for name := range l.out.Files {
			d.Subject = &hcl.Range{Filename: name, Start: hcl.InitialPos, End: hcl.InitialPos}
		}
	}
	l.report(d)
}
