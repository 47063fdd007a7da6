package postgres

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// runner is one run of a source.
type runner struct {
	source   *Source
	config   *Config
	env      spec.Env
	settings *settings

	admin  *pgconn.PgConn // ordinary connection: catalogue, slot, publication
	repl   *pgconn.PgConn // replication connection: makes the slot, exports its snapshot, streams
	socket *socketReader  // of repl

	server   server
	identity identity
	catalog  *catalog
	tables   []*table
	slot     string // the slot to stream from: the source's, or a temporary one of a dry run

	unpublished bool // a dry run found no publication, and makes none: there is nothing to stream

	ledger  *snapshot.Ledger
	tracker *tracker // nil: none
	past    past
	holed   []string // tables with rows that may not be whole downstream
}

func newRunner(s *Source) (*runner, error) {
	settings, err := newSettings(s.config)
	if err != nil {
		return nil, &pipeline.Error{Class: pipeline.Input, Err: err}
	}
	r := &runner{source: s, config: s.config, env: s.env, settings: settings, slot: s.config.Slot}
	if r.env.Log == nil {
		r.env.Log = slog.New(slog.DiscardHandler)
	}
	return r, nil
}

// close closes the connections; the server ends what they held.
func (r *runner) close() {
	ctx, cancel := context.WithTimeout(context.Background(), cancelWithin)
	defer cancel()
	for _, conn := range []*pgconn.PgConn{r.repl, r.admin} {
		if conn != nil {
			_ = conn.Close(ctx)
		}
	}
}

func (r *runner) run(ctx context.Context, from pipeline.Checkpoint, out pipeline.Output) error {
	if err := r.prepare(ctx); err != nil {
		return err
	}
	if err := r.sign(ctx, r.admin); err != nil {
		return err
	}
	streamed := withoutPolicy(r.tables, policyOnly)
	if len(streamed) > 0 {
		if err := r.publish(ctx, streamed); err != nil {
			return err
		}
	}
	var err error
	if r.repl, r.socket, err = r.config.connectReplication(ctx); err != nil {
		return err
	}
	if err := r.sign(ctx, r.repl); err != nil {
		return err
	}
	if r.identity, err = identify(ctx, r.repl); err != nil {
		return err
	}
	if err := r.recall(ctx, from); err != nil {
		return err
	}
	untrack, err := r.track(ctx)
	if err != nil {
		return err
	}
	defer untrack()
	if len(streamed) == 0 || r.unpublished {
		if err := r.snapshotOnly(ctx, from, out); err != nil {
			return err
		}
		return r.unshare(ctx)
	}
	start, err := r.start(ctx, from, out)
	if err == nil {
		err = r.unshare(ctx)
	}
	if err != nil {
		return err
	}
	return r.stream(ctx, start, out)
}

// prepare connects, reads the catalogue and checks what can be checked before anything is changed.
func (r *runner) prepare(ctx context.Context) (err error) {
	if r.admin, err = r.config.connect(ctx); err != nil {
		return err
	}
	if r.config.plain(r.admin) {
		r.env.Log.Warn(plainSummary, "fix", plainFix)
	}
	if r.server, err = loadServer(ctx, r.admin); err != nil {
		return err
	}
	if err := r.server.refuse(); err != nil {
		return err
	}
	r.catalog, err = loadCatalog(ctx, r.admin, r.settings.picker.wants(r.server.Database))
	if err != nil {
		return err
	}
	if r.tables, err = r.settings.tables(r.catalog); err != nil {
		return &pipeline.Error{Class: pipeline.Input, Err: err}
	}
	if len(r.tables) == 0 {
		return failed(pipeline.Input, `See "pipe tables" for what is there and why it is not taken`,
			"no table of database %s matches tables = %q", r.server.Database, r.config.Include)
	}
	for _, f := range r.config.unmatched(r.catalog) {
		r.env.Log.Warn(f.Summary, "fix", f.Fix)
	}
	return r.refuse()
}

// refuse turns the errors of the catalogue's check into one error.
func (r *runner) refuse() error {
	var text, fix []string
	for _, f := range r.settings.findings(r.catalog) {
		if f.Severity == spec.Error {
			text, fix = append(text, f.Summary+" ("+f.Detail+")"), append(fix, f.Fix)
		}
	}
	if len(text) == 0 {
		return nil
	}
	return failed(pipeline.Environment, strings.Join(fix, "; "), "%s", strings.Join(text, "; "))
}

// findings checks the tables taken, each for what its policy needs.
func (s *settings) findings(c *catalog) []spec.Finding {
	var out []spec.Finding
	for _, p := range s.picker.pick(c) {
		set := s.of(c.Database, p.relation)
		settingsOf := func(*relation) tableSettings { return set }
		for _, f := range c.check([]pick{p}, settingsOf) {
			snapshotOnly := f.Code == codeUnreadable || f.Code == codeRowSecurity
			if snapshotOnly && set.Policy == policyNever || f.Code == codeNoIdentity && set.Policy == policyOnly {
				continue
			}
			out = append(out, f)
		}
	}
	return out
}

// start returns the LSN to stream from, taking the snapshot first where nothing was saved.
func (r *runner) start(ctx context.Context, from pipeline.Checkpoint, out pipeline.Output) (uint64, error) {
	saved, ok := from[walStream]
	if r.env.DryRun {
		return r.startDry(ctx, ok, out)
	}
	s, err := r.awaitSlot(ctx)
	if err != nil {
		return 0, err
	}
	if err := r.rewrites(ctx, ok, from, out); err != nil {
		return 0, err
	}
	switch {
	case ok:
		return r.startAgain(ctx, saved, s, from, out)
	case r.lost(from):
		return r.startAnew(ctx, s, out)
	}
	if at, ok, err := r.startAttempted(ctx, s, from, out); ok || err != nil {
		return at, err
	}
	return r.startFirst(ctx, s, from, out)
}

// startFirst takes the snapshot where nothing is known that could be gone on with.
func (r *runner) startFirst(ctx context.Context, s *slot, from pipeline.Checkpoint, out pipeline.Output) (uint64, error) {
	wanted := withoutPolicy(r.tables, policyNever)
	if s == nil && !r.config.creates("slot") {
		return 0, r.config.missingSlot()
	}
	if s != nil && (len(wanted) == 0 || !r.config.creates("slot")) {
		if err := s.refuse(r.config, r.server.Database); err != nil {
			return 0, err
		}
		return r.startBeside(ctx, s, wanted, from, out)
	}
	if s != nil { // left by a first start that did not get as far as saving a position
		r.env.Log.Warn("dropping the slot: no position was saved, so the snapshot is taken anew", "slot",
			r.config.Slot)
		if err := r.dropSlot(ctx); err != nil {
			return 0, err
		}
	}
	m, err := r.createSlot(ctx, r.config.Slot, false, len(wanted) > 0)
	if err != nil {
		return 0, err
	}
	// A slot that was left tells of an attempt, too, where a sink is new and knows of none.
	return m.At, r.copyAt(ctx, m, wanted, from, s != nil, out)
}

// startBeside starts from a slot made by somebody else: its own snapshot is gone, so a temporary
// slot gives one, and the stream begins at that one's consistent point.
func (r *runner) startBeside(ctx context.Context, s *slot, wanted []*table, from pipeline.Checkpoint,
	out pipeline.Output) (uint64, error) {
	if len(wanted) == 0 { // the ledger says so: what is added later is told from it
		return s.Confirmed, r.copyAt(ctx, made{At: s.Confirmed}, nil, from, false, out)
	}
	name := temporaryName(r.config.Slot)
	m, err := r.createSlot(ctx, name, true, true)
	if err != nil {
		return 0, err
	}
	if err := r.copyAt(ctx, m, wanted, from, false, out); err != nil {
		return 0, err
	}
	return m.At, execute(ctx, r.repl, "drop the temporary slot", "DROP_REPLICATION_SLOT "+quoteName(name))
}

// startDry leaves no trace: a temporary slot, which ends with the connection.
func (r *runner) startDry(ctx context.Context, resumed bool, out pipeline.Output) (uint64, error) {
	wanted := withoutPolicy(r.tables, policyNever)
	if resumed {
		wanted = nil
	}
	r.slot = temporaryName(r.config.Slot)
	m, err := r.createSlot(ctx, r.slot, true, len(wanted) > 0)
	if err != nil {
		return 0, err
	}
	return m.At, r.copyAt(ctx, m, wanted, nil, false, out)
}

// snapshotOnly copies tables that have no stream.
func (r *runner) snapshotOnly(ctx context.Context, from pipeline.Checkpoint, out pipeline.Output) error {
	if r.env.DryRun {
		from = nil
	}
	wanted := r.unread(from)
	if len(wanted) == 0 {
		r.env.Log.Info("the snapshot was taken before; nothing is left to do")
		return snapshot.Tidy(ctx, from, out)
	}
	m, err := r.createSlot(ctx, temporaryName(r.config.Slot), true, true)
	if err != nil {
		return err
	}
	return r.copyAt(ctx, m, wanted, from, false, out)
}

// unread returns the tables without a stream that were not read yet: all, or those that were added since.
func (r *runner) unread(from pipeline.Checkpoint) []*table {
	_, done := from[walStream]
	if !done {
		return r.tables
	}
	var out []*table
	for _, t := range r.tables {
		e, known := r.ledger.Entry(t.Schema.Name())
		if e.Status.Open() || !known && !r.ledger.Empty() {
			out = append(out, t)
		}
	}
	return out
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

// temporaryName is a name for a temporary slot beside the source's.
func temporaryName(slot string) string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails
	return fmt.Sprintf("%.45s_%s", slot, hex.EncodeToString(b[:]))
}
