package main

import (
	"errors"
	"slices"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/config"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// checkReplace refuses to delete where a sink downstream cannot.
func (c *controlled) checkReplace(p pick) error {
	in := &inspector{config: c.config, reached: map[string][]*pipeline.Schema{p.node.Address: {p.schema}}}
	for _, n := range c.nodes {
		var tables []*pipeline.Schema
		for _, from := range n.From {
			tables = append(tables, in.reached[from]...)
		}
		if t, ok := n.Def.(spec.Transform); ok && len(tables) > 0 {
			in.reached[n.Address] = in.transformed(n, t, tables)
			continue
		}
		if n.Kind != "sink" || !slices.Contains(sourcesInto(c.config, n), p.node.Address) {
			continue
		}
		if err := c.sinkReplaces(in, p, n, tables); err != nil {
			return err
		}
	}
	return nil
}

// sinkReplaces refuses what one sink cannot do with the tables that reach it.
func (c *controlled) sinkReplaces(in *inspector, p pick, n *config.Node, tables []*pipeline.Schema) error {
	sweeper, ok := n.Def.(spec.Sweeper)
	if !ok && !sweeps(n.Type) {
		return refuseRequest("Leave --replace out: rows are written again, and what is gone at the source stays.",
			"%s reaches %s, and a %s sink cannot delete what a snapshot does not find any more",
			p.node.Address, n.Address, n.Type)
	}
	if !ok {
		return nil
	}
	env := in.env(n)
	env.Sources = sourcesInto(c.config, n)
	for _, t := range tables {
		if err := sweeper.Sweeps(env, t); err != nil {
			return refuseRequest(pipeline.HintOf(err)+" Or leave --replace out: what is gone at the source stays.",
				"%s cannot delete what a snapshot of %s does not find any more: %w", n.Address, p.schema.Name(), bareError(err))
		}
	}
	return nil
}

// bareError is what an error says without its place and hint.
func bareError(err error) error {
	if e, ok := errors.AsType[*pipeline.Error](err); ok && e.Err != nil {
		return e.Err
	}
	return err
}
