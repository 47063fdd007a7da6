package pipetest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestComplaintsOfALog(t *testing.T) {
	const pg, maria, java = "2026-01-02 03:04:05.678 UTC [12] ", "2026-01-02  3:04:05 7 ", "[2026-01-02 03:04:05,678] "
	for name, c := range map[string]struct{ log, want []string }{
		"healthy": {[]string{pg + "LOG:  ready", pg + "DETAIL:  very", "\tmuch", maria + "[Note] ready", java + "INFO [a] b (c)"},
			[]string{"no warning or error"}},
		"postgres": {[]string{pg + "LOG:  a", pg + "ERROR:  b", pg + "STATEMENT:  SELECT", "\t1", pg + "LOG:  c", pg + "STATEMENT:  d", "\te"},
			[]string{pg + "ERROR:  b", pg + "STATEMENT:  SELECT", "\t1"}},
		"crash": {[]string{pg + "LOG:  server process (PID 3) was terminated by signal 9: Killed", pg + "LOG:  a"},
			[]string{pg + "LOG:  server process (PID 3) was terminated by signal 9: Killed"}},
		"mariadb": {[]string{maria + "[Note] a", maria + "[Warning] b", maria + "[ERROR] c", maria + "[Note] d"},
			[]string{maria + "[Warning] b", maria + "[ERROR] c"}},
		"java": {[]string{java + "INFO a (b)", java + "ERROR c (d)", "java.lang.Error", "\tat e", java + "INFO f (g)"},
			[]string{java + "ERROR c (d)", "java.lang.Error", "\tat e"}},
		"before the log": {[]string{"Killed", pg + "LOG:  a"}, []string{"Killed"}},
	} {
		if diff := cmp.Diff(strings.Join(c.want, "\n"), complaints(strings.Join(c.log, "\n"))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestComplaintsAreFewAndShort(t *testing.T) {
	var log strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&log, "2026-01-02 03:04:05.678 UTC [%d] ERROR:  %s\n", i, strings.Repeat("é", 1000))
	}
	got := strings.Split(complaints(log.String()), "\n")
	if len(got) != complaintLines+1 || got[0] != fmt.Sprintf("... %d lines", 1000-complaintLines) ||
		!strings.Contains(got[complaintLines], "[999]") {
		t.Errorf("%d lines: %q", len(got), got)
	}
	for _, line := range got {
		if len(line) > complaintBytes+4 {
			t.Errorf("%d bytes: %q", len(line), line)
		}
	}
}
