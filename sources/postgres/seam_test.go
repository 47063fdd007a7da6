package postgres

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// TestSubsetMovesNoStream reads one table again at the start after a pause. What the others, and it itself,
// had in the meantime comes all the same: a snapshot never moves the stream's position.
func TestSubsetMovesNoStream(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE b (id int PRIMARY KEY, v text)`,
		`INSERT INTO a SELECT i, 'a' FROM generate_series(1, 10) i`)
	c := configOf(dsn, func(c *Config) { c.Snapshot = policyInitial })
	m := newImage()
	r := pipetest.Run(t, open(t, c), nil, m.output())
	saved(t, r, "public.a")
	m.sameSoon(t, dsn, "public.a", `SELECT * FROM a`)
	r.Stop()
	cp := kept(nil, r.Out)

	pipetest.Exec(t, dsn, `INSERT INTO b SELECT i, 'b' FROM generate_series(1, 7) i`, `DELETE FROM a WHERE id < 4`,
		`UPDATE a SET v = 'again' WHERE id = 5`)
	ops := map[string]int{}
	out := m.output()
	apply := out.OnEmit
	out.OnEmit = func(b *pipeline.Batch) error {
		for i := range b.Rows {
			row := &b.Rows[i]
			ops[fmt.Sprint(row.Op, " ", row.Schema.Name())]++
		}
		return apply(b)
	}
	r = pipetest.Run(t, open(t, c), cp, out)
	ask(t, r, "public.a")
	entry(t, r, "public.a", snapshot.Done)
	m.sameSoon(t, dsn, "public.a", `SELECT * FROM a`)
	m.sameSoon(t, dsn, "public.b", `SELECT * FROM b`)
	r.Stop()
	want := map[string]int{"insert public.b": 7, "delete public.a": 3, "update public.a": 1, "read public.a": 7}
	if diff := cmp.Diff(want, ops); diff != "" {
		t.Errorf("what came (-want +got):\n%s", diff)
	}
}

// TestGapBeforeFirstSnapshot begins with a slot that somebody made before, while a commit that was flushed
// waits for a synchronous standby: the row is to come with the snapshot or behind it.
func TestGapBeforeFirstSnapshot(t *testing.T) {
	own := pipetest.Postgres(t)
	dsn := own.Database(t)
	local := dsn + "&options=-csynchronous_commit%3Dlocal"
	c := configOf(local, func(c *Config) { c.Snapshot, c.Create = policyInitial, nil })
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY, v text)`, `INSERT INTO a VALUES (1, 'x'), (2, 'x')`,
		`CREATE PUBLICATION pub FOR TABLE a`, `SELECT pg_create_logical_replication_slot('`+c.Slot+`', 'pgoutput')`)
	missesStandby(t, dsn, local)
	ended := waitsForStandby(t, dsn, `INSERT INTO a VALUES (3, 'waits')`)
	eventually(t, "the commit to wait", func() bool {
		return pipetest.QueryText(t, local, `SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'`)[0][0] == "1"
	})
	m := newImage()
	r := pipetest.Run(t, open(t, c), nil, m.output())
	time.Sleep(500 * time.Millisecond) // it may wait, or read without the row
	pipetest.Exec(t, local, `ALTER SYSTEM RESET synchronous_standby_names`, `SELECT pg_reload_conf()`)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	streaming(t, r.Source)
	m.sameSoon(t, dsn, "public.a", `SELECT * FROM a`)
	if n := len(m.lines("public.a")); n != 3 {
		t.Errorf("%d rows came, want 3", n)
	}
	r.Stop()
}
