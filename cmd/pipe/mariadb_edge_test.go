package main

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// edge is a pipeline from MariaDB databases into the schema shop of a PostgreSQL database.
type edge struct {
	*scene
	m         *pipetest.Maria
	databases []string
	file      string
}

// newEdge makes n databases; attributes go into the source's block and the sink's.
func newEdge(t *testing.T, m *pipetest.Maria, pg *pipetest.PG, n int, source, sink string) *edge {
	t.Helper()
	e := &edge{m: m, scene: &scene{pg: pg, dir: t.TempDir(), target: pg.Database(t)}}
	var tables []string
	for range n {
		e.databases = append(e.databases, m.Database(t))
		tables = append(tables, fmt.Sprintf("%q", e.databases[len(e.databases)-1]+".*"))
	}
	e.env = []string{"SOURCE=" + m.DSN(""), "TARGET=" + e.target}
	e.file = e.scene.file(t, "edge.hcl", fmt.Sprintf(`
pipeline "edge" {
  state "sink" {
    sink = sink.copy
  }
  retry {
    wait     = "50ms"
    max_wait = "200ms"
  }
}
source "mariadb" "shop" {
  dsn    = env("SOURCE")
  tables = [%s]
  %s
}
sink "postgres" "copy" {
  from = source.shop
  dsn  = env("TARGET")
  into = "shop.${table.name}"
  %s
}
`, strings.Join(tables, ", "), source, sink))
	return e
}

// write runs statements in the first database.
func (e *edge) write(t *testing.T, sql ...string) {
	t.Helper()
	e.m.Exec(t, e.databases[0], append([]string{"SET time_zone = '+00:00', sql_mode = 'ALLOW_INVALID_DATES'"}, sql...)...)
}

// copied brings the target to what is committed now.
func (e *edge) copied(t *testing.T) {
	t.Helper()
	runUntilCaughtUp(t, e.file, e.env)
}

// want compares the rows of a query on the target, each as one text.
func (e *edge) want(t *testing.T, query string, want ...string) {
	t.Helper()
	got := lines(t, e.target, query)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +have):\n%s", query, diff)
	}
}

// begun waits until the process follows changes.
func (e *edge) begun(t *testing.T, p *process) {
	t.Helper()
	p.until(t, "the stream begins", func() bool {
		return len(lines(t, e.target, "SELECT 'there' WHERE to_regclass('pipe.checkpoint') IS NOT NULL")) > 0 &&
			len(lines(t, e.target, "SELECT stream FROM pipe.checkpoint WHERE stream LIKE '%/binlog'")) > 0
	})
}

// TestMariaDBEdges takes what is special about MariaDB, or about two databases in one, from end to end.
func TestMariaDBEdges(t *testing.T) {
	t.Parallel()
	m := pipetest.MariaDB(t, "log_warnings=0", "innodb_flush_log_at_trx_commit=1")
	pg := pipetest.Postgres(t, "log_min_messages=panic")
	for _, c := range []struct {
		name string
		run  func(*testing.T, *pipetest.Maria, *pipetest.PG)
	}{
		{"equal index names", edgeIndexNames}, {"swaps while loading", edgeSwaps}, {"xa", edgeXA}, {"character sets", edgeText},
		{"zero dates", edgeZeroDates}, {"extremes", edgeExtremes}, {"no key", edgeNoKey}, {"alter table", edgeAlter},
		{"restarts", edgeRestarts},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, m, pg) })
	}
}

// edgeIndexNames has an index of one name in several tables, which PostgreSQL allows once in a schema.
func edgeIndexNames(t *testing.T, m *pipetest.Maria, pg *pipetest.PG) {
	e := newEdge(t, m, pg, 2, "", "load {}")
	for i, database := range e.databases {
		for j := range 2 {
			m.Exec(t, database, fmt.Sprintf("CREATE TABLE t%d%d (id int PRIMARY KEY, a int, b int, KEY same (a), UNIQUE unq (b))", i, j),
				fmt.Sprintf("INSERT INTO t%d%d VALUES (1, 2, 3)", i, j))
		}
	}
	e.copied(t)
	e.want(t, `SELECT indrelid::regclass || CASE WHEN indisprimary THEN ' p' WHEN indisunique THEN ' u' ELSE ' ' END ||
		substring(pg_get_indexdef(indexrelid) from '\(.*$') FROM pg_index JOIN pg_class c ON c.oid = indrelid
		WHERE relnamespace = 'shop'::regnamespace`,
		"shop.t00 p(id)", "shop.t00 (a)", "shop.t00 u(b)", "shop.t01 p(id)", "shop.t01 (a)", "shop.t01 u(b)",
		"shop.t10 p(id)", "shop.t10 (a)", "shop.t10 u(b)", "shop.t11 p(id)", "shop.t11 (a)", "shop.t11 u(b)")
}

// edgeSwaps has rows exchange their unique values while the table is loaded and while it is followed.
func edgeSwaps(t *testing.T, m *pipetest.Maria, pg *pipetest.PG) {
	e := newEdge(t, m, pg, 1, "chunk_rows = 5000", "load {}")
	e.write(t, "CREATE TABLE seats (id int PRIMARY KEY, seat int UNIQUE)", "INSERT INTO seats SELECT seq, seq FROM seq_1_to_30000")
	var swaps []string
	for i := range 300 {
		a, b := 1+i*97%30000, 1+i*7919%30000
		swaps = append(swaps, "BEGIN", fmt.Sprintf("SELECT seat INTO @a FROM seats WHERE id = %d", a),
			fmt.Sprintf("SELECT seat INTO @b FROM seats WHERE id = %d", b), fmt.Sprintf("UPDATE seats SET seat = NULL WHERE id = %d", a),
			fmt.Sprintf("UPDATE seats SET seat = @a WHERE id = %d", b), fmt.Sprintf("UPDATE seats SET seat = IF(%d = %d, @a, @b) WHERE id = %d", a, b, a), "COMMIT")
	}
	p := e.start(t, "run", e.file)
	e.write(t, swaps...)
	e.begun(t, p)
	e.write(t, swaps...)
	p.signal(t, syscall.SIGTERM)
	p.ends(t, faultPatience)
	e.copied(t)
	var want []string
	for _, row := range m.QueryText(t, e.databases[0], "SELECT CONCAT_WS('|', id, seat) FROM seats") {
		want = append(want, row[0])
	}
	e.want(t, "SELECT concat_ws('|', id, seat) FROM shop.seats", want...)
}

// edgeXA has transactions prepared in one run whose outcome comes in the next.
func edgeXA(t *testing.T, m *pipetest.Maria, pg *pipetest.PG) {
	e := newEdge(t, m, pg, 1, "", "")
	e.write(t, "CREATE TABLE a (id int PRIMARY KEY)", "INSERT INTO a VALUES (1)")
	e.copied(t)
	for id, xid := range map[int]string{2: "'keep'", 3: "'undo'"} {
		e.write(t, "XA START "+xid, fmt.Sprintf("INSERT INTO a VALUES (%d)", id), "XA END "+xid, "XA PREPARE "+xid)
	}
	e.write(t, "INSERT INTO a VALUES (4)")
	e.copied(t)
	e.want(t, "SELECT id::text FROM shop.a", "1", "4")
	e.write(t, "XA COMMIT 'keep'", "XA ROLLBACK 'undo'", "INSERT INTO a VALUES (3)")
	e.copied(t)
	e.want(t, "SELECT id::text FROM shop.a", "1", "2", "3", "4")
}

// edgeText has character sets, and keys that differ in one collation and not in another.
func edgeText(t *testing.T, m *pipetest.Maria, pg *pipetest.PG) {
	e := newEdge(t, m, pg, 1, "", "")
	e.write(t, `CREATE TABLE words (k varchar(20) COLLATE utf8mb4_general_ci PRIMARY KEY, latin varchar(20) CHARACTER SET latin1,
		wide varchar(20) CHARACTER SET utf8mb4, raw varbinary(20))`,
		"CREATE TABLE exact (k varchar(20) COLLATE utf8mb4_bin PRIMARY KEY, v int)",
		"INSERT INTO words VALUES ('a', 'é€ÿ', '😀é', x'00FF20'), ('ß', '', ' x ', '')",
		"INSERT INTO exact VALUES ('a', 1), ('A', 2), ('ä', 3)")
	e.copied(t)
	e.write(t, "UPDATE words SET k = 'A' WHERE k = 'a'", "UPDATE words SET latin = 'ß ' WHERE k = 'ß'",
		"INSERT INTO words VALUES ('new', 'ü', '中', x'6100')", "DELETE FROM exact WHERE k = 'A'", "UPDATE exact SET v = 9 WHERE k = 'ä'",
		"INSERT INTO exact VALUES ('Ä', 4)")
	e.copied(t)
	e.want(t, "SELECT concat_ws('|', k, latin, wide, encode(raw, 'hex')) FROM shop.words", "A|é€ÿ|😀é|00ff20", "ß|ß | x |", "new|ü|中|6100")
	e.want(t, "SELECT concat_ws('|', k, v) FROM shop.exact", "a|1", "ä|9", "Ä|4")
}

// edgeZeroDates has dates that are none, under each policy, from the snapshot and from the log.
func edgeZeroDates(t *testing.T, m *pipetest.Maria, pg *pipetest.PG) {
	const table = "CREATE TABLE d (id int PRIMARY KEY, a date, b datetime(3) NOT NULL, c timestamp NULL)"
	const rows = "INSERT INTO d VALUES (%d, '0000-00-00', '0000-00-00', '0000-00-00'), (%d, '2024-00-10', '2024-01-00', '2024-01-02 03:04:05')"
	const query = "SELECT id || ' ' || coalesce(a::text, '~') || ' ' || coalesce(b::text, '~') || ' ' || coalesce((c AT TIME ZONE 'UTC')::text, '~') FROM shop.d"
	const none, epoch = " ~ ~ ", " 1970-01-01 1970-01-01 00:00:00 "
	for policy, texts := range map[string][2]string{"null": {none, "~"}, "epoch": {epoch, "1970-01-01 00:00:00"}} {
		e := newEdge(t, m, pg, 1, fmt.Sprintf("zero_dates = %q", policy), "")
		e.write(t, table, fmt.Sprintf(rows, 1, 2))
		e.copied(t)
		e.write(t, fmt.Sprintf(rows, 3, 4))
		e.copied(t)
		e.want(t, query, "1"+texts[0]+texts[1], "2"+texts[0]+"2024-01-02 03:04:05", "3"+texts[0]+texts[1], "4"+texts[0]+"2024-01-02 03:04:05")
	}
	e := newEdge(t, m, pg, 1, "", "")
	e.write(t, table)
	e.copied(t)
	e.write(t, fmt.Sprintf(rows, 1, 2))
	p := e.start(t, "run", "--until-caught-up", e.file)
	if code := p.ends(t, faultPatience); code == 0 || !strings.Contains(p.err.String(), "zero_dates") {
		t.Errorf("exit code %d without a word on zero_dates:\n%s", code, p.err)
	}
}

// edgeExtremes has values at the ends of their types.
func edgeExtremes(t *testing.T, m *pipetest.Maria, pg *pipetest.PG) {
	e := newEdge(t, m, pg, 1, "", "")
	const rows = `INSERT INTO x VALUES (%d, '-838:59:59.999999', b'%s', 18446744073709551615, -9223372036854775808, %s, 1, '9999-12-31 23:59:59.999999'),
		(%d, '838:59:59', 0, 0, 0, -0.0, 0, '1000-01-01')`
	ones, nines := strings.Repeat("1", 64), strings.Repeat("9", 35)+"."+strings.Repeat("9", 30)
	e.write(t, "CREATE TABLE x (id int PRIMARY KEY, t time(6), b bit(64), u bigint unsigned, i bigint, d decimal(65,30), yes bit(1), at datetime(6))",
		fmt.Sprintf(rows, 1, ones, nines, 2))
	e.copied(t)
	e.write(t, fmt.Sprintf(rows, 3, ones, nines, 4))
	e.copied(t)
	high := "|-838:59:59.999999|" + ones + "|18446744073709551615|-9223372036854775808|" + nines + "|t|9999-12-31 23:59:59.999999"
	low := "|838:59:59|" + strings.Repeat("0", 64) + "|0|0|0." + strings.Repeat("0", 30) + "|f|1000-01-01 00:00:00"
	e.want(t, "SELECT concat_ws('|', id, t, b, u, i, d, yes, at) FROM shop.x", "1"+high, "2"+low, "3"+high, "4"+low)
}

// edgeNoKey has equal rows in a table without a key.
func edgeNoKey(t *testing.T, m *pipetest.Maria, pg *pipetest.PG) {
	e := newEdge(t, m, pg, 1, "", "load {}")
	e.write(t, "CREATE TABLE n (a int, b varchar(10))", "INSERT INTO n VALUES (1, 'x'), (1, 'x'), (1, 'x'), (2, NULL), (2, NULL)")
	e.copied(t)
	e.write(t, "DELETE FROM n WHERE a = 1 LIMIT 1", "UPDATE n SET b = 'y' WHERE a = 2 LIMIT 1", "INSERT INTO n VALUES (3, '')")
	e.copied(t)
	e.want(t, "SELECT a || coalesce(b, '~') FROM shop.n", "1x", "1x", "2y", "2~", "3")
}

// edgeAlter changes a table between the rows that are written to it.
func edgeAlter(t *testing.T, m *pipetest.Maria, pg *pipetest.PG) {
	e := newEdge(t, m, pg, 1, "", `schema_changes = "apply"`)
	e.write(t, "CREATE TABLE t (id int PRIMARY KEY, a int, b varchar(10), c int)", "INSERT INTO t VALUES (1, 1, 'one', 10)")
	e.copied(t)
	e.write(t, "ALTER TABLE t ADD d decimal(6,2)", "INSERT INTO t VALUES (2, 2, 'two', 20, 2.25)",
		"ALTER TABLE t DROP COLUMN c", "INSERT INTO t VALUES (3, 3, 'three', 3.25)",
		"ALTER TABLE t RENAME COLUMN b TO e", "INSERT INTO t VALUES (4, 4, 'four', 4.25)",
		"ALTER TABLE t MODIFY a bigint", "INSERT INTO t VALUES (5, 5000000000, 'five', 5.25)",
		"ALTER TABLE t MODIFY d decimal(6,2) FIRST", "INSERT INTO t VALUES (6.25, 6, 6, 'six')", "UPDATE t SET a = 7 WHERE id = 1")
	e.copied(t)
	e.want(t, "SELECT format('%s %s %s %s %s %s', id, a, coalesce(b, '~'), coalesce(c::text, '~'), coalesce(d::text, '~'), coalesce(e, '~')) FROM shop.t",
		"1 7 one 10 ~ one", "2 2 two 20 2.25 ~", "3 3 three ~ 3.25 ~", "4 4 ~ ~ 4.25 four", "5 5000000000 ~ ~ 5.25 five", "6 6 ~ ~ 6.25 six")
}

// edgeRestarts takes the source's server away from a running pipeline.
func edgeRestarts(t *testing.T, m *pipetest.Maria, pg *pipetest.PG) {
	e := newEdge(t, m, pg, 1, "", "")
	e.write(t, "CREATE TABLE a (id int PRIMARY KEY)", "INSERT INTO a VALUES (0)")
	p := e.start(t, "run", e.file)
	e.begun(t, p)
	want := []string{"0"}
	for n, way := range []string{"fast", "immediate"} {
		e.write(t, fmt.Sprintf("INSERT INTO a VALUES (%d)", 2*n+1))
		m.Restart(t, way)
		e.write(t, fmt.Sprintf("INSERT INTO a VALUES (%d)", 2*n+2))
		want = append(want, fmt.Sprint(2*n+1), fmt.Sprint(2*n+2))
		p.until(t, "the rows around the restart are there", func() bool {
			return slices.Equal(lines(t, e.target, "SELECT id::text FROM shop.a"), want)
		})
	}
}
