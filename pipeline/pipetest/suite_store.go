package pipetest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
)

// StoreHarness is what TestStore needs of a Store.
type StoreHarness struct {
	// New makes an empty place for one subtest and returns a function that opens a store there; it
	// is called again after Close, and while another is open.
	New func(t testing.TB) func() (pipeline.Store, error)
	// Volatile says that nothing survives Close.
	Volatile bool
}

// TestStore holds a Store to the contract of pipeline.Store.
func TestStore(t *testing.T, h StoreHarness) {
	t.Run("first start is empty", func(t *testing.T) {
		s := openStore(t, h.New(t))
		wantLoad(t, s, pipeline.Checkpoint{})
		closeStore(t, s)
	})
	t.Run("save replaces everything", func(t *testing.T) {
		s := openStore(t, h.New(t))
		save(t, s, pipeline.Checkpoint{"source.a/wal": "0/1", "source.a/chunk/1": "5"})
		save(t, s, pipeline.Checkpoint{"source.a/wal": "0/2"})
		wantLoad(t, s, pipeline.Checkpoint{"source.a/wal": "0/2"})
		save(t, s, pipeline.Checkpoint{})
		wantLoad(t, s, pipeline.Checkpoint{})
		closeStore(t, s)
	})
	t.Run("the map stays the caller's", func(t *testing.T) {
		s := openStore(t, h.New(t))
		cp := pipeline.Checkpoint{"source.a/wal": "0/1"}
		save(t, s, cp)
		cp["source.a/wal"], cp["source.a/x"] = "changed", "added"
		wantLoad(t, s, pipeline.Checkpoint{"source.a/wal": "0/1"})
		closeStore(t, s)
	})
	t.Run("any text", func(t *testing.T) {
		s := openStore(t, h.New(t))
		cp := oddCheckpoint()
		save(t, s, cp)
		wantLoad(t, s, cp)
		closeStore(t, s)
	})
	t.Run("many streams", func(t *testing.T) {
		s := openStore(t, h.New(t))
		cp := pipeline.Checkpoint{}
		for i := range 3000 {
			cp[pipeline.Stream(fmt.Sprintf("source.a/chunk/public.orders/%06d", i))] = Position(i)
		}
		save(t, s, cp)
		wantLoad(t, s, cp)
		closeStore(t, s)
	})
	t.Run("a cancelled save keeps one of the two", func(t *testing.T) {
		s := openStore(t, h.New(t))
		old, next := pipeline.Checkpoint{"source.a/wal": "1"}, pipeline.Checkpoint{"source.a/wal": "2"}
		save(t, s, old)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		want := next
		if err := s.Save(ctx, next); err != nil {
			want = old
		}
		wantLoad(t, s, want)
		closeStore(t, s)
	})
	if h.Volatile {
		return
	}
	t.Run("what was saved is there after reopening", func(t *testing.T) { storeReopen(t, h) })
	t.Run("a second process is kept out", func(t *testing.T) { storeLock(t, h) })
}

func storeReopen(t *testing.T, h StoreHarness) {
	open := h.New(t)
	for i := range 3 {
		s := openStore(t, open)
		cp := oddCheckpoint()
		cp["source.a/wal"] = Position(i)
		save(t, s, cp)
		closeStore(t, s)
		s = openStore(t, open)
		wantLoad(t, s, cp)
		closeStore(t, s)
	}
}

func storeLock(t *testing.T, h StoreHarness) {
	open := h.New(t)
	first := openStore(t, open)
	save(t, first, pipeline.Checkpoint{"source.a/wal": "1"})
	second, err := open()
	if err == nil {
		_, err = second.Load(t.Context())
		second.Close()
	}
	if err == nil {
		t.Fatal("a second store opened what the first one holds")
	}
	t.Logf("the second is told: %v", err)
	save(t, first, pipeline.Checkpoint{"source.a/wal": "2"})
	closeStore(t, first)
	third := openStore(t, open)
	wantLoad(t, third, pipeline.Checkpoint{"source.a/wal": "2"})
	closeStore(t, third)
}

func oddCheckpoint() pipeline.Checkpoint {
	return pipeline.Checkpoint{
		`source.shop["eu"]/wal`:                   "0/1A2B",
		"source.a/tab\tand\nnewline\rand\\":       "a\tb\nc\r\\",
		"source.a/ leading and trailing ":         " spaces ",
		"source.a/äöü/表/\U0001F600":               "ß",
		"source.a/quote\"'`;--":                   "x'y\"z",
		"source.a/not utf-8 \xff\xfe":             "\xff",
		"source.a/#comment = 1":                   "# not a comment",
		pipeline.Stream(strings.Repeat("s", 300)): pipeline.Position(strings.Repeat("p", 5000)),
	}
}

func openStore(t testing.TB, open func() (pipeline.Store, error)) pipeline.Store {
	t.Helper()
	s, err := open()
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return s
}

func closeStore(t testing.TB, s pipeline.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

func save(t testing.TB, s pipeline.Store, cp pipeline.Checkpoint) {
	t.Helper()
	if err := s.Save(t.Context(), cp); err != nil {
		t.Fatalf("save: %v", err)
	}
}

func wantLoad(t testing.TB, s pipeline.Store, want pipeline.Checkpoint) {
	t.Helper()
	have, err := s.Load(t.Context())
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Fatalf("load (-want +have):\n%s", diff)
	}
}
