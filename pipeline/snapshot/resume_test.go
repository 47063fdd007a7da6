package snapshot

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
)

// countingReader reads a table of numbered rows, 10 at a time, 20 ms each.
type countingReader struct {
	schema *pipeline.Schema
	mu     *sync.Mutex
	rows   map[int]int // how often each was read
}

const (
	countedRows  = 2000
	countedChunk = 10
)

func (r countingReader) Close() error { return nil }

func (r countingReader) Read(ctx context.Context, p *Piece, _ Limit) error {
	if err := pause(ctx, 20*time.Millisecond); err != nil {
		return err
	}
	low, high := 0, countedRows
	if p.Segment.Low != nil {
		low = simInt(pipeline.Position(p.Segment.Low[0]))
	}
	if p.Segment.High != nil {
		high = simInt(pipeline.Position(p.Segment.High[0]))
	}
	if at := low + countedChunk; at < high {
		rest := p.Segment
		rest.Low = []string{fmt.Sprint(at)}
		p.Rest, p.Segment.High, high = &rest, []string{fmt.Sprint(at)}, at
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for n := low; n < high; n++ {
		r.rows[n]++
		p.Rows = append(p.Rows, pipeline.Row{Schema: r.schema, Values: simValues(n, simRow{})})
	}
	p.Fence, p.Sees = "", func(uint64) bool { return true }
	return nil
}

// TestCrashRepeatsLittle kills a snapshot in its middle: what is read twice is bounded by the pieces in
// flight and what is read between two saves of the ledger.
func TestCrashRepeatsLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSimWorld(t, 1)
		w.db, w.targets = nil, w.targets[:1]
		r := countingReader{schema: w.schemas[0], mu: &sync.Mutex{}, rows: map[int]int{}}
		const workers = 2
		w.counted(r, workers, countedRows/countedChunk/workers*20*time.Millisecond/2)
		read := len(r.rows)
		w.counted(r, workers, time.Hour)
		twice := 0
		for n := range countedRows {
			if r.rows[n] == 0 {
				t.Fatalf("row %d was never read", n)
			}
			twice += r.rows[n] - 1
		}
		between := int(keepEvery/(20*time.Millisecond)) + 5
		if most := countedChunk * workers * (between + piecesEach); read < countedRows/3 || read > countedRows*2/3 || twice > most {
			t.Errorf("%d of %d rows were read at the crash, and %d read again, at most %d", read, countedRows, twice, most)
		}
		t.Logf("%d of %d rows were read at the crash, and %d read again", read, countedRows, twice)
	})
}

// counted runs until the table is read, or for so long.
func (w *simWorld) counted(r countingReader, workers int, long time.Duration) {
	ctx, cancel := context.WithTimeout(w.t.Context(), long)
	defer cancel()
	ledger, err := LoadLedger(w.saved())
	if err != nil {
		w.t.Fatal(err)
	}
	if ledger.Empty() {
		ledger.Change("t0", func(e *Entry) { e.restart(Request{Table: "t0", Reason: ForRequest}) })
	}
	out := newSimOut(w)
	out.unchecked = true
	segments := Segments("t0", Keys([][]string{{fmt.Sprint(countedRows / 2)}}))
	l := &Live{Desk: NewDesk(), Ledger: ledger, Out: out, Stream: simWAL, Workers: workers,
		Resolve: func(table string) (string, error) { return table, nil },
		Plan:    func(context.Context, *Request) ([]Segment, int64, error) { return segments, countedRows, nil },
		Open:    func(context.Context) (Reader, error) { return r, nil }}
	l.Prepare()
	var all sync.WaitGroup
	for _, lane := range out.targets {
		for _, queue := range lane.queues {
			all.Go(func() { out.run(ctx, lane, queue) })
		}
	}
	all.Go(func() {
		if err := l.Run(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
			w.t.Error(err)
		}
	})
	life := &simLife{w: w, out: out, live: l}
	for l.Busy() && ctx.Err() == nil {
		if err := life.merges(ctx); err != nil {
			break
		}
		_ = pause(ctx, time.Millisecond)
	}
	cancel()
	all.Wait()
}
