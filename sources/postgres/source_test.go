package postgres

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

func TestSource(t *testing.T) {
	t.Parallel()
	pipetest.TestSource(t, pipetest.SourceHarness{
		Keepalive: 6 * time.Second,
		New: func(t testing.TB) pipetest.SourceTarget {
			dsn := pg.Database(t)
			pipetest.Exec(t, dsn, `CREATE TABLE a (id serial PRIMARY KEY, v text)`)
			c := configOf(dsn + "&options=-cwal_sender_timeout%3D4s")
			first := start(t, c, nil, nil) // makes the slot
			first.Stop()
			return pipetest.SourceTarget{
				Open: func(t testing.TB) pipeline.Source { return open(t, c) },
				Change: func(t testing.TB, n int) int {
					rows := 0
					var sql []string
					for i := range n {
						sql = append(sql, fmt.Sprintf(`INSERT INTO a (v) SELECT 'v' || g FROM generate_series(1, %d) g`, 1+i%4))
						rows += 1 + i%4
					}
					pipetest.Exec(t, dsn, sql...)
					return rows
				},
			}
		},
	})
}

func where(t testing.TB, text string) spec.Expr {
	t.Helper()
	x, diags := hclsyntax.ParseExpression([]byte(text), "test.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return spec.Expr{Syntax: x, Ctx: &hcl.EvalContext{}}
}

// TestWhere holds the same changes against a filter that the publication has and one that it cannot have.
func TestWhere(t *testing.T) {
	for name, identity := range map[string]string{"here": "DEFAULT", "in the publication": "FULL"} {
		t.Run(name, func(t *testing.T) {
			dsn := pg.Database(t)
			pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY, n int); ALTER TABLE a REPLICA IDENTITY `+identity)
			c := configOf(dsn, func(c *Config) {
				c.TableBlocks = []*TableConfig{{Pattern: "public.a", Where: where(t, `row.n > 10`)}}
			})
			r := start(t, c, nil, nil)
			quals := pipetest.QueryText(t, dsn, `SELECT count(prqual) FROM pg_publication_rel`)[0][0]
			if want := map[bool]string{true: "1", false: "0"}[identity == "FULL"]; quals != want {
				t.Errorf("%s row filters", quals)
			}
			pipetest.Exec(t, dsn, `INSERT INTO a VALUES (1, 5), (2, 15), (3, NULL)`, `UPDATE a SET n = 16 WHERE id = 2`,
				`UPDATE a SET n = 4 WHERE id = 2`, `INSERT INTO a VALUES (9, 99)`)
			r.Out.WaitRows(t, 4)
			want := []string{
				"insert public.a - -> 2,15",
				"update public.a - -> 2,16",
				"delete public.a 2,absent -> -",
				"insert public.a - -> 9,99",
			}
			if identity == "FULL" {
				want[1], want[2] = "update public.a 2,15 -> 2,16", "delete public.a 2,16 -> -"
			}
			if diff := cmp.Diff(want, shown(r.Out)); diff != "" {
				t.Error(diff)
			}
			r.Stop()
		})
	}
}

// TestInitial takes a snapshot, with writes after it, and then the stream.
func TestInitial(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY, v text)`, `INSERT INTO a SELECT i, 'v' FROM generate_series(1, 1000) i`,
		`CREATE TABLE once (id int)`, `INSERT INTO once VALUES (1)`)
	c := configOf(dsn, func(c *Config) {
		c.Snapshot, c.ChunkRows = policyInitial, 300
		c.TableBlocks = []*TableConfig{{Pattern: "public.once", Snapshot: policyOnly}}
	})
	r := pipetest.Run(t, open(t, c), nil, nil)
	r.Out.WaitRows(t, 1001)
	r.Out.Wait(t, "a position", func([]*pipeline.Batch) bool { return true })
	pipetest.Exec(t, dsn, `INSERT INTO a VALUES (1001, 'w')`, `INSERT INTO once VALUES (2)`, `DELETE FROM a WHERE id = 1`)
	r.Out.WaitRows(t, 1003)
	rows := lastRows(r.Out, 2)
	if got := show(rows[0]) + " " + show(rows[1]); got != "insert public.a - -> 1001,w delete public.a 1,absent -> -" {
		t.Error(got)
	}
	r.Stop()
	cp := r.Out.Checkpoint()
	if len(cp) != 3 || cp[walStream] == "" {
		t.Errorf("checkpoint %v", cp)
	}
	again := pipetest.Run(t, open(t, c), cp, nil)
	pipetest.Exec(t, dsn, `INSERT INTO a VALUES (1002, 'x')`)
	wantRows(t, again.Out, "insert public.a - -> 1002,x")
	again.Stop()
}

// TestInitialStartsOver crashes a source in its snapshot of a table without a key: the next one voids what
// was delivered.
func TestInitialStartsOver(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int); ALTER TABLE a REPLICA IDENTITY FULL`, `INSERT INTO a SELECT generate_series(1, 1000)`)
	c := configOf(dsn, func(c *Config) { c.Snapshot, c.ChunkRows = policyInitial, 100 })
	seen := 0
	broken := &pipetest.Collect{OnEmit: func(b *pipeline.Batch) error {
		if seen += len(b.Rows); seen > 300 {
			return fmt.Errorf("the sink failed")
		}
		return nil
	}}
	if err := open(t, c).Run(t.Context(), nil, broken); err == nil {
		t.Fatal("no error")
	}
	pipetest.Exec(t, dsn, `DELETE FROM a WHERE id > 500`)
	r := pipetest.Run(t, open(t, c), broken.Checkpoint(), nil)
	r.Out.WaitRows(t, 501)
	pipetest.Exec(t, dsn, `INSERT INTO a VALUES (2000)`)
	r.Out.WaitRows(t, 502)
	r.Stop()
	first := lastRows(r.Out, 502)[0]
	if first.Op != pipeline.Truncate || first.Flags&pipeline.Again == 0 {
		t.Errorf("the first row is %s", show(first))
	}
	if cp := r.Out.Checkpoint(); len(cp) != 2 {
		t.Errorf("checkpoint %v", cp)
	}
}

func TestSnapshotOnly(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int)`, `INSERT INTO a SELECT generate_series(1, 100)`)
	c := configOf(dsn, func(c *Config) { c.Snapshot, c.Create = policyOnly, nil })
	r := pipetest.Run(t, open(t, c), nil, nil)
	if err := r.Wait(); err != nil {
		t.Fatal(err)
	}
	if n := len(r.Out.Rows()); n != 100 {
		t.Errorf("%d rows", n)
	}
	if rows := pipetest.QueryText(t, dsn, `SELECT FROM pg_publication`); len(rows) != 0 {
		t.Error("a publication was made")
	}
}

// TestSlotMadeByUser starts with a snapshot beside a slot that somebody made before.
func TestSlotMadeByUser(t *testing.T) {
	dsn := pg.Database(t)
	c := configOf(dsn, func(c *Config) { c.Snapshot, c.Create = policyInitial, nil })
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY)`, `CREATE PUBLICATION pub FOR TABLE a`,
		`SELECT pg_create_logical_replication_slot('`+c.Slot+`', 'pgoutput')`, `INSERT INTO a VALUES (1), (2)`, `DELETE FROM a WHERE id = 2`)
	r := pipetest.Run(t, open(t, c), nil, nil)
	r.Out.WaitRows(t, 1)
	pipetest.Exec(t, dsn, `INSERT INTO a VALUES (3)`)
	r.Out.WaitRows(t, 2)
	if diff := cmp.Diff([]string{"read public.a - -> 1", "insert public.a - -> 3"}, shown(r.Out)); diff != "" {
		t.Error(diff)
	}
	r.Stop()
}

func TestCheckAndTables(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE nokey (id int); CREATE VIEW v AS SELECT 1 AS x`)
	env := spec.Env{Address: "source.test"}
	codes := func(c *Config) []string {
		out := []string{}
		for _, f := range c.Check(t.Context(), env, nil) {
			if f.Severity == spec.Error {
				out = append(out, f.Code)
			}
		}
		return out
	}
	onlyA := func(c *Config) { c.Include = []string{"a"} }
	for _, x := range []struct {
		c    *Config
		want []string
	}{
		{configOf(dsn, onlyA), []string{}},
		{configOf(dsn), []string{codeNoIdentity}},
		{configOf(dsn, onlyA, func(c *Config) { c.Create = nil }), []string{codePublication, codeSlot}},
		{configOf(dsn, func(c *Config) { c.Include = []string{"b"} }), []string{codeNoTables}},
		{configOf("host=127.0.0.1 port=1 user=x dbname=x"), []string{codeUnreachable}},
	} {
		if diff := cmp.Diff(x.want, codes(x.c)); diff != "" {
			t.Errorf("%v: %s", x.c.Include, diff)
		}
	}
	list, err := configOf(dsn, onlyA).Tables(t.Context(), env)
	if err != nil {
		t.Fatal(err)
	}
	taken := map[string]bool{}
	for _, info := range list {
		taken[info.Schema.Name()] = info.Taken
	}
	if diff := cmp.Diff(map[string]bool{"public.a": true, "public.nokey": false, "public.v": false}, taken); diff != "" {
		t.Error(diff)
	}
}

var (
	_ spec.Source       = (*Config)(nil)
	_ spec.Checker      = (*Config)(nil)
	_ spec.Lister       = (*Config)(nil)
	_ pipeline.Source   = (*Source)(nil)
	_ pipeline.Reporter = (*Source)(nil)
)
