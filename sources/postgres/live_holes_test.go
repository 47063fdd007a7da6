package postgres

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// TestHolesEnd: once every row was read only changes of rows that are still owed are held back, so writers
// that never leave off do not keep a table from being filled.
func TestHolesEnd(t *testing.T) {
	const table = "public.t"
	schema := &pipeline.Schema{Namespace: "public", Table: "t", Key: []int{0}, Columns: []pipeline.Column{
		{Name: "id", Kind: pipeline.Int}, {Name: "big", Kind: pipeline.Text}}}
	update := func(id, was int64) *pipeline.Row {
		row := &pipeline.Row{Schema: schema, Op: pipeline.Update, Values: []pipeline.Value{pipeline.IntValue(id), {}}}
		if was != id {
			row.Before = []pipeline.Value{pipeline.IntValue(was), {}}
		}
		return row
	}
	l := &live{holes: map[string]*holes{table: {declared: true}}}
	hold := func(id, was int64, tx uint64, want bool) {
		t.Helper()
		if held, _ := l.hole(table, update(id, was), tx); held != want {
			t.Errorf("the change of %d, before %d, held back: %v", id, was, held)
		}
	}
	more := func(want ...[]string) {
		t.Helper()
		segments, err := l.more(t.Context(), &snapshot.Request{Table: table})
		var got [][]string
		for _, s := range segments {
			got = append(got, s.Keys...)
		}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s, %v", diff, err)
		}
	}
	pay := func(sees uint64, keys ...[]string) {
		l.paid(&snapshot.Piece{Table: table, Segment: snapshot.Segment{Keys: keys}, Sees: func(tx uint64) bool { return tx <= sees }})
	}
	for id := int64(1); id <= 4; id++ {
		hold(id, id, 10, true)
	}
	more([]string{"1"}, []string{"2"}, []string{"3"}, []string{"4"})
	hold(5, 5, 11, false) // read, and whole downstream
	hold(2, 2, 12, true)  // not there yet
	hold(6, 3, 12, true)  // still owed, under another key
	l.whole(table, &pipeline.Row{Schema: schema, Op: pipeline.Delete, Before: update(4, 4).Values})
	hold(4, 4, 13, false)
	pay(11, []string{"1"}, []string{"2"}, []string{"3"}, []string{"4"})
	more([]string{"2"}, []string{"6"})
	hold(1, 1, 14, false)
	pay(14, []string{"2"}, []string{"6"})
	hold(2, 2, 15, false)
	l.holes[table].declared = false // there is no output to take it back from
	more()
	if l.holes[table] != nil {
		t.Error("the table counts as being filled")
	}
}
