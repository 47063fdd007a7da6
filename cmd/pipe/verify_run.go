package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/config"
	"github.com/pipe-cdc/pipe/pipeline/match"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// verifier compares the tables of sources with what sinks hold of them.
type verifier struct {
	config   *config.Config
	patterns []string
	wait     time.Duration
	live     bool
	line     waitLine

	in        *inspector
	paths     []*verifyPath
	comparers map[string]spec.Comparer
	saved     pipeline.Checkpoint
	stood     map[pipeline.Stream]pipeline.Position // where the target was seen to stand
	chosen    *match.Set
	seen      []string // names of tables, for suggestions
}

// run compares everything that was asked for.
func (v *verifier) run(ctx context.Context) (all []verified, err error) {
	dir, err := os.MkdirTemp("", "pipe-verify-")
	if err != nil {
		return nil, &pipeline.Error{Class: pipeline.Environment, Err: err, Hint: "Set TMPDIR to a directory that can be written to."}
	}
	defer os.RemoveAll(dir)
	v.in = &inspector{config: v.config, dir: dir, reached: map[string][]*pipeline.Schema{}}
	v.comparers, v.stood = map[string]spec.Comparer{}, map[pipeline.Stream]pipeline.Position{}
	if v.chosen, err = v.pattern(); err != nil {
		return nil, err
	}
	defer func() {
		for _, c := range v.comparers {
			err = errors.Join(err, c.Close())
		}
	}()
	if err := v.open(ctx); err != nil {
		return nil, err
	}
	state, err := v.in.state(ctx)
	if err != nil {
		return nil, err
	}
	v.saved = state.saved
	for _, n := range v.config.Kind("source") {
		if !slices.ContainsFunc(v.paths, func(p *verifyPath) bool { return p.source == n.Address }) {
			continue
		}
		found, err := v.source(ctx, n)
		if err != nil {
			return nil, at(n.Address, err)
		}
		all = append(all, found...)
	}
	if len(all) == 0 && len(v.patterns) > 0 {
		return nil, usage("--table %s: no such table is delivered to a sink that can be compared%s", v.patterns[0],
			didYouMean(v.patterns[0], v.seen))
	}
	return all, nil
}

func (v *verifier) pattern() (*match.Set, error) {
	if len(v.patterns) == 0 {
		return nil, nil
	}
	set, err := match.New(v.patterns)
	if err != nil {
		return nil, usage("--table: %w", err)
	}
	return set, nil
}

// open finds the paths to sinks that can be compared and connects to those.
func (v *verifier) open(ctx context.Context) error {
	var others []string
	stages := map[string]*stage{}
	for _, n := range v.config.Kind("sink") {
		def, ok := n.Def.(spec.Verifier)
		if !ok {
			others = append(others, n.Address+" ("+n.Type+")")
			continue
		}
		comparer, err := def.OpenVerify(ctx, v.in.planEnv(n))
		if err != nil {
			return at(n.Address, err)
		}
		v.comparers[n.Address] = comparer
		for _, from := range n.From {
			if err := v.trace(n.Address, from, nil, stages); err != nil {
				return err
			}
		}
	}
	if len(v.comparers) == 0 {
		return &pipeline.Error{Class: pipeline.Input, Err: fmt.Errorf("none of the sinks can be compared with its source: %q", others),
			Hint: "A sink \"postgres\" can; what is in a topic is a history, not a table"}
	}
	return nil
}

// trace adds the paths that lead to a sink through the node at address.
func (v *verifier) trace(sink, address string, after []*stage, stages map[string]*stage) error {
	n := v.config.Node(address)
	if n == nil {
		return fmt.Errorf("%s reads from %s, which there is not", sink, address)
	}
	def, ok := n.Def.(spec.Transform)
	if !ok {
		v.paths = append(v.paths, &verifyPath{source: address, sink: sink, stages: after})
		return nil
	}
	s := stages[address]
	if s == nil {
		t, err := def.Open(v.in.planEnv(n))
		if err != nil {
			return at(address, err)
		}
		s = &stage{address: address, transform: t, bound: map[*pipeline.Schema]*binding{}}
		stages[address] = s
	}
	after = append([]*stage{s}, after...)
	for _, from := range n.From {
		if err := v.trace(sink, from, after, stages); err != nil {
			return err
		}
	}
	return nil
}

// source compares the tables of one source.
func (v *verifier) source(ctx context.Context, n *config.Node) ([]verified, error) {
	lister, lists := n.Def.(spec.Lister)
	reads, ok := n.Def.(spec.RowSource)
	if !ok || !lists {
		return nil, &pipeline.Error{Class: pipeline.Input, Err: fmt.Errorf("a source %q cannot be read beside a run", n.Type)}
	}
	known := v.saved.Of(n.Address)
	if len(known) == 0 {
		return nil, &pipeline.Error{Class: pipeline.Input, Err: errors.New("nothing of it was delivered yet"), Hint: "Run the pipeline first"}
	}
	tables, err := lister.Tables(ctx, v.in.planEnv(n))
	if err != nil {
		return nil, err
	}
	ledger, err := v.ledger(ctx, n.Address, tables)
	if err != nil {
		return nil, err
	}
	reader, err := reads.OpenRows(ctx, v.in.planEnv(n))
	if err != nil {
		return nil, err
	}
	var all []verified
	for i := range tables {
		t := &tables[i]
		if !t.Taken || !v.wants(t.Schema) {
			continue
		}
		found, err := v.table(ctx, n.Address, reader, t, ledger)
		if err != nil {
			return nil, errors.Join(err, reader.Close())
		}
		all = append(all, found...)
	}
	return all, reader.Close()
}

func (v *verifier) wants(s *pipeline.Schema) bool {
	v.seen = append(v.seen, s.Name())
	return v.chooses(s)
}

func (v *verifier) chooses(s *pipeline.Schema) bool {
	if v.chosen == nil {
		return true
	}
	_, ok := v.chosen.Match(s.Database, s.Namespace, s.Table)
	return ok
}

// How long a snapshot that is open may stand before it is not waited for any more, and how often the state
// is looked at meanwhile.
const (
	ledgerStands = 3 * time.Second
	ledgerEvery  = 200 * time.Millisecond
)

// ledger returns what is known of the source's tables, once no snapshot of those to compare is open, or has
// got any further for a while.
func (v *verifier) ledger(ctx context.Context, source string, tables []spec.TableInfo) (*snapshot.Ledger, error) {
	began := time.Now()
	moved, known := began, v.saved.Of(source)
	for {
		l, err := snapshot.LoadLedger(known)
		if err != nil || !v.reading(l, tables) || time.Since(began) > v.wait || time.Since(moved) > ledgerStands {
			return l, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(ledgerEvery):
		}
		state, err := v.in.state(ctx)
		if err != nil {
			return nil, err
		}
		v.saved = state.saved
		if now := v.saved.Of(source); !maps.Equal(now, known) {
			moved, known = time.Now(), now
		}
	}
}

// reading reports whether a snapshot of a table to compare is open.
func (v *verifier) reading(l *snapshot.Ledger, tables []spec.TableInfo) bool {
	return slices.ContainsFunc(tables, func(t spec.TableInfo) bool {
		e, known := l.Entry(t.Schema.Name())
		return known && e.Status.Open() && t.Taken && v.chooses(t.Schema)
	})
}

// skips says why a table is not compared, "" where it is.
func skips(t *spec.TableInfo, ledger *snapshot.Ledger) string {
	if t.Snapshot == snapshot.Never.String() {
		return `the rows that were there were never read (snapshot = "never")`
	}
	if e, known := ledger.Entry(t.Schema.Name()); known && e.Status.Open() {
		return "its snapshot is not finished"
	}
	if len(t.Schema.Key) == 0 {
		return "it has no key to find its rows by"
	}
	return ""
}

// table compares one table with every sink that it reaches.
func (v *verifier) table(ctx context.Context, source string, reader spec.RowReader, t *spec.TableInfo,
	ledger *snapshot.Ledger) ([]verified, error) {
	pass := &verifyPass{verifier: v, source: source, table: t, reader: reader}
	for _, p := range v.paths {
		if p.source == source {
			pass.add(p)
		}
	}
	why := skips(t, ledger)
	if why == "" {
		if err := pass.run(ctx); err != nil {
			return nil, err
		}
	}
	var out []verified
	for _, k := range pass.sinks {
		k.Skipped = why
		if why == "" && !k.reached {
			continue // the transforms drop the table
		}
		out = append(out, k.verified)
	}
	return out, nil
}
