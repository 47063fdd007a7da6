package avro

import (
	"syscall"
	"testing"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/envelope"
)

// ten is a row of ten columns of about 130 bytes, eight of them nullable.
func ten() *pipeline.Row {
	s := products()
	more := []pipeline.Column{
		{Name: "sku", Kind: pipeline.Text, Type: "text", Nullable: true},
		{Name: "uid", Kind: pipeline.UUID, Type: "uuid", Nullable: true},
		{Name: "stock", Kind: pipeline.Int, Type: "integer", Nullable: true},
		{Name: "weight", Kind: pipeline.Float64, Type: "double precision", Nullable: true},
		{Name: "active", Kind: pipeline.Bool, Type: "boolean", Nullable: true},
		{Name: "note", Kind: pipeline.Text, Type: "text", Nullable: true},
	}
	s.Columns = append(s.Columns, more...)
	return &pipeline.Row{Schema: s, Tx: aTx, Op: pipeline.Insert, At: 24023128, Values: []pipeline.Value{
		pipeline.IntValue(123456), text("a product with a name"), decimal("1234.56"), pipeline.TimestampTZValue(at),
		text("SKU-0000123"), val(pipeline.UUID, "6f9619ff-8b86-d011-b42d-00cf4fc964ff"), pipeline.IntValue(17),
		pipeline.Float64Value(3.25), pipeline.BoolValue(true), text("forty bytes of a note, more or less so"),
	}}
}

func run(t testing.TB, o envelope.Options) func() {
	r := ten()
	g := compile(t, o, r.Schema, "shop.public.products")
	var events []envelope.Event
	var buf []byte
	var memo envelope.Memo
	return func() {
		var err error
		if events, err = g.Plan.Events(events[:0], r, 1_795_169_472_200_111_222); err != nil {
			t.Fatal(err)
		}
		events[0].Memo = &memo
		if buf, err = g.AppendKey(buf[:0], &events[0], events[0].Key); err != nil {
			t.Fatal(err)
		}
		if buf, err = g.AppendValue(buf, &events[0]); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNoAllocations(t *testing.T) {
	for _, o := range []envelope.Options{{Name: "srv"}, {Shape: envelope.Flat}} {
		f := run(t, o)
		if n := testing.AllocsPerRun(100, f); n > 0 {
			t.Errorf("shape %d: %v allocations per row", o.Shape, n)
		}
	}
	s := wide()
	g := compile(t, envelope.Options{}, s, "x")
	r := wideRow(s)
	for i := range r.Values {
		if k := r.Values[i].Kind(); k == pipeline.Array || s.Columns[i].Type == "hstore" {
			r.Values[i] = pipeline.NullValue // the two that may allocate
		}
	}
	events, _ := g.Plan.Events(nil, r, 1)
	events[0].Memo = new(envelope.Memo)
	buf := make([]byte, 0, 4096)
	n := testing.AllocsPerRun(100, func() {
		if _, err := g.AppendValue(buf, &events[0]); err != nil {
			t.Fatal(err)
		}
	})
	if n > 0 {
		t.Errorf("every kind: %v allocations per row", n)
	}
}

// measure reports CPU time too: wall time says little on a machine that others use.
func measure(b *testing.B, f func()) {
	start := cpu()
	for b.Loop() {
		f()
	}
	b.ReportMetric(float64(cpu()-start)/float64(b.N), "cpu-ns/op")
}

func cpu() int64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

func BenchmarkDebezium(b *testing.B) {
	f := run(b, envelope.Options{Name: "srv", Version: "3.6.1.Final"})
	b.ReportAllocs()
	measure(b, f)
}

func BenchmarkFlat(b *testing.B) {
	f := run(b, envelope.Options{Shape: envelope.Flat, Mapping: envelope.Mapping{Types: envelope.Logical, AllOptional: true}})
	b.ReportAllocs()
	measure(b, f)
}
