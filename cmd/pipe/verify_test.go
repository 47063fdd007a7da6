package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// everyType is a table with a column of each family of types, and tables with other kinds of keys.
const everyType = `
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE DOMAIN price AS numeric(10,2);
CREATE TABLE every (id bigint PRIMARY KEY, b bool, i2 smallint, i4 int, f4 real, f8 float8, n numeric, n2 numeric(12,2),
	p price, d date, t time(3), ts timestamp, tz timestamptz, iv interval, tx text, vc varchar(20), ch char(5), m mood, u uuid,
	j json, jb jsonb, by bytea, bi bit(3), vb varbit(9), ip inet, ci cidr, arr int[], ta text[], pt point, bx box, r int4range, x xml);
INSERT INTO every SELECT i, i % 2 = 0, i, i, i / 3.0, i / 7.0, i / 9.0, i / 9.0, i, '2024-01-01'::date + i, '10:00'::time + i * '1 ms'::interval,
	'2024-01-01'::timestamp + i * '1 s'::interval, '2024-01-01'::timestamptz + i * '1 s'::interval, i * '1 day'::interval,
	'text ' || i, 'vc', 'ch', 'ok', md5(i::text)::uuid, '{"a": 1}', '{"a": 1}', decode(md5(i::text), 'hex'), B'101', B'1101',
	'10.0.0.1', '10.0.0.0/8', ARRAY[i, NULL], ARRAY['a', 'b "c"'], point(i, 2), box(point(0, 0), point(1, i)), int4range(1, i + 1), '<a/>'
	FROM generate_series(1, 500) i;
INSERT INTO every (id) VALUES (1000), (1001);
CREATE TABLE pairs (region text, "line no" int, v text, PRIMARY KEY ("line no", region));
INSERT INTO pairs SELECT 'r' || i % 7, i, 'v' FROM generate_series(1, 300) i;
CREATE TABLE blobs (k bytea PRIMARY KEY, v timestamptz);
INSERT INTO blobs SELECT decode(md5(i::text), 'hex'), now() FROM generate_series(1, 100) i;
CREATE TABLE moments (at timestamptz PRIMARY KEY, v int);
INSERT INTO moments SELECT '2024-01-01'::timestamptz + i * '1.5 s'::interval, i FROM generate_series(1, 50) i;
CREATE TABLE nothing (id int PRIMARY KEY);
CREATE TABLE nokey (a int); ALTER TABLE nokey REPLICA IDENTITY FULL; INSERT INTO nokey VALUES (1);`

// damage changes the target behind the pipeline's back; wounds is what must be found.
const damage = `
UPDATE every SET tx = tx || '!' WHERE id = 3;
UPDATE every SET j = '{"a": 2}', bx = box(point(0, 0), point(3, 1)) WHERE id = 3;
UPDATE every SET iv = '30 days' WHERE id = 30; UPDATE every SET iv = '1 mon' WHERE id = 30;
UPDATE every SET ch = 'zz', f8 = 'NaN' WHERE id = 1000;
DELETE FROM every WHERE id IN (5, 6);
INSERT INTO every (id) VALUES (-1);
UPDATE pairs SET v = NULL WHERE "line no" = 9;
DELETE FROM pairs WHERE "line no" = 10;
INSERT INTO pairs VALUES ('new', 9, 'x');
UPDATE blobs SET k = '\x00ff' WHERE k = decode(md5('7'), 'hex');
DELETE FROM moments WHERE v = 3; UPDATE moments SET v = -4 WHERE v = 4;`

func verifyScene(t *testing.T, pg *pipetest.PG) *scene {
	t.Helper()
	s := newScene(t, pg)
	pipetest.Exec(t, s.source, "DROP TABLE items", everyType)
	for _, e := range s.env {
		name, value, _ := strings.Cut(e, "=")
		t.Setenv(name, value)
	}
	return s
}

// verifyJSON runs verify and returns what it found, by table.
func verifyJSON(t *testing.T, args ...string) (map[string]verified, said) {
	t.Helper()
	s := pipe(t, "", append([]string{"verify", "--json"}, args...)...)
	e := struct {
		Result []verified
	}{}
	if err := json.Unmarshal([]byte(s.out), &e); err != nil {
		t.Fatalf("%v: %+v", err, s)
	}
	out := map[string]verified{}
	for _, v := range e.Result {
		out[v.Table] = v
	}
	if strings.Contains(s.out+s.err, canary) {
		t.Errorf("verify shows a password:\n%s%s", s.out, s.err)
	}
	return out, s
}

// foundIn renders what was found in a table, one line a row.
func foundIn(v verified) []string {
	var out []string
	for _, d := range v.Found {
		out = append(out, strings.TrimSpace(d.Kind+" "+d.Key+" "+strings.Join(d.Columns, ",")))
	}
	slices.Sort(out)
	return out
}

func TestVerify(t *testing.T) {
	pg := pipetest.Postgres(t)
	s := verifyScene(t, pg)
	file := s.file(t, "verify.hcl", stateInFile+fromItems+toCopy)
	if r := pipe(t, "", "verify", file); r.code != exitInput || !strings.Contains(r.err, "Run the pipeline") {
		t.Errorf("before the first run: %+v", r)
	}
	if r := pipe(t, "", "run", "--until-caught-up", file); r.code != exitOK {
		t.Fatalf("run: %+v", r)
	}
	before := dump(t, s.source)
	found, r := verifyJSON(t, file)
	if r.code != exitOK || found["public.every"].Rows != 502 || found["public.nokey"].Skipped == "" {
		t.Fatalf("equal tables: %+v", r)
	}
	pipetest.Exec(t, s.target, damage, "CREATE TABLE nothing (id int PRIMARY KEY)", "INSERT INTO nothing VALUES (4)",
		"ALTER TABLE nokey RENAME TO lost")
	found, r = verifyJSON(t, file)
	if r.code != exitDiffers {
		t.Errorf("exit code %d", r.code)
	}
	blob, moment := `\x8f14e45fceea167a5a36dedd4bea2543`, "2024-01-01 00:00:04.5+00"
	want := map[string][]string{
		"public.every": {"different id=1000 f8,ch", "different id=3 tx,j,bx", "different id=30 iv", "extra id=-1",
			"missing id=5", "missing id=6"},
		"public.pairs":   {"different line no=9, region=r2 v", "extra line no=9, region=new", "missing line no=10, region=r3"},
		"public.blobs":   {"extra k=\\x00ff", "missing k=" + blob},
		"public.nothing": {"extra id=4"},
		"public.moments": {"different at=2024-01-01 00:00:06+00 v", "missing at=" + moment},
	}
	for table, lines := range want {
		slices.Sort(lines)
		if diff := cmp.Diff(lines, foundIn(found[table])); diff != "" {
			t.Errorf("%s: -want +got:\n%s", table, diff)
		}
	}
	pipetest.Exec(t, s.target, "DROP TABLE pairs, nothing")
	found, _ = verifyJSON(t, "--table", "public.pairs", "--table", "public.nothing", file)
	if v := found["public.pairs"]; v.Missing != 300 || len(found["public.nothing"].Found) != 0 {
		t.Errorf("without a target: %+v", found)
	}
	pipetest.Exec(t, s.target, `CREATE TABLE pairs (region text, "line no" int, v text, PRIMARY KEY ("line no", region))`)
	if after := dump(t, s.source); before != after {
		t.Error("verify has changed the source")
	}
	if r := pipe(t, "", "verify", "--table", "public.pairs", file); r.code != exitDiffers || !strings.Contains(r.out, "line no=9") ||
		strings.Contains(r.out, "every") {
		t.Errorf("one table: %+v", r)
	}
	if r := pipe(t, "", "verify", "--table", "public.pears", file); r.code != exitInput || !strings.Contains(r.err, "public.pairs") {
		t.Errorf("a table that there is not: %+v", r)
	}
}

// dump is what the source's catalogue holds of others: slots, publications, tables.
func dump(t *testing.T, dsn string) string {
	t.Helper()
	rows := pipetest.QueryText(t, dsn, `SELECT 'slot ' || slot_name FROM pg_replication_slots
		UNION ALL SELECT 'publication ' || pubname FROM pg_publication
		UNION ALL SELECT 'member ' || prrelid FROM pg_publication_rel
		UNION ALL SELECT 'relation ' || n.nspname || '.' || relname || ' ' || relkind::text || ' ' || c.oid FROM pg_class c
			JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname !~ '^pg_(temp|toast)' UNION ALL
		SELECT 'column ' || attrelid || '.' || attname FROM pg_attribute WHERE attrelid > 16000 AND attrelid::regclass::text !~ 'pg_temp' ORDER BY 1`)
	var out []string
	for _, r := range rows {
		out = append(out, r[0])
	}
	return strings.Join(out, "\n")
}

// TestVerifyTransformed compares what transforms have changed, soft deletes included.
func TestVerifyTransformed(t *testing.T) {
	s := verifyScene(t, pipetest.Postgres(t))
	pipetest.Exec(t, s.source, "CREATE TABLE orders (id int PRIMARY KEY, amount int, secret text)",
		"INSERT INTO orders SELECT i, i, 's' FROM generate_series(1, 200) i")
	file := s.file(t, "verify.hcl", stateInFile+strings.Replace(fromItems, `["public.*"]`, `["public.orders"]`, 1)+`
transform "filter" "big" {
  from  = source.shop
  where = row.amount > 50
}
transform "rename" "names" {
  from    = transform.big
  columns = { id = "order_id" }
}
transform "omit" "less" {
  from    = transform.names
  columns = ["secret"]
}
transform "set" "meta" {
  from     = transform.less
  metadata = ["__op", "__source_ts_ms", "__source_table"]
}
sink "postgres" "copy" {
  from    = transform.meta
  dsn     = env("TARGET")
  into    = "copied.${table.name}"
  deletes = "soft"
}
`)
	for range 2 {
		if r := pipe(t, "", "run", "--until-caught-up", file); r.code != exitOK {
			t.Fatalf("run: %+v", r)
		}
		pipetest.Exec(t, s.source, "DELETE FROM orders WHERE id = 77")
	}
	if found, r := verifyJSON(t, file); r.code != exitOK || found["public.orders"].Rows != 149 {
		t.Fatalf("equal tables: %+v", r)
	}
	pipetest.Exec(t, s.target, "UPDATE copied.orders SET __op = 'x', __source_ts_ms = 1 WHERE order_id = 61",
		"UPDATE copied.orders SET __source_table = 'x' WHERE order_id = 62", "UPDATE copied.orders SET __deleted = true WHERE order_id = 60",
		"UPDATE copied.orders SET __deleted = false WHERE order_id = 77", "UPDATE copied.orders SET amount = 0 WHERE order_id = 70",
		"INSERT INTO copied.orders (order_id, amount) VALUES (10, 10)")
	found, r := verifyJSON(t, file)
	want := []string{"different order_id=62 __source_table", "different order_id=70 amount", "extra order_id=10", "extra order_id=77", "missing order_id=60"}
	if diff := cmp.Diff(want, foundIn(found["public.orders"])); diff != "" || r.code != exitDiffers {
		t.Errorf("exit code %d, -want +got:\n%s", r.code, diff)
	}
	if notes := found["public.orders"].Notes; !strings.Contains(strings.Join(notes, "\n"), ": __op, __source_ts_ms") {
		t.Errorf("notes %q", notes)
	}
}

// TestVerifyUnderLoad: while a pipeline runs and writers write, nothing differs that does not.
func TestVerifyUnderLoad(t *testing.T) {
	s := verifyScene(t, pipetest.Postgres(t))
	pipetest.Exec(t, s.source, "CREATE TABLE busy (id int PRIMARY KEY, v int, pad text)",
		"INSERT INTO busy SELECT i, 0, repeat('x', 50) FROM generate_series(1, 3000) i")
	file := s.file(t, "verify.hcl", stateInFile+strings.Replace(fromItems, `["public.*"]`, `["public.busy"]`, 1)+toCopy)
	p := s.start(t, "run", file)
	p.until(t, "the target has the rows", func() bool { return countIn(t, s.target, "public.busy") == 3000 })
	stop := writeBusy(t, s.source, 3)
	rounds := 20
	if testing.Short() {
		rounds = 3
	}
	for n := range rounds {
		found, r := verifyJSON(t, "--live", file)
		v := found["public.busy"]
		if r.code != exitOK || v.differs() != 0 {
			t.Fatalf("round %d: %+v", n, r)
		}
		if v.Undecided > 20 {
			t.Errorf("round %d: %d rows are undecided, notes %q", n, v.Undecided, v.Notes)
		}
	}
	p.signal(t, syscall.SIGSTOP)
	found, r := verifyJSON(t, "--live", "--wait", "1s", file)
	if v := found["public.busy"]; r.code != exitOK || v.differs() != 0 || v.Undecided == 0 {
		t.Errorf("a pipeline that hangs: %+v", r)
	}
	p.signal(t, syscall.SIGCONT)
	pipetest.Exec(t, s.target, "INSERT INTO busy VALUES (-5, 0, '')")
	found, _ = verifyJSON(t, "--live", file)
	if v := found["public.busy"]; v.Extra != 1 || v.differs() != 1 {
		t.Errorf("damage under load: %+v", v)
	}
	stop()
	p.until(t, "what was written last is delivered", func() bool {
		found, _ = verifyJSON(t, "--live", file)
		return found["public.busy"].Undecided == 0
	})
	if v := found["public.busy"]; v.Extra != 1 || v.differs() != 1 {
		t.Errorf("damage, once the writers have ended: %+v", v)
	}
	p.signal(t, syscall.SIGTERM)
	if code := p.ends(t, faultPatience); code != exitOK {
		t.Errorf("the run ends with %d", code)
	}
}

// writeBusy writes to the table busy from several sessions until the function it returns is called.
func writeBusy(t *testing.T, dsn string, writers int) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for w := range writers {
		rng := rand.New(rand.NewPCG(uint64(w), 7))
		all.Go(func() {
			for ctx.Err() == nil {
				var sql []string
				for range 50 {
					id := rng.IntN(3000) + 1
					sql = append(sql, fmt.Sprintf("UPDATE busy SET v = v + 1 WHERE id = %d", id),
						fmt.Sprintf("INSERT INTO busy VALUES (%d, 1, 'new') ON CONFLICT (id) DO UPDATE SET v = -busy.v", id+rng.IntN(3000)),
						fmt.Sprintf("DELETE FROM busy WHERE id = %d", rng.IntN(6000)+1))
				}
				pipetest.Exec(t, dsn, sql...)
			}
		})
	}
	return sync.OnceFunc(func() { cancel(); all.Wait() })
}

func TestVerifyMariaDB(t *testing.T) {
	maria, pg := pipetest.MariaDB(t), pipetest.Postgres(t)
	target := pg.Database(t)
	t.Setenv("TARGET", target)
	t.Setenv("MARIADB_URL", maria.DSN(""))
	t.Setenv("STATE", t.TempDir()+"/state")
	maria.Exec(t, "", exampleText(t, "exchange.sql"))
	file := t.TempDir() + "/verify.hcl"
	text := stateInFile + `
source "mariadb" "shop" {
  dsn        = env("MARIADB_URL")
  tables     = ["exchange_trading.*"]
  zero_dates = "null"
}
sink "postgres" "copy" {
  from = source.shop
  dsn  = env("TARGET")
}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := pipe(t, "", "run", "--until-caught-up", file); r.code != exitOK {
		t.Fatalf("run: %+v", r)
	}
	maria.Exec(t, "", exampleText(t, "exchange_changes.sql"))
	if r := pipe(t, "", "run", "--until-caught-up", file); r.code != exitOK {
		t.Fatalf("run: %+v", r)
	}
	found, r := verifyJSON(t, file)
	if r.code != exitOK || found["exchange_trading.t_deal"].Rows < 7000 {
		t.Fatalf("equal tables: %+v", r)
	}
	pipetest.Exec(t, target, "UPDATE exchange_trading.t_deal SET amount = amount + 1 WHERE id = 12",
		"DELETE FROM exchange_trading.t_deal WHERE id = 13", "INSERT INTO exchange_trading.t_deal SELECT (jsonb_populate_record(d, '{\"id\": 999999}')).*"+
			" FROM exchange_trading.t_deal d WHERE id = 14")
	found, r = verifyJSON(t, file)
	want := []string{"different id=12 amount", "extra id=999999", "missing id=13"}
	if diff := cmp.Diff(want, foundIn(found["exchange_trading.t_deal"])); diff != "" || r.code != exitDiffers {
		t.Errorf("exit code %d, -want +got:\n%s", r.code, diff)
	}
}

func TestVerifyRefusals(t *testing.T) {
	s := verifyScene(t, pipetest.Postgres(t))
	kafka := pipetest.Kafka(t)
	toTopic := fmt.Sprintf(`
sink "kafka" "events" {
  from    = source.shop
  brokers = [%q]
  topic   = "t.${table.name}"
  format "json" {}
}
`, kafka.Addrs[0])
	file := s.file(t, "topic.hcl", stateInFile+fromItems+toTopic)
	if r := pipe(t, "", "verify", file); r.code != exitInput || !strings.Contains(r.err, "history") {
		t.Errorf("a topic: %+v", r)
	}
	file = s.file(t, "append.hcl", stateInFile+fromItems+strings.Replace(toCopy, "dsn ", "write = \"append\"\n  deletes = \"ignore\"\n  dsn ", 1))
	if r := pipe(t, "", "verify", file); r.code != exitInput || !strings.Contains(r.err, "append") {
		t.Errorf("a history: %+v", r)
	}
}

// TestVerifyRepair: what is missing or differs is read again by the pipeline that runs.
func TestVerifyRepair(t *testing.T) {
	s := verifyScene(t, pipetest.Postgres(t))
	file := s.file(t, "verify.hcl", stateInFile+strings.Replace(fromItems, `["public.*"]`, `["public.every", "public.pairs"]`, 1)+toCopy)
	p := s.start(t, "run", file)
	for table, rows := range map[string]int{"public.every": 502, "public.pairs": 300} {
		p.until(t, table, func() bool { return countIn(t, s.target, table) == rows })
	}
	p.until(t, "both snapshots are done", func() bool {
		found, _ := verifyJSON(t, file)
		return len(found) == 2 && found["public.every"].Skipped+found["public.pairs"].Skipped == ""
	})
	pipetest.Exec(t, s.target, pairsAndEvery())
	found, r := verifyJSON(t, "--repair", file)
	if r.code != exitDiffers || found["public.every"].Different != 3 {
		t.Fatalf("verify --repair: %+v", r)
	}
	if notes := strings.Join(found["public.every"].Notes, "\n"); !strings.Contains(notes, "--replace") ||
		!strings.Contains(notes, "a snapshot of 5 rows") {
		t.Errorf("notes %q", notes)
	}
	var lines []string
	p.until(t, "it is repaired", func() bool {
		lines = nil
		found, _ = verifyJSON(t, file)
		for table, v := range found {
			if v.Skipped != "" {
				lines = append(lines, table+" is still being read")
			}
			for _, line := range foundIn(v) {
				lines = append(lines, table+" "+line)
			}
		}
		return !slices.ContainsFunc(lines, func(l string) bool { return !strings.Contains(l, " extra ") })
	})
	slices.Sort(lines)
	want := []string{"public.every extra id=-1", "public.pairs extra line no=9, region=new"}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("after the repair: -want +got:\n%s", diff)
	}
	p.signal(t, syscall.SIGTERM)
	if code := p.ends(t, faultPatience); code != exitOK {
		t.Errorf("the run ends with %d", code)
	}
	pipetest.Exec(t, s.target, "UPDATE pairs SET v = 'x' WHERE \"line no\" = 5")
	if r := pipe(t, "", "verify", "--repair", file); r.code != exitEnvironment || !strings.Contains(r.err, "not running") {
		t.Errorf("nobody repairs: %+v", r)
	}
}

// pairsAndEvery is the part of the damage that these two tables take.
func pairsAndEvery() string {
	var out []string
	for _, statement := range strings.Split(damage, ";") {
		if strings.Contains(statement, "every") || strings.Contains(statement, "pairs") {
			out = append(out, statement)
		}
	}
	return strings.Join(out, ";")
}
