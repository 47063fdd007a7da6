package snapshot

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
)

func TestLedger(t *testing.T) {
	l, err := LoadLedger(pipeline.Checkpoint{"wal": "7"})
	if err != nil || !l.Empty() {
		t.Fatal(err)
	}
	asked := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	l.Change("public.a", func(e *Entry) {
		e.Status, e.Request = Running, Request{Table: "public.a", Reason: ForRequest, By: "ana", Asked: asked}
		e.Left = []Segment{{Part: "public.a", Cut: ByKey, Low: []string{"1", "x"}, After: true}}
	})
	changes, err := l.changes()
	if err != nil {
		t.Fatal(err)
	}
	cp := pipeline.Checkpoint{}
	for s, p := range changes {
		cp.Apply(s, p)
	}
	again, err := LoadLedger(cp)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := l.Entry("public.a")
	got, ok := again.Entry("public.a")
	if got.Version <= want.Version || !ok {
		t.Errorf("version %d after %d: a sink that is ahead would keep its own", got.Version, want.Version)
	}
	got.Version = want.Version
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	before := cp[TableStream("public.a")]
	again.Forget("public.a")
	again.Change("public.a", func(e *Entry) { e.Status = Recorded })
	if changes, _ = again.changes(); changes[TableStream("public.a")] <= before {
		t.Errorf("%q does not follow %q", changes[TableStream("public.a")], before)
	}
	again.Forget("public.a")
	if changes, _ = again.changes(); changes[TableStream("public.a")] != "" || len(changes) != 1 {
		t.Errorf("forgotten: %v", changes)
	}
	if _, err := LoadLedger(pipeline.Checkpoint{"table/x": "done"}); err == nil || pipeline.HintOf(err) == "" {
		t.Errorf("an entry that cannot be read: %v", err)
	}
}

// TestLedgerOfNewSink: a sink that was added knows of no entry, and one that is there has those of a run before.
func TestLedgerOfNewSink(t *testing.T) {
	versions := func() (last uint64) {
		l, err := LoadLedger(nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 1000 {
			l.Change("public.a", func(*Entry) {})
		}
		time.Sleep(2 * time.Millisecond) // a run takes longer
		e, _ := l.Entry("public.a")
		return e.Version
	}
	before := versions()
	l, err := LoadLedger(nil)
	if err != nil {
		t.Fatal(err)
	}
	l.Change("public.a", func(e *Entry) { e.Status = Done })
	if e, _ := l.Entry("public.a"); e.Version <= before {
		t.Errorf("version %d after %d of another run: a sink that has that one would keep it", e.Version, before)
	}
}

// fullOutput takes so many batches and then no more.
type fullOutput struct {
	pipeline.Output
	room  int
	saved []pipeline.Stream
}

func (o *fullOutput) New(_ context.Context, s pipeline.Stream) (*pipeline.Batch, error) {
	if o.room--; o.room < 0 {
		return nil, context.Canceled
	}
	return &pipeline.Batch{Stream: s}, nil
}

func (o *fullOutput) Emit(b *pipeline.Batch) error {
	o.saved = append(o.saved, b.Stream)
	return nil
}

// TestLedgerSaveEndsEarly: what a save that was cut short did not emit is not lost.
func TestLedgerSaveEndsEarly(t *testing.T) {
	l, err := LoadLedger(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"a", "b", "c"} {
		l.Change(table, func(e *Entry) { e.Status = Done })
	}
	out := &fullOutput{room: 1}
	if _, err := l.Save(t.Context(), out); err == nil {
		t.Fatal("a save without room has succeeded")
	}
	l.Forget("c")
	out.room = 9
	if _, err := l.Save(t.Context(), out); err != nil {
		t.Fatal(err)
	}
	want := []pipeline.Stream{TableStream("a"), TableStream("b"), TableStream("c")}
	if diff := cmp.Diff(want, out.saved); diff != "" {
		t.Errorf("saved (-want +have):\n%s", diff)
	}
}

func TestLacks(t *testing.T) {
	for name, c := range map[string]struct {
		entry Entry
		want  bool
	}{
		"nothing known":      {Entry{}, true},
		"recorded":           {Entry{Status: Recorded}, false},
		"filled":             {Entry{Status: Done, Request: Request{Reason: ForInitial}}, false},
		"initial given up":   {Entry{Status: Failed, Request: Request{Reason: ForInitial}}, true},
		"again, given up":    {Entry{Status: Cancelled, Request: Request{Reason: ForRequest}}, false},
		"still not whole":    {Entry{Status: Cancelled, Request: Request{Reason: ForRequest, Lacks: true}}, true},
		"only a part of it":  {Entry{Status: Done, Request: Request{Reason: ForRequest, Lacks: true, Where: "id > 1"}}, true},
		"whole by a request": {Entry{Status: Done, Request: Request{Reason: ForRequest, Lacks: true}}, false},
	} {
		if c.entry.restart(Request{Reason: ForRequest}); c.entry.Request.Lacks != c.want {
			t.Errorf("%s: lacks %v", name, c.entry.Request.Lacks)
		}
	}
}

func FuzzParseEntry(f *testing.F) {
	f.Add(`0000000000000007/{"status":"running","left":[{"part":"a","low":["1"]}],"queue":[{"table":"a"}]}`)
	f.Add("0000000000000007/")
	f.Add("7/{}")
	f.Add("000000000000000g/{}")
	f.Fuzz(func(t *testing.T, text string) {
		e, err := ParseEntry("t", pipeline.Position(text))
		if err != nil {
			if !strings.Contains(err.Error(), "table t") {
				t.Errorf("%v", err)
			}
			return
		}
		p, err := e.position()
		if err != nil {
			return // a time that JSON cannot say
		}
		again, err := ParseEntry("t", p)
		if q, _ := again.position(); err != nil || q != p {
			t.Errorf("%q, then %q (%v)", p, q, err)
		}
	})
}
