package postgres

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// startAt opens a sink at an address that was another one before.
func startAt(t testing.TB, dsn, address, was string) (*Sink, pipeline.Checkpoint) {
	t.Helper()
	e := env()
	e.Address, e.Was = address, was
	s, err := configure(t, dsn, "").Open(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	kept, err := s.(pipeline.Keeper).Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s.(*Sink), kept
}

// TestMoved takes over what a sink has stored under its old address, and stops an instance there.
func TestMoved(t *testing.T) {
	dsn, s := pg.Database(t), users()
	old, _ := startAt(t, dsn, "sink.old", "")
	other, _ := startAt(t, dsn, "sink.other", "")
	mustWrite(t, old, chunk(s, 1, 0, 10).Mark(pipetest.Position(1)).Batch())
	mustWrite(t, other, pipetest.NewBatch(s).Mark(pipetest.Position(5)).Batch())

	moved, kept := startAt(t, dsn, "sink.new", "sink.old")
	want := pipeline.Checkpoint{"source.test/chunk/1": pipetest.Position(1)}
	if diff := cmp.Diff(want, kept); diff != "" {
		t.Errorf("positions (-want +have):\n%s", diff)
	}
	wantQuery(t, dsn, "SELECT sink, target FROM pipe.load", "sink.new|public.users")
	wantQuery(t, dsn, "SELECT sink FROM pipe.fence ORDER BY 1", "sink.new", "sink.other")
	err := old.Write(t.Context(), pipetest.NewBatch(s).Insert(77, "late", nil).Mark(pipetest.Position(2)).Batch())
	if !errors.Is(err, pipeline.ErrFenced) {
		t.Errorf("the instance at the old address: %v", err)
	}
	mustWrite(t, moved, pipetest.NewBatch(s).Insert(11, "x", nil).Mark(pipetest.Position(3)).Batch())
	wantQuery(t, dsn, "SELECT count(*), max(id) FROM users", "11|11")

	_, kept = startAt(t, dsn, "sink.other", "sink.new") // has positions of its own
	want = pipeline.Checkpoint{"source.test/wal": pipetest.Position(5)}
	if diff := cmp.Diff(want, kept); diff != "" {
		t.Errorf("positions of a sink that has its own (-want +have):\n%s", diff)
	}
	_, kept = startAt(t, dsn, "sink.new", "sink.old") // the moved block is still there
	if len(kept) != 2 {
		t.Errorf("positions at the second start: %v", kept)
	}
}

// TestMovedSifts deletes what vanished also where the sink was moved between the two words about it.
func TestMovedSifts(t *testing.T) {
	dsn, s := pg.Database(t), users()
	pipetest.Exec(t, dsn, "CREATE TABLE users (id bigint PRIMARY KEY, email text, bio text)", "INSERT INTO users VALUES (1, 'old', ''), (2, 'there', '')")
	old, _ := startAt(t, dsn, "sink.old", "")
	mustWrite(t, old, pipetest.NewBatch(s).Tx(pipetest.Position(1), 0).Truncate(pipeline.Sift).Read(2, "there", "").
		Mark(pipetest.Position(1)).Batch())
	moved, _ := startAt(t, dsn, "sink.new", "sink.old")
	mustWrite(t, moved, pipetest.NewBatch(s).Tx(pipetest.Position(2), 0).Read(3, "new", "").Truncate(pipeline.Sweep).
		Mark(pipetest.Position(2)).Batch())
	wantQuery(t, dsn, "SELECT id FROM users ORDER BY id", "2", "3")
	wantQuery(t, dsn, "SELECT (SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname LIKE 'sift\\_%'), (SELECT count(*) FROM pipe.sift)", "0|0")
}
