package expr

import (
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/pipe-cdc/pipe/pipeline"
)

// TestWhere decides about changes that cross a condition, by what is known of the old row.
func TestWhere(t *testing.T) {
	s := &pipeline.Schema{Table: "t", Key: []int{0}, Columns: []pipeline.Column{
		{Name: "id", Kind: pipeline.Int}, {Name: "n", Kind: pipeline.Int, Nullable: true}, {Name: "big", Kind: pipeline.Text}}}
	x, diags := hclsyntax.ParseExpression([]byte("row.n > 10"), "t", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	w, err := CompileWhere(x, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	row := func(n int64) []pipeline.Value {
		return []pipeline.Value{pipeline.IntValue(1), pipeline.IntValue(n), pipeline.StringValue(pipeline.Text, "b")}
	}
	key := []pipeline.Value{pipeline.IntValue(1), pipeline.AbsentValue, pipeline.AbsentValue}
	partial := row(20)
	partial[2] = pipeline.AbsentValue
	null := row(0)
	null[1] = pipeline.NullValue
	for name, c := range map[string]struct {
		op            pipeline.Op
		values, old   []pipeline.Value
		keep          bool
		becomes       pipeline.Op
		valuesDropped bool
	}{
		"insert in":                    {op: pipeline.Insert, values: row(11), keep: true, becomes: pipeline.Insert},
		"insert out":                   {op: pipeline.Insert, values: row(10)},
		"insert NULL":                  {op: pipeline.Insert, values: null},
		"read in":                      {op: pipeline.Read, values: row(11), keep: true, becomes: pipeline.Read},
		"update stays in":              {op: pipeline.Update, values: row(12), old: row(11), keep: true, becomes: pipeline.Update},
		"update comes in":              {op: pipeline.Update, values: row(12), old: row(1), keep: true, becomes: pipeline.Insert},
		"update comes in, not whole":   {op: pipeline.Update, values: partial, old: row(1), keep: true, becomes: pipeline.Update},
		"update leaves":                {op: pipeline.Update, values: row(1), old: row(11), keep: true, becomes: pipeline.Delete, valuesDropped: true},
		"update leaves, old unknown":   {op: pipeline.Update, values: row(1), keep: true, becomes: pipeline.Delete, valuesDropped: true},
		"update stays out":             {op: pipeline.Update, values: row(1), old: row(2)},
		"delete in":                    {op: pipeline.Delete, old: row(11), keep: true, becomes: pipeline.Delete, valuesDropped: true},
		"delete out":                   {op: pipeline.Delete, old: row(1)},
		"delete with the key known":    {op: pipeline.Delete, old: key, keep: true, becomes: pipeline.Delete, valuesDropped: true},
		"truncate concerns every row":  {op: pipeline.Truncate, keep: true, becomes: pipeline.Truncate, valuesDropped: true},
		"update leaves, key and no n":  {op: pipeline.Update, values: row(1), old: key, keep: true, becomes: pipeline.Delete, valuesDropped: true},
		"update in, old row only keyd": {op: pipeline.Update, values: row(12), old: key, keep: true, becomes: pipeline.Update},
	} {
		r := &pipeline.Row{Schema: s, Op: c.op, Values: c.values, Before: c.old}
		keep, err := w.Apply(r)
		if err != nil || keep != c.keep {
			t.Errorf("%s: kept %v, %v; want %v", name, keep, err, c.keep)
			continue
		}
		if keep && (r.Op != c.becomes || (r.Values == nil) != c.valuesDropped) {
			t.Errorf("%s: became %s with values %v", name, r.Op, r.Values)
		}
		if keep && r.Op == pipeline.Delete && (r.Before == nil || r.Before[0].Int() != 1) {
			t.Errorf("%s: the delete has no key", name)
		}
	}
	if old, diags := hclsyntax.ParseExpression([]byte("old.n > 1"), "t", hcl.InitialPos); !diags.HasErrors() {
		if _, err := CompileWhere(old, s, nil); err == nil {
			t.Error("a condition on old was taken")
		}
	}
}
