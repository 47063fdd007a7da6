package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/config"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// planned is what a start would do.
type planned struct {
	Pipeline string `json:"pipeline"`
	// Hash is of the configuration and the decisions: not of estimates and positions, which move on.
	Hash    string        `json:"hash"`
	Config  string        `json:"config_hash"`
	Changes int           `json:"changes"`
	Refused int           `json:"refused"`
	Nodes   []plannedNode `json:"nodes"`
	// Removed are sources with saved positions that the configuration does not have any more.
	Removed []string `json:"removed,omitempty"`
}

// plannedNode is what a start would do for one component.
type plannedNode struct {
	Address string      `json:"address"`
	Type    string      `json:"type"`
	Was     string      `json:"was,omitempty"` // its address before it was moved
	Steps   []spec.Step `json:"steps"`
}

// makePlan asks every component what a start would do. It changes nothing anywhere.
func makePlan(ctx context.Context, c *config.Config) (*planned, error) {
	dir, err := os.MkdirTemp("", "pipe-plan-")
	if err != nil {
		return nil, &pipeline.Error{Class: pipeline.Environment, Err: err, Hint: "Set TMPDIR to a directory that can be written to."}
	}
	defer os.RemoveAll(dir)
	in := &inspector{config: c, dir: dir, reached: map[string][]*pipeline.Schema{}}
	state, err := in.state(ctx)
	if err != nil {
		return nil, err
	}
	p := &planned{Pipeline: c.Settings.Name, Config: configHash(c), Removed: state.removed(c)}
	if n := state.plan(c); n != nil {
		p.Nodes = append(p.Nodes, *n)
	}
	for _, n := range c.Nodes {
		if err := in.plan(ctx, p, n, state.saved.Of(n.Address)); err != nil {
			return nil, at(n.Address, err)
		}
	}
	p.count()
	p.Hash = hashOf(append(p.decisions(), p.Config)...)
	return p, nil
}

// count puts off what only rows bring that are not read, and counts the rest.
func (p *planned) count() {
	read := map[string]bool{}
	for _, n := range p.Nodes {
		for _, s := range n.Steps {
			if s.Verb == spec.Read || s.Verb == spec.Finish {
				read[s.Name] = true
			}
		}
	}
	for _, n := range p.Nodes {
		for i := range n.Steps {
			s := &n.Steps[i]
			s.Later = s.For != "" && !read[s.For]
			if s.Changes() {
				p.Changes++
			}
			if s.Verb == spec.Refuse {
				p.Refused++
			}
		}
	}
}

// plan adds what a start would do for one node, and notes which tables leave it.
func (in *inspector) plan(ctx context.Context, p *planned, n *config.Node, saved pipeline.Checkpoint) error {
	ctx, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	var tables []*pipeline.Schema
	for _, from := range n.From {
		tables = append(tables, in.reached[from]...)
	}
	out := plannedNode{Address: n.Address, Type: n.Type, Was: was(in.config.Moved, n.Address)}
	if planner, ok := n.Def.(spec.Planner); ok {
		steps, err := planner.Plan(ctx, in.planEnv(n), spec.PlanInput{Saved: saved, Tables: tables})
		if err != nil && unreachable(err) && !refusal(err) {
			return err
		}
		if err != nil {
			steps = append(steps, refuseStep(err))
		}
		out.Steps = steps
	}
	refused := slices.ContainsFunc(out.Steps, func(s spec.Step) bool { return s.Verb == spec.Refuse && s.What == "start" })
	before := len(in.found)
	switch def := n.Def.(type) {
	case spec.Transform:
		in.reached[n.Address] = in.transformed(n, def, tables)
	case spec.Lister:
		if !refused {
			in.reached[n.Address] = in.listed(ctx, n, def)
		}
	}
	for _, f := range in.found[before:] {
		if f.Severity == "error" {
			out.Steps = append(out.Steps, spec.Step{Verb: spec.Refuse, What: "start", Why: f.Summary + ": " + f.Detail, SQL: f.Fix})
		}
	}
	p.Nodes = append(p.Nodes, out)
	return nil
}

func (in *inspector) planEnv(n *config.Node) spec.Env {
	env := in.env(n)
	env.Was = was(in.config.Moved, n.Address)
	return env
}

// refusal reports whether a server was reached and does not suit, so that a plan can say so.
func refusal(err error) bool {
	return pipeline.ClassOf(err) == pipeline.Environment && pipeline.HintOf(err) != "" && !lostConnection(err)
}

// lostConnection reports whether a server could not be asked at all.
func lostConnection(err error) bool {
	var dial interface{ Timeout() bool }
	return errors.As(err, &dial)
}

func refuseStep(err error) spec.Step {
	s := spec.Step{Verb: spec.Refuse, What: "start", Why: err.Error(), SQL: pipeline.HintOf(err)}
	var e *pipeline.Error
	if errors.As(err, &e) && e.Err != nil {
		s.Why = e.Err.Error()
	}
	return s
}

// decisions are the plan in comparable lines.
func (p *planned) decisions() []string {
	var out []string
	for _, n := range p.Nodes {
		if n.Was != "" {
			out = append(out, n.Address+": moved from "+n.Was)
		}
		for _, s := range n.Steps {
			line := n.Address + ": " + string(s.Verb) + " " + s.What + " " + s.Name
			if s.SQL != "" {
				line += ": " + s.SQL
			}
			out = append(out, strings.TrimRight(line, " "))
		}
	}
	for _, r := range p.Removed {
		out = append(out, r+": removed")
	}
	return out
}

// configHash is that of the files that a configuration was read from.
func configHash(c *config.Config) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(c.Files)) {
		parts = append(parts, string(c.Files[name]))
	}
	return hashOf(parts...)
}

func hashOf(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(h, "%d:%s", len(part), part) // never fails
	}
	return hex.EncodeToString(h.Sum(nil))
}

// check says how a plan that was made before differs from this one; nil where it does not.
func (p *planned) check(before *planned) error {
	var lines []string
	if p.Pipeline != before.Pipeline {
		lines = append(lines, fmt.Sprintf("it was made for pipeline %q", before.Pipeline))
	}
	if p.Config != before.Config {
		lines = append(lines, "the configuration has changed")
	}
	then, now := before.decisions(), p.decisions()
	for _, line := range now {
		if !slices.Contains(then, line) {
			lines = append(lines, "+ "+line)
		}
	}
	for _, line := range then {
		if !slices.Contains(now, line) {
			lines = append(lines, "- "+line)
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return &exit{code: exitDiffers, err: fmt.Errorf("the plan does not hold any more; make a new one with pipe plan --out:\n  %s",
		strings.Join(lines, "\n  "))}
}

// readPlan reads what --out has written.
func readPlan(path string) (*planned, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, usage("--plan: %w", err)
	}
	p := &planned{}
	if err := json.Unmarshal(text, p); err != nil {
		return nil, usage("--plan %s: not a plan: %w", path, err)
	}
	if p.Hash != hashOf(append(p.decisions(), p.Config)...) {
		return nil, usage("--plan %s: the file was changed after it was made", path)
	}
	return p, nil
}
