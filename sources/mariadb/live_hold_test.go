package mariadb

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// TestOwedRowsVanish holds that the snapshot of a table ends although a row that is owed is gone, and the log
// did not say so: it was truncated, or a foreign key deleted it.
func TestOwedRowsVanish(t *testing.T) {
	const name = "shop.t"
	schema := &pipeline.Schema{Database: "shop", Table: "t", Key: []int{0},
		Columns: []pipeline.Column{{Name: "id", Kind: pipeline.Int}, {Name: "v", Kind: pipeline.Text}}}
	l := &live{tables: map[string]*table{}, filling: map[string]*filling{}}
	l.Desk = snapshot.NewDesk()
	m := newMerging(l)
	q := &snapshot.Request{Table: name, Reason: snapshot.ForAdded}
	more := func() []snapshot.Segment {
		t.Helper()
		segments, err := l.more(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		return segments
	}
	change := func(id int64, tx uint64) {
		row := &pipeline.Row{Schema: schema, Op: pipeline.Update, Before: []pipeline.Value{pipeline.IntValue(id), pipeline.AbsentValue},
			Values: []pipeline.Value{pipeline.IntValue(id), pipeline.AbsentValue}}
		if !l.hold(name, row, tx) {
			t.Fatalf("the change of row %d was not held back", id)
		}
	}
	l.fill(name)
	change(1, 10)
	change(2, 20)
	first := more()
	if len(first) != 1 || len(first[0].Keys) != 2 {
		t.Fatalf("to be read: %+v", first)
	}
	change(1, 30) // behind what the chunk sees
	m.paying(&snapshot.Piece{Table: name, Segment: first[0], Sees: func(tx uint64) bool { return tx <= 20 }})
	second := more()
	if diff := cmp.Diff([]snapshot.Segment{{Part: name, Keys: [][]string{{"1"}}}}, second); diff != "" {
		t.Fatalf("to be read (-want +have):\n%s", diff)
	}
	m.paying(&snapshot.Piece{Table: name, Segment: second[0], Sees: func(uint64) bool { return true }})
	if third := more(); third != nil || l.fillings.Load() != 0 {
		t.Errorf("the table is never filled: %+v", third)
	}
}
