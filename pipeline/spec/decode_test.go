package spec_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hashicorp/hcl/v2"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/spec"
	"github.com/pipe-cdc/pipe/pipeline/spec/spectest"
)

// login is what a connection shares.
type login struct {
	Host     string
	Password spec.Secret
}

func (l *login) Spec(b *spec.Block) {
	spec.Attr(b, "host", &l.Host).Required().Example(`"db.example"`)
	spec.Attr(b, "password", &l.Password)
}

type table struct {
	Pattern string
	Where   spec.Expr
	Omit    []string
}

// every binds every kind of attribute.
type every struct {
	login   login
	DSN     string
	Yes     bool
	Count   int
	Big     int64
	Ratio   float64
	Wait    time.Duration
	Size    spec.Bytes
	Names   []string
	Labels  map[string]string
	One     spec.Ref
	Many    []spec.Ref
	Where   spec.Expr
	Into    spec.Template
	Set     map[string]spec.Expr
	Mode    string
	Tables  []*table
	Format  *string
	checked int
}

func (e *every) Spec(b *spec.Block) {
	b.Connection("fake", &e.login)
	spec.Attr(b, "dsn", &e.DSN).Sensitive()
	spec.Attr(b, "yes", &e.Yes)
	a := spec.Attr(b, "count", &e.Count).Range(1, 10)
	spec.Default(a, &e.Count, 3)
	spec.Attr(b, "big", &e.Big)
	spec.Attr(b, "ratio", &e.Ratio)
	spec.Attr(b, "wait", &e.Wait).Range(int64(time.Millisecond), int64(time.Hour))
	spec.Attr(b, "size", &e.Size)
	spec.Attr(b, "names", &e.Names).OneOf("slot", "publication")
	spec.Attr(b, "labels", &e.Labels)
	spec.Attr(b, "one", &e.One).To("sink")
	spec.Attr(b, "many", &e.Many)
	spec.Attr(b, "where", &e.Where)
	spec.Attr(b, "into", &e.Into)
	spec.Attr(b, "set", &e.Set)
	spec.Attr(b, "mode", &e.Mode).OneOf("initial", "never")
	spec.Blocks(b, "table", []string{"pattern"}, &e.Tables, func(b *spec.Block, t *table, labels []string) {
		t.Pattern = labels[0]
		spec.Attr(b, "where", &t.Where)
		spec.Attr(b, "omit", &t.Omit)
	})
	spec.Sub(b, "format", []string{"kind"}, &e.Format, func(b *spec.Block, s *string, labels []string) {
		*s = labels[0]
	}).OneOf("avro", "json")
	b.Check(func(p *spec.Problems) {
		e.checked++
		if e.Yes && e.Count == 7 {
			p.Error("count", "Odd", "seven")
		}
	})
}

func TestDecodeEveryKind(t *testing.T) {
	t.Setenv("PIPE_TEST_PORT", "5")
	var e every
	b := spectest.Decode(t, &e, `
host = "h"
password = env("PIPE_TEST_PORT")
yes = true
count = env("PIPE_TEST_PORT")
big = 9223372036854775807
ratio = 0.5
wait = "1m30s"
size = "64MiB"
names = ["slot", "publication"]
labels = { a = "x", "b.c" = 1 }
one = sink.x
many = [source.a, source.b["eu"]]
where = row.a > 1
into = "x.${table.schema}.${upper("a")}${table.name}"
set = { total = row.a * 2 }
mode = "never"
table "a.*" { omit = ["x"] }
dynamic "table" {
  for_each = ["b", "c"]
  iterator = it
  labels   = ["${it.value}.*"]
  content {
    where = row.kind == it.value
  }
}
format "avro" {}
`[0:])
	want := every{
		login: login{"h", "5"}, Yes: true, Count: 5, Big: 1<<63 - 1, Ratio: 0.5, Wait: 90 * time.Second,
		Size:  64 << 20,
		Names: []string{"slot", "publication"}, Labels: map[string]string{"a": "x", "b.c": "1"},
		One: spec.Ref{Kind: "sink", Name: "x"}, Many: []spec.Ref{{Kind: "source", Name: "a"},
			{Kind: "source", Name: "b", Key: "eu"}},
		Mode: "never", Tables: []*table{{Pattern: "a.*", Omit: []string{"x"}}, {Pattern: "b.*"}, {Pattern: "c.*"}},
		Format: new("avro"), checked: 1,
	}
	diff := cmp.Diff(want, e, cmp.AllowUnexported(every{}), cmpopts.IgnoreUnexported(table{}),
		cmpopts.IgnoreTypes(spec.Expr{}, spec.Template{}, map[string]spec.Expr{}, hcl.Range{}),
		cmp.Transformer("login", func(l login) [2]string { return [2]string{l.Host, l.Password.Reveal()} }))
	if diff != "" {
		t.Error(diff)
	}
	if !b.Attribute("password").Hidden() || !b.Attribute("count").Hidden() || b.Attribute("mode").Hidden() {
		t.Error("a value from env() must be hidden, others not")
	}
	if e.Set["total"].Syntax == nil || e.Where.Syntax == nil {
		t.Error("row expressions are not kept")
	}
	v, ok := e.Tables[1].Where.Ctx.Variables["it"]
	if !ok || v.GetAttr("value").AsString() != "b" {
		t.Errorf("the iterator of a dynamic block is not in the context of its row expressions: %#v", v)
	}
}

func TestTemplateText(t *testing.T) {
	var e every
	spectest.Decode(t, &e, `host = "h"
into = "x.${table.schema}.${table.name}"`)
	for _, c := range []struct{ name, want string }{
		{"orders", "x.public.orders"},
		{"e\u0301t\u00e9", "x.public.e\u0301t\u00e9"}, // not normalised
	} {
		got, err := e.Into.Text(&pipeline.Schema{Namespace: "public", Table: c.name})
		if err != nil || got != c.want {
			t.Errorf("got %q, %v; want %q", got, err, c.want)
		}
	}
}

func TestDecodeErrors(t *testing.T) {
	t.Setenv("PIPE_TEST_SECRET", "hunter2")
	for _, c := range []struct{ in, want string }{
		{``, `Missing attribute: "host" must be given. For example: host = "db.example".`},
		{`hst = "x"`, `Unknown attribute: "hst" is not an attribute of test. Did you mean "host"?`},
		{`mode = "initail"`, `Unknown value: "mode" must be one of "initial", "never". Did you mean "initial"?`},
		{`names = ["slot", "publicaton"]`, `Did you mean "publication"?`},
		{`wait = 30`, `Not a duration: "wait" takes a duration such as "500ms", "10s" or "1h30m". Write a unit, for example "30s".`},
		{`wait = "2h"`, `Out of range: "wait" must be from 1ms to 1h.`},
		{`count = 11`, `Out of range: "count" must be from 1 to 10.`},
		{`count = 1.5`, `Not a whole number`},
		{`count = "x"`, `Wrong type: "count" takes a whole number, not a text.`},
		{`size = 5`, `Not a size: "size" takes a size such as "512KiB", "64MiB" or "2GiB". Write a unit, for example "5MiB".`},
		{`dsn = ["a"]`, `Wrong type: "dsn" takes a text, not a list.`},
		{`names = "slot"`, `"names" takes a list of texts, not a text. Write it in brackets, even where there is only one.`},
		{`mode = env("PIPE_TEST_SECRET")`, `"mode" must be one of "initial", "never".`},
		{`mode = initial`, `If a text is meant, write it with quotes: "initial".`},
		{`mode = row.x`, `No row here`},
		{`into = "a.${row.x}"`, `once for each table`},
		{`into = "a.${table.nme}"`, `table has no "nme", only "database", "name", "schema", "target". Did you mean table.name?`},
		{`one = "sink.x"`, `Not a reference: A reference is written without quotes: sink.x`},
		{`one = source.x`, `Wrong kind of reference: "one" takes a sink. source.x is a source.`},
		{`many = source.postgres.x`, `The type is not part of a reference: write source.x.`},
		{`where = "row.x > 1"`, `A row expression is written without quotes: row.x > 1`},
		{`table = "x"`, `"table" is a block: write table "PATTERN" { } without =.`},
		{`tabel "x" {}`, `Unknown block: "tabel" is not a block of test. Did you mean "table"?`},
		{`format "avor" {}`, `There is no format "avor"; it is one of "avro", "json". Did you mean "avro"?`},
		{"format \"avro\" {}\nformat \"json\" {}", `Duplicate block`},
		{`table "x" { omitt = [] }`, `Did you mean "omit"?`},
		{"yes = true\ncount = 7\nhost = \"x\"", `error 2,9-10 Odd: seven`},
		{`password = "hunter2"`, `warning 1,12-21 Secret in the file`},
		{`dsn = "postgres://u:hunter2@h/d"`, `warning 1,7-33 Secret in the file`},
	} {
		got := strings.Join(spectest.Errors(t, &every{}, c.in), "\n")
		if !strings.Contains(got, c.want) {
			t.Errorf("%s\ngot  %s\nwant %s", c.in, got, c.want)
		}
		if strings.Contains(got, "hunter2") {
			t.Errorf("%s: the secret is shown: %s", c.in, got)
		}
	}
}

// A misspelt required attribute is one error, not two.
func TestMisspeltRequired(t *testing.T) {
	if got := spectest.Errors(t, &every{}, `hosst = "x"`); len(got) != 1 {
		t.Errorf("got %q", got)
	}
}

func TestNearest(t *testing.T) {
	for _, c := range []struct {
		name, want string
		in         []string
	}{
		{"pasword", "password", []string{"port", "password"}},
		{"initail", "initial", []string{"never", "initial"}},
		{"Initial", "initial", []string{"never", "initial"}},
		{"x", "", []string{"yy", "zzz"}},
		{"shoop", "shop", []string{"shops", "shop"}},
		{"tradng", "trading", []string{"trading"}},
		{"wholly", "", []string{"different"}},
	} {
		if got := spec.Nearest(c.name, c.in); got != c.want {
			t.Errorf("Nearest(%q) = %q, want %q", c.name, got, c.want)
		}
	}
}
