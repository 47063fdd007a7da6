package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/config"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// checkWithin bounds what one component may take to be checked or to list its tables.
const checkWithin = time.Minute

// inspector asks components about the world outside, in the order that data flows, and knows which
// tables reach which component.
type inspector struct {
	config  *config.Config
	dir     string
	reached map[string][]*pipeline.Schema
	found   []finding
}

// checkNodes runs the checks of every component against the servers that they name.
func checkNodes(ctx context.Context, c *config.Config) []finding {
	dir, err := os.MkdirTemp("", "pipe-validate-")
	if err != nil {
		return []finding{{Node: c.Nodes[0].Address, Severity: "error", Summary: "No temporary directory",
			Detail: err.Error(), Unreachable: true}}
	}
	defer os.RemoveAll(dir)
	in := &inspector{config: c, dir: dir, reached: make(map[string][]*pipeline.Schema)}
	for _, n := range c.Nodes {
		in.node(ctx, n)
	}
	return in.found
}

func (in *inspector) env(n *config.Node) spec.Env {
	return spec.Env{
		Address: n.Address, Pipeline: in.config.Settings.Name, Dir: in.dir, DryRun: true,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}

func (in *inspector) node(ctx context.Context, n *config.Node) {
	ctx, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	var tables []*pipeline.Schema
	for _, from := range n.From {
		tables = append(tables, in.reached[from]...)
	}
	failed := false
	if checker, ok := n.Def.(spec.Checker); ok {
		for _, f := range checker.Check(ctx, in.env(n), tables) {
			failed = failed || f.Severity == spec.Error
			in.found = append(in.found, findingOf(n, f))
		}
	}
	switch def := n.Def.(type) {
	case spec.Transform:
		in.reached[n.Address] = in.transformed(n, def, tables)
	case spec.Lister:
		if !failed { // else the listing would fail for the same reason
			in.reached[n.Address] = in.listed(ctx, n, def)
		}
	}
}

func (in *inspector) listed(ctx context.Context, n *config.Node, l spec.Lister) []*pipeline.Schema {
	all, err := l.Tables(ctx, in.env(n))
	if err != nil {
		in.problem(n, "Cannot list the tables", err)
		return nil
	}
	var taken []*pipeline.Schema
	for _, t := range all {
		if t.Taken {
			taken = append(taken, t.Schema)
		}
	}
	if len(taken) == 0 {
		in.found = append(in.found, findingOf(n, spec.Finding{Severity: spec.Warning, Summary: "No tables",
			Detail: fmt.Sprintf("none of %s matches the patterns. See pipe tables.", plural(len(all), "table")),
			Attr:   "tables"}))
	}
	return taken
}

// transformed binds a transform to the tables that reach it: this finds columns that do not exist
// and types that do not fit.
func (in *inspector) transformed(n *config.Node, def spec.Transform, tables []*pipeline.Schema) []*pipeline.Schema {
	t, err := def.Open(in.env(n))
	if err != nil {
		in.problem(n, "Cannot open the transform", err)
		return nil
	}
	var out []*pipeline.Schema
	for _, s := range tables {
		bound, _, err := t.Bind(s)
		if err != nil {
			in.problem(n, "Does not fit table "+s.Name(), err)
			continue
		}
		if bound != nil {
			out = append(out, bound)
		}
	}
	return out
}

// unreachable reports whether a server is away or refuses: what a run retries, a question does not.
func unreachable(err error) bool {
	class := pipeline.ClassOf(err)
	return class == pipeline.Environment || class == pipeline.Retryable
}

// asked gives the error of a question its exit code.
func asked(err error) error {
	if unreachable(err) {
		return &exit{code: exitEnvironment, err: err}
	}
	return err
}

// diagnosticsIn returns the diagnostics of a row expression or template that err wraps, with their
// places in the file.
func diagnosticsIn(err error) hcl.Diagnostics {
	var all hcl.Diagnostics
	var one *hcl.Diagnostic
	switch {
	case errors.As(err, &all):
		return all
	case errors.As(err, &one):
		return hcl.Diagnostics{one}
	}
	return nil
}

func (in *inspector) problem(n *config.Node, summary string, err error) {
	if diags := diagnosticsIn(err); len(diags) > 0 {
		for _, d := range diags {
			in.found = append(in.found, finding{Node: n.Address, Severity: "error", Summary: d.Summary,
				Detail: d.Detail, at: d.Subject})
		}
		return
	}
	f := spec.Finding{Severity: spec.Error, Summary: summary, Detail: err.Error(), Fix: pipeline.HintOf(err)}
	f.Unreachable = unreachable(err)
	in.found = append(in.found, findingOf(n, f))
}
