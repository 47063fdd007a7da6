package avro

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	twmb "github.com/twmb/avro"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/envelope"
)

type wideColumn struct {
	col     pipeline.Column
	val     pipeline.Value
	connect string // decoded form under Connect's types
	logical string // under Avro's, "" the same
}

func val(k pipeline.Kind, s string) pipeline.Value { return pipeline.StringValue(k, s) }

var intElem = &pipeline.Column{Name: "e", Kind: pipeline.Int, Type: "integer"}
var textElem = &pipeline.Column{Name: "e", Kind: pipeline.Text, Type: "text"}

// at is 2026-11-20 10:11:12.123456.
const at = 848_484_672_123_456

var wideColumns = []wideColumn{
	{pipeline.Column{Name: "id", Kind: pipeline.Int, Type: "bigint"}, pipeline.IntValue(-1 << 63), "-9223372036854775808", ""},
	{pipeline.Column{Name: "b", Kind: pipeline.Bool, Type: "boolean"}, pipeline.BoolValue(true), "true", ""},
	{pipeline.Column{Name: "i2", Kind: pipeline.Int, Type: "smallint"}, pipeline.IntValue(-7), "-7", ""},
	{pipeline.Column{Name: "f4", Kind: pipeline.Float32, Type: "real"}, pipeline.Float32Value(1.5), "1.5", ""},
	{pipeline.Column{Name: "f8", Kind: pipeline.Float64, Type: "double precision"}, pipeline.Float64Value(-2.25), "-2.25", ""},
	{pipeline.Column{Name: "u8", Kind: pipeline.Uint, Type: "bigint(20) unsigned"}, pipeline.UintValue(1 << 62), "4611686018427387904", ""},
	{pipeline.Column{Name: "d", Kind: pipeline.Date, Type: "date"}, pipeline.DateValue(0), "10957", ""},
	{pipeline.Column{Name: "t3", Kind: pipeline.Time, Type: "time(3)", Precision: 3}, pipeline.TimeValue(3_600_000_000), "3600000", "3600000000"},
	{pipeline.Column{Name: "t6", Kind: pipeline.Time, Type: "time", Precision: -1}, pipeline.TimeValue(86_400_000_000), "86400000000", ""},
	{pipeline.Column{Name: "ts3", Kind: pipeline.Timestamp, Type: "timestamp(3)", Precision: 3}, pipeline.TimestampValue(at), "1795169472123", "1795169472123456"},
	{pipeline.Column{Name: "ts6", Kind: pipeline.Timestamp, Type: "timestamp", Precision: -1}, pipeline.TimestampValue(at), "1795169472123456", ""},
	{pipeline.Column{Name: "tz", Kind: pipeline.TimestampTZ, Type: "timestamptz", Precision: -1}, pipeline.TimestampTZValue(at), `"2026-11-20T10:11:12.123456Z"`, "1795169472123456"},
	{pipeline.Column{Name: "txt", Kind: pipeline.Text, Type: "text"}, val(pipeline.Text, "héé"), `"héé"`, ""},
	{pipeline.Column{Name: "enum", Kind: pipeline.Text, Type: "mood", Labels: []string{"a", "b"}}, val(pipeline.Text, "a"), `"a"`, ""},
	{pipeline.Column{Name: "by", Kind: pipeline.Bytes, Type: "bytea"}, val(pipeline.Bytes, "\x00\xff"), `"AP8="`, ""},
	{pipeline.Column{Name: "dec", Kind: pipeline.Decimal, Type: "numeric(20,3)", Precision: 20, Scale: 3}, val(pipeline.Decimal, "-12345.6"), "-12345.600", ""},
	{pipeline.Column{Name: "num", Kind: pipeline.Decimal, Type: "numeric", Precision: -1}, val(pipeline.Decimal, "10.10"), `{"scale":1,"value":"ZQ=="}`, `"10.10"`},
	{pipeline.Column{Name: "num2", Kind: pipeline.Decimal, Type: "numeric", Precision: -1}, val(pipeline.Decimal, "-1"), `{"scale":0,"value":"/w=="}`, `"-1"`},
	{pipeline.Column{Name: "uuid", Kind: pipeline.UUID, Type: "uuid"}, val(pipeline.UUID, "00000000-0000-0000-0000-000000000001"), `"00000000-0000-0000-0000-000000000001"`, ""},
	{pipeline.Column{Name: "js", Kind: pipeline.JSON, Type: "jsonb"}, val(pipeline.JSON, `{"a": 1}`), `"{\"a\": 1}"`, ""},
	{pipeline.Column{Name: "bit1", Kind: pipeline.Bits, Type: "bit(1)", Length: 1}, val(pipeline.Bits, "1"), "true", ""},
	{pipeline.Column{Name: "bits", Kind: pipeline.Bits, Type: "bit(10)", Length: 10}, val(pipeline.Bits, "0100000010"), `"AgE="`, ""},
	{pipeline.Column{Name: "iv", Kind: pipeline.Interval, Type: "interval"}, val(pipeline.Interval, "1 year 2 mons 3 days 04:05:06.78"), "37091106780000", `"P1Y2M3DT4H5M6.78S"`},
	{pipeline.Column{Name: "ai", Kind: pipeline.Array, Type: "integer[]", Elem: intElem}, val(pipeline.Array, "{1,NULL,-3}"), "[1,null,-3]", ""},
	{pipeline.Column{Name: "at", Kind: pipeline.Array, Type: "text[]", Elem: textElem}, val(pipeline.Array, `{a,"b \"c","NULL",NULL}`), `["a","b \"c","NULL",null]`, ""},
	{pipeline.Column{Name: "tt", Kind: pipeline.Other, Type: "time with time zone"}, val(pipeline.Other, "01:02:03.5+02"), `"23:02:03.5Z"`, ""},
	{pipeline.Column{Name: "mo", Kind: pipeline.Other, Type: "money"}, val(pipeline.Other, "-$1,234.56"), "-1234.56", ""},
	{pipeline.Column{Name: "hs", Kind: pipeline.Other, Type: "hstore"}, val(pipeline.Other, `"a"=>"1", "b"=>NULL`), `"{\"a\":\"1\",\"b\":null}"`, ""},
	{pipeline.Column{Name: "net", Kind: pipeline.Other, Type: "inet"}, val(pipeline.Other, "::1"), `"::1"`, ""},
}

func wideRow(s *pipeline.Schema) *pipeline.Row {
	r := &pipeline.Row{Schema: s, Tx: aTx, Op: pipeline.Insert}
	for _, c := range wideColumns {
		r.Values = append(r.Values, c.val)
	}
	return r
}

func TestEveryKind(t *testing.T) {
	for _, types := range []envelope.Types{envelope.Connect, envelope.Logical} {
		s := wide()
		g := compile(t, envelope.Options{Shape: envelope.Flat, Mapping: envelope.Mapping{Types: types}}, s, "x")
		var want []string
		for _, c := range wideColumns {
			v := c.connect
			if types == envelope.Logical && c.logical != "" {
				v = c.logical
			}
			want = append(want, fmt.Sprintf("%q:%s", c.col.Name, v))
		}
		got := show(t, g, wideRow(s))
		if w := "{" + strings.Join(want, ",") + "}"; got != w {
			t.Errorf("types %d:\n got %s\nwant %s", types, got, w)
		}
	}
}

// TestAgainstOracle decodes what we encode with an Avro library that is not ours.
func TestAgainstOracle(t *testing.T) {
	for _, o := range []envelope.Options{
		{Name: "srv"}, {Shape: envelope.Flat}, {Shape: envelope.Flat, Deletes: envelope.Rewrite},
		{Shape: envelope.Flat, Mapping: envelope.Mapping{Types: envelope.Logical}},
	} {
		s := wide()
		g := compile(t, o, s, "srv.n.t")
		schema, err := twmb.Parse(g.ValueSchema)
		if err != nil {
			t.Fatal(err)
		}
		events, err := g.Plan.Events(nil, wideRow(s), 1)
		if err != nil {
			t.Fatal(err)
		}
		data, err := g.AppendValue(nil, &events[0])
		if err != nil {
			t.Fatal(err)
		}
		var m map[string]any
		rest, err := schema.Decode(data[HeaderSize:], &m)
		if err != nil || len(rest) > 0 {
			t.Fatalf("%+v: %v, %d bytes left", o, err, len(rest))
		}
		if after, ok := m["after"].(map[string]any); ok {
			m = after
		}
		if fmt.Sprint(m["id"]) != "-9223372036854775808" || m["txt"] != "héé" {
			t.Errorf("decoded %v", m)
		}
		again, err := schema.Encode(&m)
		if o.Shape == envelope.Flat && (err != nil || string(again) != string(data[HeaderSize:])) {
			t.Errorf("re-encoded by the library (%v):\n%x\n%x", err, again, data[HeaderSize:])
		}
	}
}

func TestEnvelope(t *testing.T) {
	g := compile(t, envelope.Options{Name: "srv", Version: "3.6.1.Final"}, products(), "srv.public.products")
	r := productRow()
	r.Tx = &pipeline.Tx{ID: 556, LSN: 24023119, Time: at}
	want := `{"before":{"id":1,"name":"old","price":null,"created_at":null},` +
		`"after":{"id":1,"name":"new","price":12.34,"created_at":"2026-11-20T10:11:12.123456Z"},` +
		`"source":{"version":"3.6.1.Final","connector":"postgresql","name":"srv","ts_ms":1795169472123,"snapshot":"false",` +
		`"db":"shop","sequence":"[\"24023119\",\"24023128\"]","ts_us":1795169472123456,"ts_ns":1795169472123456000,` +
		`"schema":"public","table":"products","txId":556,"lsn":24023128,"xmin":null,"origin":null,"origin_lsn":null},` +
		`"transaction":null,"op":"u","ts_ms":1795169472200,"ts_us":1795169472200111,"ts_ns":1795169472200111222}`
	if got := show(t, g, r); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func TestBadValues(t *testing.T) {
	s := products()
	s.Columns = append(s.Columns, pipeline.Column{Name: "at", Kind: pipeline.Timestamp, Type: "timestamp", Precision: -1, Nullable: true})
	for name, c := range map[string]struct {
		col  int
		v    pipeline.Value
		want error
	}{
		"NaN":               {2, decimal("NaN"), envelope.ErrNaN},
		"too many decimals": {2, decimal("1.234"), envelope.ErrRange},
		"invalid UTF-8":     {1, text("\xff"), envelope.ErrUTF8},
		"int out of range":  {0, pipeline.IntValue(1 << 40), envelope.ErrRange},
		"year 294276":       {4, pipeline.TimestampValue(9_223_371_331_200_000_000 - 1), envelope.ErrRange},
		"wrong kind":        {0, text("x"), envelope.ErrKind},
		"null in not null":  {1, pipeline.NullValue, envelope.ErrNull},
		"absent decimal":    {2, pipeline.AbsentValue, envelope.ErrAbsent},
	} {
		t.Run(name, func(t *testing.T) {
			g := compile(t, envelope.Options{}, s, "x")
			r := &pipeline.Row{Schema: s, Tx: aTx, Op: pipeline.Insert, Values: []pipeline.Value{
				pipeline.IntValue(1), text("n"), {}, {}, {},
			}}
			r.Values[c.col] = c.v
			events, _ := g.Plan.Events(nil, r, 1)
			_, err := g.AppendValue(nil, &events[0])
			var pe *pipeline.Error
			if !errors.Is(err, c.want) || !errors.As(err, &pe) || pe.Table != "public.products" || pe.Key == "" || pe.Hint == "" {
				t.Errorf("error %v, want %v with table, key and hint", err, c.want)
			}
		})
	}
}

func TestUnavailable(t *testing.T) {
	s := products()
	r := &pipeline.Row{Schema: s, Tx: aTx, Op: pipeline.Update, Values: []pipeline.Value{
		pipeline.IntValue(1), pipeline.AbsentValue, decimal("1.00"), {},
	}}
	g := compile(t, envelope.Options{Shape: envelope.Flat}, s, "x")
	if got := show(t, g, r); !strings.Contains(got, `"name":"__debezium_unavailable_value"`) {
		t.Errorf("placeholder: %s", got)
	}
	r.Before = []pipeline.Value{pipeline.IntValue(1), text("kept"), {}, {}}
	if got := show(t, g, r); !strings.Contains(got, `"name":"kept"`) {
		t.Errorf("from the old row: %s", got)
	}
}

func TestDeleteWithKeyOnly(t *testing.T) {
	s := products()
	g := compile(t, envelope.Options{}, s, "x")
	a := pipeline.AbsentValue
	r := &pipeline.Row{Schema: s, Tx: aTx, Op: pipeline.Delete, Before: []pipeline.Value{pipeline.IntValue(5), a, a, a}}
	want := `{"before":{"id":5,"name":"","price":null,"created_at":null},"after":null,`
	if got := show(t, g, r); !strings.HasPrefix(got, want) {
		t.Errorf("got %s, want %s...", got, want)
	}
}

func TestLongs(t *testing.T) {
	for shift := range 64 {
		for _, d := range []int64{-2, -1, 0, 1, 2} {
			for _, n := range []int64{1<<shift + d, -(1 << shift) + d} {
				want := binary.AppendVarint(nil, n)
				if got := appendLong(nil, n); string(got) != string(want) {
					t.Fatalf("%d: %x, want %x", n, got, want)
				}
			}
		}
	}
}

// TestMemo encodes rows of two transactions and tables in turn, with and without a memo.
func TestMemo(t *testing.T) {
	var memo envelope.Memo
	for i := range 12 {
		r := productRow()
		r.Schema.System = []pipeline.System{pipeline.PostgreSQL, pipeline.MariaDB}[i/6]
		g := compile(t, envelope.Options{Name: "srv"}, r.Schema, "x")
		for n := range 2 {
			r.Tx, r.At = &pipeline.Tx{ID: uint64(i), LSN: uint64(7 * i), Time: int64(i), Snapshot: n == 1}, uint64(i)
			for now := range int64(2) {
				events, _ := g.Plan.Events(nil, r, now)
				want, err := g.AppendValue(nil, &events[0])
				if err != nil {
					t.Fatal(err)
				}
				events[0].Memo = &memo
				if got, _ := g.AppendValue(nil, &events[0]); string(got) != string(want) {
					t.Fatalf("with a memo:\n%x\nwithout:\n%x", got, want)
				}
			}
		}
	}
}
