package main

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/config"
	"github.com/pipe-cdc/pipe/pipeline/control"
	"github.com/pipe-cdc/pipe/pipeline/match"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// pick is a table that somebody named, of a source.
type pick struct {
	node   *config.Node
	schema *pipeline.Schema
}

// offer is a table of a source, taken or not.
type offer struct {
	pick
	taken bool
	why   string
}

// pick returns the tables that patterns name, sorted by source and name: each pattern names one at
// least. A table that several sources take needs the address of one.
func (c *controlled) pick(ctx context.Context, patterns []string, source string) ([]pick, error) {
	if len(patterns) == 0 || len(patterns) > maxPatterns {
		return nil, refuseRequest("", "%d tables are named: between 1 and %d may be", len(patterns), maxPatterns)
	}
	var offers []offer
	var addresses []string
	for _, n := range c.nodes {
		if n.Kind != "source" {
			continue
		}
		addresses = append(addresses, n.Address)
		if source != "" && source != n.Address && source != n.Kind+"."+n.Name {
			continue
		}
		found, err := c.offers(ctx, n)
		if err != nil {
			return nil, at(n.Address, err)
		}
		offers = append(offers, found...)
	}
	if source != "" && !slices.ContainsFunc(c.nodes, func(n *config.Node) bool {
		return n.Kind == "source" && (n.Address == source || n.Kind+"."+n.Name == source)
	}) {
		return nil, refuseRequest("The sources are "+strings.Join(addresses, ", ")+".", "there is no source %s%s", source,
			didYouMean(source, addresses))
	}
	var out []pick
	for _, p := range patterns {
		found, err := named(p, offers)
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			if !slices.Contains(out, f) {
				out = append(out, f)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b pick) int {
		return cmp.Or(cmp.Compare(a.node.Address, b.node.Address), cmp.Compare(a.schema.Name(), b.schema.Name()))
	})
	return out, unambiguous(out)
}

// offers asks the source's server for its tables, as pipe tables does.
func (c *controlled) offers(ctx context.Context, n *config.Node) ([]offer, error) {
	l, ok := n.Def.(spec.Lister)
	if !ok {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	in := &inspector{config: c.config}
	found, err := l.Tables(ctx, in.env(n))
	if err != nil {
		return nil, err
	}
	var out []offer
	for i := range found {
		out = append(out, offer{pick{n, found[i].Schema}, found[i].Taken, found[i].Why})
	}
	return out, nil
}

// named returns the taken tables that a pattern names.
func named(pattern string, offers []offer) ([]pick, error) {
	set, err := match.New([]string{pattern})
	if err != nil {
		return nil, refuseRequest("", "%w", err)
	}
	var out []pick
	var names []string
	var left *offer
	for i := range offers {
		o := &offers[i]
		s := o.schema
		hit := s.Name() == pattern || set.Index(s.Database, s.Namespace, s.Table) >= 0
		switch {
		case hit && o.taken:
			out = append(out, o.pick)
		case hit:
			left = o
		case o.taken:
			names = append(names, s.Name())
		}
	}
	switch {
	case len(out) > 0:
		return out, nil
	case left != nil:
		return nil, refuseRequest("See pipe tables.", "%s does not take table %s: %s", left.node.Address,
			left.schema.Name(), left.why)
	}
	near := didYouMean(pattern, names)
	if near == "" {
		near = didYouMean(pattern, lastParts(names))
	}
	return nil, refuseRequest("See pipe tables --taken.", "no table of the pipeline is named by %q%s", pattern, near)
}

// lastParts are the names without their schemas.
func lastParts(names []string) []string {
	var out []string
	for _, n := range names {
		out = append(out, n[strings.LastIndexByte(n, '.')+1:])
	}
	return out
}

// unambiguous refuses tables that several sources take.
func unambiguous(all []pick) error {
	by := map[string]*config.Node{}
	for _, p := range all {
		name := p.schema.Name()
		if other := by[name]; other != nil && other != p.node {
			return refuseRequest("Say which with --source "+other.Address+".", "table %s is read by %s and by %s", name,
				other.Address, p.node.Address)
		}
		by[name] = p.node
	}
	return nil
}

// readable takes out tables whose rows cannot be merged into a stream. One that is named without a pattern is
// an error, and so are all.
func readable(picked []pick, patterns []string) ([]pick, []control.LeftTable, error) {
	var out []pick
	var left []control.LeftTable
	for _, p := range picked {
		if len(p.schema.Key) > 0 {
			out = append(out, p)
			continue
		}
		if len(picked) == 1 || slices.ContainsFunc(patterns, func(text string) bool { return isName(text) && names(text, p.schema) }) {
			return nil, nil, &pipeline.Error{Node: p.node.Address, Table: p.schema.Name(), Class: pipeline.Input, Err: errKeyless,
				Hint: "Give it a primary key, or set key = [...] in its table block; or start the pipeline over: a first " +
					"snapshot needs no key."}
		}
		left = append(left, control.LeftTable{Source: p.node.Address, Table: p.schema.Name(), Why: errKeyless.Error()})
	}
	if len(out) == 0 && len(left) > 0 {
		return nil, nil, refuseRequest("Give them primary keys, or set key = [...] in their table blocks.",
			"none of the %d tables has a key, by which rows are told apart in the stream", len(left))
	}
	return out, left, nil
}

var errKeyless = errors.New("it has no key, so that its rows cannot be told apart in the stream")

// isName reports whether a pattern names one table.
func isName(pattern string) bool {
	return !strings.HasPrefix(pattern, "~") && !strings.Contains(pattern, "*")
}

func names(pattern string, s *pipeline.Schema) bool {
	set, err := match.New([]string{pattern})
	return s.Name() == pattern || err == nil && set.Index(s.Database, s.Namespace, s.Table) >= 0
}
