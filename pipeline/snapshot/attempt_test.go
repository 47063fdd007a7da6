package snapshot

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
)

func TestAttempt(t *testing.T) {
	first, second := Attempt{ID: "0000000001A0-ff", Streams: 2}, Attempt{ID: "0000000001B0-00", Streams: 3}
	if got := string(first.Stream(1)); got != "chunk/0000000001A0-ff/0001" {
		t.Error(got)
	}
	for _, a := range []Attempt{first, second} {
		if got, err := ParseAttempt(a.Position()); err != nil || got != a {
			t.Errorf("%v, %v", got, err)
		}
		if a.Void() >= a.Position() {
			t.Error("the rows that declare it void are not part of the position")
		}
	}
	if second.Void() <= first.Position() {
		t.Error("the rows that declare the first void are taken for known")
	}
	tx := pipeline.Tx{Pos: Reached(9)}
	if !tx.In(Reached(10)) || tx.In(Reached(9)) {
		t.Error("a chunk is not in the position after it, or in the one before it")
	}
}

func TestLeft(t *testing.T) {
	a := Attempt{ID: "1A-0", Streams: 2}
	cp := pipeline.Checkpoint{AttemptStream: a.Position(), "chunk/1A-0/0001": "1", "chunk/old": "done", "wal": "7"}
	want := []pipeline.Stream{"chunk/1A-0/0000", "chunk/1A-0/0001", KeptStream, "chunk/old"}
	if diff := cmp.Diff(want, Left(cp)); diff != "" {
		t.Error(diff)
	}
	if left := Left(pipeline.Checkpoint{"wal": "7"}); len(left) != 0 {
		t.Errorf("%v", left)
	}
}

func FuzzParseAttempt(f *testing.F) {
	f.Add("1A-0/0002")
	f.Add("/1")
	f.Add("a/99999999999999999999")
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ParseAttempt(pipeline.Position(text))
		if err != nil {
			return
		}
		if again, err := ParseAttempt(a.Position()); err != nil || again != a || len(a.All()) != a.Streams {
			t.Errorf("%q: %v, then %v, %v", text, a, again, err)
		}
	})
}
