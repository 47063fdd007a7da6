package avro

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/envelope"
)

func TestSchemaIsDebeziums(t *testing.T) {
	g := compile(t, envelope.Options{Name: "srv"}, products(), "srv.public.products")
	want, err := os.ReadFile("testdata/products.avsc")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.TrimSpace(string(want)), g.ValueSchema); diff != "" {
		t.Errorf("value schema (-want +got):\n%s", diff)
	}
	key := `{"type":"record","name":"Key","namespace":"srv.public.products","fields":[{"name":"id","type":{"type":"int","connect.default":0},"default":0}],"connect.name":"srv.public.products.Key"}`
	if diff := cmp.Diff(key, g.KeySchema); diff != "" {
		t.Errorf("key schema (-want +got):\n%s", diff)
	}
}

func TestNames(t *testing.T) {
	for in, want := range map[string]string{
		"my-table": "my_table", "1abc": "_1abc", "naïve": "na_ve", "a.b": "a_b", "": "_", "a b": "a_b", "ok_9": "ok_9",
	} {
		if got := ValidName(in); got != want {
			t.Errorf("ValidName(%q) = %q, want %q", in, got, want)
		}
	}
	s := products()
	s.Columns[2].Name, s.Columns[3].Name = "a-b", "a_b"
	p, _ := envelope.Options{}.Plan(s)
	_, err := Compile(p, "t")
	if err == nil || !strings.Contains(err.Error(), `"a-b" and "a_b" both become "a_b"`) {
		t.Errorf("collision: %v", err)
	}
}

// TestEveryKindCompiles compiles a column of each kind under each mapping.
func TestEveryKindCompiles(t *testing.T) {
	for _, types := range []envelope.Types{envelope.Connect, envelope.Logical} {
		for _, shape := range []envelope.Shape{envelope.Debezium, envelope.Flat} {
			s := wide()
			g := compile(t, envelope.Options{Shape: shape, Mapping: envelope.Mapping{Types: types}}, s, "a-b.1c")
			if !json.Valid([]byte(g.ValueSchema)) {
				t.Error("schema is not JSON")
			}
		}
	}
}

// wide is a table with a column of every kind and special type.
func wide() *pipeline.Schema {
	s := &pipeline.Schema{System: pipeline.PostgreSQL, Database: "d", Namespace: "n", Table: "t", Key: []int{0}}
	for _, c := range wideColumns {
		c.col.Nullable = c.col.Name != "id"
		s.Columns = append(s.Columns, c.col)
	}
	return s
}
