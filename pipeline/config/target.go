package config

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// aimed is a sink with the names of what it writes, as far as they are known: patterns where the sources
// take tables by patterns.
type aimed struct {
	node   *Node
	target spec.Target
	names  []string
}

// sameTarget reports two sinks that write one target: the order of its rows would be anybody's.
func (l *loader) sameTarget() {
	var all []aimed
	for _, n := range l.out.Nodes {
		def, ok := n.Def.(spec.Targeter)
		if !ok || n.Kind != "sink" {
			continue
		}
		a := aimed{node: n, target: def.Target()}
		if len(a.target.Servers) == 0 {
			continue
		}
		a.names = l.targetNames(n, &a.target)
		if i := slices.IndexFunc(all, a.meets); i >= 0 {
			l.report(a.conflict(&all[i]))
		}
		all = append(all, a)
	}
}

// meets reports whether two sinks write the same place, and one of them has not said that this is meant.
func (a aimed) meets(b aimed) bool {
	if a.node.Type != b.node.Type || a.target.Merge && b.target.Merge {
		return false
	}
	return common(a.target.Servers, b.target.Servers) != "" && common(a.names, b.names) != ""
}

// common returns a text that both lists have, "" for none.
func common(a, b []string) string {
	for _, text := range a {
		if slices.Contains(b, text) {
			return text
		}
	}
	return ""
}

func (a *aimed) conflict(b *aimed) *hcl.Diagnostic {
	t := &a.target
	fix := "Use one sink with from = [...], which keeps the order of rows; or set " + t.Attr + " so that the names differ"
	if t.Merges != "" {
		fix += "; or set " + t.Merges + " = true in both, where no row comes from two sides"
	}
	what := t.What + " " + common(a.names, b.names)
	if strings.Contains(what, "*") {
		what = t.What + "s " + common(a.names, b.names)
	}
	return failure(a.place(), "Two sinks with one target", a.node.Address+" and "+b.node.Address+" both write "+what+
		" at "+common(t.Servers, b.target.Servers)+". "+fix+".", spec.Note{Range: b.place(), Text: "the other one"})
}

// place is where the name is chosen, or the block.
func (a *aimed) place() hcl.Range {
	if at := a.node.Block.Attribute(a.target.Attr); at != nil && at.IsSet() {
		return at.AttrRange()
	}
	return a.node.Range
}

// targetNames returns the names of what a sink writes; those that come through a transform which renames
// are not known.
func (l *loader) targetNames(sink *Node, t *spec.Target) []string {
	var out []string
	seen := map[string]bool{}
	var visit func(address string)
	visit = func(address string) {
		n := l.out.Node(address)
		if n == nil || seen[address] {
			return
		}
		seen[address] = true
		if r, ok := n.Def.(spec.Renamer); ok && r.Renames() {
			return
		}
		for _, from := range n.From {
			visit(from)
		}
		source, ok := n.Def.(spec.Namer)
		if !ok {
			return
		}
		for _, s := range source.Names() {
			if name, err := t.Name(s); err == nil && name != "" {
				out = append(out, name)
			}
		}
	}
	for _, from := range sink.From {
		visit(from)
	}
	return out
}
