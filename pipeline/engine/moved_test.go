package engine

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
)

func TestRename(t *testing.T) {
	cp := pipeline.Checkpoint{
		"source.old/wal": "5", "source.old/table/a": "done", `source.old["eu"]/wal`: "6", "source.older/wal": "7",
		"source.twice/wal": "1", "source.new2/wal": "9",
	}
	got := rename(cp, []Move{{"source.old", "source.new"}, {"source.twice", "source.new2"}})
	want := pipeline.Checkpoint{
		"source.new/wal": "5", "source.new/table/a": "done", `source.new["eu"]/wal`: "6", "source.older/wal": "7",
		"source.new2/wal": "9",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
