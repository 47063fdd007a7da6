package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/engine"
)

// progress turns an engine's figures into one line, once in a while.
type progress struct {
	last     time.Time // when the last line was made
	rows     int64     // read until then
	rate     float64   // rows per second since the line before
	snapshot time.Time // when a snapshot was seen first
}

// line renders the figures at a moment: "12,345 rows/s · snapshot 43% of 5 tables, about 2m left ·
// 1.2 MB and 3s behind · saved 1s ago".
func (p *progress) line(now time.Time, s engine.Stats) string {
	p.measure(now, s)
	parts := []string{fmt.Sprintf("%s rows/s", grouped(int64(p.rate))), fmt.Sprintf("%s rows", grouped(p.rows))}
	for i := range s.Sources {
		part := p.source(&s.Sources[i].Report, now)
		if len(s.Sources) > 1 && part != "" {
			part = s.Sources[i].Address + " " + part
		}
		parts = append(parts, part)
	}
	if !s.LastSave.IsZero() {
		parts = append(parts, "saved "+ago(now.Sub(s.LastSave)))
	}
	return strings.Join(nonEmpty(parts), " · ")
}

func (p *progress) measure(now time.Time, s engine.Stats) {
	var rows int64
	for i := range s.Sources {
		rows += s.Sources[i].RowsOut
	}
	if passed := now.Sub(p.last).Seconds(); !p.last.IsZero() && passed > 0 {
		p.rate = float64(max(0, rows-p.rows)) / passed
	}
	p.last, p.rows = now, rows
}

// source describes how far a source is.
func (p *progress) source(r *pipeline.Report, now time.Time) string {
	if r.Phase == "snapshot" {
		return p.copying(r, now)
	}
	out := r.Phase
	if r.LagBytes > 0 || r.LagTime > 0 {
		out += ", " + behind(r)
	}
	if again := rereading(r); again != "" {
		out += ", " + again
	}
	return out
}

// rereading describes tables that are read beside the stream: "reading public.orders 43%".
func rereading(r *pipeline.Report) string {
	var open []*pipeline.TableReport
	for i := range r.Tables {
		if !r.Tables[i].Done {
			open = append(open, &r.Tables[i])
		}
	}
	switch {
	case len(open) == 0:
		return ""
	case len(open) > 1:
		return fmt.Sprintf("reading %d tables", len(open))
	}
	t := open[0]
	out := fmt.Sprintf("reading %s, %s rows", t.Name, grouped(t.Rows))
	if t.Estimate > 0 {
		out = fmt.Sprintf("reading %s %.0f%%", t.Name, 100*min(float64(t.Rows)/float64(t.Estimate), 0.99))
	}
	return out
}

func behind(r *pipeline.Report) string {
	var parts []string
	if r.LagBytes >= 0 {
		parts = append(parts, size(r.LagBytes))
	}
	if r.LagTime > 0 {
		parts = append(parts, short(r.LagTime))
	}
	return strings.Join(parts, " and ") + " behind"
}

// copying describes a snapshot, by rows where there are estimates.
func (p *progress) copying(r *pipeline.Report, now time.Time) string {
	var rows, estimate int64
	done := 0
	for i := range r.Tables {
		t := &r.Tables[i]
		rows += t.Rows
		estimate += max(t.Estimate, t.Rows)
		if t.Done {
			done++
		}
	}
	if p.snapshot.IsZero() {
		p.snapshot = now
	}
	out := fmt.Sprintf("snapshot, %d of %d tables", done, len(r.Tables))
	if estimate == 0 || rows == 0 {
		return out
	}
	share := min(float64(rows)/float64(estimate), 1)
	out = fmt.Sprintf("snapshot %.0f%%, %d of %d tables", 100*share, done, len(r.Tables))
	if passed := now.Sub(p.snapshot); passed >= 2*time.Second && share < 1 {
		left := time.Duration(float64(passed) * (1 - share) / share)
		out += ", about " + short(left) + " left"
	}
	return out
}

func nonEmpty(parts []string) []string {
	var out []string
	for _, p := range parts {
		if p != "" {
			out = append(out, p)
		}
	}
	return out
}

// grouped writes 1234567 as 1,234,567.
func grouped(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// size writes bytes with a unit of a thousand.
func size(n int64) string {
	const unit = 1000
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	f, i := float64(n)/unit, 0
	for f >= unit && i < 3 {
		f /= unit
		i++
	}
	return fmt.Sprintf("%.1f %cB", f, "kMGT"[i])
}

// short writes a duration as one would say it: 340ms, 12s, 3m, 2h5m.
func short(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%dh%dm", int(d.Hours()), int(d.Minutes())%60)
}

func ago(d time.Duration) string {
	if d < time.Second {
		return "just now"
	}
	return short(d) + " ago"
}
