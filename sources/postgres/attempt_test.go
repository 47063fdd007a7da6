package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/engine"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// life is how long a process of the pipeline lives: a number of things that it makes durable. The one
// that ends it is either done or not, and nobody is told which.
type life struct {
	mu   sync.Mutex
	left int
	half bool          // the last one is done
	slow time.Duration // each takes so long
}

var errKilled = errors.New("killed")

// do does something durable.
func (l *life) do(f func()) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	time.Sleep(l.slow)
	if l.left--; l.left > 0 || l.left == 0 && l.half {
		f()
	}
	if l.left <= 0 {
		return errKilled
	}
	return nil
}

// target is what survives of a sink: a table, and positions where it is a Keeper.
type target struct {
	rows     map[int64]string
	streamed bool
	cp       pipeline.Checkpoint
	chunkAt  time.Time // when a chunk was written last
	walAt    time.Time // when the stream got its first position
}

// clock notes when what became durable.
func (to *target) clock(s pipeline.Stream, pos pipeline.Position) {
	if s == "source.test/wal" && to.walAt.IsZero() {
		to.walAt = time.Now()
	}
	if pos != "" && strings.Contains(string(s), "/chunk/") {
		to.chunkAt = time.Now()
	}
}

// targetSink writes to a target. strict: as a Keeper, it trims, and a row that is there already is wrong.
type targetSink struct {
	*life
	t      *testing.T
	strict bool
	to     *target
	all    func() bool // every target's entry says that the table is complete

	open sync.Mutex
	kept pipeline.Checkpoint
	held map[pipeline.Stream][]func()
}

func (s *targetSink) Lanes() int   { return 4 }
func (s *targetSink) Close() error { return nil }

// keeperSink adds what makes it a Keeper.
type keeperSink struct{ *targetSink }

func (k keeperSink) Checkpoint(context.Context) (pipeline.Checkpoint, error) {
	return k.to.cp.Clone(), nil
}

func (s *targetSink) Write(_ context.Context, b *pipeline.Batch) error {
	s.open.Lock()
	defer s.open.Unlock()
	end := 0
	if n := len(b.Marks); n > 0 {
		end = b.Marks[n-1].End
		s.hold(b, b.Rows[:end])
		if err := s.commit(b); err != nil {
			return err
		}
	}
	s.hold(b, b.Rows[end:])
	return nil
}

// hold keeps changes until a mark comes.
func (s *targetSink) hold(b *pipeline.Batch, rows []pipeline.Row) {
	for i := range rows {
		if r := &rows[i]; r.Schema.Table == "a" && !(s.strict && r.Tx.In(s.kept[b.Stream])) {
			s.held[b.Stream] = append(s.held[b.Stream], s.change(b.Stream, r))
		}
	}
}

// commit applies what is held of a stream, and its last mark.
func (s *targetSink) commit(b *pipeline.Batch) error {
	pos, _ := b.Last()
	changes := s.held[b.Stream]
	delete(s.held, b.Stream)
	return s.do(func() {
		for _, f := range changes {
			f()
		}
		if pos == "" || pos > s.kept[b.Stream] {
			s.kept.Apply(b.Stream, pos)
			s.to.cp.Apply(b.Stream, pos)
			s.to.clock(b.Stream, pos)
		}
	})
}

// filled reports whether the table's entry says that it is complete. Until all say so changes come of rows
// that are not there yet, and rows that were written are read beside the stream again.
func (to *target) filled() bool {
	e, err := snapshot.ParseEntry("public.a", to.cp["source.test/table/public.a"])
	return err == nil && e.Status == snapshot.Done
}

// change returns what a row does to the table.
func (s *targetSink) change(stream pipeline.Stream, r *pipeline.Row) func() {
	op, again := r.Op, r.Flags&pipeline.Again != 0
	if op == pipeline.Truncate {
		return func() {
			if again && !s.to.streamed {
				clear(s.to.rows)
			}
		}
	}
	id, text := r.Key()[0].Int(), ""
	if r.Values != nil {
		text = rowText(r.Values)
	}
	return func() {
		_, there := s.to.rows[id]
		s.to.streamed = s.to.streamed || op != pipeline.Read
		exact := s.all() || op == pipeline.Insert || op == pipeline.Read && strings.Contains(string(stream), "/chunk/")
		if s.strict && exact && there != (op == pipeline.Update || op == pipeline.Delete) {
			s.t.Errorf("%s of %d, which is there: %v", op, id, there)
		}
		if op == pipeline.Delete {
			delete(s.to.rows, id)
			return
		}
		s.to.rows[id] = text
	}
}

// fileStore is a Store whose content survives.
type fileStore struct {
	*life
	to *target
}

func (s fileStore) Load(context.Context) (pipeline.Checkpoint, error) { return s.to.cp.Clone(), nil }
func (s fileStore) Close() error                                      { return nil }
func (s fileStore) Save(_ context.Context, cp pipeline.Checkpoint) error {
	return s.do(func() { s.to.cp = cp.Clone() })
}

// world is what survives the processes of one pipeline.
type world struct {
	*testing.T
	config *Config
	dsn    string
	rng    *rand.Rand
	keeper *target // nil: no sink that keeps positions
	plain  *target // nil: no other sink
	store  *target
	most   int // durable things that a process does before it is killed
	killed int
}

func newTarget() *target { return &target{rows: map[int64]string{}, cp: pipeline.Checkpoint{}} }

// live runs a process until it is killed, or done reports true.
func (w *world) live(l *life, done func() bool) error {
	w.Helper()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	g := engine.Graph{Name: "test", Poison: true, Log: log,
		Sources: []engine.SourceNode{{Address: "source.test", Source: open(w, w.config)}},
		Limits:  engine.Limits{Rows: 30, SaveEvery: 5 * time.Millisecond, Grace: time.Second}}
	add := func(name string, to *target, strict bool) {
		s := &targetSink{life: l, t: w.T, strict: strict, to: to, all: w.filled, kept: to.cp.Clone(),
			held: map[pipeline.Stream][]func(){}}
		var k pipeline.Sink = s
		if strict {
			k = keeperSink{s}
		}
		g.Sinks = append(g.Sinks, engine.SinkNode{Address: name, From: []string{"source.test"}, Sink: k})
	}
	if w.keeper != nil {
		add("sink.keeper", w.keeper, true)
	}
	if w.plain != nil {
		add("sink.plain", w.plain, false)
		g.Store = fileStore{l, w.store}
	}
	e, err := engine.New(g)
	if err != nil {
		w.Fatal(err)
	}
	ctx, stop := context.WithTimeout(w.Context(), most)
	defer stop()
	go func() {
		for ctx.Err() == nil && !done() {
			_ = pause(ctx, 5*time.Millisecond)
		}
		stop()
	}()
	return e.Run(ctx)
}

// die runs a process until it is killed, or its snapshot is done.
func (w *world) die() {
	w.Helper()
	l := &life{left: 1 + w.rng.IntN(w.most), half: w.rng.IntN(2) == 0}
	err := w.live(l, func() bool { return w.tidy(l) })
	if err != nil && !errors.Is(err, errKilled) {
		w.Fatal(err)
	}
	if errors.Is(err, errKilled) {
		w.killed++
	}
}

// tidy reports whether every target has a position in the stream and no snapshot runs.
func (w *world) tidy(l *life) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	ok := func(to *target) bool {
		return to.cp["source.test/wal"] != "" && to.cp["source.test/"+snapshot.AttemptStream] == ""
	}
	return (w.keeper == nil || ok(w.keeper)) && (w.plain == nil || ok(w.store))
}

// change changes the table while no process runs: rows that an attempt has delivered go.
func (w *world) change(n int) {
	w.Helper()
	pipetest.Exec(w, w.dsn, fmt.Sprintf(`DELETE FROM a WHERE id %% 7 = %d`, n),
		fmt.Sprintf(`UPDATE a SET v = v || %d WHERE id %% 5 = 1`, n),
		fmt.Sprintf(`INSERT INTO a SELECT i, 'new' FROM generate_series(%d, %d) i`, 10000*n+10000, 10000*n+10020))
}

// ended reports whether every target knows of the snapshot's end, and keeps at most so many positions of chunks.
func (w *world) ended(l *life, left int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	ok := func(to *target) bool { return chunksLeft(to) <= left }
	return w.filled() && (w.keeper == nil || ok(w.keeper)) && (w.plain == nil || ok(w.store))
}

// filled reports whether all that is kept says that the table is complete.
func (w *world) filled() bool {
	return (w.keeper == nil || w.keeper.filled()) && (w.plain == nil || w.store.filled())
}

// settle runs a process until every target is equal to the table and the snapshot has ended: rows that are
// still to be read may be equal by chance before. left is how many positions of chunks may stay.
func (w *world) settle(left int) {
	w.Helper()
	var want []string
	for _, row := range pipetest.QueryText(w, w.dsn, `SELECT id, v FROM a`) {
		want = append(want, row[0]+"|"+row[1])
	}
	slices.Sort(want)
	l := &life{left: 1 << 30}
	differs := func(to *target) string {
		if to == nil {
			return ""
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		return cmp.Diff(want, slices.Sorted(maps.Values(to.rows)))
	}
	err := w.live(l, func() bool {
		return w.tidy(l) && w.ended(l, left) && differs(w.keeper) == "" && differs(w.plain) == ""
	})
	if err != nil {
		w.Fatal(err)
	}
	if !w.ended(l, left) {
		w.Errorf("the snapshot has no end, of %d positions of chunks: store %v", left, w.store.cp)
		if w.keeper != nil {
			w.Logf("keeper %v", w.keeper.cp)
		}
	}
	for name, to := range map[string]*target{"keeper": w.keeper, "plain": w.plain} {
		if diff := differs(to); diff != "" {
			w.Errorf("%s (-table +target):\n%.1500s", name, diff)
		}
	}
}

// chunksLeft counts the positions of chunks that a target keeps; one that is not there keeps none.
func chunksLeft(to *target) int {
	if to == nil {
		return 0
	}
	n := 0
	for s := range to.cp {
		if strings.Contains(string(s), "/chunk/") {
			n++
		}
	}
	return n
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{T: t, dsn: pg.Database(t), rng: rand.New(rand.NewPCG(seed, 7)), store: newTarget(), most: 40}
	w.config = configOf(w.dsn, func(c *Config) {
		c.Snapshot, c.ChunkRows, c.Standby = policyInitial, 25, most
	})
	pipetest.Exec(t, w.dsn, `CREATE TABLE a (id int PRIMARY KEY, v text)`,
		`INSERT INTO a SELECT i, repeat('v', 200) || i FROM generate_series(1, 600) i`, `ANALYZE a`)
	return w
}

// TestSnapshotSurvivesKills kills pipelines at any point of their initial snapshots, with sinks that
// keep positions, sinks that do not, and both, while rows go between the attempts.
func TestSnapshotSurvivesKills(t *testing.T) {
	kills := 0
	for _, sinks := range []string{"keeper", "plain", "both"} {
		for seed := range uint64(4) {
			t.Run(fmt.Sprint(sinks, " ", seed), func(t *testing.T) {
				w := newWorld(t, seed)
				if sinks != "plain" {
					w.keeper = newTarget()
				}
				if sinks != "keeper" {
					w.plain = newTarget()
				}
				if sinks == "both" {
					w.most = 80
				}
				for n := range 3 {
					w.die()
					w.change(n)
				}
				w.settle(0)
				kills += w.killed
			})
		}
	}
	if kills < 8 {
		t.Errorf("%d processes were killed, which says little", kills)
	}
}

// TestSinkAddedAfterKill adds a sink that knows of no attempt to one that does: the slot tells of it.
func TestSinkAddedAfterKill(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		w := newWorld(t, seed)
		w.keeper = newTarget()
		w.die()
		left := chunksLeft(w.keeper) // of an attempt that nobody takes up
		w.change(1)
		w.plain = newTarget()
		w.settle(left)
	}
}

// TestSnapshotEndsAtOnce: after the last of hundreds of chunks the stream begins without delay, with
// sinks and a store that take 2 ms for everything.
func TestSnapshotEndsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.keeper, w.plain = newTarget(), newTarget()
	pipetest.Exec(t, w.dsn, `INSERT INTO a SELECT i, repeat('w', 500) FROM generate_series(1001, 6000) i`,
		`ANALYZE a`)
	w.config.ChunkRows = 10
	l := &life{left: 1 << 30, slow: 2 * time.Millisecond}
	began := time.Now()
	if err := w.live(l, func() bool { return w.tidy(l) }); err != nil {
		t.Fatal(err)
	}
	took, whole := w.keeper.walAt.Sub(w.keeper.chunkAt), time.Since(began)
	t.Logf("%v, the whole run %v", took.Round(time.Millisecond), whole.Round(time.Millisecond))
	if w.keeper.walAt.IsZero() || took > max(500*time.Millisecond, whole/4) {
		t.Errorf("%v between the last chunk and the first position of the stream", took)
	}
}
