package pipetest

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
)

// SourceHarness is what TestSource needs of a Source.
type SourceHarness struct {
	// New makes an upstream for one subtest, with what is needed for a source opened later to see
	// every Change made from now on (PostgreSQL: the slot).
	New func(t testing.TB) SourceTarget
	// Keepalive is how long the upstream bears a source that takes nothing (PostgreSQL: more than
	// wal_sender_timeout); 0 leaves the test of it out.
	Keepalive time.Duration
}

// SourceTarget is one upstream that a Source reads.
type SourceTarget struct {
	// Open makes a source that reads it, as after a restart.
	Open func(t testing.TB) pipeline.Source
	// Change commits n transactions upstream, and returns the number of rows that they make.
	Change func(t testing.TB, n int) int
}

// The suite's load, and how many of its marks are resumed at.
const (
	sourceChanges = 30
	sourceResumes = 6
)

// TestSource holds a Source to the contract of pipeline.Source.
func TestSource(t *testing.T, h SourceHarness) {
	t.Run("resumes at each mark", func(t *testing.T) { sourceResume(t, h.New(t)) })
	t.Run("stops when told", func(t *testing.T) { sourceStop(t, h.New(t)) })
	t.Run("stops while the output is full", func(t *testing.T) { sourceStopHeld(t, h.New(t)) })
	t.Run("small batches give the same rows", func(t *testing.T) { sourceSmall(t, h.New(t)) })
	t.Run("commit while running", func(t *testing.T) { sourceCommit(t, h.New(t)) })
	if h.Keepalive > 0 {
		t.Run("survives a stalled output", func(t *testing.T) { sourceStalled(t, h) })
	}
}

// sourceResume reads everything once, then again from the checkpoint at several of its marks: what
// comes then must be exactly what came after that mark.
func sourceResume(t *testing.T, target SourceTarget) {
	r := startReading(t, target, nil)
	have := len(r.Out.Rows())
	r.Out.WaitRows(t, have+target.Change(t, sourceChanges))
	r.Stop()
	batches := r.Out.Batches()
	wantOrdered(t, batches)
	places := resumePlaces(batches)
	if len(places) == 0 {
		t.Fatal("the source emitted no mark")
	}
	step := max(1, len(places)/sourceResumes)
	for i := 0; i < len(places); i += step {
		p := places[i]
		again := Run(t, target.Open(t), p.from, nil)
		total := 0
		for _, rows := range p.after {
			total += len(rows)
		}
		again.Out.WaitRows(t, total)
		again.Stop()
		if diff := cmp.Diff(p.after, rowsByStream(again.Out.Batches())); diff != "" {
			t.Fatalf("resumed at %v (-want +have):\n%.3000s", p.from, diff)
		}
	}
}

// place is somewhere to resume: a checkpoint, and the rows of each stream that lie after it.
type place struct {
	from  pipeline.Checkpoint
	after map[pipeline.Stream][]string
}

// resumePlaces returns the marks of the batches in the order they were emitted, without those that
// finish a stream and those before the first row of a stream's last finishing.
func resumePlaces(batches []*pipeline.Batch) []place {
	streaming := unfinished(batches)
	all := rowsByStream(streaming)
	from, seen := finalOf(batches, streaming), map[pipeline.Stream]int{}
	var out []place
	for _, b := range streaming {
		for _, m := range b.Marks {
			from.Apply(b.Stream, m.Pos)
			p := place{from: from.Clone(), after: map[pipeline.Stream][]string{}}
			for s, rows := range all {
				skip := seen[s]
				if s == b.Stream {
					skip += m.End
				}
				if skip < len(rows) {
					p.after[s] = rows[skip:]
				}
			}
			out = append(out, p)
		}
		seen[b.Stream] += len(b.Rows)
	}
	return out
}

// unfinished returns the batches of streams that go on.
func unfinished(batches []*pipeline.Batch) []*pipeline.Batch {
	finished := map[pipeline.Stream]bool{}
	for _, b := range batches {
		for _, m := range b.Marks {
			if m.Pos == "" {
				finished[b.Stream] = true
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(batches), func(b *pipeline.Batch) bool { return finished[b.Stream] })
}

// finalOf returns the final positions of the streams that have only marks: what a source remembers
// of a snapshot that is done.
func finalOf(batches, streaming []*pipeline.Batch) pipeline.Checkpoint {
	withRows := rowsByStream(streaming)
	cp := pipeline.Checkpoint{}
	for _, b := range batches {
		pos, ok := b.Last()
		if _, rows := withRows[b.Stream]; ok && !rows {
			cp.Apply(b.Stream, pos)
		}
	}
	return cp
}

func rowsByStream(batches []*pipeline.Batch) map[pipeline.Stream][]string {
	out := map[pipeline.Stream][]string{}
	for _, b := range batches {
		for i := range b.Rows {
			out[b.Stream] = append(out[b.Stream], RowText(&b.Rows[i]))
		}
	}
	return out
}

// wantOrdered checks that marks rise, and that each row lies on the right side of them (Tx.In).
func wantOrdered(t testing.TB, batches []*pipeline.Batch) {
	t.Helper()
	last := pipeline.Checkpoint{}
	for _, b := range batches {
		row := 0
		for _, m := range b.Marks {
			if m.Pos != "" && m.Pos < last[b.Stream] {
				t.Errorf("stream %s: mark %q after %q", b.Stream, m.Pos, last[b.Stream])
			}
			for ; row < m.End; row++ {
				wantSide(t, b, row, last[b.Stream], m.Pos)
			}
			last.Apply(b.Stream, m.Pos)
		}
	}
}

func wantSide(t testing.TB, b *pipeline.Batch, row int, after, upTo pipeline.Position) {
	t.Helper()
	tx := b.Rows[row].Tx
	if tx == nil {
		t.Fatalf("stream %s: row %d has no Tx", b.Stream, row)
	}
	if after != "" && tx.In(after) {
		t.Errorf("stream %s: row %d with Tx.Pos %q comes after mark %q that includes it", b.Stream, row, tx.Pos, after)
	}
	if upTo != "" && !tx.In(upTo) {
		t.Errorf("stream %s: row %d with Tx.Pos %q is before mark %q but not in it", b.Stream, row, tx.Pos, upTo)
	}
}

func sourceStop(t *testing.T, target SourceTarget) {
	r := startReading(t, target, nil)
	target.Change(t, 3)
	r.Stop()
	if n := r.Out.Late(); n > 0 {
		t.Errorf("%d batches emitted after Run had returned", n)
	}
}

func sourceStopHeld(t *testing.T, target SourceTarget) {
	r := startReading(t, target, &Collect{MaxRows: 2})
	r.Out.Hold()
	target.Change(t, sourceChanges)
	r.Stop()
}

// sourceSmall reads with batches of three rows what it reads with large ones.
func sourceSmall(t *testing.T, target SourceTarget) {
	r := startReading(t, target, nil)
	start := len(r.Out.Rows())
	from := r.Out.Checkpoint()
	n := target.Change(t, sourceChanges)
	r.Out.WaitRows(t, start+n)
	r.Stop()
	small := Run(t, target.Open(t), from, &Collect{MaxRows: 3})
	small.Out.WaitRows(t, n)
	small.Stop()
	for _, b := range small.Out.Batches() {
		if len(b.Rows) > 4 {
			t.Errorf("a batch of %d rows, its bound is 3", len(b.Rows))
		}
	}
	if diff := cmp.Diff(r.Out.Rows()[start:], small.Out.Rows()); diff != "" {
		t.Errorf("rows in large batches and in small (-large +small):\n%.3000s", diff)
	}
}

func sourceCommit(t *testing.T, target SourceTarget) {
	r := startReading(t, target, nil)
	for range 3 {
		have := len(r.Out.Rows())
		r.Out.WaitRows(t, have+target.Change(t, 3))
		if err := r.Source.Commit(t.Context(), r.Out.Checkpoint()); err != nil {
			t.Errorf("commit: %v", err)
		}
	}
	r.Stop()
}

func sourceStalled(t *testing.T, h SourceHarness) {
	target := h.New(t)
	r := startReading(t, target, &Collect{MaxRows: 2})
	have := len(r.Out.Rows())
	r.Out.Hold()
	n := target.Change(t, sourceChanges)
	time.Sleep(h.Keepalive)
	r.Out.Release()
	r.Out.WaitRows(t, have+n)
	r.Stop()
}

// startReading starts a source, commits a transaction, and waits until it has come: from then on the
// source streams.
func startReading(t testing.TB, target SourceTarget, out *Collect) *Running {
	t.Helper()
	if out == nil {
		out = &Collect{}
	}
	r := Run(t, target.Open(t), nil, out)
	n := target.Change(t, 1)
	r.Out.Wait(t, "a first mark and row", func(batches []*pipeline.Batch) bool {
		rows, marks := 0, 0
		for _, b := range unfinished(batches) { // a snapshot may have rows before
			rows, marks = rows+len(b.Rows), marks+len(b.Marks)
		}
		return rows >= n && marks > 0
	})
	return r
}
