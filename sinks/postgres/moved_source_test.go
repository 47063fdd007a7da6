package postgres

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// TestMovedSource renames sources: what the sink has of their streams it does not take again, and nothing
// stays under the old names.
func TestMovedSource(t *testing.T) {
	dsn, s := pg.Database(t), users()
	before, _ := startAt(t, dsn, "sink.copy", "")
	mustWrite(t, before, pipetest.NewBatch(s).In("source.old/wal").Tx(pipetest.Position(5), 0).Insert(1, "a", nil).Mark(pipetest.Position(5)).Batch())
	mustWrite(t, before, pipetest.NewBatch(s).In(`source.old["e/u"]/wal`).Mark(pipetest.Position(6)).Batch())
	mustWrite(t, before, pipetest.NewBatch(s).In("source.older/wal").Mark(pipetest.Position(7)).Batch())
	mustWrite(t, before, pipetest.NewBatch(s).In("source.old/table/public.users").Mark(pipetest.Position(8)).Batch())

	open := func(moves ...spec.Move) (*Sink, pipeline.Checkpoint) {
		t.Helper()
		e := env()
		e.Address, e.Moves = "sink.copy", moves
		sink, err := configure(t, dsn, "").Open(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { sink.Close() })
		kept, err := sink.(pipeline.Keeper).Checkpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return sink.(*Sink), kept
	}
	move := spec.Move{From: "source.old", To: "source.new"}
	sink, kept := open(move)
	want := pipeline.Checkpoint{"source.new/wal": pipetest.Position(5), `source.new["e/u"]/wal`: pipetest.Position(6),
		"source.older/wal": pipetest.Position(7), "source.new/table/public.users": pipetest.Position(8)}
	if diff := cmp.Diff(want, kept); diff != "" {
		t.Errorf("positions (-want +have):\n%s", diff)
	}
	pipetest.Exec(t, dsn, "DELETE FROM users")
	mustWrite(t, sink, pipetest.NewBatch(s).In("source.new/wal").Tx(pipetest.Position(5), 0).Insert(1, "a", nil).Mark(pipetest.Position(5)).Batch())
	wantQuery(t, dsn, "SELECT count(*) FROM users", "0")
	mustWrite(t, sink, pipetest.NewBatch(s).In("source.new/table/public.users").Mark("").Batch()) // forgotten

	_, kept = open(move) // the moved block is still there
	delete(want, "source.new/table/public.users")
	if diff := cmp.Diff(want, kept); diff != "" {
		t.Errorf("positions at the second start (-want +have):\n%s", diff)
	}
	wantQuery(t, dsn, "SELECT count(*) FROM pipe.checkpoint WHERE stream LIKE 'source.old/%' OR stream LIKE 'source.old[%'", "0")
}
