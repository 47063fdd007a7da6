package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// results gathers samples by workload and reader, in the order of their first run.
type results struct {
	rows  []*result
	parts []*parts
}

// result is one line of the table.
type result struct {
	workload, reader string
	events           int
	samples          []sample
	target           target
}

// target says what a reader's rate should be, against another reader of the same workload.
type target struct {
	reader string  // "" where there is none
	rate   float64 // at least, of that reader's rows per second
	cpu    float64 // at most, of that reader's CPU per row; 0: not asked
	rss    int64   // at most, bytes; 0: not asked
}

// add records a sample. A reader that is held against several others has a line for each.
func (r *results) add(workload, reader string, events int, s sample, t target) {
	for _, have := range r.rows {
		if have.workload == workload && have.reader == reader && have.target.reader == t.reader {
			have.samples = append(have.samples, s)
			return
		}
	}
	r.rows = append(r.rows, &result{workload, reader, events, []sample{s}, t})
}

func (r *results) find(workload, reader string) *result {
	for _, have := range r.rows {
		if have.workload == workload && have.reader == reader {
			return have
		}
	}
	return nil
}

// median returns the middle one of a figure's samples.
func median[T int64 | time.Duration](r *result, figure func(sample) T) T {
	values := make([]T, len(r.samples))
	for i, s := range r.samples {
		values[i] = figure(s)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func (r *result) rate() float64 {
	return float64(r.events) / median(r, func(s sample) time.Duration { return s.wall }).Seconds()
}

// cpu returns microseconds per row.
func (r *result) cpu() float64 {
	return float64(median(r, func(s sample) time.Duration { return s.cpu }).Nanoseconds()) / 1e3 / float64(r.events)
}

func (r *result) rss() int64 { return median(r, func(s sample) int64 { return s.rss }) }

// print writes the table, with each ratio beside what it should be.
func (b *bench) print(w io.Writer) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "workload\treader\trows/s\tCPU us/row\tpeak MB\trate against\tCPU against\t")
	for _, r := range b.results.rows {
		fmt.Fprintf(tw, "%s\t%s\t%.0f\t%.2f\t%d\t%s\t%s\t\n", r.workload, r.reader, r.rate(), r.cpu(),
			r.rss()>>20, b.ratio(r), b.cpuRatio(r))
	}
	tw.Flush()
	fmt.Fprintln(w)
	b.results.printParts(w)
}

func (b *bench) ratio(r *result) string {
	base := b.results.find(r.workload, r.target.reader)
	if base == nil {
		return ""
	}
	got := r.rate() / base.rate()
	return fmt.Sprintf("%.2f of %s (at least %.2f: %s)", got, base.reader, r.target.rate, verdict(got >= r.target.rate))
}

func (b *bench) cpuRatio(r *result) string {
	base := b.results.find(r.workload, r.target.reader)
	if base == nil || r.target.cpu == 0 {
		return ""
	}
	got := r.cpu() / base.cpu()
	return fmt.Sprintf("%.2f (at most %.2f: %s)", got, r.target.cpu, verdict(got <= r.target.cpu))
}

func verdict(ok bool) string {
	if ok {
		return "met"
	}
	return "MISSED"
}
