package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// feed gives a report what go test -json writes of one failed test of one package.
func feed(r *report, output ...string) {
	send := func(e event) {
		line, _ := json.Marshal(e)
		r.line(line)
	}
	send(event{Action: "output", Package: "p", Test: "TestA", Output: "=== RUN   TestA\n"})
	for _, o := range output {
		send(event{Action: "output", Package: "p", Test: "TestA", Output: o + "\n"})
	}
	send(event{Action: "output", Package: "p", Test: "TestA", Output: "--- FAIL: TestA (0.00s)\n"})
	send(event{Action: "fail", Package: "p", Test: "TestA"})
	send(event{Action: "output", Package: "p", Output: "the log:\n2026-01-02 03:04:05.678 UTC [9] LOG:  fine\n"})
	send(event{Action: "fail", Package: "p"})
}

// after runs a report of one failed test and returns what it prints from the first repetition on.
func after(t *testing.T, output ...string) string {
	t.Helper()
	var b strings.Builder
	r := &report{out: &b, output: map[string][]string{}, passed: map[string]int{}}
	feed(r, output...)
	if code := r.sum(0); code != 1 {
		t.Errorf("code %d", code)
	}
	_, end, _ := strings.Cut(b.String(), "\n---- again: ")
	return end
}

func TestReasonIsAtTheEnd(t *testing.T) {
	output := []string{"    a_test.go:1: the reason", "        -want", "        +got"}
	for i := range 5000 {
		output = append(output, fmt.Sprintf("2026-01-02 03:04:05.678 UTC [%d] LOG:  logical decoding found", i),
			"2026-01-02 03:04:05.678 UTC [1] DETAIL:  There are no running transactions.", "2026-01-02  3:04:05 0 [Note] fine")
	}
	for range 300 {
		output = append(output, "    what pipe logs "+strings.Repeat("x", 400))
	}
	output = append(output, "2026-01-02 03:04:05.678 UTC [1] ERROR:  too bad", "2026-01-02 03:04:05.678 UTC [1] STATEMENT:  SELECT", "\t1")
	got := after(t, output...)
	for _, want := range []string{"the reason\n        -want\n        +got\n", "ERROR:  too bad\n", "SELECT\n\t1\n", "failed:  p TestA\n",
		"1 tests, 2 failed, 0 skipped, 0s\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if n := strings.Count(got, "\n"); n > 60 || strings.Contains(got, "logical decoding") || strings.Contains(got, "fine") {
		t.Errorf("%d lines:\n%s", n, got)
	}
	if len(got) > 60*(digestLine+10) {
		t.Errorf("%d bytes", len(got))
	}
}

func TestHeadOfAPanic(t *testing.T) {
	output := []string{"    a_test.go:1: before", "panic: test timed out after 1s", "\trunning tests:", "\t\tTestA (1s)"}
	for i := range 1000 {
		output = append(output, fmt.Sprintf("goroutine %d [running]:", i))
	}
	got := after(t, output...)
	for _, want := range []string{"before\npanic: test timed out after 1s\n\trunning tests:\n\t\tTestA (1s)\n", "goroutine 3 "} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "goroutine 100 ") {
		t.Errorf("all goroutines:\n%s", got)
	}
}

func TestComplaintsOfServersAreFew(t *testing.T) {
	output := []string{"    a_test.go:1: the log:", "        \tindented by a tab"}
	for i := range 100 {
		output = append(output, fmt.Sprintf("2026-01-02 03:04:05.678 UTC [%d] ERROR:  again", i))
	}
	got := after(t, append(output, "    a_test.go:2: the end")...)
	if n := strings.Count(got, "  again"); n != digestServer || !strings.Contains(got, "\tindented") || !strings.Contains(got, "[99]") {
		t.Errorf("%d lines of the server in\n%s", n, got)
	}
}
