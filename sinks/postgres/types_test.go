package postgres

import (
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/pgtext"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// userTypes are those that source and target share.
const userTypes = `CREATE EXTENSION hstore; CREATE EXTENSION citext; CREATE TYPE mood AS ENUM ('sad', 'so, so', 'ha"ppy');
	CREATE SCHEMA "Odd s"; CREATE TYPE "Odd s"."T y" AS ENUM ('x'); CREATE DOMAIN price AS numeric(12,3) CHECK (value >= 0);
	CREATE DOMAIN cheap AS price; CREATE TYPE pair AS (a int, b text); CREATE TYPE span AS RANGE (subtype = float8)`

// everyType is one column of each type, with two values.
func everyType() [][3]string {
	return [][3]string{
		{"bool", "true", "false"}, {"int2", "-32768", "32767"}, {"int4", "-2147483648", "1"}, {"int8",
			"-9223372036854775808", "0"},
		{"float4", "1.1", "'NaN'"}, {"float8", "'-Infinity'", "1e-300"}, {"numeric", "123456789.123456789123456789",
			"'NaN'"},
		{"numeric(12,2)", "1.50", "-0.01"}, {"money", "12.34", "-1"}, {"text", "'é\"''\\'", "''"}, {"varchar(5)",
			"'abc'", "'abcde'"},
		{"char(4)", "'a'", "'abcd'"}, {`"char"`, "'x'", "''"}, {"name", "'n'", "'m'"}, {"bytea", `'\x00ff'`, "''"},
		{"date", "'0044-03-15 BC'", "'infinity'"}, {"time", "'24:00:00'", "'00:00:00.000001'"}, {"time(3)",
			"'01:02:03.004'", "'01:02:03'"},
		{"timetz", "'01:02:03+05'", "'23:00:00-08'"}, {"timestamp", "'infinity'",
			"'4713-01-01 00:00:00 BC'"}, {"timestamp(0)", "'2020-01-01'", "'2021-01-01'"},
		{"timestamptz", "'-infinity'", "'294276-12-31 23:59:59.999999+00'"}, {"interval",
			"'1 year -2 days 03:04:05.6'", "'-00:00:01'"},
		{"uuid", "'0123abcd-4567-89ab-cdef-0123456789ab'", "'00000000-0000-0000-0000-000000000000'"},
		{"json", `'{"b": 1,  "a": 2}'`, "'null'"}, {"jsonb", `'{"b": 1,  "a": 2}'`, "'[]'"}, {"xml", "'<a>1</a>'",
			"'<b/>'"},
		{"bit(5)", "B'10101'", "B'00000'"}, {"bit varying(9)", "B'101'", "B''"}, {"bit", "B'1'", "B'0'"}, {"inet",
			"'10.0.0.1/8'", "'::1'"},
		{"cidr", "'10.0.0.0/8'", "'::/0'"}, {"macaddr", "'08:00:2b:01:02:03'", "'00:00:00:00:00:00'"}, {"macaddr8",
			"'08:00:2b:01:02:03:04:05'", "'08:00:2b:01:02:03:04:06'"},
		{"point", "'(1,2)'", "'(-1,0)'"}, {"box", "'(1,2),(0,0)'", "'(1,1),(0,0)'"}, {"polygon",
			"'((0,0),(1,1),(1,0))'", "'((0,0),(1,2),(1,0))'"},
		{"line", "'{1,2,3}'", "'{1,0,0}'"}, {"circle", "'<(0,0),1>'", "'<(1,1),2>'"}, {"path", "'[(0,0),(1,1)]'",
			"'((0,0),(1,1))'"},
		{"tsvector", "'a:1 b:2'", "''"}, {"tsquery", "'a & b'", "''"}, {"pg_lsn", "'0/16B3748'", "'FF/0'"}, {"oid",
			"4294967295", "0"},
		{"int4range", "'[1,5)'", "'empty'"}, {"tstzrange", "'[2020-01-01,)'", "'(,)'"}, {"numrange", "'[1.5,2.5]'",
			"'(,1)'"}, {"int4multirange", "'{[1,2),[5,6)}'", "'{}'"},
		{"int4[]", "'{1,NULL,3}'", "'{}'"}, {"int4[]", "'[0:1]={7,8}'", "'{{1,2},{3,4}}'"}, {"text[]",
			`'{a,"b,c",NULL,"NULL",""}'`, `'{"{x}"}'`},
		{"numeric(5,1)[]", "'{1.5,2}'", "'{}'"}, {"varchar(3)[]", "'{abc}'", "'{}'"}, {"char(3)[]", "'{a,abc}'",
			"'{}'"}, {"bit(3)[]", "'{101}'", "'{}'"},
		{"date[]", "'{infinity,2020-01-01}'", "'{}'"}, {"timestamptz[]", "'{2020-01-01 00:00:00+00}'",
			"'{}'"}, {"bytea[]", `'{"\\x00ff"}'`, "'{}'"},
		{"jsonb[]", `'{"{\"a\": 1}"}'`, "'{}'"}, {"bool[]", "'{t,f}'", "'{}'"}, {"float8[]", "'{NaN,1.5}'",
			"'{}'"}, {"uuid[]", "'{0123abcd-4567-89ab-cdef-0123456789ab}'", "'{}'"},
		{"inet[]", "'{10.0.0.1}'", "'{}'"}, {"interval[]", "'{1 day}'", "'{}'"}, {"mood", "'so, so'",
			`'ha"ppy'`}, {"mood[]", `'{"so, so",sad}'`, "'{}'"},
		{`"Odd s"."T y"`, "'x'", "'x'"}, {"price", "1.5", "0"}, {"cheap", "2.125", "3"}, {"price[]", "'{1.5}'",
			"'{}'"}, {"pair", `'(1,"a b")'`, "'(,)'"},
		{"pair[]", `'{"(1,a)"}'`, "'{}'"}, {"span", "'[1.5,2)'", "'empty'"}, {"hstore", `'a=>1, b=>NULL'`,
			"''"}, {"citext", "'AbC'", "''"}, {"int4range[]", `'{"[1,2)"}'`, "'{}'"},
	}
}

// describe reads a table of the source as a source does: its schema and its rows' text.
func describe(t testing.TB, dsn, table string) (*pipeline.Schema, [][]string) {
	t.Helper()
	s := &pipeline.Schema{System: pipeline.PostgreSQL, Database: "shop", Namespace: "public", Table: table,
		Key: []int{0}}
	rows := pipetest.QueryText(t, dsn, `WITH RECURSIVE base (num, oid, mod, full_) AS (
		SELECT attnum, atttypid, atttypmod, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = '`+table+`'::regclass AND attnum > 0
		UNION ALL SELECT b.num, t.typbasetype, t.typtypmod, b.full_ FROM base b JOIN pg_type t ON t.oid = b.oid WHERE t.typtype = 'd')
		SELECT a.attname, t.oid, t.typname, b.full_, b.mod, t.typtype, t.typcategory = 'A' AND t.typelem <> 0, t.typelem, coalesce(e.typname, ''), coalesce(e.typtype, 'b')
		FROM pg_attribute a JOIN base b ON b.num = a.attnum JOIN pg_type t ON t.oid = b.oid AND t.typtype <> 'd' LEFT JOIN pg_type e ON e.oid = t.typelem
		WHERE a.attrelid = '`+table+`'::regclass ORDER BY a.attnum`)
	for _, r := range rows {
		mod, err := strconv.Atoi(r[4])
		if err != nil {
			t.Fatal(err)
		}
		typ := pgtext.Type{OID: oidOf(r[1]), Name: r[2], Format: r[3], Mod: int32(mod), Class: r[5][0],
			Array: r[6] == "t"}
		if typ.Array {
			typ.Elem = &pgtext.Type{OID: oidOf(r[7]), Name: r[8], Format: strings.TrimSuffix(r[3], "[]"), Mod: -1,
				Class: r[9][0]}
		}
		s.Columns = append(s.Columns, pgtext.ColumnOf(r[0], typ))
	}
	return s, pinnedText(t, dsn, "SELECT * FROM "+table+" ORDER BY 1")
}

// pinnedText queries under the settings that sources pin.
func pinnedText(t testing.TB, dsn, sql string) (out [][]string) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	res, err := c.PgConn().Exec(t.Context(),
		"SET timezone = 'UTC'; SET intervalstyle = postgres; SET extra_float_digits = 1; "+sql).ReadAll()
	if err != nil {
		t.Fatalf("%v in %s", err, sql)
	}
	for _, r := range res[len(res)-1].Rows {
		var line []string
		for _, v := range r {
			if v == nil {
				line = append(line, "NULL")
				continue
			}
			line = append(line, string(v))
		}
		out = append(out, line)
	}
	return out
}

func fill(t testing.TB, b *pipeline.Batch, s *pipeline.Schema, rows [][]string, op pipeline.Op, tx *pipeline.Tx) {
	t.Helper()
	d := pgtext.NewDecoder(s.Columns)
	for i, line := range rows {
		values := b.Values(len(line))
		for c, text := range line {
			if text == "NULL" {
				continue
			}
			v, err := d.Text(&b.Arena, c, []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			values[c] = v
		}
		r := b.Add()
		r.Schema, r.Tx, r.Op, r.Values, r.Seq = s, tx, op, values, uint32(i)
	}
}

// TestEveryType carries each type from one database to another, by arrays, by staging and by COPY
// into a table that the sink made.
func TestEveryType(t *testing.T) {
	source, target := pg.Database(t), pg.Database(t)
	pipetest.Exec(t, source, userTypes)
	pipetest.Exec(t, target, userTypes)
	sink := start(t, configure(t, target, ""))
	pos := 1
	for i, e := range everyType() {
		table := "t" + strconv.Itoa(i)
		pipetest.Exec(t, source, "CREATE TABLE "+table+" (id int PRIMARY KEY, v "+e[0]+")",
			"INSERT INTO "+table+" VALUES (1, "+e[1]+"), (2, "+e[2]+"), (3, NULL)")
		s, rows := describe(t, source, table)
		for n, copies := range []int{1, 1, 400} {
			b := &pipeline.Batch{Stream: "source.test/wal"}
			var many [][]string
			for c := range copies {
				for _, r := range rows {
					many = append(many, append([]string{r[0] + strings.Repeat("0", c%2) + strconv.Itoa(c)}, r[1:]...))
				}
			}
			if copies == 1 {
				many = rows
			}
			op := []pipeline.Op{pipeline.Read, pipeline.Insert, pipeline.Insert}[n]
			fill(t, b, s, many, op, &pipeline.Tx{Pos: pipetest.Position(pos), Snapshot: op == pipeline.Read})
			pos++
			b.Mark(pipetest.Position(pos))
			if err := sink.Write(t.Context(), b); err != nil {
				t.Fatalf("%s, %d rows: %v", e[0], len(many), err)
			}
			if diff := cmp.Diff(rows, pinnedText(t, target,
				"SELECT * FROM public."+table+" WHERE id <= 3 ORDER BY id")); diff != "" {
				t.Errorf("%s (-want +have):\n%s", e[0], diff)
			}
			if copies > 1 {
				all := pipetest.QueryText(t, target,
					"SELECT count(DISTINCT coalesce(v::text, 'NULL')) FROM public."+table)
				want := pipetest.QueryText(t, source,
					"SELECT count(DISTINCT coalesce(v::text, 'NULL')) FROM public."+table)
				if all[0][0] != want[0][0] {
					t.Errorf("%s: %s different values, want %s", e[0], all[0][0], want[0][0])
				}
			}
		}
		made := pipetest.QueryText(t, target,
			"SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'public."+table+"'::regclass AND attname = 'v'")
		want := pipetest.QueryText(t, source,
			"SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'public."+table+"'::regclass AND attname = 'v'")
		if diff := cmp.Diff(want, made); diff != "" {
			t.Errorf("%s was created as (-want +have):\n%s", e[0], diff)
		}
	}
}

func TestHugeBytea(t *testing.T) {
	if testing.Short() {
		t.Log("the short form: 60 MB")
	}
	size := 600 << 20
	if testing.Short() {
		size = 60 << 20
	}
	dsn := pg.Database(t)
	sink := start(t, configure(t, dsn, ""))
	s := tableOf("huge", col("id", "bigint", pipeline.Int), col("data", "bytea", pipeline.Bytes))
	data := make([]byte, size)
	mustWrite(t, sink, pipetest.NewBatch(s).Insert(1, pipeline.BytesValue(pipeline.Bytes, data)).
		Mark(pipetest.Position(1)).Batch())
	wantQuery(t, dsn, "SELECT id, length(data) FROM public.huge", "1|"+strconv.Itoa(size))
}
