package postgres

import (
	"testing"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// loadBlocks are the ways to load that the tests of crashes go.
func loadBlocks() []string {
	return []string{"", "load {}", "load {\n unlogged = true\n}", "load {\n unlogged = true\n defer_indexes = false\n}"}
}

// TestBrokenConnections breaks sessions in the middle of COPY and of statements, while a table is
// loaded and while changes are applied.
func TestBrokenConnections(t *testing.T) {
	for _, resumes := range []bool{false, true} {
		for _, load := range loadBlocks() {
			survive(t, pg, load, resumes, 5, fault{name: "cut"}, terminate(t, pg.DSN("postgres")))
		}
	}
}

// TestServerCrashes crashes the server, which writes to disk, while a table is loaded and while
// changes are applied.
func TestServerCrashes(t *testing.T) {
	srv := pipetest.Postgres(t, "fsync=on", "wal_level=replica")
	for _, load := range loadBlocks() {
		survive(t, srv, load, false, 2, crash(t.Context(), srv))
	}
	// A source that resumes chunk by chunk rather than void an unfinished snapshot would need the tables
	// of one source to be logged in one transaction: none does, so UNLOGGED is not promised to such a one.
	for _, load := range loadBlocks()[:2] {
		survive(t, srv, load, true, 2, crash(t.Context(), srv))
	}
}

// TestLoadAgainBeforeFirstRow voids the rows of a keyless table's load that began with the word that an
// earlier attempt is void, before which nothing had reached the table.
func TestLoadAgainBeforeFirstRow(t *testing.T) {
	dsn := pg.Database(t)
	_, s := feedTables()
	again := func(pos int) *pipeline.Batch {
		b := &pipeline.Batch{Stream: feedAttempt}
		r := b.Add()
		r.Schema, r.Op, r.Flags = s, pipeline.Truncate, pipeline.Again
		r.Tx = &pipeline.Tx{Snapshot: true, Pos: pipetest.Position(pos - 1)}
		b.Mark(pipetest.Position(pos))
		return b
	}
	for life := range 3 {
		sink := start(t, configure(t, dsn, ""))
		mustWrite(t, sink, again(2*life+1))
		if err := writeChunk(t.Context(), sink, feedChunk(1, life), s, 0); err != nil {
			t.Fatal(err)
		}
		wantQuery(t, dsn, "SELECT count(*) FROM logs", "1500")
	}
}
