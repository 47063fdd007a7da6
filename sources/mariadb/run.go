package mariadb

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"log/slog"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
	"github.com/pipe-cdc/pipe/pipeline/spec"
	"github.com/pipe-cdc/pipe/sources/mariadb/binlog"
	"github.com/pipe-cdc/pipe/sources/mariadb/wire"
)

// runner is one run of a source.
type runner struct {
	source   *Source
	config   *Config
	env      spec.Env
	settings *settings
	admin    *wire.Conn
	server   server
	catalog  *catalog
	picked   []*table
	ledger   *snapshot.Ledger
	live     *live // nil: tables are not read beside the stream
	// through is up to where helpers have left changed rows to the stream; nil: they have not.
	through binlog.Set
}

func newRunner(s *Source) (*runner, error) {
	settings, err := newSettings(s.config)
	if err != nil {
		return nil, &pipeline.Error{Class: pipeline.Input, Err: err}
	}
	r := &runner{source: s, config: s.config, env: s.env, settings: settings}
	if r.env.Log == nil {
		r.env.Log = slog.New(slog.DiscardHandler)
	}
	return r, nil
}

func (r *runner) close() {
	if r.admin != nil {
		_ = r.admin.Close()
	}
}

func (r *runner) run(ctx context.Context, from pipeline.Checkpoint, out pipeline.Output) error {
	if err := r.prepare(ctx); err != nil {
		return err
	}
	var err error
	if r.ledger, err = snapshot.LoadLedger(from); err != nil {
		return err
	}
	r.source.desk.Serve(r.ledger)
	r.source.ledger.Store(r.ledger)
	if len(withoutPolicy(r.picked, policyOnly)) == 0 {
		if err := r.snapshotOnly(ctx, from, out); err != nil {
			return err
		}
		return r.unshare(ctx)
	}
	if err := r.server.refuseStream(); err != nil {
		return err
	}
	start, err := r.start(ctx, from, out)
	if err != nil {
		return err
	}
	if err := r.unshare(ctx); err != nil {
		return err
	}
	tip, err := r.tip(ctx, start)
	if err != nil {
		return err
	}
	r.close() // the stream connects anew where it needs the catalogue
	r.admin = nil
	return r.streamBeside(ctx, start, tip, out)
}

// prepare connects, reads the catalogue and checks what can be checked before anything is read.
func (r *runner) prepare(ctx context.Context) (err error) {
	if err := r.look(ctx); err != nil {
		return err
	}
	if err := r.server.refuse(); err != nil {
		return err
	}
	if err := r.pick(ctx); err != nil {
		return err
	}
	if len(r.picked) == 0 {
		return failed(pipeline.Input, `See "pipe tables" for what is there and why it is not taken`,
			"no table matches tables = %q", r.config.Include)
	}
	for _, f := range r.warnings() {
		r.env.Log.Warn(f.Summary, "detail", f.Detail, "fix", f.Fix)
	}
	return nil
}

// look connects and reads what is known of the server.
func (r *runner) look(ctx context.Context) (err error) {
	if r.admin, err = r.config.connect(ctx); err != nil {
		return err
	}
	r.server, err = loadServer(ctx, r.admin)
	return err
}

// pick reads the catalogue and chooses the tables.
func (r *runner) pick(ctx context.Context) (err error) {
	p := r.settings.picker
	if r.catalog, err = loadCatalog(ctx, r.admin, nil, p.only(), p.wants); err != nil {
		return err
	}
	if r.picked, err = r.settings.tables(r.catalog, &r.server); err != nil {
		return &pipeline.Error{Class: pipeline.Input, Err: err}
	}
	return nil
}

// start returns where the stream begins, taking the snapshot first where nothing was saved.
func (r *runner) start(ctx context.Context, from pipeline.Checkpoint, out pipeline.Output) (place, error) {
	saved, ok := from[binlogStream]
	switch {
	case !ok && r.asked(snapshot.ForLost):
		return r.anew(ctx, from, out)
	case !ok:
		return r.first(ctx, from, out)
	}
	if _, err := parsePlace(saved); err != nil {
		return r.resume(saved)
	}
	p, lost := r.resume(saved)
	if lost == nil {
		var err error
		if lost, err = (&planner{runner: r, place: p}).purged(ctx); err != nil {
			return p, err
		}
	}
	if lost != nil {
		return r.lose(ctx, lost, from, out)
	}
	why, open, err := r.leftOver(ctx, from, out)
	if err != nil {
		return p, err
	}
	if why != nil {
		r.env.Log.Warn("the snapshot of an earlier run cannot go on and begins anew", "cause", why)
		return r.first(ctx, from, out)
	}
	if open {
		r.env.Log.Info("the snapshot of an earlier run goes on: what is left of it is read while changes are streamed")
	}
	r.reconcile() // saved while changes are streamed: until then it would come out the same again
	return p, snapshot.Tidy(ctx, from, out)
}

// first starts where nothing was read before that counts.
func (r *runner) first(ctx context.Context, from pipeline.Checkpoint, out pipeline.Output) (place, error) {
	if err := r.refuseXA(ctx); err != nil {
		return place{}, err
	}
	for _, t := range r.picked {
		if t.Policy == policyNever {
			r.record(t)
		}
	}
	r.forgetOthers()
	wanted := withoutPolicy(r.picked, policyNever)
	if len(wanted) > 0 {
		return r.copyTables(ctx, wanted, from, out)
	}
	p := r.begun(r.server.Position)
	if err := r.markStart(ctx, p, out); err != nil {
		return p, err
	}
	return p, r.saveLedger(ctx, out)
}

// resume checks the saved position. That its transactions are there still, the server checks.
func (r *runner) resume(saved pipeline.Position) (place, error) {
	p, err := parsePlace(saved)
	if err != nil {
		return p, &pipeline.Error{Class: pipeline.Environment, Pos: saved, Err: err, Hint: "The state belongs to another pipeline"}
	}
	for _, g := range p.set {
		if !r.server.Position.Has(g) {
			e := failed(pipeline.Environment, "The server was restored to an earlier point, reset, or is a replica that lags: "+
				"compare source and sinks, then remove this source's saved position and start again with a snapshot",
				"the saved position is ahead of the server, which is at %s", r.server.Position)
			e.Pos = saved
			return p, e
		}
	}
	for _, g := range r.server.Position {
		if !p.set.Covers(binlog.Set{{Domain: g.Domain}}) {
			r.env.Log.Warn("a replication domain is new since the saved position: it is read from its begin", "domain", g.Domain)
		}
	}
	return p, nil
}

// markStart gives the stream its first position.
func (r *runner) markStart(ctx context.Context, p place, out pipeline.Output) error {
	pos, err := p.position()
	if err != nil {
		return err
	}
	return snapshot.EmitMark(ctx, out, binlogStream, pos)
}

// serverID is the number that we have as a replica.
func (c *Config) serverID() uint32 {
	if c.ServerID != 0 {
		return uint32(c.ServerID)
	}
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return 1<<30 | binary.LittleEndian.Uint32(b[:])>>2
}

// withoutPolicy returns the tables whose policy is another one.
func withoutPolicy(tables []*table, policy string) []*table {
	var out []*table
	for _, t := range tables {
		if t.Policy != policy {
			out = append(out, t)
		}
	}
	return out
}
