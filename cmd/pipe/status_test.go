package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline/control"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

func TestStatusText(t *testing.T) {
	now := time.Date(2026, 11, 21, 5, 0, 0, 0, time.UTC)
	s := control.Status{
		Pipeline: "shop", Version: "v1.2", PID: 4711, Started: now.Add(-2 * time.Hour), Phase: control.Running,
		Reasons: []string{"source.shop is 31s behind, more than the objective of 30s"}, Restarts: 2,
		Failure:         &control.Failure{Node: "sink.copy", Message: "connection lost", Hint: "Start the \x1b[31mserver", At: now.Add(-time.Minute)},
		InFlightBatches: 1, InFlightBytes: 4_200_000, Saves: 7, LastSave: now.Add(-3 * time.Second),
		Sources: []control.Source{{Node: control.Node{Address: "source.shop", Rows: 1234567, Bytes: 89_000_000}, Phase: "streaming",
			LagBytes: 1_200_000, LagSeconds: 31, RetainedBytes: 16_000_000, Tables: []control.Table{
				{Table: "public.big", Status: snapshot.Running, Reason: snapshot.ForRequest, By: "ana@db1", Where: "row.id > 7",
					Started: now.Add(-time.Minute), Rows: 430, Estimate: 1000, ChunksDone: 4, Queue: []time.Time{now}},
				{Table: "public.odd", Status: snapshot.Failed, Reason: snapshot.ForTracker, Replace: true, Ended: now, Error: "public.odd: no key"},
				{Table: "public.old", Status: snapshot.Recorded}}}},
		Transforms: []control.Node{{Address: "transform.types", RowsIn: 10, Rows: 9}},
		Sinks:      []control.Node{{Address: "sink.copy", Rows: 1234000, Bytes: 88_000_000, Errors: 2}},
	}
	want := `shop  running for 2h0m (process 4711, pipe v1.2)
not ready: source.shop is 31s behind, more than the objective of 30s
2 failures, the last one 1m0s ago: sink.copy: connection lost. Start the ` + "\uFFFD" + `[31mserver
saved 3s ago, 1 batch in flight (4.2 MB)

NODE             ROWS       SIZE     ERRORS  IS
source.shop      1,234,567  89.0 MB  0       streaming, 1.2 MB and 31s behind, 16.0 MB retained upstream
transform.types  9          -        0       10 rows in
sink.copy        1,234,000  88.0 MB  2

SOURCE       TABLE       STATUS                  ROWS  CHUNKS  WHEN                 WHY
source.shop  public.big  running 43%, 1 waiting  430   4       2026-11-21 04:59:00  requested by ana@db1 where row.id > 7
source.shop  public.odd  failed                  0     0       2026-11-21 05:00:00  tracker, replacing
source.shop  public.old  recorded                0     0       -                    -
public.odd: no key
`
	var got strings.Builder
	printStatus(&got, &s, now)
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Error(diff)
	}
	got.Reset()
	printStored(&got, &storedState{Positions: map[string]string{"b/wal": "2", "a/wal": "1"}, Note: "look out"})
	if want := "look out\n\nSTREAM  POSITION\na/wal   1\nb/wal   2\n"; got.String() != want {
		t.Errorf("%q, want %q", got.String(), want)
	}
}
