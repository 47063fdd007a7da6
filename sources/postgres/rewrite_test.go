package postgres

import (
	"strings"
	"testing"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/pgtext"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// TestRewriteStops: the server sends nothing of what ALTER TYPE ... USING makes of the rows, so the
// source stops, also when it is started again, until it is told that this is right.
func TestRewriteStops(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY, n int, v varchar(5))`,
		`INSERT INTO a VALUES (1, 5, 'x')`)
	c := configOf(dsn)
	src, out := open(t, c), &pipetest.Collect{}
	end := background(t, src, nil, out)
	streaming(t, src)
	pipetest.Exec(t, dsn, `ALTER TABLE a ALTER n TYPE bigint, ALTER v TYPE text`,
		`INSERT INTO a VALUES (2, 6, 'longer than five')`)
	out.WaitRows(t, 1) // widened, which is not a reason to stop
	pipetest.Exec(t, dsn, `ALTER TABLE a ALTER n TYPE text USING (n * 2)::text`,
		`INSERT INTO a VALUES (3, 'seven', 'y')`)
	wantStop := func(err error) {
		t.Helper()
		if pipeline.ClassOf(err) != pipeline.Environment || !strings.Contains(err.Error(), "public.a") ||
			!strings.Contains(err.Error(), "new snapshot") || !strings.Contains(pipeline.HintOf(err),
			`rewrites = "ignore"`) {
			t.Fatalf("got class %d: %v", pipeline.ClassOf(err), err)
		}
	}
	wantStop(end())
	wantStop(runFails(t, open(t, c), out.Checkpoint()))
	c.Rewrites = rewritesIgnore
	r := pipetest.Run(t, open(t, c), out.Checkpoint(), nil)
	r.Out.WaitRows(t, 1)
	if got := show(lastRows(r.Out, 1)[0]); got != "insert public.a - -> 3,seven,y" {
		t.Error(got)
	}
	r.Stop()
	cp := out.Checkpoint()
	for _, b := range r.Out.Batches() {
		if pos, ok := b.Last(); ok {
			cp.Apply(b.Stream, pos)
		}
	}
	if len(cp) != 2 || cp[snapshot.TableStream("public.a")] == "" {
		t.Errorf("checkpoint %v", cp)
	}
}

// TestTableMadeAnew drops a table, and makes and publishes another of its name.
func TestTableMadeAnew(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY)`)
	src, out := open(t, configOf(dsn)), &pipetest.Collect{}
	end := background(t, src, nil, out)
	streaming(t, src)
	pipetest.Exec(t, dsn, `INSERT INTO a VALUES (1)`, `DROP TABLE a`, `CREATE TABLE a (id int PRIMARY KEY)`,
		`ALTER PUBLICATION pub ADD TABLE a`, `INSERT INTO a VALUES (2)`)
	if err := end(); pipeline.ClassOf(err) != pipeline.Environment || !strings.Contains(err.Error(), "made anew") {
		t.Errorf("got %v", err)
	}
}

func TestTableRenamed(t *testing.T) {
	for include, stops := range map[string]bool{"public.*": false, "public.a": true} {
		t.Run(include, func(t *testing.T) {
			dsn := pg.Database(t)
			pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY)`)
			src, out := open(t, configOf(dsn, func(c *Config) { c.Include = []string{include} })), &pipetest.Collect{}
			if !stops {
				r := pipetest.Run(t, src, nil, out)
				streaming(t, src)
				pipetest.Exec(t, dsn, `INSERT INTO a VALUES (1)`, `ALTER TABLE a RENAME TO b`,
					`INSERT INTO b VALUES (2)`)
				wantRows(t, out, "insert public.a - -> 1", "insert public.b - -> 2")
				r.Stop()
				return
			}
			end := background(t, src, nil, out)
			streaming(t, src)
			pipetest.Exec(t, dsn, `ALTER TABLE a RENAME TO b`, `INSERT INTO b VALUES (2)`)
			err := end()
			if pipeline.ClassOf(err) != pipeline.Environment || !strings.Contains(err.Error(), "is now public.b") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestTableAddedWhileStreaming: its changes come from there on, its earlier rows do not.
func TestTableAddedWhileStreaming(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY)`)
	r := start(t, configOf(dsn), nil, nil)
	streaming(t, r.Source)
	pipetest.Exec(t, dsn, `CREATE TABLE late (id int PRIMARY KEY, v text)`, `INSERT INTO late VALUES (1, 'before')`,
		`ALTER PUBLICATION pub ADD TABLE late`, `INSERT INTO late VALUES (2, 'after')`, `INSERT INTO a VALUES (3)`)
	wantRows(t, r.Out, "insert public.late - -> 2,after", "insert public.a - -> 3")
	r.Stop()
}

func TestWidened(t *testing.T) {
	typ := func(oid uint32, mod int32) pgtext.Type { return pgtext.Type{OID: oid, Mod: mod} }
	numeric := func(digits, scale int32) pgtext.Type { return typ(oidNumeric, digits<<16|scale&0x7ff+4) }
	for _, x := range []struct {
		old, now pgtext.Type
		want     bool
	}{
		{typ(oidInt2, -1), typ(oidInt8, -1), true},
		{typ(oidInt8, -1), typ(oidInt4, -1), false},
		{typ(oidInt4, -1), typ(oidFloat8, -1), true},
		{typ(oidInt8, -1), typ(oidFloat8, -1), false},
		{typ(oidInt4, -1), typ(oidText, -1), false},
		{typ(oidVarchar, 9), typ(oidText, -1), true},
		{typ(oidVarchar, 9), typ(oidVarchar, 14), true},
		{typ(oidVarchar, 14), typ(oidVarchar, 9), false},
		{typ(oidVarchar, -1), typ(oidVarchar, 9), false},
		{typ(oidTimestamp, 3), typ(oidTimestamp, -1), true},
		{typ(oidTimestamp, -1), typ(oidTimestamp, 3), false},
		{numeric(10, 2), numeric(12, 2), true},
		{numeric(10, 2), numeric(12, 4), true},
		{numeric(10, 2), numeric(10, 4), false},
		{numeric(10, 2), numeric(12, 1), false},
		{numeric(10, 2), typ(oidNumeric, -1), true},
		{typ(oidNumeric, -1), numeric(10, 2), false},
		{numeric(4, -2), numeric(9, 2), true},
		{numeric(4, -2), numeric(7, 2), false},
		{typ(3802, -1), typ(114, -1), false},
	} {
		if got := widened(x.old, x.now); got != x.want {
			t.Errorf("%d/%d to %d/%d: %v", x.old.OID, x.old.Mod, x.now.OID, x.now.Mod, got)
		}
	}
}
