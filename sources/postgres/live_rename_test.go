package postgres

import (
	"testing"

	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// TestLiveRenamed renames a table whose rows are still to be read: they are read under the new name.
func TestLiveRenamed(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY, v text)`, `INSERT INTO a VALUES (1)`,
		`INSERT INTO b SELECT i, 'v' FROM generate_series(1, 1000) i`)
	c := configOf(dsn, func(c *Config) { c.Snapshot, c.Include = policyInitial, []string{"public.a"} })
	m := newImage()
	r := pipetest.Run(t, open(t, c), nil, m.output())
	m.sameSoon(t, dsn, "public.a", `SELECT * FROM a`)
	entry(t, r, "public.a", snapshot.Done)
	r.Stop()

	commit := openTransaction(t, dsn, `INSERT INTO a VALUES (2)`) // a table that was added is not read before it ends
	c.Include = []string{"public.*"}
	r = pipetest.Run(t, open(t, c), kept(nil, r.Out), m.output())
	entry(t, r, "public.b", snapshot.Pending)
	pipetest.Exec(t, dsn, `ALTER TABLE b RENAME TO c`, `INSERT INTO c VALUES (5000, 'new')`)
	m.sameSoon(t, dsn, "public.c", `SELECT * FROM c WHERE id = 5000`)
	commit()
	entry(t, r, "public.c", snapshot.Done)
	m.sameSoon(t, dsn, "public.c", `SELECT * FROM c`)
	m.sameSoon(t, dsn, "public.a", `SELECT * FROM a`)
	r.Stop()
}
