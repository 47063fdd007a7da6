package pipeline

import (
	"reflect"
	"testing"
)

func TestMoveIndexes(t *testing.T) {
	s := &Schema{Indexes: []Index{{Name: "a", Columns: []int{2, 0}}, {Name: "b", Columns: []int{1}, Unique: true}}}
	old := *s
	s.MoveIndexes(map[int]int{0: 0, 2: 1})
	if want := []Index{{Name: "a", Columns: []int{1, 0}}}; !reflect.DeepEqual(want, s.Indexes) {
		t.Errorf("indexes %v, want %v", s.Indexes, want)
	}
	if len(old.Indexes) != 2 || old.Indexes[0].Columns[0] != 2 {
		t.Errorf("the schema that it was copied from changed: %v", old.Indexes)
	}
}

func TestBlend(t *testing.T) {
	in := &Schema{Indexes: []Index{{Name: "a", Columns: []int{0}, Unique: true}, {Name: "b", Columns: []int{1, 0}, Unique: true},
		{Name: "c", Columns: []int{1}, Unique: true}}}
	out := *in
	out.Blend(0)
	if out.Indexes[0].Unique || out.Indexes[1].Unique || !out.Indexes[2].Unique {
		t.Errorf("%+v", out.Indexes)
	}
	if !in.Indexes[0].Unique {
		t.Error("the schema that it was copied from changed")
	}
}
