package postgres

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/pipe-cdc/pipe/pipeline"
)

// binder works out where rows go: it finds, creates and changes target tables. One is shared by the
// lanes of a sink.
type binder struct {
	cfg    *Config
	log    *slog.Logger
	state  *state
	number atomic.Int64 // of statements

	mu      sync.Mutex // guards what follows, and the targets
	admin   *conn      // creates tables in transactions of its own; nil until it is needed
	name    string     // of the sessions
	targets map[name]*target
	plans   map[*pipeline.Schema]*plan

	settlements map[string]*settlement // by the source's address
	latest      map[*target]*pipeline.Schema
	filling     func(pipeline.Stream) bool // whether a snapshot of the stream's source is open
}

// maxPlans bounds how many versions of tables are remembered.
const maxPlans = 16384

func (b *binder) close() {
	if b.admin != nil {
		b.admin.close()
	}
}

// plan returns how rows of a schema are written. session is the lane's where it is inside a
// transaction, in which the table must then be changed; nil where it is not.
func (b *binder) plan(ctx context.Context, session *conn, stream pipeline.Stream, r *pipeline.Row) (*plan, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p := b.plans[r.Schema]; p != nil && p.version == p.target.version {
		return p, nil
	}
	if err := b.connect(ctx); err != nil {
		return nil, err
	}
	p, err := b.bind(ctx, session, stream, r)
	if err != nil {
		return nil, err
	}
	if len(b.plans) >= maxPlans {
		clear(b.plans)
	}
	b.plans[r.Schema] = p
	b.latest[p.target] = r.Schema
	return p, nil
}

func (b *binder) connect(ctx context.Context) error {
	if b.admin != nil && !b.admin.IsClosed() {
		return nil
	}
	c, err := b.cfg.connect(ctx, b.name)
	b.admin = c
	return err
}

func (b *binder) bind(ctx context.Context, session *conn, stream pipeline.Stream, r *pipeline.Row) (*plan, error) {
	s := r.Schema
	n, err := b.cfg.targetName(s)
	if err != nil {
		return nil, &pipeline.Error{Class: pipeline.Input, Table: s.Name(), Err: err, Hint: "Set into"}
	}
	source := sourceOf(stream, s)
	t := b.targets[n]
	if t == nil {
		if t, err = b.open(ctx, n, stream, r); err != nil {
			return nil, err
		}
		b.targets[n] = t
	}
	if err := t.joinSource(source, b.cfg.Merge); err != nil {
		return nil, err
	}
	if err := b.shareLoad(ctx, t, source); err != nil {
		return nil, err
	}
	if t.deferred && !isChunk(stream) { // its load was begun under another address of the source
		if err := b.settleTarget(ctx, t); err != nil {
			return nil, err
		}
	}
	c := b.admin
	if session != nil {
		c = session
	}
	changed, err := b.evolve(ctx, c, t, b.latest[t], s)
	if err != nil {
		return nil, err
	}
	if changed {
		t.version++
		if t.table, err = readTable(ctx, c, n); err != nil {
			return nil, err
		}
	}
	p, err := newPlan(b.cfg, t, s)
	if err == nil {
		p.sifted = b.state.siftTable(t.name)
	}
	return p, err
}

// shareLoad decides what becomes of a target's first load when rows of another table come. Where several
// may be merged, the load of one must no longer be voided: the rows of the other would go with it. Else
// it is the same table, whose source has another address now.
func (b *binder) shareLoad(ctx context.Context, t *target, source string) error {
	if t.load == "" || t.load == source {
		return nil
	}
	if b.cfg.Merge {
		t.load = ""
		return b.state.endLoad(ctx, b.admin, t.name.String())
	}
	t.load = source
	return b.state.beginLoad(ctx, b.admin, t.name.String(), source)
}

// open looks at a target for the first time and creates it where it is missing. Where a snapshot
// finds it empty, that is recorded: until the first streamed change its rows are those of the load.
func (b *binder) open(ctx context.Context, n name, stream pipeline.Stream, r *pipeline.Row) (*target, error) {
	t := &target{name: n}
	source := sourceOf(stream, r.Schema)
	var err error
	if t.table, err = readTable(ctx, b.admin, n); err != nil {
		return nil, err
	}
	if t.table == nil {
		if err = b.make(ctx, t, stream, r); err != nil {
			return nil, err
		}
	}
	if t.made, err = b.state.isMade(ctx, b.admin, n, t.table.oid); err != nil {
		return nil, err
	}
	if t.sifted, err = b.state.sifting(ctx, b.admin, n); err != nil {
		return nil, err
	}
	if t.load, err = b.state.loading(ctx, b.admin, n.String()); err != nil {
		return nil, err
	}
	if t.deferred, err = b.deferred(ctx, t, stream, r.Schema); err != nil || !loads(r) {
		return t, err
	}
	if b.cfg.Load != nil && b.cfg.Load.Method == methodUpsert {
		return t, nil
	}
	if _, _, ok := shared(stream); ok && t.load == source { // its rows are those of other chunks
		t.fresh = true
		return t, nil
	}
	if t.fresh, err = t.empty(ctx, b.admin); err != nil || !t.fresh {
		return t, err
	}
	t.load = source
	return t, b.state.beginLoad(ctx, b.admin, n.String(), source)
}

// loads reports whether a row belongs to a snapshot: one that it read, or the word that it starts over.
func loads(r *pipeline.Row) bool {
	again := r.Op == pipeline.Truncate && r.Flags&pipeline.Again != 0
	return r.Tx != nil && r.Tx.Snapshot && (r.Op == pipeline.Read || again)
}

// deferred reports whether the target's key is still to be made, and not even its index is there; and it
// takes the load over for the source of the stream, whose address may have changed.
func (b *binder) deferred(ctx context.Context, t *target, stream pipeline.Stream, s *pipeline.Schema) (bool, error) {
	steps, err := b.state.stepsOf(ctx, b.admin, "target", t.name.sql())
	if err != nil || len(steps) == 0 {
		return false, err
	}
	if source := stream.Address(); isChunk(stream) && steps[0].Source != source {
		_, err = b.admin.query(ctx, "UPDATE "+b.state.schema+".load_step SET source = $1 WHERE "+b.state.owner()+
			" AND target = $2", source, t.name.sql())
	}
	key := make([]string, len(s.Key))
	for i, k := range s.Key {
		key[i] = s.Columns[k].Name
	}
	return slices.ContainsFunc(steps, func(s step) bool { return s.Verb == stepKey }) && !t.table.keyed(key), err
}

func (b *binder) make(ctx context.Context, t *target, stream pipeline.Stream, r *pipeline.Row) error {
	s := r.Schema
	if !b.cfg.CreateTables {
		return &pipeline.Error{Class: pipeline.Input, Table: s.Name(),
			Err: errors.New("the target " + t.name.String() +
				" does not exist"), Hint: "Create it, or set create_tables = true"}
	}
	var err error
	if l := b.bulk(stream, r); l != nil {
		err = b.makeBulk(ctx, t.name, stream.Address(), l, s)
	} else {
		err = b.createTable(ctx, b.admin, t.name, s)
	}
	if err != nil {
		return err
	}
	if t.table, err = readTable(ctx, b.admin, t.name); err == nil && t.table == nil {
		err = errors.New("the table " + t.name.String() + " vanished after it was created")
	}
	return err
}

// fresh reports whether the target was empty and took nothing but snapshot rows.
func (b *binder) fresh(t *target) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return t.fresh
}

// streamed records, in the lane's transaction, that a streamed change reaches the target.
func (b *binder) streamed(ctx context.Context, c *conn, t *target) error {
	b.mu.Lock()
	load := t.load
	t.load, t.fresh = "", false
	b.mu.Unlock()
	if load == "" {
		return nil
	}
	return b.state.endLoad(ctx, c, t.name.String())
}

// stale records that a target held rows that were thought to be new.
func (b *binder) stale(t *target) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t.fresh, t.clashed = false, true
}

// guess reports whether inserted rows may be taken for new: position and rows are one transaction,
// so a row is inserted once, and COPY takes half the time of an upsert. A target that held such a
// row all the same (it was filled by somebody else) is written by upserts from then on.
func (b *binder) guess(t *target) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !t.clashed
}
