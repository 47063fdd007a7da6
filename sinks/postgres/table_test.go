package postgres

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

func TestSchemaChanges(t *testing.T) {
	dsn := pg.Database(t)
	s := users()
	seven := col("rank", "integer", pipeline.Int)
	seven.Default = "7"
	quoted := col("tag", "text", pipeline.Text)
	quoted.Default = "'it''s'::text"
	now := col("at", "timestamp with time zone", pipeline.TimestampTZ)
	now.Default = "now()"
	wide := tableOf("users", append(append([]pipeline.Column{}, s.Columns...), seven, quoted, now)...)
	sink := start(t, configure(t, dsn, ""))
	mustWrite(t, sink, pipetest.NewBatch(s).Insert(1, "a", nil).Mark(pipetest.Position(1)).Batch())
	mustWrite(t, sink, pipetest.NewBatch(s).Tx(pipetest.Position(2), 0).Insert(2, "b", nil).Batch(),
		pipetest.NewBatch(wide).Tx(pipetest.Position(2), 1).Insert(3, "c", nil, 1, nil, 5).Table(s).
			Insert(4, "d", nil).Mark(pipetest.Position(2)).Batch())
	wantQuery(t, dsn, "SELECT id, rank, tag, at FROM users ORDER BY id", "1|7|it's|NULL", "2|7|it's|NULL",
		"3|1|NULL|2000-01-01 00:00:00.000005+00", "4|7|it's|NULL")

	more := tableOf("users", append(append([]pipeline.Column{}, wide.Columns...), col("x", "text", pipeline.Text))...)
	err := start(t, configure(t, dsn, `schema_changes = "fail"`)).
		Write(t.Context(), pipetest.NewBatch(more).Insert(5, "a", nil, 1, nil, 5, "x").Mark(pipetest.Position(3)).
			Batch())
	wantError(t, err, pipeline.Input, `ADD COLUMN "x" text`)
	mustWrite(t, start(t, configure(t, dsn, `schema_changes = "ignore"`)), pipetest.NewBatch(more).
		Insert(5, "a", nil, 1, nil, 5, "x").Mark(pipetest.Position(3)).Batch())
	wantQuery(t, dsn, "SELECT count(*) FROM pg_attribute WHERE attrelid = 'users'::regclass AND attname = 'x'", "0")
}

func TestTypeChanges(t *testing.T) {
	dsn := pg.Database(t)
	small := tableOf("n", col("id", "integer", pipeline.Int), col("v", "integer", pipeline.Int),
		col("s", "character varying(3)", pipeline.Text))
	big := tableOf("n", col("id", "integer", pipeline.Int), col("v", "bigint", pipeline.Int),
		col("s", "text", pipeline.Text))
	other := tableOf("n", col("id", "integer", pipeline.Int), col("v", "date", pipeline.Date),
		col("s", "text", pipeline.Text))
	sink := start(t, configure(t, dsn, ""))
	mustWrite(t, sink, pipetest.NewBatch(small).Insert(1, 1, "abc").Mark(pipetest.Position(1)).Batch())
	err := sink.Write(t.Context(), pipetest.NewBatch(big).Insert(2, 1<<40, "abcd").Mark(pipetest.Position(2)).Batch())
	wantError(t, err, pipeline.Input, "public.n", "column v changed to bigint", "ALTER COLUMN")
	sink = start(t, configure(t, dsn, `schema_changes = "apply"`))
	mustWrite(t, sink, pipetest.NewBatch(small).Insert(2, 2, "x").Mark(pipetest.Position(2)).Batch(),
		pipetest.NewBatch(big).Insert(3, 1<<40, "abcd").Table(small).Insert(4, 4, "y").Mark(pipetest.Position(3)).
			Batch())
	wantQuery(t, dsn, "SELECT * FROM n ORDER BY id", "1|1|abc", "2|2|x", "3|1099511627776|abcd", "4|4|y")
	err = sink.Write(t.Context(), pipetest.NewBatch(other).Insert(5, 1, "x").Mark(pipetest.Position(4)).Batch())
	wantError(t, err, pipeline.Input, "column v changed to date")
}

func TestHostileNames(t *testing.T) {
	dsn := pg.Database(t)
	for i, n := range []string{`a"b`, "Mixed Case", "select", "tab\tle", "semi;--", "ünï", "a.b", "$1",
		`back\slash`, "q'q", "%s"} {
		s := tableOf(n, col("id "+n, "bigint", pipeline.Int), col(n, "text", pipeline.Text),
			col("excluded", "text", pipeline.Text))
		s.Namespace = "ns " + n
		sink := start(t, configure(t, dsn, ""))
		b := pipetest.NewBatch(s)
		for j := range 600 {
			b.Insert(j, n, nil)
		}
		mustWrite(t, sink, b.Mark(pipetest.Position(3*i+1)).Batch(), pipetest.NewBatch(s).
			Update(pipetest.Row{1, absent, absent}, 1000, absent, "x").
			Update(nil, 2, absent, "y").Delete(3, absent, absent).Mark(pipetest.Position(3*i+2)).Batch())
		wantQuery(t, dsn, "SELECT count(*), count(excluded), min("+ident(n)+") FROM "+name{"ns " + n, n}.sql(),
			"599|2|"+n)
	}
}

func TestTargets(t *testing.T) {
	dsn := pg.Database(t)
	long := tableOf(strings.Repeat("x", 64), col("id", "bigint", pipeline.Int))
	err := start(t, configure(t, dsn, "")).Write(t.Context(), pipetest.NewBatch(long).Insert(1).
		Mark(pipetest.Position(1)).Batch())
	wantError(t, err, pipeline.Input, "64 bytes", "63")
	a, b := users(), users()
	a.Table, b.Table = "users_a", "users_b"
	into := `into = "all.${split("_", table.name)[0]}"`
	err = start(t, configure(t, dsn, into)).Write(t.Context(), pipetest.NewBatch(a).Insert(1, "a", nil).Table(b).
		Insert(2, "b", nil).Mark(pipetest.Position(1)).Batch())
	wantError(t, err, pipeline.Input, "public.users_a", "public.users_b", "merge = true")
	sink := start(t, configure(t, dsn, into+"\nmerge = true"))
	mustWrite(t, sink, pipetest.NewBatch(a).Insert(1, "a", nil).Table(b).Insert(2, "b", nil).
		Mark(pipetest.Position(1)).Batch())
	wantQuery(t, dsn, `SELECT id FROM "all".users ORDER BY id`, "1", "2")
	err = sink.Write(t.Context(), pipetest.NewBatch(a).Truncate(0).Mark(pipetest.Position(2)).Batch())
	wantError(t, err, pipeline.Input, "other tables' rows")
	err = start(t, configure(t, dsn, "create_tables = false")).Write(t.Context(), pipetest.NewBatch(users()).
		Insert(1, "a", nil).Mark(pipetest.Position(2)).Batch())
	wantError(t, err, pipeline.Input, "does not exist", "create_tables")
	pipetest.Exec(t, dsn, "CREATE TABLE users (id bigint, email text, bio text)")
	err = start(t, configure(t, dsn, "")).Write(t.Context(), pipetest.NewBatch(users()).Insert(1, "a", nil).
		Mark(pipetest.Position(2)).Batch())
	wantError(t, err, pipeline.Input, "no unique index on (id)", "CREATE UNIQUE INDEX")
}

// TestGeneratedColumns leaves out what the target computes and writes what it would number itself.
func TestGeneratedColumns(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE users (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text,
		bio text GENERATED ALWAYS AS (upper(email)) STORED)`)
	sink, s := start(t, configure(t, dsn, "")), users()
	b := pipetest.NewBatch(s)
	for i := range 600 {
		b.Insert(i+10, "a", "ignored")
	}
	mustWrite(t, sink, pipetest.NewBatch(s).Insert(5, "x", "ignored").Mark(pipetest.Position(1)).Batch(),
		b.Mark(pipetest.Position(2)).Batch())
	wantQuery(t, dsn, "SELECT count(*), min(id), min(bio), max(bio) FROM users", "601|5|A|X")
}

func chunk(s *pipeline.Schema, n, first, rows int) *pipetest.Builder {
	b := pipetest.NewBatch(s).In(pipeline.Stream(fmt.Sprintf("source.test/chunk/%d", n)))
	for i := range rows {
		b.Read(first+i, "r", nil)
	}
	return b
}

// TestFirstLoad loads chunks side by side into a table that it makes, dies in the middle of one, and
// goes on: every row is there once, although the table then no longer is empty.
func TestFirstLoad(t *testing.T) {
	dsn := pg.Database(t)
	s := users()
	sink := start(t, configure(t, dsn, ""))
	var wait sync.WaitGroup
	errs := make([]error, 4)
	for n := range 4 {
		wait.Go(func() {
			for part := range 3 {
				b := chunk(s, n, 10000*n+1000*part, 1000)
				if part == 2 {
					b.Mark(pipetest.Position(9))
				}
				if errs[n] = sink.Write(t.Context(), b.Batch()); errs[n] != nil {
					return
				}
			}
		})
	}
	wait.Wait()
	for n, err := range errs {
		if err != nil {
			t.Fatalf("chunk %d: %v", n, err)
		}
	}
	if !sink.binder.fresh(sink.binder.targets[name{"public", "users"}]) {
		t.Error("the load did not go by COPY")
	}
	mustWrite(t, sink, chunk(s, 4, 50000, 1000).Batch()) // no mark: lost
	sink.Close()
	wantQuery(t, dsn, "SELECT count(*) FROM users", "12000")
	sink = start(t, configure(t, dsn, ""))
	mustWrite(t, sink, chunk(s, 0, 0, 1000).Mark(pipetest.Position(9)).Batch(), chunk(s, 4, 50000, 2000).
		Mark(pipetest.Position(9)).Batch())
	wantQuery(t, dsn, "SELECT count(*), count(DISTINCT id) FROM users", "14000|14000")
	mustWrite(t, sink, pipetest.NewBatch(s).Update(nil, 1, "late", nil).Mark(pipetest.Position(1)).Batch())
	wantQuery(t, dsn, "SELECT count(*) FROM pipe.load", "0")
}

// TestLoadMeetsRows holds that a chunk whose rows are there already is merged, though the table was
// empty when the load began.
func TestLoadMeetsRows(t *testing.T) {
	dsn := pg.Database(t)
	s := users()
	sink := start(t, configure(t, dsn, ""))
	mustWrite(t, sink, chunk(s, 1, 0, 100).Mark(pipetest.Position(1)).Batch(), chunk(s, 2, 50, 1000).
		Mark(pipetest.Position(1)).Batch(),
		chunk(s, 3, 1000, 100).Mark(pipetest.Position(1)).Batch())
	wantQuery(t, dsn, "SELECT count(*) FROM users", "1100")
}

// TestLoadAgain voids the rows of an unfinished load, but none of a table that holds more.
func TestLoadAgain(t *testing.T) {
	dsn := pg.Database(t)
	s := users()
	again := func(pos int) *pipeline.Batch {
		return pipetest.NewBatch(s).Truncate(pipeline.Again).Mark(pipetest.Position(pos)).Batch()
	}
	sink := start(t, configure(t, dsn, ""))
	mustWrite(t, sink, chunk(s, 1, 0, 100).Mark(pipetest.Position(1)).Batch())
	sink = start(t, configure(t, dsn, ""))
	mustWrite(t, sink, again(1), chunk(s, 2, 50, 10).Mark(pipetest.Position(1)).Batch())
	wantQuery(t, dsn, "SELECT count(*) FROM users", "10")
	mustWrite(t, sink, pipetest.NewBatch(s).Insert(1, "streamed", nil).Mark(pipetest.Position(2)).Batch(), again(3))
	wantQuery(t, dsn, "SELECT count(*) FROM users", "11")
}

func TestMariaDBTypes(t *testing.T) {
	dsn := pg.Database(t)
	s := &pipeline.Schema{System: pipeline.MariaDB, Database: "shop", Table: "m", Key: []int{0}}
	want := []string{}
	for i, c := range []struct {
		typ  string
		kind pipeline.Kind
		made string
	}{
		{"bigint(20) unsigned", pipeline.Uint, "numeric(20,0)"}, {"int(10) unsigned", pipeline.Int,
			"bigint"}, {"int(11)", pipeline.Int, "integer"},
		{"smallint(5) unsigned", pipeline.Int, "integer"}, {"tinyint(4)", pipeline.Int, "smallint"}, {"year(4)",
			pipeline.Int, "smallint"},
		{"mediumint unsigned", pipeline.Int, "integer"}, {"varchar(20)", pipeline.Text, "text"}, {"longblob",
			pipeline.Bytes, "bytea"},
		{"double", pipeline.Float64, "double precision"}, {"datetime", pipeline.Timestamp,
			"timestamp without time zone"}, {"bit(8)", pipeline.Bits, "bit(8)"},
	} {
		n := fmt.Sprintf("c%d", i)
		s.Columns = append(s.Columns, pipeline.Column{Name: n, Type: c.typ, Kind: c.kind, Precision: -1, Length: -1})
		want = append(want, n+"|"+c.made)
	}
	sink := start(t, configure(t, dsn, ""))
	mustWrite(t, sink, pipetest.NewBatch(s).Insert(uint64(1<<63), 1<<32-1, 1, 65535, -1, 2024, 1, "x", []byte{0},
		1.5, 0, "00000101").Mark(pipetest.Position(1)).Batch())
	wantQuery(t, dsn, "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'shop.m'::regclass AND attnum > 0 ORDER BY attnum", want...)
	wantQuery(t, dsn, "SELECT c0, c1, c3, c11 FROM shop.m", "9223372036854775808|4294967295|65535|00000101")
}

func TestConstant(t *testing.T) {
	for expr, want := range map[string]bool{"7": true, "-1.5": true, "'a'": true, "'a''b'::text": true,
		"true": true, "'{}'::\"My T\"[]": true,
		"": false, "now()": false, "nextval('s')": false, "'a' || 'b'": false, "'a'::text; DROP TABLE x": false, "1.2.3": false, `'a\'`: true,
		"'a'::text COLLATE x--": false, "CURRENT_TIMESTAMP": false, "-": false, "'open": false} {
		if _, _, have := constant(expr, false); have != want {
			t.Errorf("constant(%q) is %v", expr, have)
		}
	}
}

func TestParseName(t *testing.T) {
	for text, want := range map[string]name{"a": {"s", "a"}, "x.a": {"x", "a"}, "x.a.b": {"x", "a.b"},
		`"x.y".a`: {"x.y", "a"}, `"q""q"`: {"s", `q"q`}, `x."A b"`: {"x", "A b"}} {
		if have := parseName(text, "s"); have != want {
			t.Errorf("%s: %v, want %v", text, have, want)
		}
	}
	for stream, want := range map[pipeline.Stream]string{"source.a/wal": "source.a",
		`source.a["x/y"]/chunk/1`: `source.a["x/y"]`, "plain": "plain"} {
		if have := stream.Address(); have != want {
			t.Errorf("%s: %s, want %s", stream, have, want)
		}
	}
}

func TestErrorTable(t *testing.T) {
	for state, want := range map[string]pipeline.Class{"08006": pipeline.Retryable, "57P01": pipeline.Retryable,
		"53300": pipeline.Retryable, "40001": pipeline.Retryable,
		"40P01": pipeline.Retryable, "55P03": pipeline.Retryable, "25006": pipeline.Retryable, "53100": pipeline.Retryable, "28P01": pipeline.Environment,
		"3D000": pipeline.Environment, "42501": pipeline.Environment, "42P01": pipeline.Input, "42703": pipeline.Input, "42804": pipeline.Input,
		"22003": pipeline.Input, "23505": pipeline.Input, "XX000": pipeline.Environment} {
		err := explain("sink.x", &pgconn.PgError{Code: state, Message: "m"})
		if have := pipeline.ClassOf(err); have != want {
			t.Errorf("%s is of class %d, want %d", state, have, want)
		}
	}
}

func TestSecretStaysSecret(t *testing.T) {
	c := configure(t, "postgres://u:hunter2@127.0.0.1:1/x?connect_timeout=1", "")
	_, err := c.Open(t.Context(), env())
	wantError(t, err, pipeline.Retryable, "sink.test")
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the password is in %v", err)
	}
}

func TestCheck(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, "DO $$ BEGIN CREATE ROLE reader LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
		"CREATE TABLE users (id bigint, email text, bio bytea); CREATE TABLE fine (id bigint PRIMARY KEY); GRANT SELECT ON users TO reader; CREATE VIEW v AS SELECT 1")
	other := users()
	other.Database, other.Namespace = "b", "elsewhere"
	fine := tableOf("fine", col("id", "bigint", pipeline.Int))
	view := tableOf("v", col("id", "bigint", pipeline.Int))
	missing := tableOf("missing", col("id", "bigint", pipeline.Int))
	codes := func(dsn, text string, tables ...*pipeline.Schema) string {
		var out []string
		for _, f := range configure(t, dsn, text).Check(t.Context(), env(), tables) {
			if f.Severity > spec.Info {
				out = append(out, strings.TrimPrefix(f.Code, "PGS-"))
			}
		}
		return strings.Join(out, " ")
	}
	for _, c := range []struct{ have, want string }{
		{codes(dsn, "", fine, missing), ""},
		{codes(dsn, "", users()), "018"},
		{codes(dsn, "create_tables = false", missing), "015"},
		{codes(dsn, "", view), "014"},
		{codes(dsn, `into = "public.fine"`, fine, other), "011"},
		{codes(asRole(dsn, "reader"), "", missing, fine), "005 008 016 019 019 019 019 019"},
		{codes("postgres://127.0.0.1:1/x?connect_timeout=1", ""), "001"},
	} {
		if c.have != c.want {
			t.Errorf("codes %q, want %q", c.have, c.want)
		}
	}
	wantQuery(t, dsn, "SELECT to_regnamespace('pipe')", "NULL")
}
