package snapshot

import (
	"fmt"
	"testing"

	"github.com/pipe-cdc/pipe/pipeline"
)

var windowSchema = &pipeline.Schema{Table: "t", Key: []int{0}, Columns: []pipeline.Column{
	{Name: "id", Kind: pipeline.Int}, {Name: "big", Kind: pipeline.Text}}}

func windowRow(op pipeline.Op, key int64, big pipeline.Value) *pipeline.Row {
	return &pipeline.Row{Schema: windowSchema, Op: op, Values: []pipeline.Value{pipeline.IntValue(key), big}}
}

func upTo(n uint64) func(uint64) bool { return func(tx uint64) bool { return tx <= n } }

func TestWindow(t *testing.T) {
	var w Window
	w.Watch("t")
	row := windowRow(pipeline.Insert, 1, pipeline.Value{})
	w.Touch("t", row, 5)
	w.Touch("t", windowRow(pipeline.Update, 1, pipeline.AbsentValue), 7)
	w.Touch("t", row, 6) // commit order is not the order of numbers
	w.Touch("other", row, 9)
	for sees, want := range map[uint64][2]bool{4: {true, true}, 6: {true, true}, 7: {false, false}} {
		if stale, owed := w.Stale("t", row, upTo(sees)); stale != want[0] || owed != want[1] {
			t.Errorf("a snapshot that sees %d: stale %v, owed %v", sees, stale, owed)
		}
	}
	w.Forget(upTo(6))
	if w.Size() != 2 {
		t.Errorf("%d entries left, want those from the first on that is not seen", w.Size())
	}
	w.Touch("t", &pipeline.Row{Schema: windowSchema, Op: pipeline.Truncate}, 8)
	if !w.Voided("t", upTo(7)) || w.Voided("t", upTo(8)) {
		t.Error("a table that was emptied")
	}
	w.Forget(upTo(8))
	if w.Voided("t", upTo(1)) || w.Size() != 0 {
		t.Error("not all forgotten")
	}
	w.Unwatch("t")
	if w.Watching() || w.Watches("t") {
		t.Error("still watched")
	}
}

// TestWindowBounds: what does not fit makes chunks void that do not see it, and no memory grows without end.
func TestWindowBounds(t *testing.T) {
	var w Window
	w.Watch("t")
	for i := range int64(maxTouched + 10) {
		w.Touch("t", windowRow(pipeline.Insert, i, pipeline.Value{}), uint64(i))
	}
	if n := w.Size(); n > maxTouched || n < maxTouched/2 {
		t.Errorf("%d keys are remembered, at most %d", n, maxTouched)
	}
	if !w.Voided("t", upTo(0)) || w.Voided("t", upTo(maxTouched)) || w.Full("t") {
		t.Error("the oldest are neither remembered nor void")
	}
	for i := range uint64(maxVoids + 1) {
		w.Void("t", i)
	}
	if !w.Full("t") {
		t.Error("not full")
	}
	big := make([]byte, maxTouchedBytes/4)
	keyed := &pipeline.Schema{Table: "t", Columns: windowSchema.Columns}
	for i := range int64(10) {
		w.Touch("t", &pipeline.Row{Schema: keyed, Op: pipeline.Insert,
			Values: []pipeline.Value{pipeline.IntValue(i), pipeline.BytesValue(pipeline.Text, big)}}, 1)
		if size := w.tables["t"].size; size > maxTouchedBytes {
			t.Fatalf("%d bytes of keys", size)
		}
	}
}

// TestTouchAllocations: rows of tables that nobody reads cost nothing, and neither does a key again.
func TestTouchAllocations(t *testing.T) {
	var w Window
	w.Watch("other")
	row := windowRow(pipeline.Insert, 1, pipeline.Value{})
	if n := testing.AllocsPerRun(100, func() { w.Touch("t", row, 1) }); n != 0 {
		t.Errorf("%v allocations for a row of a table that is not watched", n)
	}
	w.Watch("t")
	if n := testing.AllocsPerRun(100, func() { w.Touch("t", row, 1) }); n != 0 {
		t.Errorf("%v allocations for a key that the transaction touched before", n)
	}
}

func FuzzAppendKey(f *testing.F) {
	f.Add([]byte("a"), []byte("b"), []byte("ab"), []byte(""))
	f.Fuzz(func(t *testing.T, a, b, c, d []byte) {
		key := func(x, y []byte) string {
			return fmt.Sprintf("%q", AppendKey(nil, &pipeline.Schema{}, []pipeline.Value{
				pipeline.BytesValue(pipeline.Text, x), pipeline.BytesValue(pipeline.Text, y)}))
		}
		if same := string(a) == string(c) && string(b) == string(d); same != (key(a, b) == key(c, d)) {
			t.Errorf("%q %q and %q %q", a, b, c, d)
		}
	})
}
