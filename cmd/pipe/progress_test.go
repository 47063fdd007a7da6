package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/engine"
)

func TestProgressLine(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	stats := func(rows int64, r pipeline.Report, save time.Time) engine.Stats {
		return engine.Stats{Sources: []engine.NodeStats{{Address: "source.a", RowsOut: rows, Report: r}}, LastSave: save}
	}
	tables := func(a, b int64) pipeline.Report {
		return pipeline.Report{Phase: "snapshot", Tables: []pipeline.TableReport{
			{Name: "a", Rows: a, Estimate: 1000, Done: a == 1000}, {Name: "b", Rows: b, Estimate: 3000}}}
	}
	var p progress
	got := []string{
		p.line(start, stats(0, pipeline.Report{Phase: "connecting", LagBytes: -1, LagTime: -1}, time.Time{})),
		p.line(start.Add(time.Second), stats(1000, tables(1000, 0), time.Time{})),
		p.line(start.Add(5*time.Second), stats(2000, tables(1000, 1000), start)),
		p.line(start.Add(6*time.Second), stats(2_500_000, pipeline.Report{Phase: "streaming", LagBytes: 1_234_567, LagTime: 3 * time.Second}, start.Add(6*time.Second))),
		p.line(start.Add(7*time.Second), stats(2_500_000, pipeline.Report{Phase: "streaming"}, start.Add(6*time.Second))),
		p.line(start.Add(8*time.Second), stats(2_500_000, pipeline.Report{Phase: "streaming", Tables: tables(1000, 1290).Tables}, time.Time{})),
		p.line(start.Add(9*time.Second), stats(2_500_000, pipeline.Report{Phase: "streaming", Tables: tables(1, 1).Tables}, time.Time{})),
	}
	want := []string{
		"0 rows/s · 0 rows · connecting",
		"1,000 rows/s · 1,000 rows · snapshot 25%, 1 of 2 tables",
		"250 rows/s · 2,000 rows · snapshot 50%, 1 of 2 tables, about 4s left · saved 5s ago",
		"2,498,000 rows/s · 2,500,000 rows · streaming, 1.2 MB and 3s behind · saved just now",
		"0 rows/s · 2,500,000 rows · streaming · saved 1s ago",
		"0 rows/s · 2,500,000 rows · streaming, reading b 43%",
		"0 rows/s · 2,500,000 rows · streaming, reading 2 tables",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
