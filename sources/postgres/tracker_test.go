package postgres

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// tracked is a source with a tracker.
func tracked(table string, create ...string) func(*Config) {
	return func(c *Config) {
		c.Tracker, c.TrackerServer = table, "test_server"
		c.Create = append(c.Create, create...)
	}
}

// soon waits until a query returns what is wanted.
func soon(t testing.TB, dsn, query string, want ...string) {
	t.Helper()
	var got []string
	for until := time.Now().Add(most); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		got = got[:0]
		for _, row := range pipetest.QueryText(t, dsn, query) {
			got = append(got, strings.Join(row, "|"))
		}
		if cmp.Equal(want, got) {
			return
		}
	}
	t.Fatalf("%s: %q, want %q", query, got, want)
}

const needsOrders = "UPDATE snapshot_tracker SET needs_snapshot = true WHERE table_name = 'public.or_ers' AND server_name = 'test_server'"

// TestTracker: names are matched letter by letter, whatever LIKE makes of them, and the tracker is not read.
func TestTracker(t *testing.T) {
	t.Parallel()
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE or_ers (id int PRIMARY KEY); INSERT INTO or_ers SELECT generate_series(1, 10);
		CREATE TABLE orders (id int PRIMARY KEY); INSERT INTO orders SELECT generate_series(1, 10)`)
	m := newImage()
	c := configOf(dsn, tracked("snapshot_tracker", "tracker"))
	r := start(t, c, nil, m.output())
	all := "SELECT table_name, server_name, needs_snapshot, under_snapshot FROM snapshot_tracker ORDER BY 1, 2"
	soon(t, dsn, all, "public.or_ers|test_server|f|f", "public.orders|test_server|f|f")
	pipetest.Exec(t, dsn, "INSERT INTO snapshot_tracker VALUES ('public.or_ers', 'testXserver', true, false), "+
		"('public.nosuch', 'test_server', true, false), ('or_ers', 'test_server', true, false)", needsOrders)
	if e := entry(t, r, "public.or_ers", snapshot.Done); e.Request.Reason != snapshot.ForTracker || e.Rows != 10 {
		t.Errorf("%+v", e)
	}
	soon(t, dsn, all, "or_ers|test_server|t|f", "public.nosuch|test_server|t|f", "public.or_ers|testXserver|t|f",
		"public.or_ers|test_server|f|f", "public.orders|test_server|f|f")
	m.sameSoon(t, dsn, "public.or_ers", "SELECT id FROM or_ers")
	if len(m.lines("public.orders")) > 0 || m.rows["public.snapshot_tracker"] != nil {
		t.Error("another table was read, or the tracker")
	}
	from := r.Out.Checkpoint()
	r.Stop()
	pipetest.Exec(t, dsn, needsOrders) // while nothing runs
	r = start(t, c, from, m.output())
	soon(t, dsn, "SELECT needs_snapshot, under_snapshot FROM snapshot_tracker WHERE table_name = 'public.or_ers' AND server_name = 'test_server'", "f|f")
	if n := m.readRows(); n != 20 {
		t.Errorf("%d rows read, want each twice", n)
	}
	r.Stop()
}

// TestTrackerAdopted takes over a table in a schema that is not searched, with another key's name.
func TestTrackerAdopted(t *testing.T) {
	t.Parallel()
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1);
		CREATE SCHEMA "Ops"; CREATE TABLE "Ops"."Tracker" (id serial, table_name varchar(200) NOT NULL, server_name varchar NOT NULL,
			needs_snapshot bool NOT NULL, under_snapshot bool NOT NULL, CONSTRAINT my_pk PRIMARY KEY (table_name, server_name));
		INSERT INTO "Ops"."Tracker" (table_name, server_name, needs_snapshot, under_snapshot) VALUES ('public.a', 'test_server', true, true)`)
	m := newImage()
	c := configOf(dsn, tracked("Ops.Tracker"))
	state := `SELECT needs_snapshot, under_snapshot FROM "Ops"."Tracker"`
	var from pipeline.Checkpoint
	for range 2 { // the second start finds it as well
		r := start(t, c, from, m.output())
		soon(t, dsn, state, "f|f")
		m.sameSoon(t, dsn, "public.a", "SELECT id FROM a")
		from = r.Out.Checkpoint()
		r.Stop()
		pipetest.Exec(t, dsn, `UPDATE "Ops"."Tracker" SET needs_snapshot = true`)
	}
	if m.readRows() != 2 {
		t.Errorf("%d rows read, want 2", m.readRows())
	}
}

// TestTrackerKeepsRequests: one that is set while the table is read is another one.
func TestTrackerKeepsRequests(t *testing.T) {
	t.Parallel()
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE or_ers (id int PRIMARY KEY, v text); INSERT INTO or_ers SELECT i, repeat('x', 100) FROM generate_series(1, 100000) i`)
	m := newImage()
	r := start(t, configOf(dsn, tracked("public.snapshot_tracker", "tracker")), nil, m.output())
	soon(t, dsn, "SELECT count(*) FROM snapshot_tracker", "1")
	unlock := openTransaction(t, dsn, "LOCK TABLE or_ers IN ACCESS EXCLUSIVE MODE") // it is read no sooner
	pipetest.Exec(t, dsn, needsOrders)
	state := "SELECT needs_snapshot, under_snapshot FROM snapshot_tracker"
	soon(t, dsn, state, "f|t")
	pipetest.Exec(t, dsn, needsOrders)
	unlock()
	soon(t, dsn, state, "f|f")
	entry(t, r, "public.or_ers", snapshot.Done)
	if n := m.readRows(); n != 200000 {
		t.Errorf("%d rows read, want all twice", n)
	}
	r.Stop()
}

// TestTrackerFailures: an error is never an answer. What cannot be read or written is tried again.
func TestTrackerFailures(t *testing.T) {
	t.Parallel()
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE or_ers (id int PRIMARY KEY); INSERT INTO or_ers VALUES (1)`)
	m := newImage()
	r := start(t, configOf(dsn, tracked("public.snapshot_tracker", "tracker")), nil, m.output())
	soon(t, dsn, "SELECT count(*) FROM snapshot_tracker", "1")
	// The request can be read and not be acknowledged: it is served, once, and acknowledged later.
	pipetest.Exec(t, dsn, needsOrders+`; CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END';
		CREATE TRIGGER no BEFORE UPDATE ON snapshot_tracker FOR EACH ROW EXECUTE FUNCTION no()`)
	entry(t, r, "public.or_ers", snapshot.Done)
	time.Sleep(2 * trackEvery)
	state := "SELECT needs_snapshot, under_snapshot FROM snapshot_tracker"
	soon(t, dsn, state, "t|f")
	pipetest.Exec(t, dsn, "DROP TRIGGER no ON snapshot_tracker")
	soon(t, dsn, state, "f|f")
	if m.readRows() != 1 {
		t.Errorf("%d rows read, want 1", m.readRows())
	}
	// The table is away for a while.
	pipetest.Exec(t, dsn, "ALTER TABLE snapshot_tracker RENAME TO away", "UPDATE away SET needs_snapshot = true")
	time.Sleep(trackEvery + trackEvery/2)
	pipetest.Exec(t, dsn, "ALTER TABLE away RENAME TO snapshot_tracker")
	soon(t, dsn, state, "f|f")
	if m.readRows() != 2 {
		t.Errorf("%d rows read, want 2", m.readRows())
	}
	r.Stop()
}

// TestTrackerRefusals: what cannot be kept stops the start and says what to do.
func TestTrackerRefusals(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE tracker_of_others (table_name text PRIMARY KEY, needs_snapshot int)`)
	for hint, change := range map[string]func(*Config){
		`CONSTRAINT "snapshot_tracker_pk" PRIMARY KEY (table_name, server_name)`: tracked("snapshot_tracker"),
		"Name another table": tracked("public.tracker_of_others", "tracker"),
		`Have somebody run`:  tracked("nowhere.snapshot_tracker", "tracker"),
	} {
		err := open(t, configOf(dsn, change)).Run(t.Context(), nil, &pipetest.Collect{})
		if err == nil || pipeline.ClassOf(err) != pipeline.Environment || !strings.Contains(pipeline.HintOf(err), hint) {
			t.Errorf("hint %q, want %q: %v", pipeline.HintOf(err), hint, err)
		}
	}
}
