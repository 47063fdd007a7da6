package postgres

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// mariaCase is a column of MariaDB, the type made for it, and values with the text that the target has.
type mariaCase struct {
	typ    string
	kind   pipeline.Kind
	length int // bits, or fraction digits of a temporal kind
	made   string
	values []any
	want   []string // "" for the value's own text
}

func other(s string) pipeline.Value { return pipeline.StringValue(pipeline.Other, s) }

func mariaCases() []mariaCase {
	point := []byte{1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 240, 63, 0, 0, 0, 0, 0, 0, 0, 64}
	return []mariaCase{
		{"tinyint(4)", pipeline.Int, -1, "smallint", []any{-128, 127}, nil},
		{"tinyint(3) unsigned", pipeline.Int, -1, "smallint", []any{0, 255}, nil},
		{"smallint(6)", pipeline.Int, -1, "smallint", []any{-32768, 32767}, nil},
		{"smallint(5) unsigned zerofill", pipeline.Int, -1, "integer", []any{0, 65535}, nil},
		{"mediumint(8) unsigned", pipeline.Int, -1, "integer", []any{0, 1<<24 - 1}, nil},
		{"int(11)", pipeline.Int, -1, "integer", []any{-1 << 31, 1<<31 - 1}, nil},
		{"int(10) unsigned", pipeline.Int, -1, "bigint", []any{0, 1<<32 - 1}, nil},
		{"int(10) zerofill", pipeline.Int, -1, "bigint", []any{1<<32 - 1}, nil},
		{"bigint(20)", pipeline.Int, -1, "bigint", []any{-1 << 63, 1<<63 - 1}, nil},
		{"bigint(20) unsigned", pipeline.Uint, -1, "numeric(20,0)", []any{uint64(0), uint64(1<<64 - 1)}, nil},
		{"bigint(20) unsigned", pipeline.Int, -1, "numeric(20,0)", []any{1<<63 - 1}, nil},
		{"year(4)", pipeline.Int, -1, "smallint", []any{1901, 2155}, nil},
		{"tinyint(1)", pipeline.Bool, -1, "boolean", []any{true, false}, []string{"t", "f"}},
		{"bit(1)", pipeline.Bool, 1, "boolean", []any{true}, []string{"t"}},
		{"bit(1)", pipeline.Bits, 1, "bit(1)", []any{"1", "0"}, nil},
		{"bit(64)", pipeline.Bits, 64, "bit(64)", []any{strings.Repeat("1", 64), strings.Repeat("0", 63) + "1"}, nil},
		{"bit(5)", pipeline.Bits, -1, "bit(5)", []any{"10101"}, nil},
		{"decimal(65,30)", pipeline.Decimal, -1, "numeric(65,30)",
			[]any{"-" + strings.Repeat("9", 35) + "." + strings.Repeat("9", 30), "0." + strings.Repeat("0", 29) +
				"1"}, nil},
		{"decimal(10,0) unsigned", pipeline.Decimal, -1, "numeric(10,0)", []any{"9999999999"}, nil},
		{"float", pipeline.Float32, -1, "real", []any{1.5, -3.5}, nil},
		{"double(10,2)", pipeline.Float64, -1, "double precision", []any{1e300, -0.1}, []string{"1e+300", "-0.1"}},
		{"date", pipeline.Date, -1, "date", []any{int64(0), int64(2921939)}, []string{"2000-01-01", "9999-12-31"}},
		{"datetime", pipeline.Timestamp, 0, "timestamp(0) without time zone", []any{int64(0)},
			[]string{"2000-01-01 00:00:00"}},
		{"datetime(6)", pipeline.Timestamp, 6, "timestamp without time zone", []any{int64(1)},
			[]string{"2000-01-01 00:00:00.000001"}},
		{"timestamp(3)", pipeline.TimestampTZ, 3, "timestamp(3) with time zone", []any{int64(1000)},
			[]string{"2000-01-01 00:00:00.001+00"}},
		{"time", pipeline.Time, 0, "interval", []any{int64(86_399_000_000), other("-838:59:59"), other("838:59:59")},
			[]string{"23:59:59", "-838:59:59", "838:59:59"}},
		{"time(6)", pipeline.Interval, 6, "interval", []any{"-838:59:59.999999", "00:00:00", "25:00:00"},
			[]string{"-838:59:59.999999", "00:00:00", "25:00:00"}},
		{"time(2)", pipeline.Text, -1, "text", []any{"-838:59:59.00"}, nil},
		{"time without time zone", pipeline.Time, 0, "time(0) without time zone", []any{int64(1_000_000)},
			[]string{"00:00:01"}}, // cast
		{"enum('a','it''s')", pipeline.Text, -1, "text", []any{"a", "it's", ""}, nil},
		{"set('a','b')", pipeline.Text, -1, "text", []any{"a,b", ""}, nil},
		{"varchar(20)", pipeline.Text, 20, "text", []any{"züß 😀", " trailing "}, nil},
		{"char(3)", pipeline.Text, 3, "text", []any{"a"}, nil},
		{"longtext", pipeline.Text, -1, "text", []any{strings.Repeat("long ", 1000)}, nil},
		{"binary(4)", pipeline.Bytes, 4, "bytea", []any{[]byte{1, 0, 0, 0}}, []string{`\x01000000`}},
		{"longblob", pipeline.Bytes, -1, "bytea", []any{[]byte("\x00\xff"), []byte{}}, []string{`\x00ff`, `\x`}},
		{"longtext", pipeline.JSON, -1, "jsonb", []any{`{"b":1,  "a":[1,2]}`}, []string{`{"a": [1, 2], "b": 1}`}},
		{"uuid", pipeline.UUID, -1, "uuid", []any{"0123abcd-4567-89ab-cdef-0123456789ab"}, nil},
		{"inet4", pipeline.Text, -1, "inet", []any{"10.0.0.1"}, nil},
		{"inet6", pipeline.Text, -1, "inet", []any{"2001:db8::1", "::ffff:10.0.0.1"}, nil},
		{"geometry", pipeline.Bytes, -1, "bytea", []any{point},
			[]string{`\x0101000000000000000000f03f0000000000000040`}},
	}
}

func (c *mariaCase) column(name string) pipeline.Column {
	out := pipeline.Column{Name: name, Type: c.typ, Kind: c.kind, Nullable: true, Precision: -1, Length: -1}
	if c.kind >= pipeline.Date && c.kind <= pipeline.TimestampTZ || c.kind == pipeline.Interval {
		out.Precision = c.length
	} else {
		out.Length = c.length
	}
	return out
}

// TestMariaDBContract carries each type into a table that the sink makes: by COPY, by arrays, by staging.
func TestMariaDBContract(t *testing.T) {
	dsn := pg.Database(t)
	sink := start(t, configure(t, dsn, `into = "m.${lower(table.name)}"`))
	for n, c := range mariaCases() {
		table := fmt.Sprint("T", n)
		s := &pipeline.Schema{System: pipeline.MariaDB, Database: "shop", Table: table, Key: []int{0}}
		s.Columns = []pipeline.Column{{Name: "id", Type: "int(11)", Kind: pipeline.Int, Precision: -1, Length: -1},
			c.column("v")}
		var want []string
		for i, v := range c.values {
			text := fmt.Sprint(v)
			if i < len(c.want) {
				text = c.want[i]
			}
			want = append(want, text)
		}
		want = append(want, "NULL")
		rows := func(b *pipetest.Builder, add func(...any) *pipetest.Builder, first, copies int) *pipetest.Builder {
			for i := range copies {
				for j, v := range append(slices.Clone(c.values), nil) {
					add(first+10*i+j, v)
				}
			}
			return b
		}
		read := pipetest.NewBatch(s).In(pipeline.Stream("source.test/chunk/" + table))
		one, many := pipetest.NewBatch(s), pipetest.NewBatch(s)
		mustWrite(t, sink, rows(read, read.Read, 0, 1).Mark("done").Batch(),
			rows(one, one.Insert, 1000, 1).Update(nil, 1000, c.values[0]).Mark(pipetest.Position(2*n+1)).Batch(),
			rows(many, many.Insert, 2000, 600).Mark(pipetest.Position(2*n+2)).Batch())
		var have []string
		for _, r := range pipetest.QueryText(t, dsn,
			"SELECT v FROM m.t"+fmt.Sprint(n)+" WHERE id < 1010 OR id >= 7990 ORDER BY id") {
			have = append(have, r[0])
		}
		if diff := cmp.Diff(append(append(slices.Clone(want), want...), want...), have); diff != "" {
			t.Errorf("%s (-want +have):\n%s", c.typ, diff)
		}
		wantQuery(t, dsn, "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'm.t"+fmt.Sprint(n)+
			"'::regclass AND attname = 'v'", c.made)
	}
}

// TestTypeRules holds that every kind has a rule, and that each rule of MariaDB is reached.
func TestTypeRules(t *testing.T) {
	for k := pipeline.Bool; k <= pipeline.Other; k++ {
		for _, system := range []pipeline.System{pipeline.PostgreSQL, pipeline.MariaDB, pipeline.MySQL, ""} {
			if !slices.ContainsFunc(TypeRules(system), func(r TypeRule) bool { return r.Kind == k && r.Types == nil }) {
				t.Errorf("%s: no rule for %s", system, k)
			}
		}
	}
	for _, r := range mariaRules() {
		hit := slices.ContainsFunc(mariaCases(), func(c mariaCase) bool {
			col := c.column("v")
			return ruleFor(pipeline.MySQL, &col).Note == r.Note && r.fits(&col)
		})
		if !hit {
			t.Errorf("no case for the rule %+v", r)
		}
	}
	for typ, want := range map[string]string{"int(10) unsigned zerofill": "int/true", "INT UNSIGNED": "int/true",
		"double precision":          "double precision/false",
		"time(3) without time zone": "time without time zone/false", "decimal(10,2)": "decimal/false", "enum('a(b)')": "enum')/false", "": "/false"} {
		base, unsigned := baseType(typ)
		if have := fmt.Sprintf("%s/%v", base, unsigned); have != want {
			t.Errorf("%s is %s, want %s", typ, have, want)
		}
	}
}

// TestMariaDBTypeChanges lets a column change its type where the target's type stays the same.
func TestMariaDBTypeChanges(t *testing.T) {
	dsn := pg.Database(t)
	sink := start(t, configure(t, dsn, ""))
	shape := func(typ string, k pipeline.Kind) *pipeline.Schema {
		return &pipeline.Schema{System: pipeline.MariaDB, Database: "shop", Table: "c", Key: []int{0},
			Columns: []pipeline.Column{
				{Name: "id", Type: "int(11)", Kind: pipeline.Int, Precision: -1, Length: -1},
				{Name: typ[:4], Type: typ, Kind: k, Precision: -1, Length: -1}}}
	}
	for i, c := range []struct {
		from, to string
		kind     pipeline.Kind
		value    any
	}{
		{"time", "time(3)", pipeline.Time, int64(1)},
		{"inet4", "inet6", pipeline.Text, "10.0.0.1"},
		{"enum('a')", "enum('a','b')", pipeline.Text, "a"},
		{"varchar(3)", "varchar(30)", pipeline.Text, "a"},
	} {
		mustWrite(t, sink, pipetest.NewBatch(shape(c.from, c.kind)).Insert(2*i, c.value).
			Mark(pipetest.Position(2*i+1)).Batch(),
			pipetest.NewBatch(shape(c.to, c.kind)).Insert(2*i+1, c.value).Mark(pipetest.Position(2*i+2)).Batch())
	}
	wantQuery(t, dsn, "SELECT count(*) FROM shop.c", "8")
	narrow, wide := shape("int(11)", pipeline.Int), shape("int(10) unsigned", pipeline.Int)
	mustWrite(t, sink, pipetest.NewBatch(narrow).Insert(100, 1).Mark(pipetest.Position(100)).Batch())
	err := sink.Write(t.Context(), pipetest.NewBatch(wide).Insert(101, 1<<31).Mark(pipetest.Position(101)).Batch())
	wantError(t, err, pipeline.Input, "column int( changed to int(10) unsigned", "ALTER COLUMN")
}
