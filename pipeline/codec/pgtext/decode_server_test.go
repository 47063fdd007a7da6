package pgtext_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/pgtext"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

const goldenSetup = `
CREATE EXTENSION IF NOT EXISTS hstore; CREATE EXTENSION IF NOT EXISTS citext;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s "fine", {really}', 'NULL', 'ünïcode');
CREATE DOMAIN posint AS int CHECK (value > 0);
CREATE DOMAIN short AS varchar(5);
CREATE DOMAIN shorter AS short;
CREATE DOMAIN ints AS int[];
CREATE DOMAIN feeling AS mood;
CREATE TYPE pair AS (a int, b text);
CREATE TYPE textrange AS RANGE (subtype = text);`

// golden is one type with expressions for its values: ordinary ones and every extreme.
type golden struct {
	typ    string
	kind   pipeline.Kind
	binary bool
	values []string
}

func goldens() []golden {
	const yes, no = true, false
	return []golden{
		{"boolean", pipeline.Bool, yes, []string{"true", "false", "NULL"}},
		{"smallint", pipeline.Int, yes, []string{"-32768", "32767", "0", "NULL"}},
		{"integer", pipeline.Int, yes, []string{"-2147483648", "2147483647", "0"}},
		{"bigint", pipeline.Int, yes, []string{"-9223372036854775808", "9223372036854775807", "0"}},
		{"oid", pipeline.Int, yes, []string{"0", "4294967295"}},
		{"real", pipeline.Float32, yes, []string{"1.5", "'-0'", "'NaN'", "'Infinity'", "'-Infinity'", "3.4028235e38", "1e-45", "0.1"}},
		{"double precision", pipeline.Float64, yes, []string{"0.1", "'-0'", "'NaN'", "'Infinity'", "'-Infinity'", "1.7976931348623157e308", "5e-324", "1e15", "123456789012345678"}},
		{"numeric", pipeline.Decimal, yes, []string{"0", "-1", "0.00", "12345.6789", "-0.0001", "0.00001234", "10000", "100000000", "99990000.00010000",
			"'NaN'", "'Infinity'", "'-Infinity'", "repeat('9', 200)::numeric", "('0.' || repeat('0', 150) || '17')::numeric", "1e131071", "1e-16383", "-123456789.987654321"}},
		{"numeric(12,2)", pipeline.Decimal, yes, []string{"1", "-9999999999.99", "0.05"}},
		{"numeric(5,-2)", pipeline.Decimal, yes, []string{"123456", "-100"}},
		{"numeric(3,5)", pipeline.Decimal, yes, []string{"0.00123"}},
		{"date", pipeline.Date, yes, []string{"'2024-02-29'", "'4713-01-01 BC'", "'5874897-12-31'", "'infinity'", "'-infinity'", "'0001-01-01'", "'0001-12-31 BC'", "'2000-01-01'", "'1999-12-31'"}},
		{"time", pipeline.Time, yes, []string{"'00:00'", "'24:00:00'", "'23:59:59.999999'", "'23:59:60'", "'12:34:56.7'"}},
		{"time(0)", pipeline.Time, yes, []string{"'23:59:59.9'"}},
		{"timestamp", pipeline.Timestamp, yes, []string{"'2024-02-29 12:34:56.789'", "'4714-11-24 00:00:00 BC'", "'294276-12-31 23:59:59.999999'", "'infinity'", "'-infinity'", "'1999-12-31 23:59:59.000001'", "'2016-12-31 23:59:60'", "'0044-03-15 12:00 BC'"}},
		{"timestamptz", pipeline.TimestampTZ, yes, []string{"'2024-02-29 12:34:56.789+05:30'", "'4714-11-24 00:00:00+00 BC'", "'294276-12-31 23:59:59.999999+00'", "'infinity'", "'-infinity'", "'0044-03-15 12:00 BC'"}},
		{"timetz", pipeline.Other, yes, []string{"'12:34:56.5+05:30'", "'00:00-08'", "'24:00:00+15:59:59'", "'23:59:59-00:00:01'", "'01:02:03+00'"}},
		{"interval", pipeline.Interval, yes, []string{"'0'", "'1 year 2 mons 3 days 04:05:06.789'", "'-1 year +2 mons -3 days +4:05:06'", "'-0.000001 s'", "'1 day'", "'-1 day 1 s'", "'1 mon -1 day'",
			"'178000000 years'", "'-178000000 years'", "'2147483647 days'", "'1 day -00:00:01'", "'100 hours'", "'-1 mon'", "'2562047788:00:54.775807'", "'-2562047788:00:54.775807'", "'1 year -13 mons'",
			"'178956970 years 7 mons 2147483647 days 2562047788:00:54.775807'"}},
		{"interval(2)", pipeline.Interval, yes, []string{"'1.239 s'"}},
		{"text", pipeline.Text, yes, []string{"''", "'a'", "E'\\t\\n\\\\'", "'ünïcode 𝒳'", "repeat('x', 100000)"}},
		{"varchar(10)", pipeline.Text, yes, []string{"'abc'", "''"}},
		{"character(5)", pipeline.Text, yes, []string{"'ab'", "''"}},
		{"name", pipeline.Text, yes, []string{"'pg_class'"}},
		{`"char"`, pipeline.Text, no, []string{"'a'"}},
		{"citext", pipeline.Text, yes, []string{"'AbC'"}},
		{"mood", pipeline.Text, yes, []string{"'sad'", `'it''s "fine", {really}'`, "'NULL'", "'ünïcode'"}},
		{"bytea", pipeline.Bytes, yes, []string{"''", `'\x00ff10'`, `'\x5c78'`}},
		{"uuid", pipeline.UUID, yes, []string{"'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "'00000000-0000-0000-0000-000000000000'"}},
		{"json", pipeline.JSON, yes, []string{`'{"a": 1, "a":2,  "b":1e400}'`, "'null'", `'"\u0000"'`}},
		{"jsonb", pipeline.JSON, yes, []string{`'{"b": 1, "a": [1, 2.50, null, "x"]}'`, "'1e400'"}},
		{"bit(1)", pipeline.Bits, yes, []string{"B'0'", "B'1'"}},
		{"bit(9)", pipeline.Bits, yes, []string{"B'101010101'"}},
		{"varbit", pipeline.Bits, yes, []string{"B''", "B'1'", "B'0000000011111111'", "B'000000001111111101'"}},
		{"money", pipeline.Other, yes, []string{"'1234.56'", "'-0.05'", "'-92233720368547758.08'", "'92233720368547758.07'", "'0'", "'999.99'", "'1000'"}},
		{"inet", pipeline.Other, yes, []string{"'10.1.2.3'", "'10.1.2.3/8'", "'::1'", "'::'", "'2001:db8::ff00:42:8329/64'", "'::ffff:1.2.3.4'", "'::1.2.3.4'", "'::0.0.3.4'", "'::2'", "'::1:0:0:1'", "'1:0:0:2:0:0:0:3'", "'1::2:3:4:5:6:7'", "'::ffff:0:0:1'", "'0:0:0:0:0:fffe:1:2'"}},
		{"cidr", pipeline.Other, yes, []string{"'10.0.0.0/8'", "'10.1.2.3/32'", "'2001:db8::/32'", "'::/0'"}},
		{"macaddr", pipeline.Other, yes, []string{"'08:00:2b:01:02:ff'"}},
		{"macaddr8", pipeline.Other, yes, []string{"'08:00:2b:01:02:03:04:ff'"}},
		{"int4range", pipeline.Other, yes, []string{"'[1,10)'", "'empty'", "'(,)'", "'[5,]'", "'[-2147483648,2147483647)'"}},
		{"int8range", pipeline.Other, yes, []string{"'[1,9223372036854775807)'"}},
		{"numrange", pipeline.Other, yes, []string{"'(1.50,2.5]'", "'[NaN,NaN]'", "'[-Infinity,Infinity]'"}},
		{"daterange", pipeline.Other, yes, []string{"'[2024-01-01,infinity)'", "'[0044-03-15 BC,2000-01-01)'"}},
		{"tsrange", pipeline.Other, yes, []string{"'[2024-01-01 10:00,2024-01-02 11:00]'", "'(-infinity,infinity)'"}},
		{"tstzrange", pipeline.Other, yes, []string{"'[2024-01-01 10:00+02,)'"}},
		{"int4multirange", pipeline.Other, yes, []string{"'{}'", "'{[1,2),[5,9)}'"}},
		{"tsmultirange", pipeline.Other, yes, []string{"'{[2024-01-01,2024-01-02),[2025-01-01,)}'"}},
		{"textrange", pipeline.Other, no, []string{`'["a,b","c\"d")'`}},
		{"point", pipeline.Other, no, []string{"'(1.5,-2e300)'"}},
		{"box", pipeline.Other, no, []string{"'(1,2),(3,4)'"}},
		{"polygon", pipeline.Other, no, []string{"'((0,0),(1,1),(1,0))'"}},
		{"tsvector", pipeline.Other, no, []string{"'a:1 fat:2,4A ''it''''s'':3'"}},
		{"tsquery", pipeline.Other, no, []string{"'fat & (rat | !cat)'"}},
		{"xml", pipeline.Other, no, []string{"'<?xml version=\"1.0\"?><a b=\"c\">ü</a>'"}},
		{"hstore", pipeline.Other, no, []string{`'"a b"=>"c\"d", x=>NULL'`, "''"}},
		{"pair", pipeline.Other, no, []string{`ROW(1, 'x "y", z')`, "ROW(NULL, NULL)"}},
		{"pg_lsn", pipeline.Other, no, []string{"'16/B374D848'"}},
		{"xid", pipeline.Other, no, []string{"'4294967295'"}},
		{"int2vector", pipeline.Other, no, []string{"'1 2 3'"}},
		{"posint", pipeline.Int, yes, []string{"7"}},
		{"shorter", pipeline.Text, yes, []string{"'abcde'"}},
		{"feeling", pipeline.Text, yes, []string{"'NULL'"}},
		{"ints", pipeline.Array, yes, []string{"'{1,2,NULL}'"}},
		{"integer[]", pipeline.Array, yes, []string{"'{}'", "'{1,NULL,-3}'", "'[0:1]={1,NULL}'", "'{{1,2},{3,4}}'", "'[-1:0][2:3]={{1,2},{3,4}}'", "'{{{1},{2}},{{3},{4}}}'"}},
		{"text[]", pipeline.Array, yes, []string{`ARRAY['', 'NULL', 'null', NULL, 'a b', 'a,b', 'a"b', 'a\b', '{x}', E'\t', 'ü', E'\v', 'plain', ' lead']`}},
		{"mood[]", pipeline.Array, yes, []string{`ARRAY['it''s "fine", {really}', 'NULL', 'sad']::mood[]`}},
		{"posint[]", pipeline.Array, yes, []string{"'{1,2}'"}},
		{"short[]", pipeline.Array, yes, []string{"'{abc,\"d e\"}'"}},
		{"numeric(8,3)[]", pipeline.Array, yes, []string{"'{1,2.5,NaN}'"}},
		{"bytea[]", pipeline.Array, yes, []string{`ARRAY['\x00ff'::bytea, '']`}},
		{"boolean[]", pipeline.Array, yes, []string{"'{t,f,NULL}'"}},
		{"timestamptz[]", pipeline.Array, yes, []string{"'{2024-01-01 00:00:00.5+00,infinity}'"}},
		{"date[]", pipeline.Array, yes, []string{"'{0044-03-15 BC,2024-01-01}'"}},
		{"interval[]", pipeline.Array, yes, []string{"'{1 day 02:00,0}'"}},
		{"jsonb[]", pipeline.Array, yes, []string{`ARRAY['{"a": "x y"}'::jsonb, 'null']`}},
		{"uuid[]", pipeline.Array, yes, []string{"'{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'"}},
		{"inet[]", pipeline.Array, yes, []string{"'{10.1.2.3/8,::1}'"}},
		{"varbit[]", pipeline.Array, yes, []string{"ARRAY[B'', B'101']"}},
		{"character(3)[]", pipeline.Array, yes, []string{"'{a,bcd}'"}},
		{"money[]", pipeline.Array, yes, []string{"ARRAY['1234.5'::money]"}},
		{"int4range[]", pipeline.Array, yes, []string{"ARRAY['[1,2)'::int4range, 'empty', '(,)']"}},
		{"tstzrange[]", pipeline.Array, yes, []string{"ARRAY['[2024-01-01 10:00+02,)'::tstzrange]"}},
		{"timetz[]", pipeline.Array, yes, []string{"'{12:00+02}'"}},
		{"double precision[]", pipeline.Array, no, []string{"'{1.5,1e300,NaN}'"}},
		{"pair[]", pipeline.Array, no, []string{`ARRAY[ROW(1,'a b')::pair]`}},
		{"box[]", pipeline.Array, no, []string{"ARRAY['(1,2),(3,4)'::box, '(5,6),(7,8)'::box]"}},
	}
}

// TestGolden compares, for each type and value, what the text form and the binary form decode to
// with what the server prints.
func TestGolden(t *testing.T) {
	pg := pipetest.Postgres(t)
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, goldenSetup)
	ctx := t.Context()
	conn, err := pgconn.Connect(ctx, dsn+pinned)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for _, g := range goldens() {
		for i, c := range columnsOf(t, conn, g) {
			checkGolden(t, conn, g, c, i)
		}
	}
}

// pinned follows a URL that has parameters already.
const pinned = "&datestyle=ISO,YMD&intervalstyle=postgres&timezone=UTC&bytea_output=hex&extra_float_digits=3&lc_monetary=C"

// columnsOf describes the type as a catalogue reader would.
func columnsOf(t *testing.T, conn *pgconn.PgConn, g golden) []pipeline.Column {
	t.Helper()
	sql := "DROP TABLE IF EXISTS golden; CREATE TABLE golden (v " + g.typ + ")"
	if err := conn.Exec(t.Context(), sql).Close(); err != nil {
		t.Fatalf("%s: %v", g.typ, err)
	}
	row := query(t, conn, 0, "SELECT atttypid, atttypmod FROM pg_attribute WHERE attrelid = 'golden'::regclass AND attnum = 1")[0]
	return []pipeline.Column{pgtext.ColumnOf("v", typeOf(t, conn, string(row[0]), string(row[1])))}
}

func typeOf(t *testing.T, conn *pgconn.PgConn, oid, mod string) pgtext.Type {
	t.Helper()
	row := query(t, conn, 0, fmt.Sprintf(`SELECT t.typname, format_type(t.oid, %[2]s), t.typtype,
		coalesce(e.typarray = t.oid, false), t.typelem, t.typbasetype, t.typtypmod
		FROM pg_type t LEFT JOIN pg_type e ON e.oid = t.typelem WHERE t.oid = %[1]s`, oid, mod))[0]
	n, _ := strconv.ParseUint(oid, 10, 32)
	m, _ := strconv.Atoi(mod)
	out := pgtext.Type{OID: uint32(n), Name: string(row[0]), Format: string(row[1]), Mod: int32(m),
		Class: row[2][0], Array: string(row[3]) == "t"}
	if out.Array {
		elem := typeOf(t, conn, string(row[4]), mod)
		out.Elem = &elem
	}
	if out.Class == 'd' {
		base := typeOf(t, conn, string(row[5]), string(row[6]))
		out.Base = &base
	}
	return out
}

func query(t *testing.T, conn *pgconn.PgConn, format int16, sql string) [][][]byte {
	t.Helper()
	r := conn.ExecParams(t.Context(), sql, nil, nil, nil, []int16{format}).Read()
	if r.Err != nil {
		t.Fatalf("%v in %s", r.Err, sql)
	}
	return r.Rows
}

func checkGolden(t *testing.T, conn *pgconn.PgConn, g golden, c pipeline.Column, _ int) {
	t.Helper()
	if c.Kind != g.kind || pgtext.BinaryOK(&c) != g.binary {
		t.Errorf("%s: kind %s, binary %t; want %s, %t", g.typ, c.Kind, pgtext.BinaryOK(&c), g.kind, g.binary)
		return
	}
	d := pgtext.NewDecoder([]pipeline.Column{c})
	d.Version = 150000
	for _, v := range g.values {
		sql := fmt.Sprintf("SELECT v FROM (SELECT (%s)::%s AS v) s", v, g.typ)
		text := query(t, conn, 0, sql)[0][0]
		if text == nil {
			continue
		}
		var a pipeline.Arena
		got, err := d.Text(&a, 0, text)
		if err != nil {
			t.Errorf("%s %s: text: %v", g.typ, v, err)
			continue
		}
		if got.Kind() != g.kind || !prints(got, string(text)) {
			t.Errorf("%s %s: text form %q decodes to %s %s", g.typ, v, clip(text), got.Kind(), clip([]byte(got.String())))
		}
		if !g.binary {
			continue
		}
		raw := query(t, conn, 1, sql)[0][0]
		bin, err := d.Binary(&a, 0, raw)
		if err != nil {
			t.Errorf("%s %s: binary: %v", g.typ, v, err)
			continue
		}
		if !bin.Equal(got) {
			t.Errorf("%s %s: binary form decodes to %s %q, the text form to %s %q", g.typ, v,
				bin.Kind(), clip([]byte(bin.String())), got.Kind(), clip([]byte(got.String())))
		}
	}
}

// prints reports whether the server prints v as text.
func prints(v pipeline.Value, text string) bool {
	switch v.Kind() {
	case pipeline.Bool:
		return text == map[bool]string{true: "t", false: "f"}[v.Bool()]
	case pipeline.Int:
		return text == strconv.FormatInt(v.Int(), 10)
	case pipeline.Float32, pipeline.Float64:
		bits := map[pipeline.Kind]int{pipeline.Float32: 32, pipeline.Float64: 64}[v.Kind()]
		f, err := strconv.ParseFloat(text, bits)
		return err == nil && (f == v.Float() || f != f && v.Float() != v.Float()) &&
			strings.HasPrefix(text, "-") == strings.HasPrefix(v.String(), "-")
	case pipeline.Date, pipeline.Time, pipeline.Timestamp, pipeline.TimestampTZ:
		return text == string(pipeline.AppendTemporal(nil, v))
	case pipeline.Bytes:
		return text == `\x`+hex.EncodeToString(v.Bytes())
	}
	return text == v.View()
}

func clip(b []byte) string { return string(b[:min(len(b), 120)]) }
