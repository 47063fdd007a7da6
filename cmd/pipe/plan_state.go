package main

import (
	"context"
	"slices"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/checkpoint"
	"github.com/pipe-cdc/pipe/pipeline/config"
	"github.com/pipe-cdc/pipe/pipeline/engine"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// savedState is what is stored of a pipeline, read without a lock and without claiming a fence: the
// pipeline may be running.
type savedState struct {
	stored pipeline.Checkpoint            // of the store
	kept   map[string]pipeline.Checkpoint // of the sinks that keep positions, by address
	saved  pipeline.Checkpoint            // where a run would begin
	made   bool                           // the tables of state "postgres" are there
}

// state reads what is stored.
func (in *inspector) state(ctx context.Context) (*savedState, error) {
	ctx, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	c := in.config
	s := &savedState{stored: pipeline.Checkpoint{}, kept: map[string]pipeline.Checkpoint{}}
	var err error
	switch state := c.Settings.State; state.Kind {
	case "file":
		s.stored, err = checkpoint.PeekFile(ctx, state.Path, c.Settings.Name)
	case "postgres":
		s.stored, s.made, err = checkpoint.PeekPostgres(ctx, checkpoint.Server{DSN: state.DSN.Reveal(), Schema: state.Schema,
			Pipeline: c.Settings.Name})
	}
	if err != nil {
		return nil, err
	}
	behind := map[string][]string{}
	for _, n := range c.Nodes {
		if n.Kind != "sink" {
			continue
		}
		for _, from := range sourcesOf(c, n.Address) {
			if !slices.Contains(behind[from], n.Address) {
				behind[from] = append(behind[from], n.Address)
			}
		}
		reader, ok := n.Def.(spec.StateReader)
		if !ok {
			continue
		}
		if s.kept[n.Address], err = reader.State(ctx, in.planEnv(n)); err != nil {
			return nil, at(n.Address, err)
		}
	}
	var moves []engine.Move
	for _, m := range c.Moved {
		moves = append(moves, engine.Move{From: m.From.String(), To: m.To.String()})
	}
	s.saved = engine.Saved(s.stored, s.kept, behind, moves)
	return s, nil
}

// plan is what a start does to the place of the state; nil for nothing.
func (s *savedState) plan(c *config.Config) *plannedNode {
	if c.Settings.State.Kind != "postgres" || s.made {
		return nil
	}
	return &plannedNode{Address: "state", Type: "postgres", Steps: []spec.Step{{Verb: spec.Create, What: "state",
		Name: c.Settings.State.Schema, Why: "the tables that hold positions and the lease are not there"}}}
}

// removed returns the addresses of sources that have positions and are not in the configuration.
func (s *savedState) removed(c *config.Config) []string {
	var out []string
	add := func(cp pipeline.Checkpoint) {
		for stream := range cp {
			address := stream.Address()
			gone := c.Node(address) == nil && !isMoved(c, address)
			if gone && !slices.Contains(out, address) {
				out = append(out, address)
			}
		}
	}
	add(s.stored)
	for _, cp := range s.kept {
		add(cp)
	}
	slices.Sort(out)
	return out
}

func isMoved(c *config.Config, address string) bool {
	return slices.ContainsFunc(c.Moved, func(m config.Moved) bool {
		rest, ok := strings.CutPrefix(address, m.From.String())
		return ok && (rest == "" || rest[0] == '[')
	})
}
