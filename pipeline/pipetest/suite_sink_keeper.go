package pipetest

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
)

// sinkKeeper holds a Keeper to the contract of pipeline.Keeper; another sink has nothing to show.
func sinkKeeper(t *testing.T, h SinkHarness) {
	target := h.New(t)
	s := target.Open(t)
	closeSink(t, s)
	if _, ok := s.(pipeline.Keeper); !ok {
		return
	}
	t.Run("first start", func(t *testing.T) { wantKept(t, h.New(t), pipeline.Checkpoint{}) })
	t.Run("stores marks with the rows", func(t *testing.T) { keeperMarks(t, h.New(t)) })
	t.Run("trims what it has", func(t *testing.T) { keeperTrim(t, h.New(t)) })
	t.Run("fences an older instance", func(t *testing.T) { keeperFence(t, h.New(t)) })
}

func keeperMarks(t *testing.T, target SinkTarget) {
	session(t, target,
		NewBatch(Items()).Insert(1, "a", 1, nil).Mark(Position(1)).Insert(2, "b", 2, nil).Mark(Position(2)).Batch(),
		NewBatch(Items()).In("source.test/chunk/1").Read(3, "c", 3, nil).Mark(Position(7)).Batch(),
		NewBatch(Items()).In("source.test/chunk/2").Read(4, "d", 4, nil).Mark("").Batch(),
		NewBatch(Items()).In("source.other/wal").Mark(Position(5)).Batch())
	wantKept(t, target, pipeline.Checkpoint{
		"source.test/wal": Position(2), "source.test/chunk/1": Position(7), "source.other/wal": Position(5)})
	session(t, target, NewBatch(Items()).In("source.test/chunk/1").Mark("").Batch())
	wantKept(t, target, pipeline.Checkpoint{"source.test/wal": Position(2), "source.other/wal": Position(5)})
}

// keeperTrim writes again, with other content, what the Keeper has: a trace of it in the rows is a row
// that was not trimmed. Marks that it has passed must not move its position back either.
func keeperTrim(t *testing.T, target SinkTarget) {
	session(t, target, NewBatch(Items()).Insert(1, "a", 1, nil).Mark(Position(1)).
		Insert(2, "b", 2, nil).Mark(Position(2)).Batch())
	session(t, target,
		NewBatch(Items()).Insert(1, "again", 0, nil).Mark(Position(1)).Batch(),
		NewBatch(Items()).Update(nil, 2, "again", 0, nil).Mark(Position(2)).Insert(3, "c", 3, nil).Mark(Position(3)).Batch())
	wantRows(t, target, []string{"1|a|1|null", "2|b|2|null", "3|c|3|null"})
	wantKept(t, target, pipeline.Checkpoint{"source.test/wal": Position(3)})
}

func keeperFence(t *testing.T, target SinkTarget) {
	older := open(t, target)
	write(t, older, NewBatch(Items()).Insert(1, "a", 1, nil).Mark(Position(1)).Batch())
	newer := open(t, target)
	err := older.Write(t.Context(), NewBatch(Items()).Insert(2, "older", 2, nil).Mark(Position(2)).Batch())
	if !errors.Is(err, pipeline.ErrFenced) {
		t.Errorf("the older instance's write returned %v, want ErrFenced", err)
	}
	write(t, newer, NewBatch(Items()).Insert(2, "newer", 2, nil).Mark(Position(2)).Batch())
	older.Close()
	closeSink(t, newer)
	wantRows(t, target, []string{"1|a|1|null", "2|newer|2|null"})
	wantKept(t, target, pipeline.Checkpoint{"source.test/wal": Position(2)})
}

// wantKept checks what a Keeper has stored; other sinks pass.
func wantKept(t testing.TB, target SinkTarget, want pipeline.Checkpoint) {
	t.Helper()
	s := target.Open(t)
	defer closeSink(t, s)
	k, ok := s.(pipeline.Keeper)
	if !ok {
		return
	}
	have, err := k.Checkpoint(t.Context())
	if err != nil {
		t.Fatalf("checkpoint: %v", err)
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("checkpoint kept (-want +have):\n%s", diff)
	}
}
