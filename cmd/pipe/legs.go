package main

import (
	"fmt"
	"slices"

	"github.com/pipe-cdc/pipe/pipeline/config"
)

// legs returns the nodes that --only asks for: whole legs, since a source whose rows did not reach
// one of its sinks would lose them. A leg is a source and everything downstream of it; an address
// of a transform or a sink stands for the sources upstream of it. Nodes keep only the feeds that run.
func legs(c *config.Config, only []string) ([]*config.Node, error) {
	if len(only) == 0 {
		return c.Nodes, nil
	}
	sources := map[string]bool{}
	for _, address := range only {
		found := sourcesOf(c, address)
		if len(found) == 0 {
			return nil, fmt.Errorf("--only %s: there is no such source, transform or sink%s", address,
				orOneOf(address, addresses(c.Nodes)))
		}
		for _, s := range found {
			sources[s] = true
		}
	}
	runs := map[string]bool{}
	for changed := true; changed; {
		changed = false
		for _, n := range c.Nodes {
			feeds := slices.ContainsFunc(n.From, func(f string) bool { return runs[f] })
			if !runs[n.Address] && (sources[n.Address] || feeds) {
				runs[n.Address], changed = true, true
			}
		}
	}
	var out []*config.Node
	for _, n := range c.Nodes {
		if !runs[n.Address] {
			continue
		}
		part := *n
		part.From = slices.DeleteFunc(slices.Clone(n.From), func(f string) bool { return !runs[f] })
		out = append(out, &part)
	}
	return out, nil
}

func addresses(nodes []*config.Node) []string {
	var out []string
	for _, n := range nodes {
		out = append(out, n.Address)
	}
	return out
}

// sourcesOf returns the addresses of the sources that feed the node at address, or the instances of
// the block of that name where the address names no single node.
func sourcesOf(c *config.Config, address string) []string {
	var out []string
	for _, n := range c.Nodes {
		if n.Address != address && n.Kind+"."+n.Name != address {
			continue
		}
		if n.Kind == "source" {
			out = append(out, n.Address)
			continue
		}
		for _, f := range n.From {
			out = append(out, sourcesOf(c, f)...)
		}
	}
	return out
}

// sourcesInto returns the addresses of the sources that feed a node, each once; nil for a source.
func sourcesInto(c *config.Config, n *config.Node) []string {
	if n.Kind == "source" {
		return nil
	}
	out := sourcesOf(c, n.Address)
	slices.Sort(out)
	return slices.Compact(out)
}
