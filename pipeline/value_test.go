package pipeline

import (
	"math"
	"testing"
	"unsafe"
)

func TestValues(t *testing.T) {
	text := []byte("größe")
	cases := []struct {
		v    Value
		kind Kind
		text string
	}{
		{NullValue, Null, "null"}, {AbsentValue, Absent, "absent"}, {Value{}, Null, "null"},
		{BoolValue(true), Bool, "true"}, {BoolValue(false), Bool, "false"},
		{IntValue(math.MinInt64), Int, "-9223372036854775808"}, {IntValue(7), Int, "7"},
		{UintValue(math.MaxUint64), Uint, "18446744073709551615"},
		{Float32Value(0.1), Float32, "0.1"}, {Float64Value(0.1), Float64, "0.1"},
		{Float64Value(math.NaN()), Float64, "NaN"}, {Float32Value(float32(math.Inf(-1))), Float32, "-Inf"},
		{BytesValue(Text, text), Text, "größe"}, {StringValue(Decimal, "1.10"), Decimal, "1.10"},
		{BytesValue(Bytes, []byte{0, 255}), Bytes, `"\x00\xff"`}, {BytesValue(Text, nil), Text, ""},
		{StringValue(Other, "POINT(1 2)"), Other, "POINT(1 2)"},
	}
	for i, c := range cases {
		if c.v.Kind() != c.kind || c.v.String() != c.text {
			t.Errorf("%v %q, want %v %q", c.v.Kind(), c.v, c.kind, c.text)
		}
		if c.v.IsNull() != (c.kind == Null) || c.v.IsAbsent() != (c.kind == Absent) {
			t.Errorf("%v: null %v, absent %v", c.v.Kind(), c.v.IsNull(), c.v.IsAbsent())
		}
		if has := c.v.Bytes() != nil; has && !c.kind.HasBytes() || string(c.v.Bytes()) != c.v.View() {
			t.Errorf("%v: bytes %q, view %q", c.kind, c.v.Bytes(), c.v.View())
		}
		for j, o := range cases {
			same := i == j || c.kind == Null && o.kind == Null
			if c.v.Equal(o.v) != same {
				t.Errorf("%v %q equals %v %q: %v", c.kind, c.v, o.kind, o.v, !same)
			}
		}
	}
	if unsafe.Sizeof(Value{}) != valueBytes {
		t.Errorf("a value has %d bytes", unsafe.Sizeof(Value{}))
	}
	if v := Float32Value(1.5); v.Float() != 1.5 || Float64Value(-2).Float() != -2 || !BoolValue(true).Bool() {
		t.Error("accessors")
	}
}

func TestEqualByContent(t *testing.T) {
	a, b := BytesValue(Text, []byte("same")), BytesValue(Text, []byte("same"))
	if !a.Equal(b) || a.Equal(StringValue(JSON, "same")) || a.Equal(StringValue(Text, "samE")) {
		t.Error("texts are not compared by kind and content")
	}
}

func TestRow(t *testing.T) {
	s := &Schema{Namespace: "n", Table: "t", Columns: []Column{{Name: "a"}, {Name: "b"}, {Name: "c"}}, Key: []int{2, 0}}
	one, two := IntValue(1), IntValue(2)
	row := func(op Op, before, values []Value) *Row {
		return &Row{Schema: s, Op: op, Before: before, Values: values}
	}
	cases := []struct {
		r                         *Row
		changed, complete, oldKey bool
	}{
		{row(Insert, nil, []Value{one, one, one}), false, true, false},
		{row(Update, nil, []Value{two, one, AbsentValue}), false, false, false},
		{row(Update, []Value{one, AbsentValue, one}, []Value{one, two, one}), false, true, true},
		{row(Update, []Value{one, AbsentValue, one}, []Value{two, two, one}), true, true, true},
		{row(Update, []Value{one, one, one}, []Value{one, two, two}), true, true, false},
		{row(Update, []Value{one, one, one}, []Value{one, two, AbsentValue}), false, false, false},
		{row(Update, []Value{AbsentValue, one, one}, []Value{two, two, one}), false, true, true},
		{row(Delete, []Value{one, AbsentValue, two}, nil), false, true, true},
	}
	for i, c := range cases {
		if c.r.KeyChanged() != c.changed || c.r.Complete() != c.complete || c.r.OldKey() != c.oldKey {
			t.Errorf("row %d: key changed %v, complete %v, old key %v", i, c.r.KeyChanged(), c.r.Complete(), c.r.OldKey())
		}
	}
	if k := cases[7].r.Key(); s.KeyText(k) != "c=2, a=1" || s.KeyText(k[:1]) != "a=1" {
		t.Errorf("key %q", s.KeyText(k))
	}
	if !s.IsKey(0) || s.IsKey(1) || s.Index("c") != 2 || s.Index("x") != -1 || s.Name() != "n.t" {
		t.Error("schema")
	}
}

func TestValueAllocations(t *testing.T) {
	p := []byte("text")
	sum := 0
	n := testing.AllocsPerRun(100, func() {
		v := BytesValue(Text, p)
		sum += len(v.View()) + len(v.Bytes())
		if v.Equal(StringValue(Text, "text")) && !IntValue(int64(sum)).Equal(v) {
			sum++
		}
	})
	if n != 0 || sum == 0 {
		t.Errorf("%v allocations", n)
	}
}
