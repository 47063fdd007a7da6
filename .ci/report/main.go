// Command report reads the output of go test -json and prints one line for each package as it ends
// with the output of what failed; at the end, where it is found first, once more what tells most of
// each failure, the names, and a sum. It exits 1 when a test failed or was skipped: a test of this
// project that cannot run here has to say so by failing.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// maxLine bounds one line of go test's output, in bytes.
const maxLine = 16 << 20

// shownLine bounds what is shown of a line where something failed.
const shownLine = 2000

// event is one line of go test -json.
type event struct {
	Action, Package, Test, Output, ImportPath string
	Elapsed                                   float64
}

// report is what was read so far.
type report struct {
	out     io.Writer
	output  map[string][]string // by package and test, until it passed
	passed  map[string]int      // tests by package
	skipped []string
	failed  []string
	ends    []ending // one of each failure that has something to say
	tests   int
}

// ending is what the end of the report says again of a failure.
type ending struct {
	name  string
	lines []string
}

func main() {
	start := time.Now()
	r := report{out: os.Stdout, output: map[string][]string{}, passed: map[string]int{}}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		r.line(lines.Bytes())
	}
	if err := lines.Err(); err != nil {
		r.failed = append(r.failed, "reading go test's output: "+err.Error())
	}
	os.Exit(r.sum(time.Since(start)))
}

// line takes one line; one that is no event is printed as it is.
func (r *report) line(line []byte) {
	var e event
	if err := json.Unmarshal(line, &e); err != nil || e.Action == "" {
		fmt.Fprintf(r.out, "%s\n", line)
		return
	}
	key := e.Package + "\t" + e.Test
	switch e.Action {
	case "build-output":
		fmt.Fprint(r.out, e.Output)
	case "output":
		r.output[key] = append(r.output[key], e.Output)
	case "pass", "fail", "skip":
		r.ended(key, e)
	}
}

// ended takes the end of a test, or of a package where it names no test.
func (r *report) ended(key string, e event) {
	name := strings.TrimSpace(e.Package + " " + e.Test)
	if e.Action == "fail" {
		r.failed = append(r.failed, name)
		r.show(name, r.output[key], e.Test == "")
	}
	delete(r.output, key)
	if e.Test == "" {
		if e.Action != "skip" { // a package without tests
			fmt.Fprintf(r.out, "%-4s  %6.1fs  %5d tests  %s\n", e.Action, e.Elapsed, r.passed[e.Package], e.Package)
		}
		return
	}
	r.tests++
	switch e.Action {
	case "pass":
		r.passed[e.Package]++
	case "skip":
		r.skipped = append(r.skipped, name)
	}
}

// show prints the output of what failed, and keeps the best of it for the end: that of packages,
// which is their servers' logs, before that of tests.
func (r *report) show(name string, output []string, isPackage bool) {
	fmt.Fprintf(r.out, "---- %s\n", name)
	for _, line := range unhealthy(lines(output, shownLine)) {
		fmt.Fprintln(r.out, line)
	}
	last := digestLines
	if isPackage {
		last = digestPackage
	}
	end := ending{name, digest(output, last)}
	switch {
	case len(end.lines) == 0: // a test that failed by a part of it
	case isPackage:
		r.ends = slices.Insert(r.ends, 0, end)
	default:
		r.ends = append(r.ends, end)
	}
}

// sum prints the end and returns the exit code.
func (r *report) sum(took time.Duration) int {
	slices.Sort(r.failed)
	slices.Sort(r.skipped)
	for i, end := range r.ends {
		if i == digestFailed {
			fmt.Fprintf(r.out, "\n---- and %d more, further up\n", len(r.ends)-i)
			break
		}
		fmt.Fprintf(r.out, "\n---- again: %s\n%s\n", end.name, strings.Join(end.lines, "\n"))
	}
	for _, name := range r.failed {
		fmt.Fprintln(r.out, "failed: ", name)
	}
	for _, name := range r.skipped {
		fmt.Fprintln(r.out, "skipped:", name)
	}
	fmt.Fprintf(r.out, "%d tests, %d failed, %d skipped, %s\n",
		r.tests, len(r.failed), len(r.skipped), took.Round(time.Second))
	if len(r.failed)+len(r.skipped) > 0 || r.tests == 0 {
		return 1
	}
	return 0
}
