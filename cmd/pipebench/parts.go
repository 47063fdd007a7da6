package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// part is a stretch of one run, and who used the processors meanwhile.
type part struct {
	wall                   time.Duration
	source, target, client time.Duration
}

// busy is how many processors were used on average.
func (p part) busy() float64 {
	return (p.source + p.target + p.client).Seconds() / max(p.wall.Seconds(), tick.Seconds())
}

// parts are the same stretch of a reader's runs.
type parts struct {
	workload, reader, name string
	samples                []part
}

// addPart records a stretch of a run.
func (r *results) addPart(workload, reader, name string, p part) {
	for _, have := range r.parts {
		if have.workload == workload && have.reader == reader && have.name == name {
			have.samples = append(have.samples, p)
			return
		}
	}
	r.parts = append(r.parts, &parts{workload, reader, name, []part{p}})
}

// middle returns the run of which as many took longer as shorter.
func (p *parts) middle() part {
	sorted := slices.SortedFunc(slices.Values(p.samples), func(a, b part) int { return int(a.wall - b.wall) })
	return sorted[len(sorted)/2]
}

// printParts writes where the time went, if anybody looked.
func (r *results) printParts(w io.Writer) {
	if len(r.parts) == 0 {
		return
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "workload\treader\tpart\tseconds\tCPU s: source\ttarget\treader\tprocessors busy\t")
	for _, p := range r.parts {
		m := p.middle()
		fmt.Fprintf(tw, "%s\t%s\t%s\t%.1f\t%.1f\t%.1f\t%.1f\t%.2f\t\n", p.workload, p.reader, p.name, m.wall.Seconds(),
			m.source.Seconds(), m.target.Seconds(), m.client.Seconds(), m.busy())
	}
	tw.Flush()
	fmt.Fprintln(w)
}
