package postgres

import (
	"testing"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// void says that the load of a table starts over, for a source.
func void(s *pipeline.Schema, source string, pos int) *pipeline.Batch {
	b := &pipeline.Batch{Stream: pipeline.Stream(source + "/chunk/attempt")}
	r := b.Add()
	r.Schema, r.Op, r.Flags = s, pipeline.Truncate, pipeline.Again
	r.Tx = &pipeline.Tx{Snapshot: true, Pos: pipetest.Position(pos - 1)}
	b.Mark(pipetest.Position(pos))
	return b
}

// TestMergedLoadIsNotVoided keeps the rows of one source when the load of another starts over.
func TestMergedLoadIsNotVoided(t *testing.T) {
	for _, restart := range []bool{false, true} {
		dsn := pg.Database(t)
		a, b := users(), users()
		sink := start(t, configure(t, dsn, "merge = true"))
		mustWrite(t, sink, pipetest.NewBatch(a).In("source.a/chunk/1").Read(1, "a", nil).Mark("done").Batch())
		if restart { // b's rows are the first that this run sees
			sink = start(t, configure(t, dsn, "merge = true"))
		}
		mustWrite(t, sink, pipetest.NewBatch(b).In("source.b/chunk/1").Read(2, "b", nil).Mark("done").Batch())
		sink = start(t, configure(t, dsn, "merge = true"))
		mustWrite(t, sink, void(users(), "source.a", 2), pipetest.NewBatch(a).In("source.a/chunk/2").
			Read(1, "a", nil).Mark("done").Batch())
		wantQuery(t, dsn, "SELECT id FROM users ORDER BY 1", "1", "2")
	}
}

// TestMovedSourceVoids voids what a source delivered under its old address.
func TestMovedSourceVoids(t *testing.T) {
	dsn := pg.Database(t)
	_, s := feedTables()
	sink := start(t, configure(t, dsn, ""))
	mustWrite(t, sink, pipetest.NewBatch(s).In("source.old/chunk/1").Read(1, "a").Mark("done").Batch())
	sink = start(t, configure(t, dsn, ""))
	mustWrite(t, sink, void(s, "source.new", 2), pipetest.NewBatch(s).In("source.new/chunk/1").Read(1, "a").
		Mark("done").Batch())
	wantQuery(t, dsn, "SELECT count(*) FROM logs", "1")
}
