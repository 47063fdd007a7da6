package stdout

import (
	"bytes"
	"context"
	stdjson "encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
)

func items() *pipeline.Schema {
	return &pipeline.Schema{
		System: pipeline.PostgreSQL, Database: "d", Namespace: "public", Table: "items", Key: []int{0},
		Columns: []pipeline.Column{
			{Name: "id", Kind: pipeline.Int, Type: "bigint"},
			{Name: "name", Kind: pipeline.Text, Type: "text", Nullable: true},
			{Name: "n", Kind: pipeline.Decimal, Type: "numeric", Nullable: true, Precision: -1},
		},
	}
}

func batch() *pipeline.Batch {
	s := items()
	tx := &pipeline.Tx{Pos: "0/1"}
	text := func(s string) pipeline.Value { return pipeline.StringValue(pipeline.Text, s) }
	num := func(s string) pipeline.Value { return pipeline.StringValue(pipeline.Decimal, s) }
	a := pipeline.AbsentValue
	id := pipeline.IntValue(1)
	b := &pipeline.Batch{}
	*b.Add() = pipeline.Row{Schema: s, Tx: tx, Op: pipeline.Insert, Values: []pipeline.Value{id, text("\x1b[2J\n\u009b"), num("1.50")}}
	*b.Add() = pipeline.Row{Schema: s, Tx: tx, Op: pipeline.Update, Values: []pipeline.Value{id, a, num("NaN")}}
	*b.Add() = pipeline.Row{Schema: s, Tx: tx, Op: pipeline.Delete, Before: []pipeline.Value{id, a, a}}
	*b.Add() = pipeline.Row{Schema: s, Tx: tx, Op: pipeline.Truncate, Flags: pipeline.Again} // says nothing
	*b.Add() = pipeline.Row{Schema: s, Tx: tx, Op: pipeline.Truncate}
	*b.Add() = pipeline.Row{Schema: s, Tx: tx, Op: pipeline.Message, Values: []pipeline.Value{text("p"), pipeline.StringValue(pipeline.Bytes, "\x1b")}}
	b.Mark("0/2")
	return b
}

func TestFlat(t *testing.T) {
	var out bytes.Buffer
	if err := New(&out, Options{}).Write(context.Background(), batch()); err != nil {
		t.Fatal(err)
	}
	want := `{"op":"insert","table":"public.items","pos":"0/1","row":{"id":1,"name":"\u001b[2J\n\u009b","n":1.50}}
{"op":"update","table":"public.items","pos":"0/1","row":{"id":1,"n":"NaN"}}
{"op":"delete","table":"public.items","pos":"0/1","before":{"id":1}}
{"op":"truncate","table":"public.items","pos":"0/1"}
{"op":"message","table":"public.items","pos":"0/1","prefix":"p","content":"\u001b"}
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPrettyDebezium(t *testing.T) {
	var out bytes.Buffer
	b := batch()
	b.Rows = b.Rows[:1]
	if err := New(&out, Options{Envelope: Debezium, Pretty: true}).Write(context.Background(), b); err != nil {
		t.Fatal(err)
	}
	if !stdjson.Valid(out.Bytes()) || !strings.Contains(out.String(), "\n  \"op\": \"c\",\n") {
		t.Errorf("%s", out.String())
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("closed pipe") }

func TestBrokenPipe(t *testing.T) {
	err := New(broken{}, Options{}).Write(context.Background(), batch())
	if pipeline.ClassOf(err) != pipeline.Environment {
		t.Errorf("%v", err)
	}
}

func TestNoAllocations(t *testing.T) {
	var out bytes.Buffer
	s := New(&out, Options{})
	b := batch()
	n := testing.AllocsPerRun(50, func() {
		out.Reset()
		if err := s.Write(context.Background(), b); err != nil {
			t.Fatal(err)
		}
	})
	if n > 0 {
		t.Errorf("%v allocations for a batch", n)
	}
}
