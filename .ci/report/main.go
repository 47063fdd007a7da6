// Command report reads the output of go test -json and prints one line for each package as it ends,
// the output of what failed, and a sum. It exits 1 when a test failed or was skipped: a test of this
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

// maxLine bounds one line of go test's output.
const maxLine = 16 << 20

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
	tests   int
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
		r.show(key, name)
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

// show prints the output of what failed.
func (r *report) show(key, name string) {
	fmt.Fprintf(r.out, "---- %s\n", name)
	for _, s := range r.output[key] {
		fmt.Fprint(r.out, s)
	}
}

// sum prints the end and returns the exit code.
func (r *report) sum(took time.Duration) int {
	slices.Sort(r.failed)
	slices.Sort(r.skipped)
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
