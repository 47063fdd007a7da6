package main

import (
	"context"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/checkpoint"
	"github.com/pipe-cdc/pipe/pipeline/config"
	"github.com/pipe-cdc/pipe/pipeline/control"
	"github.com/pipe-cdc/pipe/pipeline/match"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// storedState is what is stored of a pipeline that does not run.
type storedState struct {
	Sources   []control.Source  `json:"sources"`   // what the ledger says
	Positions map[string]string `json:"positions"` // of the other streams, by qualified name
	Note      string            `json:"note,omitempty"`
}

func readStored(ctx context.Context, c *config.Config) (*storedState, error) {
	out := &storedState{Sources: []control.Source{}, Positions: map[string]string{}}
	saved, err := savedPositions(ctx, c)
	if saved == nil {
		return nil, err
	}
	if err != nil {
		out.Note = "a sink keeps positions too, but cannot be asked, so that a start may begin earlier: " + err.Error()
	}
	for _, n := range c.Kind("source") {
		cp := saved.Of(n.Address)
		l, err := snapshot.LoadLedger(cp)
		if err != nil {
			return nil, at(n.Address, err)
		}
		out.Sources = append(out.Sources, control.Source{
			Node: control.Node{Address: n.Address}, Phase: "stopped", LagBytes: -1, LagSeconds: -1, RetainedBytes: -1,
			Tables: control.Tables(l.Entries(), nil),
		})
		for s, p := range cp {
			if !isTable(s) {
				out.Positions[string(s.In(n.Address))] = string(p)
			}
		}
	}
	return out, nil
}

// savedPositions returns where a start would begin; where a sink cannot be asked, what the state file
// has, and the error.
func savedPositions(ctx context.Context, c *config.Config) (pipeline.Checkpoint, error) {
	in := &inspector{config: c}
	state, err := in.state(ctx)
	if err == nil {
		return state.saved, nil
	}
	s := c.Settings
	if s.State.Kind != "file" || !unreachable(err) {
		return nil, err
	}
	cp, peeked := checkpoint.PeekFile(ctx, s.State.Path, s.Name)
	if peeked != nil {
		return nil, peeked
	}
	return cp, err
}

func isTable(s pipeline.Stream) bool {
	return strings.HasPrefix(string(s), string(snapshot.TableStream("")))
}

// namesTable reports whether a pattern names a table, whose qualified name is known only.
func namesTable(pattern, name string) (bool, error) {
	if pattern == name {
		return true, nil
	}
	set, err := match.New([]string{pattern})
	if err != nil {
		return false, err
	}
	schema, table, _ := strings.Cut(name, ".")
	return set.Index("", schema, table) >= 0, nil
}
