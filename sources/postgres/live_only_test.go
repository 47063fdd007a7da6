package postgres

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// TestOnlyAdded adds a table of policy only to a stream: it is read once, its changes are not followed, and it
// is read again where somebody asks.
func TestOnlyAdded(t *testing.T) {
	t.Parallel()
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY, v text)`,
		`CREATE TABLE once (id int PRIMARY KEY, v text)`, `INSERT INTO once SELECT i, 'v' FROM generate_series(1, 3000) i`)
	c := configOf(dsn, func(c *Config) { c.Snapshot, c.Include, c.liveRows = policyInitial, []string{"public.a"}, 500 })
	m := newImage()
	first := start(t, c, nil, m.output())
	pipetest.Exec(t, dsn, `INSERT INTO a VALUES (1, 'x')`)
	m.sameSoon(t, dsn, "public.a", `SELECT id, v FROM a`)
	first.Stop()

	c.Include = []string{"public.*"}
	c.TableBlocks = []*TableConfig{{Pattern: "public.once", Snapshot: policyOnly}}
	r := start(t, c, first.Out.Checkpoint(), m.output())
	if e := entry(t, r, "public.once", snapshot.Done); e.Rows != 3000 || e.Request.Reason != snapshot.ForAdded {
		t.Errorf("%+v", e)
	}
	before := sourceLines(t, dsn, `SELECT id, v FROM once`)
	pipetest.Exec(t, dsn, `UPDATE once SET v = 'w' WHERE id <= 10`, `INSERT INTO once VALUES (4000, 'new')`, `INSERT INTO a VALUES (2, 'y')`)
	m.sameSoon(t, dsn, "public.a", `SELECT id, v FROM a`)
	if diff := cmp.Diff(before, m.lines("public.once")); diff != "" {
		t.Errorf("changes were followed: %.1000s", diff)
	}
	ask(t, r, "public.once")
	m.sameSoon(t, dsn, "public.once", `SELECT id, v FROM once`)
	r.Stop()
}

// TestOnlyAddedToOnly adds a table to a source that has no stream: it alone is read.
func TestOnlyAddedToOnly(t *testing.T) {
	t.Parallel()
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int)`, `INSERT INTO a SELECT generate_series(1, 100)`,
		`CREATE TABLE b (id int)`, `INSERT INTO b SELECT generate_series(1, 30)`)
	c := configOf(dsn, func(c *Config) { c.Snapshot, c.Create, c.Include = policyOnly, nil, []string{"public.a"} })
	first := pipetest.Run(t, open(t, c), nil, nil)
	if err := first.Wait(); err != nil {
		t.Fatal(err)
	}
	c.Include = []string{"public.*"}
	second := pipetest.Run(t, open(t, c), first.Out.Checkpoint(), nil)
	if err := second.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, row := range shown(second.Out) {
		if !strings.HasPrefix(row, "read public.b ") {
			t.Fatalf("read again: %s", row)
		}
	}
	if n := len(second.Out.Rows()); n != 30 {
		t.Errorf("%d rows", n)
	}
	cp := first.Out.Checkpoint()
	for stream, pos := range second.Out.Checkpoint() {
		cp.Apply(stream, pos)
	}
	third := pipetest.Run(t, open(t, c), cp, nil)
	if err := third.Wait(); err != nil || len(third.Out.Rows()) != 0 {
		t.Errorf("%d rows, %v", len(third.Out.Rows()), err)
	}
	l, err := snapshot.LoadLedger(cp)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int64{"public.a": 100, "public.b": 30} {
		if e, _ := l.Entry(name); e.Status != snapshot.Done || e.Rows != want {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

// TestAddedAfterAdoption goes on from a slot and a publication that somebody made, without a snapshot; a table
// that is added later is read.
func TestAddedAfterAdoption(t *testing.T) {
	t.Parallel()
	dsn := pg.Database(t)
	c := configOf(dsn, func(c *Config) { c.Create, c.Include = nil, []string{"public.a"} })
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY)`, `INSERT INTO a VALUES (1)`, `CREATE TABLE b (id int PRIMARY KEY)`,
		`INSERT INTO b SELECT generate_series(1, 30)`, `CREATE PUBLICATION pub FOR TABLE a`)
	pipetest.Exec(t, dsn, `SELECT pg_create_logical_replication_slot('`+c.Slot+`', 'pgoutput')`)
	pipetest.Exec(t, dsn, `INSERT INTO a VALUES (2)`)
	first := start(t, c, nil, &pipetest.Collect{})
	wantRows(t, first.Out, "insert public.a - -> 2")
	if e := entry(t, first, "public.a", snapshot.Recorded); e.Rows != 0 {
		t.Errorf("%+v", e)
	}
	first.Stop()
	c.Include, c.Create = []string{"public.*"}, []string{"publication"}
	c.TableBlocks = []*TableConfig{{Pattern: "public.b", Snapshot: policyInitial}}
	m := newImage()
	r := start(t, c, first.Out.Checkpoint(), m.output())
	if e := entry(t, r, "public.b", snapshot.Done); e.Rows != 30 || e.Request.Reason != snapshot.ForAdded {
		t.Errorf("%+v", e)
	}
	m.sameSoon(t, dsn, "public.b", `SELECT id FROM b`)
	r.Stop()
}
