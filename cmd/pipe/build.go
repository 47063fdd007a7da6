package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/checkpoint"
	"github.com/pipe-cdc/pipe/pipeline/config"
	"github.com/pipe-cdc/pipe/pipeline/engine"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// builder makes engines of a configuration: one for each attempt of a run.
type builder struct {
	config        *config.Config
	nodes         []*config.Node
	dryRun        bool
	untilCaughtUp bool
	log           *slog.Logger
	out           io.Writer // of a dry run
	scratch       string    // where a dry run spills; ""
	// helping, unless nil, is called with an engine that helps another process, before it runs, and with nil
	// after it.
	helping func(*engine.Engine)
	// standing, unless nil, is called with each process that has the pipeline while this one waits for it.
	standing func(checkpoint.Holding)
}

// graph returns a graph without components.
func (b *builder) graph() engine.Graph {
	s := b.config.Settings
	g := engine.Graph{
		Name: s.Name,
		Log:  b.log,
		Limits: engine.Limits{Batches: s.Batches, Rows: s.BatchRows, Bytes: int64(s.BatchBytes),
			Linger: s.Linger, Grace: s.Grace},
	}
	for _, m := range b.config.Moved {
		g.Moves = append(g.Moves, engine.Move{From: m.From.String(), To: m.To.String()})
	}
	return g
}

// build opens every component. What was opened is closed again where one fails.
func (b *builder) build(ctx context.Context) (*engine.Engine, error) {
	g := b.graph()
	err := b.openAll(ctx, &g)
	if err == nil {
		g.Store, err = b.store(ctx)
	}
	if err == nil {
		b.lead(ctx, &g)
		var e *engine.Engine
		if e, err = engine.New(g); err == nil {
			return e, nil
		}
	}
	err = errors.Join(err, closeSinks(&g))
	if g.Store != nil {
		err = errors.Join(err, g.Store.Close())
	}
	return nil, err
}

func (b *builder) openAll(ctx context.Context, g *engine.Graph) error {
	for _, n := range b.nodes {
		env, err := b.env(n)
		if err != nil {
			return err
		}
		if err := b.open(ctx, g, n, env); err != nil {
			return at(n.Address, err)
		}
	}
	return nil
}

// at says which node an error is of, where it does not say so itself.
func at(address string, err error) error {
	var e *pipeline.Error
	if errors.As(err, &e) && e.Node != "" {
		return err
	}
	return &pipeline.Error{Node: address, Class: pipeline.ClassOf(err), Err: err}
}

func (b *builder) open(ctx context.Context, g *engine.Graph, n *config.Node, env spec.Env) error {
	switch def := n.Def.(type) {
	case spec.Source:
		s, err := def.Open(env)
		if err != nil {
			return err
		}
		g.Sources = append(g.Sources, engine.SourceNode{Address: n.Address, Source: s})
	case spec.Transform:
		t, err := def.Open(env)
		if err != nil {
			return err
		}
		g.Transforms = append(g.Transforms, engine.TransformNode{Address: n.Address, From: n.From, Transform: t})
	case spec.Sink:
		k, err := b.openSink(ctx, def, env)
		if err != nil {
			return err
		}
		g.Sinks = append(g.Sinks, engine.SinkNode{Address: n.Address, From: n.From, Sink: k})
	default:
		return fmt.Errorf("%s is neither a source nor a transform nor a sink", n.Address)
	}
	return nil
}

// openSink opens a sink, or what prints its rows in a dry run.
func (b *builder) openSink(ctx context.Context, def spec.Sink, env spec.Env) (pipeline.Sink, error) {
	if b.dryRun {
		return dryRunSink(b.out, env.Address), nil
	}
	return def.Open(ctx, env)
}

// store opens the place of the positions; nil where the sinks keep them.
func (b *builder) store(ctx context.Context) (pipeline.Store, error) {
	s := b.config.Settings
	if b.dryRun {
		return checkpoint.NewMemory(), nil
	}
	switch s.State.Kind {
	case "sink":
		return nil, nil
	case "postgres":
		server := stateServer(s, b.log)
		server.Standing = b.standing
		stop := b.assist(ctx, server)
		p, err := checkpoint.OpenPostgres(ctx, server)
		stop()
		if err != nil {
			return nil, err // not p, as below
		}
		return p, nil
	}
	f, err := checkpoint.OpenFile(s.State.Path, s.Name)
	if err != nil {
		return nil, err // not f: a nil *File in a Store is a Store
	}
	return f, nil
}

// stateServer is where state "postgres" is, and who this process is there.
func stateServer(s config.Settings, log *slog.Logger) checkpoint.Server {
	return checkpoint.Server{DSN: s.State.DSN.Reveal(), Schema: s.State.Schema, Pipeline: s.Name, Lease: s.State.Lease,
		Wait: true, Owner: processName(), Log: log}
}

// processName is this process for people: "db1:4711".
func processName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s:%d", host, os.Getpid())
}

// env returns what a component gets of the run, with a directory of its own.
func (b *builder) env(n *config.Node) (spec.Env, error) {
	dir := filepath.Join(b.spillDir(), fileName(n.Address))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return spec.Env{}, &pipeline.Error{Node: n.Address, Class: pipeline.Environment,
			Err:  fmt.Errorf("make the directory for its spill files: %w", err),
			Hint: "Run where the configuration's directory can be written to, or set the path of state \"file\"."}
	}
	return spec.Env{
		Address: n.Address, Pipeline: b.config.Settings.Name, Dir: dir, Log: b.log.With("node", n.Address),
		Sources:       sourcesInto(b.config, n),
		UntilCaughtUp: b.untilCaughtUp, DryRun: b.dryRun, Was: was(b.config.Moved, n.Address), Moves: moves(b.config),
	}, nil
}

func moves(c *config.Config) []spec.Move {
	var out []spec.Move
	for _, m := range c.Moved {
		out = append(out, spec.Move{From: m.From.String(), To: m.To.String()})
	}
	return out
}

// was returns the address that a component had before it was moved, "" where it was not. A block
// without a key, sink.shop, stands for all of its instances: sink.shop["eu"] too.
func was(moves []config.Moved, address string) string {
	for _, m := range moves {
		rest, ok := strings.CutPrefix(address, m.To.String())
		if ok && (rest == "" || rest[0] == '[' && m.To.Key == "") {
			return m.From.String() + rest
		}
	}
	return ""
}

// spillDir is where components keep what does not fit into memory: beside the state file, else beside
// the configuration; a dry run leaves nothing there.
func (b *builder) spillDir() string {
	if b.scratch != "" {
		return b.scratch
	}
	s := b.config.Settings
	if s.State.Kind == "file" {
		return strings.TrimRight(s.State.Path, "/") + ".spill"
	}
	return filepath.Join(b.config.Dir, ".pipe", fileName(s.Name)+".spill")
}

// fileName makes an address or a name safe to be the name of a file.
func fileName(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-', r == '_':
			return r
		}
		return '_'
	}, strings.TrimLeft(s, "."))
}
