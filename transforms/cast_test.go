package transforms

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

func sumText(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func TestCastValues(t *testing.T) {
	text := func(s string) pipeline.Value { return pipeline.StringValue(pipeline.Text, s) }
	dec := func(s string) pipeline.Value { return pipeline.StringValue(pipeline.Decimal, s) }
	bits := func(s string) pipeline.Value { return pipeline.StringValue(pipeline.Bits, s) }
	raw := func(s string) pipeline.Value { return pipeline.StringValue(pipeline.Bytes, s) }
	tests := []struct {
		from pipeline.Value
		to   string
		want string // "" refused
	}{
		{bits("1"), "bool", "true"}, {bits("0"), "bool", "false"}, {bits("10"), "bool", ""},
		{pipeline.IntValue(1), "bool", "true"}, {pipeline.IntValue(2), "bool", ""},
		{raw("\x01"), "bool", "true"}, {raw("1"), "bool", ""}, {text("TRUE"), "bool", "true"}, {text("x"),
			"bool", ""},
		{pipeline.IntValue(32767), "int16", "32767"}, {pipeline.IntValue(32768), "int16", ""},
		{pipeline.IntValue(-32768), "int16", "-32768"}, {pipeline.UintValue(1 << 63), "int64", ""},
		{dec("12.00"), "int32", "12"}, {dec("12.50"), "int32", ""}, {text("-9223372036854775808"), "int64",
			"-9223372036854775808"},
		{text("9223372036854775808"), "int64", ""}, {text(""), "int64", ""}, {pipeline.Float64Value(3), "int16", "3"},
		{pipeline.IntValue(1 << 53), "float64", "9.007199254740992e+15"}, {pipeline.IntValue(1<<53 + 1),
			"float64", ""},
		{pipeline.IntValue(1<<63 - 1), "float64", ""}, {dec("0.1"), "float64", "0.1"},
		{pipeline.Float64Value(0.1), "float32", ""},
		{pipeline.Float64Value(0.5), "float32", "0.5"}, {text("0x10"), "float64", ""},
		{pipeline.IntValue(5), "numeric(5,2)", "5.00"}, {dec("123.456"), "numeric(5,2)", ""},
		{dec("-0012.30"), "numeric(5,2)", "-12.30"},
		{dec("1234"), "numeric(5,2)", ""}, {dec("1.50000"), "numeric(5,2)", "1.50"}, {dec("-0.00"),
			"numeric(5,2)", "0.00"},
		{dec("NaN"), "numeric(5,2)", "NaN"}, {dec("Infinity"), "numeric(5,2)", ""}, {text("1e5"), "numeric", ""},
		{pipeline.Float64Value(1.25), "numeric", "1.25"}, {text(".5"), "numeric(2,1)", "0.5"},
		{text("2024-02-29"), "date", "2024-02-29"}, {text("2023-02-29"), "date", ""},
		{pipeline.TimestampValue(dayMicros), "date", "2000-01-02"}, {pipeline.TimestampValue(1), "date", ""},
		{pipeline.DateValue(1), "timestamp", "2000-01-02 00:00:00"},
		{pipeline.DateValue(pipeline.PosInfinity), "timestamptz", "infinity"},
		{text("2024-01-01 02:00:00+02"), "timestamptz", "2024-01-01 00:00:00+00"}, {text("24:00:00"), "time",
			"24:00:00"},
		{text("25:00"), "time", ""}, {pipeline.DateValue(200_000_000), "timestamp", ""},
		{bits("0100000101000010"), "bytes", `"AB"`}, {bits("1"), "bytes", ""}, {text("x"), "bytes", `"x"`},
		{raw("0123456789abcdef"), "uuid", "30313233-3435-3637-3839-616263646566"}, {raw("x"), "uuid", ""},
		{text("6BA7B8109DAD11D180B400C04FD430C8"), "uuid", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"},
		{text("zz"), "uuid", ""},
		{text(`{"a":1}`), "json", `{"a":1}`}, {text(`{a}`), "json", ""}, {pipeline.BoolValue(true), "jsonb",
			"true"}, {dec("NaN"), "json", ""},
		{pipeline.BoolValue(true), "text", "true"}, {raw("\x01"), "text", `\x01`}, {pipeline.DateValue(0),
			"text", "2000-01-01"},
	}
	for _, tt := range tests {
		to, err := parseTarget(tt.to)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := to.converter()(new(pipeline.Arena), tt.from)
		if ok != (tt.want != "") || ok && got.String() != tt.want {
			t.Errorf("%s %s to %s: %s, %v; want %q", tt.from.Kind(), tt.from, tt.to, got, ok, tt.want)
		}
		if ok && got.Kind() != to.kind {
			t.Errorf("%s to %s: kind %s", tt.from, tt.to, got.Kind())
		}
	}
}

func TestCast(t *testing.T) {
	in := orders()
	c := &Cast{Types: map[string]string{"BIT( 1 )": "bool", "numeric": "float64"},
		Columns: map[string]string{"*.amount": "numeric(6,1)"}}
	out, f := bind(t, c, in)
	if out.Columns[3].Kind != pipeline.Bool || out.Columns[3].Type != "boolean" ||
		out.Columns[1].Type != "numeric(6,1)" || out.Columns[1].Scale != 1 {
		t.Errorf("%+v", out.Columns)
	}
	r := &pipeline.Row{Op: pipeline.Update, Before: vals("1", "_", "_", "_"), Values: vals("1", "2", "x", "1")}
	if got := apply(f, r); got != "update 1|absent|absent|absent > 1|2.0|x|true" {
		t.Error(got)
	}
	got := apply(f, &pipeline.Row{Op: pipeline.Insert, Values: vals("7", "2.25", "x", "1")})
	for _, want := range []string{"transform.t", "public.orders", "id=7", "amount", `"2.25"`, "numeric(6,1)"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s: want %s in it", got, want)
		}
	}
	c.OnError = "null"
	_, f = bind(t, c, in)
	if got := apply(f, &pipeline.Row{Op: pipeline.Insert, Values: vals("7", "2.25", "null",
		"1")}); got != "insert - > 7|null|null|true" {
		t.Error(got)
	}
	in.Columns[2] = pipeline.Column{Name: "status", Kind: pipeline.Array, Type: "text[]"}
	bindError(t, &Cast{Columns: map[string]string{"status": "bool"}}, in, "cannot be cast to boolean")
}

func TestParseTargetErrors(t *testing.T) {
	for _, s := range []string{"", "boool", "int16(3)", "numeric(0)", "numeric(5,6)", "numeric(x)",
		"numeric(5,-1)"} {
		if got, err := parseTarget(s); err == nil {
			t.Errorf("%q: %+v", s, got)
		}
	}
}

// steady lists transforms with what they do to one row, for allocations and time.
func steady(t testing.TB) map[string]spec.Transform {
	return map[string]spec.Transform{
		"cast": &Cast{Types: map[string]string{"bit(1)": "bool"},
			Columns: map[string]string{"amount": "numeric(8,3)"}},
		"filter": &Filter{Where: expression(t, `row.amount > 100 && row.status != "draft"`), OnLeave: "delete"},
		"route": &Route{OnMove: "fail", Cases: []*RouteCase{{Where: expression(t, "row.amount > 100"),
			Target: template(t, "big")},
			{Target: template(t, "small")}}},
		"omit": &Omit{Columns: []string{"amount"}},
		"mask": &Mask{Columns: []string{"status"}, Hash: "sha256", Salt: "s", Form: formText},
		"set": &Set{Columns: map[string]spec.Expr{"total": expression(t, "row.amount * 2")},
			Metadata: []string{"__op", "__source_ts_ms"}},
	}
}

// loop returns a function that runs one row through a transform, and resets the arena each time.
func loop(t testing.TB, c spec.Transform) func() {
	in := orders()
	_, f := bind(t, c, in)
	before, values, tx := vals("1", "149", "old", "0"), vals("1", "150", "paid", "1"),
		&pipeline.Tx{Time: 5, LSN: 8}
	var a pipeline.Arena
	b, v, r := make([]pipeline.Value, 4), make([]pipeline.Value, 4), new(pipeline.Row)
	return func() {
		a.Reset()
		copy(b, before)
		copy(v, values)
		*r = pipeline.Row{Schema: in, Tx: tx, Op: pipeline.Update, Before: b, Values: v}
		if _, err := f(&a, r); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNoAllocation(t *testing.T) {
	for name, c := range steady(t) {
		run := loop(t, c)
		run()
		if n := testing.AllocsPerRun(200, run); n != 0 {
			t.Errorf("%s: %v allocations per row", name, n)
		}
	}
}

func BenchmarkRow(b *testing.B) {
	for name, c := range steady(b) {
		b.Run(name, func(b *testing.B) {
			run := loop(b, c)
			b.ReportAllocs()
			for range b.N {
				run()
			}
		})
	}
}

func TestSpecs(t *testing.T) {
	for name, c := range map[string]spec.Transform{
		"cast": &Cast{}, "filter": &Filter{}, "route": &Route{}, "rename": &Rename{}, "omit": &Omit{},
		"mask": &Mask{}, "set": &Set{},
	} {
		b := spec.Describe(name, c)
		if b.Text == "" || !strings.Contains(b.Example, `"`+name+`"`) {
			t.Errorf("%s has no text or example", name)
		}
		for _, a := range b.Attrs {
			if a.Text == "" || a.Name == "from" {
				t.Errorf("%s.%s", name, a.Name)
			}
		}
	}
}
