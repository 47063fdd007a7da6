package discard

import (
	"context"
	"testing"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

func TestCounts(t *testing.T) {
	sink, err := new(Config).Open(context.Background(), spec.Env{})
	if err != nil {
		t.Fatal(err)
	}
	s := sink.(*Sink)
	b := &pipeline.Batch{}
	b.Add()
	b.Add()
	b.Alloc(10)
	b.Mark("1")
	for range 3 {
		if err := s.Write(context.Background(), b); err != nil {
			t.Fatal(err)
		}
	}
	if s.Rows() != 6 || s.Batches() != 3 || s.Bytes() != 30 {
		t.Errorf("rows %d, batches %d, bytes %d", s.Rows(), s.Batches(), s.Bytes())
	}
	if n := testing.AllocsPerRun(100, func() { _ = s.Write(context.Background(), b) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
