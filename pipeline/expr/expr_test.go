package expr

import (
	"errors"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	ctyfunc "github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"

	"github.com/pipe-cdc/pipe/pipeline"
)

func testSchema() *pipeline.Schema {
	return &pipeline.Schema{
		System: pipeline.PostgreSQL, Database: "shop", Namespace: "public", Table: "orders", Key: []int{0},
		Columns: []pipeline.Column{
			{Name: "id", Kind: pipeline.Int, Type: "bigint"},
			{Name: "amount", Kind: pipeline.Decimal, Type: "numeric(12,2)"},
			{Name: "qty", Kind: pipeline.Int, Type: "integer"},
			{Name: "status", Kind: pipeline.Text, Type: "text"},
			{Name: "paid", Kind: pipeline.Bool, Type: "boolean"},
			{Name: "at", Kind: pipeline.Timestamp, Type: "timestamp without time zone"},
			{Name: "tz", Kind: pipeline.TimestampTZ, Type: "timestamp with time zone"},
			{Name: "day", Kind: pipeline.Date, Type: "date"},
			{Name: "f", Kind: pipeline.Float64, Type: "double precision"},
			{Name: "u", Kind: pipeline.UUID, Type: "uuid"},
			{Name: "state", Kind: pipeline.Text, Type: "public.state", Labels: []string{"new", "done"}},
			{Name: "doc", Kind: pipeline.JSON, Type: "jsonb"},
			{Name: "code", Kind: pipeline.Text, Type: "character(4)"},
			{Name: "odd name", Kind: pipeline.Text, Type: "text"},
			{Name: "big", Kind: pipeline.Uint, Type: "bigint unsigned"},
			{Name: "raw", Kind: pipeline.Bytes, Type: "bytea"},
		},
	}
}

func testRow() []pipeline.Value {
	text := func(k pipeline.Kind, s string) pipeline.Value { return pipeline.StringValue(k, s) }
	return []pipeline.Value{
		pipeline.IntValue(7), text(pipeline.Decimal, "150.50"), pipeline.IntValue(3),
		text(pipeline.Text, "paid"), pipeline.BoolValue(true), pipeline.TimestampValue(dayMicros),
		pipeline.TimestampTZValue(dayMicros), pipeline.DateValue(1), pipeline.Float64Value(1.5),
		text(pipeline.UUID, "6ba7b810-9dad-11d1-80b4-00c04fd430c8"), text(pipeline.Text, "new"),
		text(pipeline.JSON, `{"a": {"b": [1, "x\n\u00e9"]}, "n": null, "a2": true}`), text(pipeline.Text, "ab  "),
		text(pipeline.Text, "Wide"), pipeline.UintValue(1 << 63), text(pipeline.Bytes, "\x00\x01"),
	}
}

func testContext() *hcl.EvalContext {
	return &hcl.EvalContext{
		Variables: map[string]cty.Value{
			"var": cty.ObjectVal(map[string]cty.Value{
				"min": cty.NumberIntVal(100), "states": cty.ListVal([]cty.Value{cty.StringVal("paid"),
					cty.StringVal("sent")}),
				"later": cty.UnknownVal(cty.String), "pass": cty.StringVal("hunter2").Mark("secret"),
			}),
		},
		Functions: map[string]ctyfunc.Function{"join": stdlib.JoinFunc},
	}
}

func parse(t testing.TB, src string) hclsyntax.Expression {
	t.Helper()
	x, diags := hclsyntax.ParseExpression([]byte(src), "test.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatalf("%s: %v", src, diags)
	}
	return x
}

func compile(t testing.TB, src string) *Program {
	t.Helper()
	p, diags := Compile(parse(t, src), testSchema(), testContext())
	if diags.HasErrors() {
		t.Fatalf("%s: %v", src, diags)
	}
	return p
}

func TestEval(t *testing.T) {
	tests := []struct{ src, want string }{
		{`row.amount > 100 && row.status != "draft"`, "true"},
		{`row.amount == 150.5`, "true"},
		{`row.amount >= 150.500000000000000000000000000001`, "false"},
		{`row.qty * 2 + 1`, "7"},
		{`row.qty / 2`, "1"},
		{`row.qty % 2`, "1"},
		{`-row.qty`, "-3"},
		{`row.amount + row.qty`, "153.50"},
		{`row.amount * row.amount`, "22650.2500"},
		{`row.amount / 3`, "50.16666666666666666667"},
		{`row.f * 2`, "3"},
		{`row.f == row.qty`, "false"},
		{`row.day == "2000-01-02"`, "true"},
		{`row.at == row.day`, "true"},
		{`row.at < "2000-01-02T00:00:01"`, "true"},
		{`row.tz == "2000-01-02 02:00:00+02"`, "true"},
		{`row.u == "{6BA7B810-9dad-11d1-80b4-00c04fd430c8}"`, "true"},
		{`row.state == "new"`, "true"},
		{`row.code == "ab"`, "true"},
		{`row["odd name"]`, "Wide"},
		{`lower(row["odd name"])`, "wide"},
		{`upper("${row.status}!")`, "PAID!"},
		{`"${row.status}-${row.id}-${row.paid}"`, "paid-7-true"},
		{`length(row.status)`, "4"},
		{`length(row.raw)`, "2"},
		{`substr(row.status, 2, 2)`, "ai"},
		{`substr(row.status, -1, 3)`, "p"},
		{`substr(row.status, 3)`, "id"},
		{`startswith(row.status, "pa") && endswith(row.status, "d") && contains(row.status, "ai")`, "true"},
		{`contains(["paid", "sent"], row.status)`, "true"},
		{`contains(var.states, row.status)`, "true"},
		{`contains([1, 2.0, 3.0], row.qty)`, "true"},
		{`contains(["a", null], row.status)`, "null"},
		{`contains(["a","b","c","d","e","f","g","h","paid"], row.status)`, "true"},
		{`regex_match("^p.+d$", row.status)`, "true"},
		{`replace(row.status, "ai", "oun")`, "pound"},
		{`trim("  x ")`, "x"},
		{`concat("a", null, row.qty)`, "a3"},
		{`coalesce(null, row.qty, 1.5)`, "3"},
		{`row.paid ? row.qty : 0`, "3"},
		{`row.qty > 5 ? "many" : "few"`, "few"},
		{`abs(-5)`, "5"},
		{`round(row.amount)`, "151"},
		{`round(row.amount, 1)`, "150.5"},
		{`floor(row.amount)`, "150"},
		{`ceil(-row.amount)`, "-150"},
		{`date_part("year", row.at)`, "2000"},
		{`date_part("dow", row.day)`, "0"},
		{`date_part("doy", row.day)`, "2"},
		{`epoch(row.tz)`, "946771200"},
		{`to_text(row.paid)`, "true"},
		{`to_text(row.raw)`, `\x0001`},
		{`to_int("-12")`, "-12"},
		{`hash_sha256("abc")`, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{`json_get(row.doc, "a", "b", "1")`, "x\né"},
		{`json_get(row.doc, "a", "b")`, `[1, "x\n\u00e9"]`},
		{`json_get(row.doc, "n")`, "null"},
		{`json_get(row.doc, "zz")`, "null"},
		{`op`, "update"},
		{`op == "update"`, "true"},
		{`table.schema`, "public"},
		{`old.qty == null`, "true"},
		{`row.qty != null`, "true"},
		{`null == null`, "true"},
		{`old.qty > 3`, "null"},
		{`old.qty > 3 || true`, "true"},
		{`old.qty > 3 && false`, "false"},
		{`!(old.qty > 3)`, "null"},
		{`row.big > row.qty && row.big == 9223372036854775808`, "true"},
		{`row.qty > var.min`, "false"},
		{`join("-", var.states) == "paid-sent"`, "true"},
		{`row.id == 7.0`, "true"},
		{`100 < row.amount`, "true"},
	}
	v := &Vars{Row: &pipeline.Row{Op: pipeline.Update}, New: testRow()}
	for _, tt := range tests {
		got, err := compile(t, tt.src).Eval(new(pipeline.Arena), v)
		if err != nil || got.String() != tt.want {
			t.Errorf("%s = %s, %v; want %s", tt.src, got, err, tt.want)
		}
	}
}

func TestErrors(t *testing.T) {
	tests := []struct{ src, want string }{
		{`row.ammount > 1`, `Did you mean "amount"?`},
		{`row.amount-tax > 1`, "put spaces around the -"},
		{`row.amount == "150"`, "numeric compared with text"},
		{`row.amount == "150"`, "Write 150 without quotes"},
		{`row.status > 100`, "text compared with numeric"},
		{`row.status == 100`, "Write the number in quotes"},
		{`row.qty > null`, "Comparison with null"},
		{`row.state == "dome"`, `Did you mean "done"?`},
		{`row.state > "new"`, "only == and !="},
		{`row.day > "2023-02-29"`, "not a date such as"},
		{`row.u == "x"`, "not a UUID"},
		{`row.doc == "x"`, "json_get"},
		{`row.paid + 1`, "needs numbers"},
		{`row.status + "x"`, "joined by a template"},
		{`!row.status`, "must be true or false"},
		{`lowr(row.status)`, `Did you mean "lower"?`},
		{`lower(row.qty)`, "takes text here"},
		{`lower()`, "Write lower(text)"},
		{`regex_match("(", row.status)`, "not valid RE2"},
		{`regex_match(row.status, row.status)`, "must be constant text"},
		{`[for x in row : x]`, "may use row.NAME"},
		{`row.doc.a`, "json_get(row.doc"},
		{`row`, "Write row.NAME"},
		{`{ a = row.id }`, "may use row.NAME"},
		{`table.nme`, "table.database"},
		{`op == "upsert"`, "no label"},
		{`1 / 0 == row.qty`, "division by zero"},
		{`row.qty ? 1 : 2`, "must be true or false"},
		{`row.paid ? 1 : "x"`, "one type"},
		{`[1]`, "first argument of contains"},
		{`var.nope == row.status`, "nope"},
		{`row.status == 1e9999999`, "too many digits"},
		{`row.tz > row.at`, "timestamptz compared with timestamp"},
	}
	for _, tt := range tests {
		_, diags := Compile(parse(t, tt.src), testSchema(), testContext())
		if !diags.HasErrors() || !strings.Contains(diagText(diags), tt.want) {
			t.Errorf("%s: %s; want %q in it", tt.src, diagText(diags), tt.want)
		}
	}
}

func diagText(diags hcl.Diagnostics) string {
	var b strings.Builder
	for _, d := range diags {
		b.WriteString(d.Summary + ": " + d.Detail + "\n")
	}
	return b.String()
}

func TestSecretStaysHidden(t *testing.T) {
	_, diags := Compile(parse(t, `row.qty == var.pass`), testSchema(), testContext())
	if text := diagText(diags); !diags.HasErrors() || strings.Contains(text, "hunter2") {
		t.Errorf("diagnostics: %s", text)
	}
}

func TestUnknownIsAccepted(t *testing.T) {
	for _, src := range []string{`row.status == var.later`, `row.qty > var.later`,
		`lower(var.later) == row.status`} {
		compile(t, src)
	}
}

func TestAbsent(t *testing.T) {
	row := testRow()
	row[3] = pipeline.AbsentValue
	p := compile(t, `row.status == "paid"`)
	v := &Vars{New: row}
	if _, err := p.Match(v); !errors.Is(err, ErrAbsent) || !strings.Contains(err.Error(), "status") {
		t.Errorf("without an old row: %v", err)
	}
	v.Old = testRow()
	if ok, err := p.Match(v); !ok || err != nil {
		t.Errorf("with an old row: %v, %v", ok, err)
	}
	v.Old = nil
	for src, want := range map[string]bool{
		`row.qty > 5 && row.status == "x"`: false, `row.status == "x" && row.qty > 5`: false,
		`row.status == "x" || row.qty == 3`: true,
	} {
		if got, err := compile(t, src).Match(v); got != want || err != nil {
			t.Errorf("%s: %v, %v", src, got, err)
		}
	}
	if _, err := compile(t, `row.status != null`).Match(v); !errors.Is(err, ErrAbsent) {
		t.Errorf("null test: %v", err)
	}
	if _, err := compile(t, `"${row.status}"`).Eval(new(pipeline.Arena), v); !errors.Is(err, ErrAbsent) {
		t.Errorf("template: %v", err)
	}
}

func TestProgramReports(t *testing.T) {
	p := compile(t, `row.status == "a" || row.qty > 1 || old.id == 3 || row.qty < 0`)
	if c := p.Columns(); len(c) != 2 || c[0] != 2 || c[1] != 3 || !p.UsesOld() || p.Kind() != pipeline.Bool {
		t.Errorf("columns %v, old %v, kind %v", c, p.UsesOld(), p.Kind())
	}
	if _, diags := CompileBool(parse(t, "row.qty + 1"), testSchema(), nil); !diags.HasErrors() {
		t.Error("a number is accepted as a condition")
	}
}

func TestCheck(t *testing.T) {
	for src, want := range map[string]string{
		`row.x > 1 && lower(row.y) == var.z`: "", `split(",", var.x) == row.a`: "",
		`amount > 1`: "row.amount", `lowr(row.x)`: "lower", `lower(row.x, 1)`: "lower(text)",
		`[for x in row.y : x]`: "may use", `table.x`: "table.name",
	} {
		got := diagText(Check(parse(t, src)))
		if (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", src, got, want)
		}
	}
}

func TestScaledAgainstDecimal(t *testing.T) {
	texts := []string{"0", "-0", "0.0", "1", "1.0", "1.00", "-1", "-1.5", "1.5", "1.49", "1.51",
		"0.000000000000000001", "99999999999999999",
		"999999999999999999", "9999999999999999999", "-999999999999999999", "123456789012345.678",
		"00012.50", "12.5", "NaN", "Infinity",
		"-Infinity", "0.5", "0.50", "+1", ".5", "1.", "100000000000000000000000000.01"}
	fast := 0
	for _, a := range texts {
		for _, b := range texts {
			d, ok := parseDecimal(b)
			if !ok {
				continue
			}
			k, ok := newScaled(&d)
			if !ok {
				continue
			}
			got, ok := k.compare(a)
			want, known := CompareDecimals(a, b)
			if ok && (!known || got != want) {
				t.Errorf("%s with %s: %d, want %d", a, b, got, want)
			}
			if ok {
				fast++
			}
		}
	}
	if fast < 200 {
		t.Errorf("only %d pairs are compared in integers", fast)
	}
}

func TestNoAllocation(t *testing.T) {
	row := testRow()
	v := &Vars{Row: &pipeline.Row{Op: pipeline.Update}, New: row, Old: row}
	for _, src := range []string{
		`row.amount > 100 && row.status != "draft"`, `row.amount == row.qty`, `row.big > row.qty`,
		`contains(["paid","x"], row.status)`, `lower(row["odd name"]) == "wide"`, `row.amount * 2 > 10.5`,
		`"${row.status}-${row.id}" == "paid-7"`, `regex_match("^p", row.status)`, `row.code == "ab"`,
		`round(row.amount) > 3`, `json_get(row.doc, "a", "b", "1") == "x"`, `hash_sha256(row.status) != "x"`,
		`row.day > "2000-01-01" && row.at == row.day`, `row.f > row.amount`,
		`lower(concat("É", row.status)) == "épaid"`,
	} {
		p := compile(t, src)
		if n := testing.AllocsPerRun(200, func() {
			if _, err := p.Match(v); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", src, n)
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	v := &Vars{New: testRow()}
	for _, src := range []string{
		`row.qty > 1 && row.status != "draft"`, `row.amount > 100 && row.status != "draft"`,
		`contains(["sent", "paid"], row.status)`, `lower(row["odd name"]) == "wide"`, `row.amount * 2 > 10.5`,
	} {
		p := compile(b, src)
		b.Run(strings.ReplaceAll(src, " ", ""), func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				if _, err := p.Match(v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func FuzzCompile(f *testing.F) {
	for _, src := range []string{
		`row.amount > 100 && row.status != "draft"`, `"${row.a}-%{ if row.paid }x%{ endif }"`,
		`contains([1, "a"], row.qty)`,
		`row["x"].y[0]`, `row.*.a`, `substr(row.status, 1, 99) == "\u00e9"`, `-(-9223372036854775808) / -1`,
	} {
		f.Add(src)
	}
	s, ctx, row := testSchema(), testContext(), testRow()
	f.Fuzz(func(t *testing.T, src string) {
		x, diags := hclsyntax.ParseExpression([]byte(src), "f.hcl", hcl.InitialPos)
		if diags.HasErrors() {
			return
		}
		Check(x)
		p, diags := Compile(x, s, ctx)
		if diags.HasErrors() {
			return
		}
		v := &Vars{Row: &pipeline.Row{Op: pipeline.Insert}, New: row}
		got, err := p.Eval(new(pipeline.Arena), v)
		if err == nil && !got.IsNull() && got.Kind() != p.Kind() && p.Kind() != pipeline.Null {
			t.Errorf("%s: kind %v, said %v", src, got.Kind(), p.Kind())
		}
		if s, err := p.SQL(); err == nil && s == "" {
			t.Errorf("%s: empty SQL", src)
		}
	})
}
