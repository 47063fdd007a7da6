package pipeline

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

func TestStreams(t *testing.T) {
	for _, address := range []string{"source.shop", `source.shop["a/b"]`, `source.shop["a\"/\\"]`} {
		q := Stream("chunk/public.orders/000003").In(address)
		if local, ok := q.Local(address); !ok || local != "chunk/public.orders/000003" {
			t.Errorf("%s is %q, %v", q, local, ok)
		}
		if have := q.Address(); have != address {
			t.Errorf("%s is of %s", q, have)
		}
		if _, ok := q.Local("source.sho"); ok {
			t.Errorf("%s belongs to source.sho", q)
		}
	}
}

func TestCheckpoint(t *testing.T) {
	cp := Checkpoint{"source.a/wal": "1", "source.a/x": "2", "source.ab/wal": "3"}
	if of := cp.Of("source.a"); len(of) != 2 || of["wal"] != "1" || of["x"] != "2" {
		t.Errorf("of source.a: %v", of)
	}
	if of := cp.Of("source.none"); of == nil || len(of) != 0 {
		t.Errorf("of an unknown source: %v", of)
	}
	clone := cp.Clone()
	clone.Apply("source.a/x", "")
	clone.Apply("source.a/wal", "9")
	if len(cp) != 3 || cp["source.a/wal"] != "1" || len(clone) != 2 || clone["source.a/wal"] != "9" {
		t.Errorf("%v cloned and changed is %v", cp, clone)
	}
	if want := []Stream{"source.a/wal", "source.a/x", "source.ab/wal"}; !slices.Equal(cp.Streams(), want) {
		t.Errorf("streams %v", cp.Streams())
	}
	if Checkpoint(nil).Clone() == nil {
		t.Error("the clone of nil is nil")
	}
}

func TestTxIn(t *testing.T) {
	tx := &Tx{Pos: "0/5"}
	if tx.In("") || tx.In("0/4") || tx.In("0/5") || !tx.In("0/6") {
		t.Error("a transaction is in the positions after its own only")
	}
}

func TestErrors(t *testing.T) {
	cause := errors.New("cause")
	inner := &Error{Table: "public.orders", Key: "id=7", Pos: "0/1A", Class: Retryable, Err: cause, Hint: "Do this."}
	outer := fmt.Errorf("while: %w", &Error{Node: "sink.w", Err: inner})
	if want := "while: sink.w: public.orders (id=7) at 0/1A: cause. Do this."; outer.Error() != want {
		t.Errorf("%q, want %q", outer, want)
	}
	if ClassOf(outer) != Retryable || HintOf(outer) != "Do this." || !errors.Is(outer, cause) {
		t.Errorf("class %v, hint %q", ClassOf(outer), HintOf(outer))
	}
	if ClassOf(cause) != Unclassified || ClassOf(nil) != Unclassified || HintOf(cause) != "" {
		t.Error("a plain error has a class or a hint")
	}
}
