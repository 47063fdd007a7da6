package pipeline

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"unsafe"
)

// TestArenaNeverMoves: what was handed out keeps its content and its place while the arena grows, and
// nothing is handed out twice.
func TestArenaNeverMoves(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var a Arena
	for range 20 {
		var handed, want [][]byte
		var values [][]Value
		for n := range 3000 {
			size := rng.IntN(200)
			if rng.IntN(500) == 0 {
				size = rng.IntN(3 << 20)
			}
			content := bytes.Repeat([]byte{byte(n)}, size)
			handed, want = append(handed, give(&a, rng, content)), append(want, content)
			v := a.Values(rng.IntN(12))
			for i := range v {
				if !v[i].IsNull() {
					t.Fatal("a value handed out is not NULL")
				}
				v[i] = IntValue(int64(n))
			}
			values = append(values, v)
		}
		for n := range handed {
			if !bytes.Equal(handed[n], want[n]) || cap(handed[n]) != len(handed[n]) {
				t.Fatalf("piece %d changed, or has spare capacity", n)
			}
			for _, v := range values[n] {
				if v.Int() != int64(n) {
					t.Fatalf("values of piece %d changed", n)
				}
			}
		}
		a.Reset()
		if a.Size() != 0 {
			t.Fatalf("size %d after Reset", a.Size())
		}
	}
}

// give puts content into the arena in one of the three ways.
func give(a *Arena, rng *rand.Rand, content []byte) []byte {
	switch rng.IntN(4) {
	case 0:
		return a.Copy(content)
	case 1:
		p := a.Alloc(len(content))
		copy(p, content)
		return p
	case 2: // grows out of its room
		return a.Keep(append(a.Grow(rng.IntN(8)), content...))
	}
	return a.Keep(append(a.Grow(len(content)), content...))
}

func TestArenaSize(t *testing.T) {
	var a Arena
	a.Alloc(100)
	a.Values(3)
	a.Keep(append(a.Grow(10), "abc"...))
	if want := 100 + 3*int(unsafe.Sizeof(Value{})) + 3; a.Size() != want {
		t.Errorf("size %d, want %d", a.Size(), want)
	}
}

// TestArenaKeepsLittle: a huge batch does not stay in memory after Reset.
func TestArenaKeepsLittle(t *testing.T) {
	var a Arena
	for range 4 {
		a.Alloc(8 << 20)
		a.Values(1 << 20)
	}
	a.Reset()
	if c := cap(a.bytes.cur); c > arenaKeepBytes || len(a.bytes.full) > 0 {
		t.Errorf("%d bytes kept", c)
	}
	if c := cap(a.values.cur); c > arenaKeepValues {
		t.Errorf("%d values kept", c)
	}
}

func TestPoison(t *testing.T) {
	var a Arena
	p, v := a.Copy([]byte("abc")), a.Values(1)
	v[0] = BytesValue(Text, p)
	a.Poison()
	if p[0] != poison || v[0].Kind() == Text {
		t.Errorf("left %q %v after Poison", p, v[0].Kind())
	}
	if v[0].String() == "abc" {
		t.Error("the value can still be read")
	}
}

// TestBatchAllocations: filling a batch again allocates nothing.
func TestBatchAllocations(t *testing.T) {
	b := &Batch{MaxRows: 1000, MaxBytes: 1 << 20}
	s, tx, text := &Schema{}, &Tx{}, []byte("some text of a usual length")
	use := func() {
		for !b.Full() {
			r := b.Add()
			r.Schema, r.Tx, r.Op, r.Values = s, tx, Insert, b.Values(10)
			for i := range r.Values {
				r.Values[i] = BytesValue(Text, b.Copy(text))
			}
			b.Keep(append(b.Grow(16), text...))
		}
		b.Mark("1")
		b.Reset()
	}
	use()
	if n := testing.AllocsPerRun(50, use); n != 0 {
		t.Errorf("%v allocations for each batch", n)
	}
}

func TestBatch(t *testing.T) {
	b := &Batch{MaxRows: 2, MaxBytes: 100}
	if _, marked := b.Last(); marked || !b.Empty() || b.Full() {
		t.Error("a new batch is not empty")
	}
	b.Mark("1")
	b.Add()
	b.Mark("2")
	if p, _ := b.Last(); p != "2" || b.Empty() || b.Marks[0].End != 0 || b.Marks[1].End != 1 {
		t.Errorf("marks %v", b.Marks)
	}
	b.Alloc(100)
	if !b.Full() {
		t.Error("not full at its bound of bytes")
	}
	rows := b.Rows
	rows[0].Schema = &Schema{}
	b.Reset()
	if !b.Empty() || rows[0].Schema != nil {
		t.Error("Reset left something")
	}
}

// BenchmarkBatch is the cost of filling a batch, for each row of ten short texts.
func BenchmarkBatch(b *testing.B) {
	batch := &Batch{MaxRows: 8192, MaxBytes: 4 << 20}
	s, tx, text := &Schema{}, &Tx{}, []byte("some text of 20 byte")
	b.ReportAllocs()
	for b.Loop() {
		if batch.Full() {
			batch.Reset()
		}
		r := batch.Add()
		r.Schema, r.Tx, r.Op, r.Values = s, tx, Insert, batch.Values(10)
		for i := range r.Values {
			r.Values[i] = BytesValue(Text, batch.Copy(text))
		}
	}
}

func BenchmarkArenaAlloc(b *testing.B) {
	var a Arena
	b.ReportAllocs()
	for b.Loop() {
		if a.Size() > 1<<20 {
			a.Reset()
		}
		a.Alloc(16)
	}
}
