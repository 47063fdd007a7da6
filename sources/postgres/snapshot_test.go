package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/expr"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// lab is a database with an exported snapshot and the catalogue as of it.
type lab struct {
	t       testing.TB
	dsn     string
	source  Connection
	export  *pgconn.PgConn
	name    string // of the exported snapshot
	catalog *catalog
}

func newLab(t testing.TB, pg *pipetest.PG, setup ...string) *lab {
	t.Helper()
	l := &lab{t: t, dsn: pg.Database(t)}
	l.source = Connection{DSN: spec.Secret(l.dsn)}
	pipetest.Exec(t, l.dsn, setup...)
	l.export = l.connect()
	row := l.query(l.export, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT pg_export_snapshot()")
	l.name = row[0][0]
	admin := l.connect()
	var err error
	if l.catalog, err = loadCatalog(t.Context(), admin, nil); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *lab) connect() *pgconn.PgConn {
	l.t.Helper()
	conn, err := l.source.connect(l.t.Context())
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// query runs statements and returns the last one's rows as text.
func (l *lab) query(conn *pgconn.PgConn, sql string) [][]string {
	l.t.Helper()
	results, err := conn.Exec(l.t.Context(), sql).ReadAll()
	if err != nil {
		l.t.Fatalf("%v in %s", err, sql)
	}
	var out [][]string
	for _, row := range results[len(results)-1].Rows {
		line := make([]string, len(row))
		for i, v := range row {
			line[i] = string(v)
			if v == nil {
				line[i] = "NULL"
			}
		}
		out = append(out, line)
	}
	return out
}

func (l *lab) table(namespace, name string, chunkRows int) snapshotTable {
	l.t.Helper()
	r := l.catalog.Named(namespace, name)
	if r == nil {
		l.t.Fatalf("the catalogue has no %s.%s", namespace, name)
	}
	s, err := l.catalog.schema(r, tableSettings{})
	if err != nil {
		l.t.Fatal(err)
	}
	return snapshotTable{Relation: r, Schema: s, ChunkRows: chunkRows}
}

func (l *lab) snapshotter(workers int, tables ...snapshotTable) *snapshotter {
	return &snapshotter{Connect: l.source.connect, Exported: l.name, LSN: 77, Taken: time.Now(), Version: l.catalog.Version,
		Workers: workers, Tables: tables, Progress: snapshot.NewProgress(time.Now()), Attempt: newAttempt(77, identity{}, workers)}
}

// run returns the rows as text, sorted, and what was emitted.
func (l *lab) run(s *snapshotter) (map[string][]string, []*pipeline.Batch) {
	l.t.Helper()
	out := &pipetest.Collect{MaxRows: 100}
	if err := s.run(l.t.Context(), out); err != nil {
		l.t.Fatal(err)
	}
	rows := map[string][]string{}
	for _, b := range out.Batches() {
		for i := range b.Rows {
			name := b.Rows[i].Schema.Name()
			rows[name] = append(rows[name], rowText(b.Rows[i].Values))
		}
	}
	for _, list := range rows {
		slices.Sort(list)
	}
	return rows, out.Batches()
}

func rowText(values []pipeline.Value) string {
	text := make([]string, len(values))
	for i, v := range values {
		text[i] = v.String()
		if v.IsNull() {
			text[i] = "NULL"
		}
	}
	return strings.Join(text, "|")
}

// want is what the exporter itself sees of a query.
func (l *lab) want(sql string) []string {
	var out []string
	for _, row := range l.query(l.export, sql) {
		out = append(out, strings.Join(row, "|"))
	}
	slices.Sort(out)
	return out
}

const bigTable = `
CREATE TABLE big (id bigint PRIMARY KEY, v text, n numeric(12,2));
INSERT INTO big SELECT i, repeat('x', 50) || i, i * 1.5 FROM generate_series(1, 20000) i;
ANALYZE big`

// TestWorkersSeeTheExportedSnapshot reads in parallel while others write.
func TestWorkersSeeTheExportedSnapshot(t *testing.T) {
	l := newLab(t, pg, bigTable, "CREATE TABLE later (id int)")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	writer := l.connect()
	first := make(chan struct{})
	go func() {
		defer close(done)
		begun := sync.OnceFunc(func() { close(first) })
		defer begun()
		for i := 0; ctx.Err() == nil; i++ {
			sql := fmt.Sprintf("UPDATE big SET v = 'new' WHERE id %% 97 = %d; DELETE FROM big WHERE id = %d; INSERT INTO big VALUES (%d, 'late')",
				i%97, i+5, 1000000+i)
			if err := writer.Exec(ctx, sql).Close(); err != nil {
				return
			}
			begun()
		}
	}()
	<-first
	s := l.snapshotter(4, l.table("public", "big", 700))
	rows, batches := l.run(s)
	cancel()
	<-done
	if diff := cmp.Diff(l.want("SELECT * FROM big"), rows["public.big"]); diff != "" {
		t.Errorf("the snapshot differs from what its exporter sees (-want +got):\n%.2000s", diff)
	}
	checkStreams(t, batches, s)
	report := s.Progress.Report()
	if len(report) != 1 || report[0].Rows != 20000 || !report[0].Done || report[0].ChunksDone != report[0].Chunks {
		t.Errorf("progress %+v", report)
	}
}

// checkStreams holds that a mark ends each chunk, that the rows of a chunk are part of that mark and of
// none before, and that they are what Read rows are.
func checkStreams(t *testing.T, batches []*pipeline.Batch, s *snapshotter) {
	t.Helper()
	chunks := 0
	turn, seq := map[pipeline.Stream]int{}, map[pipeline.Stream]uint32{}
	for _, b := range batches {
		n := turn[b.Stream]
		for i := range b.Rows {
			r := &b.Rows[i]
			if r.Op != pipeline.Read || !r.Tx.Snapshot || r.Tx.LSN != 77 || r.Before != nil ||
				r.Tx.In(snapshot.Reached(n)) || !r.Tx.In(snapshot.Reached(n+1)) {
				t.Fatalf("stream %s, chunk %d: row %+v of transaction %+v", b.Stream, n, r, r.Tx)
			}
			if r.Seq != seq[b.Stream] {
				t.Fatalf("stream %s: row %d comes as %d", b.Stream, seq[b.Stream], r.Seq)
			}
			seq[b.Stream]++
		}
		if len(b.Marks) == 0 {
			continue
		}
		if pos, _ := b.Last(); len(b.Marks) != 1 || pos != snapshot.Reached(n+1) || b.Marks[0].End != len(b.Rows) {
			t.Errorf("stream %s: marks %v", b.Stream, b.Marks)
		}
		turn[b.Stream], seq[b.Stream] = n+1, 0
		chunks++
	}
	planned := 0
	for _, table := range s.Progress.Report() {
		planned += table.Chunks
	}
	if chunks != planned {
		t.Errorf("%d chunks were ended, %d planned", chunks, planned)
	}
	for stream := range turn {
		if !slices.Contains(s.Attempt.All(), stream) {
			t.Errorf("stream %s is not of the attempt", stream)
		}
	}
}

const oddTables = `
CREATE SCHEMA "Odd ""Schema"; CREATE EXTENSION hstore;
CREATE TYPE "Odd ""Schema"."Mood" AS ENUM ('a', 'B c');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN posint AS int CHECK (value > 0);
CREATE DOMAIN short AS varchar(9);
CREATE DOMAIN dpair AS pair;
CREATE DOMAIN floats AS float8[];
CREATE TABLE "Odd ""Schema"."select ""Tab.le" ("ID" int PRIMARY KEY, "co""l ümn" text, "order" "Odd ""Schema"."Mood");
INSERT INTO "Odd ""Schema"."select ""Tab.le" VALUES (1, 'x', 'B c'), (2, NULL, 'a');
CREATE TABLE types (id posint PRIMARY KEY, s short, h hstore, p pair, dp dpair, f float8[], df floats, c "char", bx box, x xml,
	ts tsvector, g int GENERATED ALWAYS AS (id * 2) STORED, fl float8, ip inet, b char(4), tr int4range, dropped int, r regclass, ic information_schema.sql_identifier);
ALTER TABLE types DROP COLUMN dropped;
INSERT INTO types VALUES (1, 'ab', 'a=>"b c"', '(1,"x y")', '(2,z)', '{1.5,NULL}', '{1e300}', 'q', '(1,2),(3,4)', '<a/>', 'fat cat', DEFAULT, 1.5, '10.0.0.1', 'ab', '[1,5)', 'pg_class', 'i'),
	(2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, DEFAULT, NULL, NULL, NULL, NULL, NULL, NULL),
	(3, '', '', '(,)', '(,)', '{}', '{}', '', NULL, NULL, '', DEFAULT, 'NaN', '::1', '', 'empty', NULL, '');
CREATE TABLE empty (id int PRIMARY KEY);
CREATE TABLE nokey (v text);
INSERT INTO nokey SELECT 'same' FROM generate_series(1, 3000); ANALYZE nokey;
CREATE TABLE sparse (id bigint PRIMARY KEY);
INSERT INTO sparse VALUES (1), (9000000000000000000);
CREATE TABLE part (id int, region text, v text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE part_eu PARTITION OF part FOR VALUES IN ('eu');
CREATE TABLE part_us (v text, region text NOT NULL, id int NOT NULL, PRIMARY KEY (id, region));
ALTER TABLE part ATTACH PARTITION part_us FOR VALUES IN ('us');
CREATE TABLE part_sub PARTITION OF part FOR VALUES IN ('a', 'b') PARTITION BY LIST (region);
CREATE TABLE part_sub_a PARTITION OF part_sub FOR VALUES IN ('a');
INSERT INTO part SELECT i, (ARRAY['eu', 'us', 'a'])[1 + i % 3], 'v' || i FROM generate_series(1, 900) i;
CREATE TABLE parent (id int PRIMARY KEY, v text);
CREATE TABLE child (extra int) INHERITS (parent);
INSERT INTO parent VALUES (1, 'p'); INSERT INTO child VALUES (2, 'c', 3);
CREATE TABLE huge (id int PRIMARY KEY, b bytea, t text);
INSERT INTO huge VALUES (1, decode(repeat('00ff', 3000000), 'hex'), repeat('y', 700000)), (2, '', '');`

func TestOrdinaryAndOddTables(t *testing.T) {
	l := newLab(t, pg, oddTables)
	var tables []snapshotTable
	names := []string{"types", "empty", "nokey", "sparse", "part", "parent", "child"}
	for _, name := range names {
		tables = append(tables, l.table("public", name, 10))
	}
	odd := l.table(`Odd "Schema`, `select "Tab.le`, 10)
	s := l.snapshotter(3, append(tables, odd)...)
	rows, batches := l.run(s)
	checkStreams(t, batches, s)
	queries := map[string]string{
		`Odd "Schema.select "Tab.le`: `SELECT * FROM "Odd ""Schema"."select ""Tab.le"`,
		"public.types":               "SELECT id,s,h,p,dp,f,df,c,bx,x,ts,fl,ip,b,tr,r,ic FROM types",
		"public.nokey":               "SELECT * FROM nokey", "public.sparse": "SELECT * FROM sparse",
		"public.part": "SELECT id, region, v FROM part", "public.parent": "SELECT * FROM ONLY parent", "public.child": "SELECT * FROM child",
	}
	for table, sql := range queries {
		if diff := cmp.Diff(l.want(sql), rows[table]); diff != "" {
			t.Errorf("%s (-want +got):\n%.2000s", table, diff)
		}
	}
	if len(rows) != len(queries) {
		t.Errorf("rows of %d tables, want %d", len(rows), len(queries))
	}
}

// TestHugeRow reads a row that is larger than every buffer.
func TestHugeRow(t *testing.T) {
	l := newLab(t, pg, oddTables)
	_, batches := l.run(l.snapshotter(1, l.table("public", "huge", 10)))
	row := batches[0].Rows[0]
	if n, m := len(row.Values[1].Bytes()), len(row.Values[2].Bytes()); n != 6000000 || m != 700000 {
		t.Errorf("%d and %d bytes", n, m)
	}
	if b := row.Values[1].Bytes(); b[5999998] != 0 || b[5999999] != 0xff {
		t.Errorf("ends with % x", b[5999990:])
	}
}

func TestCutByKey(t *testing.T) {
	l := newLab(t, pg, bigTable, `
		CREATE TABLE keyed (a text COLLATE "C", b date, at timestamptz, PRIMARY KEY (a, b));
		INSERT INTO keyed SELECT 'k''\' || i % 50, date '2024-01-01' + i, CASE WHEN i % 10 > 0 THEN now() + i * interval '1 s' END
		FROM generate_series(1, 5000) i; ANALYZE keyed`)
	for _, by := range []string{"at", "b", "a", ""} {
		table := l.table("public", "keyed", 500)
		table.ChunkBy = by
		s := l.snapshotter(2, table)
		if by == "" {
			s.Version = tidRangeScan - 1 // no block ranges: the key, which is composite
		}
		rows, _ := l.run(s)
		if diff := cmp.Diff(l.want("SELECT * FROM keyed"), rows["public.keyed"]); diff != "" {
			t.Errorf("by %q (-want +got):\n%.1000s", by, diff)
		}
		if n := s.Progress.Report()[0].Chunks; n < 5 {
			t.Errorf("by %q: %d chunks", by, n)
		}
	}
}

func filterOf(t *testing.T, text string, s *pipeline.Schema) *expr.Program {
	t.Helper()
	x, diags := hclsyntax.ParseExpression([]byte(text), "test", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	p, diags := expr.CompileBool(x, s, nil)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return p
}

// TestFilters holds that a filter gives the same rows in the server and here.
func TestFilters(t *testing.T) {
	l := newLab(t, pg, bigTable)
	table := l.table("public", "big", 3000)
	filter := filterOf(t, `row.n > 100.5 && row.id < 15000`, table.Schema)
	want := l.want("SELECT * FROM big WHERE n > 100.5 AND id < 15000")
	here := table
	here.Filter = filter
	pushed := table
	var err error
	if pushed.Where, err = filter.SQL(); err != nil {
		t.Fatal(err)
	}
	for name, one := range map[string]snapshotTable{"here": here, "in the server": pushed} {
		rows, _ := l.run(l.snapshotter(2, one))
		if diff := cmp.Diff(want, rows["public.big"]); diff != "" {
			t.Errorf("%s (-want +got):\n%.1000s", name, diff)
		}
	}
}

func TestWideTable(t *testing.T) {
	var columns, values []string
	for i := range 1600 {
		columns = append(columns, fmt.Sprintf("c%d int", i))
		values = append(values, fmt.Sprint(i))
	}
	l := newLab(t, pg, "CREATE TABLE wide ("+strings.Join(columns, ",")+")",
		"INSERT INTO wide VALUES ("+strings.Join(values, ",")+")")
	rows, _ := l.run(l.snapshotter(2, l.table("public", "wide", 1000)))
	if diff := cmp.Diff(l.want("SELECT * FROM wide"), rows["public.wide"]); diff != "" {
		t.Error(diff)
	}
}

// TestRewrittenTableIsNotTakenForEmpty: to an older snapshot a table that was rewritten is empty.
func TestRewrittenTableIsNotTakenForEmpty(t *testing.T) {
	l := newLab(t, pg, bigTable)
	table := l.table("public", "big", 3000)
	pipetest.Exec(t, l.dsn, "ALTER TABLE big ALTER COLUMN n TYPE numeric(14,3)")
	err := l.snapshotter(2, table).run(t.Context(), &pipetest.Collect{})
	if pipeline.ClassOf(err) != pipeline.Retryable || !strings.Contains(err.Error(), "rewritten") {
		t.Fatalf("got %v", err)
	}
}

func TestSnapshotErrors(t *testing.T) {
	pg := pipetest.Postgres(t)
	l := newLab(t, pg, bigTable, `CREATE TABLE secured (id int PRIMARY KEY); ALTER TABLE secured ENABLE ROW LEVEL SECURITY;
		INSERT INTO secured VALUES (1); CREATE ROLE reader LOGIN; GRANT SELECT ON secured TO reader; CREATE POLICY p ON secured USING (id > 5)`)
	t.Run("no such snapshot", func(t *testing.T) {
		s := l.snapshotter(2, l.table("public", "big", 3000))
		s.Exported = "00000003-00000FFF-1"
		if err := s.run(t.Context(), &pipetest.Collect{}); err == nil || !strings.Contains(err.Error(), "import snapshot") {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("division by zero in the middle", func(t *testing.T) {
		table := l.table("public", "big", 3000)
		table.Where = "1 / (id - 7777) <> 99"
		if err := l.snapshotter(2, table).run(t.Context(), &pipetest.Collect{}); err == nil || !strings.Contains(err.Error(), "22012") {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("cut by nothing", func(t *testing.T) {
		table := l.table("public", "big", 3000)
		table.ChunkBy = "nope"
		if err := l.snapshotter(2, table).run(t.Context(), &pipetest.Collect{}); pipeline.ClassOf(err) != pipeline.Input {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("row level security", func(t *testing.T) {
		s := l.snapshotter(1, l.table("public", "secured", 10))
		c := l.source
		c.User = "reader"
		s.Connect = c.connect
		if err := s.run(t.Context(), &pipetest.Collect{}); err == nil || !strings.Contains(err.Error(), "row-level security") {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		out := &pipetest.Collect{MaxRows: 10, OnEmit: func(*pipeline.Batch) error { cancel(); return nil }}
		start := time.Now()
		if err := l.snapshotter(2, l.table("public", "big", 3000)).run(ctx, out); err == nil || time.Since(start) > most/3 {
			t.Fatalf("got %v after %v", err, time.Since(start))
		}
	})
}
