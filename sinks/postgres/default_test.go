package postgres

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// TestDefaults gives a table of each source the defaults that mean the same, and says of the others that
// they are left out.
func TestDefaults(t *testing.T) {
	type c struct {
		typ  string
		kind pipeline.Kind
		expr string
		want string // "-": left out, "": there is none
	}
	for system, cases := range map[pipeline.System][]c{
		pipeline.PostgreSQL: {
			{"integer", pipeline.Int, "7", "7"},
			{"integer", pipeline.Int, "'-1'::integer", "-1"},
			{"numeric(8,2)", pipeline.Decimal, "(0)::numeric", "0"},
			{"integer", pipeline.Int, "nextval('x_seq'::regclass)", "-"},
			{"integer", pipeline.Int, "(1 + 2)", "-"},
			{"text", pipeline.Text, "'it''s \\n'::text", "'it''s \\n'::text"},
			{"character varying(4)", pipeline.Text, "NULL::character varying", ""},
			{"text", pipeline.Text, "CURRENT_USER", "-"},
			{"boolean", pipeline.Bool, "false", "false"},
			{"timestamp with time zone", pipeline.TimestampTZ, "now()", "now()"},
			{"timestamp(3) without time zone", pipeline.Timestamp, "LOCALTIMESTAMP(3)", "LOCALTIMESTAMP(3)"},
			{"date", pipeline.Date, "CURRENT_DATE", "CURRENT_DATE"},
			{"date", pipeline.Date, "'2020-02-29'::date", "'2020-02-29'::date"},
			{"timestamp with time zone", pipeline.TimestampTZ, "(now() + '1 day'::interval)", "-"},
			{"uuid", pipeline.UUID, "gen_random_uuid()", "-"},
			{"jsonb", pipeline.JSON, "'{\"a\": 1}'::jsonb", "'{\"a\": 1}'::jsonb"},
			{"text[]", pipeline.Array, "'{}'::text[]", "'{}'::text[]"},
			{"bytea", pipeline.Bytes, "'\\x00ff'::bytea", "'\\x00ff'::bytea"},
			{"bit(3)", pipeline.Bits, "'101'::\"bit\"", "'101'::\"bit\""},
			{"interval", pipeline.Interval, "'1 day'::interval", "'1 day'::interval"},
			{"shop.mood", pipeline.Text, "'ok'::shop.mood", "'ok'::text"},
		},
		pipeline.MariaDB: {
			{"int(11)", pipeline.Int, "0", "0"},
			{"bigint(20) unsigned", pipeline.Uint, "18446744073709551615", "'18446744073709551615'::numeric"},
			{"decimal(10,2)", pipeline.Decimal, "0.50", "0.50"},
			{"varchar(20)", pipeline.Text, `'it\'s\\'`, `'it''s\'::text`},
			{"varchar(20)", pipeline.Text, `'a\0b'`, "-"},
			{"varchar(20)", pipeline.Text, "uuid()", "-"},
			{"bit(1)", pipeline.Bool, "b'1'", "true"},
			{"bit(5)", pipeline.Bits, "b'101'", "'00101'::\"bit\""},
			{"tinyint(1)", pipeline.Bool, "1", "true"},
			{"datetime(3)", pipeline.Timestamp, "current_timestamp(3)", "LOCALTIMESTAMP(3)"},
			{"timestamp", pipeline.TimestampTZ, "current_timestamp()", "CURRENT_TIMESTAMP(0)"},
			{"timestamp", pipeline.TimestampTZ, "'2020-01-01 00:00:00'", "'2020-01-01 00:00:00+00'::timestamp with time zone"},
			{"datetime", pipeline.Timestamp, "'0000-00-00 00:00:00'", "-"},
			{"date", pipeline.Date, "curdate()", "CURRENT_DATE"},
			{"date", pipeline.Date, "'2020-00-01'", "-"},
			{"time", pipeline.Interval, "'-10:00:00'", "'-10:00:00'::interval"},
			{"longtext", pipeline.JSON, "'{}'", "'{}'::jsonb"},
			{"longtext", pipeline.JSON, "json_object()", "-"},
			{"enum('a','b')", pipeline.Text, "'a'", "'a'::text"},
			{"binary(2)", pipeline.Bytes, `'\0\0'`, "-"},
			{"varchar(5)", pipeline.Text, "NULL", ""},
		},
	} {
		s := tableOf("d", col("id", "bigint", pipeline.Int))
		s.System = system
		left := map[string]bool{}
		for i, x := range cases {
			s.Columns = append(s.Columns, pipeline.Column{Name: fmt.Sprint("c", i), Type: x.typ, Kind: x.kind, Nullable: true,
				Precision: -1, Length: -1, Default: x.expr})
			if x.kind == pipeline.Bits {
				s.Columns[i+1].Length = int(x.typ[4] - '0')
			}
		}
		dsn := pg.Database(t)
		b := &binder{cfg: configure(t, dsn, "")}
		for _, text := range b.cfg.leftOut(s, true) {
			left[strings.Fields(text)[3]] = true
		}
		row := make([]any, len(s.Columns))
		row[0] = 1
		mustWrite(t, start(t, b.cfg), pipetest.NewBatch(s).Insert(row...).Mark(pipetest.Position(1)).Batch())
		have := map[string]string{}
		for _, r := range pipetest.QueryText(t, dsn, `SELECT a.attname, pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d
			JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE d.adrelid = 'd'::regclass`) {
			have[r[0]] = r[1]
		}
		for i, x := range cases {
			got := have[s.Columns[i+1].Name]
			if got != strings.TrimPrefix(x.want, "-") && strings.Trim(strings.Split(got, "::")[0], "'()") != x.want {
				t.Errorf("%s, default %s of %s: %s, want %s", system, x.expr, x.typ, got, x.want)
			}
			if x.want == "-" && !left[s.Columns[i+1].Name+":"] {
				t.Errorf("%s, default %s of %s: not told that it is left out", system, x.expr, x.typ)
			}
		}
	}
}

// strict describes a table with a column that may not be NULL.
func strict() *pipeline.Schema {
	s := users()
	s.Columns[1].Nullable = false
	return s
}

// nulls says which columns of the table users may be NULL.
const nulls = "SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'users'::regclass" +
	" AND attnum > 0 AND NOT attnotnull"

// TestNotNull carries NOT NULL into tables that the sink makes, and drops it when the source's rows do
// not hold it any longer: by insert, by COPY, by an upsert among many, in the middle of a transaction.
func TestNotNull(t *testing.T) {
	for _, mode := range []string{"", "load {}", "schema_changes = \"apply\""} {
		dsn := pg.Database(t)
		sink, s := start(t, configure(t, dsn, mode)), strict()
		mustWrite(t, sink, pipetest.NewBatch(s).In(feedChunk(0, 0)).Read(1, "a", nil).Mark("done").Batch(),
			pipetest.NewBatch(s).Insert(2, "b", nil).Mark(pipetest.Position(1)).Batch())
		wantQuery(t, dsn, nulls, "bio")
		open := pipetest.NewBatch(s).Tx(pipetest.Position(2), 0)
		for i := range 700 {
			open.Insert(100+i, "x", "y")
		}
		rest := pipetest.NewBatch(s).Tx(pipetest.Position(2), 700)
		for i := range 700 {
			rest.Insert(1000+i, []any{"x", nil}[i%2], nil)
		}
		mustWrite(t, sink, open.Batch(), rest.Update(nil, 1, nil, absent).Mark(pipetest.Position(2)).Batch(),
			pipetest.NewBatch(s).Update(nil, 2, nil, "z").Mark(pipetest.Position(3)).Batch())
		wantQuery(t, dsn, nulls, "email bio")
		wantQuery(t, dsn, "SELECT count(*), count(email) FROM users", "1402|1050")
		wantQuery(t, dsn, "SELECT count(*) FROM pipe.load", "0")
	}
}

// TestNotNullSnapshot takes NULLs that a snapshot has although its schema says that there are none, into
// an empty table with its key and into one without.
func TestNotNullSnapshot(t *testing.T) {
	for _, mode := range []string{"", "load {}", unlogged} {
		dsn := pg.Database(t)
		sink, s := start(t, configure(t, dsn, mode)), strict()
		mustWrite(t, sink, pipetest.NewBatch(s).In(feedChunk(0, 0)).Read(1, "a", nil).Read(2, nil, nil).Mark("done").Batch(),
			pipetest.NewBatch(s).Mark(pipetest.Position(1)).Batch())
		wantQuery(t, dsn, "SELECT id, email FROM users ORDER BY 1", "1|a", "2|NULL")
	}
}

// TestNotNullManyLanes has two lanes meet a NULL that have both written to the table before: neither can
// change it, and it is changed all the same for the next life.
func TestNotNullManyLanes(t *testing.T) {
	dsn := pg.Database(t)
	c, s := configure(t, dsn, "load {}"), strict()
	sink := start(t, c)
	part := func(n, id int, email any) *pipeline.Batch {
		return pipetest.NewBatch(s).In(feedChunk(0, n)).Read(id, email, nil).Batch()
	}
	mustWrite(t, sink, part(1, 1, "a"), part(2, 2, "b"))
	errs := make(chan error)
	for n := range 2 {
		go func() {
			err := sink.Write(t.Context(), part(n+1, 11+n, nil))
			if err == nil {
				err = sink.Write(t.Context(), pipetest.NewBatch(s).In(feedChunk(0, n+1)).Mark("done").Batch())
			}
			errs <- err
		}()
	}
	if err := errors.Join(<-errs, <-errs); pipeline.ClassOf(err) != pipeline.Retryable {
		t.Errorf("two lanes: %v", err)
	}
	sink.Close()
	wantQuery(t, dsn, nulls, "email bio")
	wantQuery(t, dsn, "SELECT count(*) FROM users", "2")
}

// FuzzConstant holds that a default is taken as one quoted text or as nothing.
func FuzzConstant(f *testing.F) {
	for _, s := range []string{"'a''b'::text", `'a\'b'`, "b'01'", "(-1)::numeric", "now()", "'", "'x'::t; DROP", "1.5e3", "true"} {
		f.Add(s, true, uint8(pipeline.Text))
		f.Add(s, false, uint8(pipeline.Decimal))
	}
	f.Fuzz(func(t *testing.T, s string, maria bool, kind uint8) {
		system := map[bool]pipeline.System{true: pipeline.MariaDB, false: pipeline.PostgreSQL}[maria]
		c := pipeline.Column{Default: s, Kind: pipeline.Kind(kind), Precision: -1, Length: 8}
		have, ok := constantFor(system, &c)
		if !ok || have == "true" || have == "false" {
			return
		}
		inner := strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(have, "'"), "'"), "''", "")
		if len(have) < 2 || have[0] != '\'' || have[len(have)-1] != '\'' || strings.ContainsAny(inner, "'\x00") {
			t.Errorf("%q became %s", s, have)
		}
	})
}

// TestNotNullKept leaves the constraints of tables alone that the sink did not make, and its own where it
// may not change them; and has none where rows need not be whole.
func TestNotNullKept(t *testing.T) {
	s := strict()
	null := pipetest.NewBatch(s).Insert(1, nil, nil).Mark(pipetest.Position(9)).Batch()
	for text, made := range map[string]bool{"": false, "schema_changes = \"fail\"": true, "schema_changes = \"ignore\"": true} {
		dsn := pg.Database(t)
		if !made {
			pipetest.Exec(t, dsn, "CREATE TABLE users (id bigint PRIMARY KEY, email text NOT NULL, bio text)")
		}
		wantError(t, start(t, configure(t, dsn, text)).Write(t.Context(), null), pipeline.Input, "email", "DROP NOT NULL", "id=1")
	}
	for _, text := range []string{"constraints = false", "merge = true", "write = \"append\"\ndeletes = \"soft\""} {
		dsn := pg.Database(t)
		mustWrite(t, start(t, configure(t, dsn, text)), null)
		wantQuery(t, dsn, "SELECT attnotnull FROM pg_attribute WHERE attrelid = 'users'::regclass AND attname = 'email'", "f")
	}
}

// TestNotNullColumnGone goes on when the source drops a column that could not be NULL.
func TestNotNullColumnGone(t *testing.T) {
	dsn := pg.Database(t)
	wide := strict()
	narrow := tableOf("users", wide.Columns[0], wide.Columns[2])
	sink := start(t, configure(t, dsn, ""))
	mustWrite(t, sink, pipetest.NewBatch(wide).Insert(1, "a", nil).Mark(pipetest.Position(1)).Batch(),
		pipetest.NewBatch(narrow).Insert(2, "b").Update(nil, 1, "c").Mark(pipetest.Position(2)).Batch())
	wantQuery(t, dsn, "SELECT * FROM users ORDER BY id", "1|a|c", "2|NULL|b")
}

// TestLeftOut finds before anything is made what a table will not have.
func TestLeftOut(t *testing.T) {
	s := users()
	s.Columns[0].Default = "nextval('x')"
	s.Indexes = []pipeline.Index{{Name: "by_bio", Columns: []int{2}}}
	s.OtherIndexes = []pipeline.OtherIndex{{Name: "words", Why: "fulltext"}}
	dsn := pg.Database(t)
	for text, want := range map[string]string{"load {}": "the default of id: nextval('x'); index words: fulltext",
		"":                             "the default of id: nextval('x'); 1 secondary indexes, which a block load makes (not with merge)",
		"constraints = false\nload {}": "index words: fulltext"} {
		have := ""
		for _, f := range configure(t, dsn, text).Check(t.Context(), env(), []*pipeline.Schema{s}) {
			if f.Code == "PGS-021" && f.Severity == spec.Info {
				have += f.Detail
			}
		}
		if have != want {
			t.Errorf("%s: %q, want %q", text, have, want)
		}
	}
}
