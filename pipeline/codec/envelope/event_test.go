package envelope

import (
	"testing"

	"github.com/pipe-cdc/pipe/pipeline"
)

// TestAgainIsNoTruncate: where a snapshot starts over nothing was emptied, so no reader may hear of it.
func TestAgainIsNoTruncate(t *testing.T) {
	s := &pipeline.Schema{Table: "t", Key: []int{0}, Columns: []pipeline.Column{{Name: "id", Kind: pipeline.Int, Type: "bigint"}}}
	for _, o := range []Options{{}, {Truncates: Emit}, {Truncates: Fail}, {Shape: Flat}} {
		p, err := o.Plan(s)
		if err != nil {
			t.Fatal(err)
		}
		r := pipeline.Row{Schema: s, Tx: &pipeline.Tx{Snapshot: true}, Op: pipeline.Truncate, Flags: pipeline.Again}
		if events, err := p.Events(nil, &r, 0); err != nil || len(events) > 0 {
			t.Errorf("%+v: %d events, %v", o, len(events), err)
		}
		r.Flags = 0
		if events, err := p.Events(nil, &r, 0); err == nil && len(events) != 1 {
			t.Errorf("%+v: %d events of a TRUNCATE", o, len(events))
		}
	}
}
