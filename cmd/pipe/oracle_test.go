package main

import (
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pipe-cdc/pipe/pipeline/control"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// oracleLasts is how long the oracle disturbs each of its pipelines, unless PIPE_ORACLE says otherwise.
const oracleLasts = 8 * time.Second

// oraclePatience is how long a pipeline may take to be ready, or to finish what was asked for.
const oraclePatience = 90 * time.Second

// oracleRows is how many rows each table begins with. The first one is written to 1,000 times a second;
// the last one comes and goes, so no row of it is deleted: nobody would tell the target.
func oracleRows() []int { return []int{20_000, 20_000, 5_000, 2_000, 2_000} }

// comesAndGoes is the table that is taken out of the file and put back.
const comesAndGoes = 4

// oracleSink is what is downstream.
type oracleSink interface {
	block() string
	env() []string
	beat() int64        // the last beat that is there
	lifeEnds()          // the process is gone
	check(o *oracleRun) // once everything has been written
}

// oracleRun is one pipeline that is disturbed while writers write.
type oracleRun struct {
	*testing.T
	*scene
	oracleKind
	db      oracleDB
	out     oracleSink
	replace bool // the sink can delete what vanished
	seed    int64
	rng     *rand.Rand
	last    bool // the table that comes and goes is in the file
	fleet   []*oracleProcess
	lead    *oracleProcess // that had the pipeline last
	strikes []int
	lag     *lagWatch
	asks    map[string]int
	took    map[string]time.Duration // at most, until another process worked
}

// TestOracle disturbs pipelines in every way while writers write to five tables: tables are read again,
// added and removed, snapshots are cancelled and processes killed. With the state in PostgreSQL two or three
// processes run each pipeline: the one that leads and those that stand by are killed, ended, and stopped for
// longer than the lease. No row may ever go back to an older version, no other table may wait for a snapshot,
// and at the end everything is equal.
//
// Five of the ten kinds of pipelines are disturbed for 8 s each, other ones by the seed; one at least has its
// state in PostgreSQL. With PIPE_ORACLE, a duration such as 20m, all ten are, one after the other, each for a
// tenth of it: what passes beside it, for the first snapshots and the comparisons, comes on top. PIPE_SEED
// repeats a run's choices.
func TestOracle(t *testing.T) {
	t.Parallel()
	seed, lasts := crashSeed(t), oracleLasts
	kinds := oracleSome(seed)
	if text := os.Getenv("PIPE_ORACLE"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		kinds = slices.Concat(oracleKinds()...)
		lasts = d / time.Duration(len(kinds))
	}
	for _, k := range kinds {
		t.Run(k.String(), func(t *testing.T) { newOracle(t, k, seed).run(lasts) })
	}
}

func newOracle(t *testing.T, kind oracleKind, seed int64) *oracleRun {
	o := &oracleRun{T: t, oracleKind: kind, seed: seed, last: true, asks: map[string]int{},
		took: map[string]time.Duration{}, replace: kind.sink == "postgres"}
	o.scene = &scene{dir: t.TempDir()}
	o.rng = rand.New(rand.NewSource(o.seed))
	pg := pipetest.Postgres(t, "log_min_messages=fatal", "max_connections=200")
	if kind.source == "postgres" {
		o.db = newOraclePostgres(t, pg)
	} else {
		o.db = newOracleMariaDB(t)
	}
	if kind.sink == "postgres" {
		o.out = newTargetPostgres(t, pg)
	} else {
		o.out = newTargetKafka(t)
	}
	o.state = filepath.Join(o.dir, "state")
	if kind.several() {
		o.scene.state = pg.Database(t)
	}
	o.env = append([]string{"SOURCE=" + o.db.dsn(), "STATE=" + o.state}, o.out.env()...)
	return o
}

func (o *oracleRun) run(lasts time.Duration) {
	w := startOracleWriters(o.T, o.db, o.seed)
	o.lag = watchLag(o.T, o.db, o.out)
	o.begin()
	o.settled("the initial snapshot", func(x control.Table) bool { return x.Status == snapshot.Done })
	began, committed := time.Now(), w.busy.Load()
	for deck := []int(nil); time.Since(began) < lasts; {
		if len(deck) == 0 {
			deck = o.rng.Perm(oracleMoves)
		}
		o.move(deck[0])
		deck = deck[1:]
		time.Sleep(time.Duration(50+o.rng.Intn(500)) * time.Millisecond)
	}
	rate := float64(w.busy.Load()-committed) / time.Since(began).Seconds()
	o.finish(w)
	o.Logf("seed %d: %.0f tx/s on the busy table, %d in all; %v; taken over within %v; %s", o.seed, rate, w.busy.Load(), o.asks, o.took, o.lag)
	o.lag.check(o.T)
}

// finish ends the writers and compares.
func (o *oracleRun) finish(w *oracleWriters) {
	if !o.last {
		o.toggle()
	}
	o.settled("the end", func(control.Table) bool { return true })
	w.end()
	o.lag.end()
	o.endAll(syscall.SIGTERM)
	runUntilCaughtUp(o.T, o.file(0), o.env)
	o.out.lifeEnds()
	o.out.check(o)
}

// tables returns what the pipeline says of its tables.
func (o *oracleRun) tables() []control.Table {
	s := o.status()
	if s == nil || len(s.Sources) != 1 {
		return nil
	}
	for _, x := range s.Sources[0].Tables {
		if x.Status == snapshot.Failed {
			o.Errorf("the snapshot of %s failed: %s", x.Table, x.Error)
		}
	}
	return s.Sources[0].Tables
}

// settled waits until no snapshot is open, and all tables are as wanted.
func (o *oracleRun) settled(what string, ok func(control.Table) bool) {
	o.Helper()
	want := 5
	if o.last {
		want++
	}
	o.await("no snapshot is open: "+what, func() bool {
		all := o.tables()
		return len(all) == want && !slices.ContainsFunc(all, func(x control.Table) bool {
			return x.Status.Open() || len(x.Queue) > 0 || !ok(x)
		})
	})
	o.lag.reading.Store(false)
}

// oracleMoves is how many moves there are; each comes once before one comes again.
const oracleMoves = 12

// move disturbs the pipeline in one way.
func (o *oracleRun) move(n int) {
	switch n {
	case 0, 1, 2:
		o.ask(o.table(), nil)
	case 3:
		o.ask("*", nil)
	case 4:
		o.ask(o.table(), func(q *control.SnapshotRequest) { q.Where = fmt.Sprintf("row.id > %d", o.rng.Intn(2000)) })
	case 5, 6:
		o.ask(o.table(), func(q *control.SnapshotRequest) { q.Replace = o.replace })
	case 7:
		o.ask("t1", nil)
		o.cancel("t1")
	case 8:
		o.cancel(o.table())
	case 9, 10:
		o.ask(o.table(), func(q *control.SnapshotRequest) { q.Replace = o.replace && n == 10 })
		time.Sleep(time.Duration(o.rng.Intn(300)) * time.Millisecond)
		o.strike()
	case 11:
		o.toggle()
	}
}

// table returns one that is in the file.
func (o *oracleRun) table() string {
	n := comesAndGoes
	if o.last {
		n++
	}
	return fmt.Sprintf("t%d", o.rng.Intn(n))
}

// maxWaiting bounds the requests that the oracle lets wait for a table.
const maxWaiting = 8

func (o *oracleRun) ask(table string, with func(*control.SnapshotRequest)) {
	o.Helper()
	for _, x := range o.tables() {
		if len(x.Queue) > maxWaiting {
			return
		}
	}
	q := control.SnapshotRequest{Tables: []string{table}}
	if with != nil {
		with(&q)
	}
	o.lag.reading.Store(true)
	if o.heard(o.lead.client.Snapshot(o.Context(), q)) {
		o.asks[o.kindOf(q)]++
	}
}

func (o *oracleRun) kindOf(q control.SnapshotRequest) string {
	switch {
	case q.Where != "":
		return "of a part"
	case q.Replace:
		return "replace"
	case q.Tables[0] == "*":
		return "of all"
	}
	return "again"
}

// cancel cancels what was asked for; without the first reading of a table its target would lack rows.
func (o *oracleRun) cancel(table string) {
	o.Helper()
	for _, x := range o.tables() {
		if !strings.HasSuffix(x.Table, "."+table) || x.Reason != snapshot.ForRequest {
			continue
		}
		if x.Status.Open() {
			o.asks["cancelled"]++
		}
		o.heard(o.lead.client.Cancel(o.Context(), control.CancelRequest{Tables: []string{table}}))
	}
}

// toggle takes the last table out of the file or puts it back; now and then the processes are killed for it.
func (o *oracleRun) toggle() {
	o.Helper()
	sig := syscall.SIGTERM
	if o.rng.Intn(2) == 0 {
		sig = syscall.SIGKILL
	}
	o.endAll(sig)
	o.last = !o.last
	o.asks[map[bool]string{true: "added", false: "removed"}[o.last]]++
	o.lag.reading.Store(true)
	o.begin()
}
