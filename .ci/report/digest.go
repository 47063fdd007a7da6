package main

import (
	"fmt"
	"regexp"
	"strings"
)

// What the end of the report shows: the reason has to be in it where only the end of a log is kept.
const (
	digestLines   = 40  // the last ones of a failed test
	digestHeads   = 8   // messages whose first lines are shown though they are further up
	digestHead    = 4   // lines of such a message
	digestCrash   = 24  // lines from a panic or a data race on
	digestServer  = 15  // lines of servers' logs
	digestLine    = 300 // bytes of a line
	digestFailed  = 8   // failures that are shown; all are named
	digestPackage = 25  // lines of a failed package's own output, such as its server's log
)

var (
	// serverLine is a line of PostgreSQL's log or of MariaDB's, with its level.
	serverLine = regexp.MustCompile(`\d:\d\d:\d\d(?:\.\d+ \w+ \[\d+\] ([A-Z]+): | \d+ \[(\w+)\] )`)

	// messageLine begins what a test says by Errorf, Fatalf or Logf; frameLine is of go test itself.
	messageLine = regexp.MustCompile(`^\s+\w+\.go:\d+: `)
	frameLine   = regexp.MustCompile(`^(\s*--- |=== )|^(FAIL|PASS|exit status)\b`)
	crashLine   = regexp.MustCompile(`^(panic: |fatal error: |WARNING: DATA RACE|unexpected fault)`)
)

// digest returns what tells most of a failure: what was said last, and before that the beginnings of
// the messages that are further up. Of a crash it is what went before and the first lines of it.
func digest(output []string, last int) []string {
	all := lines(output, digestLine)
	if at := crash(all); at >= 0 {
		return append(ends(unhealthy(all[:at]), last/2), all[at:min(at+digestCrash, len(all))]...)
	}
	return ends(unhealthy(all), last)
}

// ends returns the last lines, and the beginnings of messages further up.
func ends(all []string, last int) []string {
	from := max(0, len(all)-last)
	var out []string
	for i, heads := 0, 0; i < from && heads < digestHeads; i++ {
		if !messageLine.MatchString(all[i]) {
			continue
		}
		heads++
		end := i + 1
		for end < min(i+digestHead, from) && !messageLine.MatchString(all[end]) {
			end++
		}
		out = append(out, all[i:end]...)
		i = end - 1
	}
	if left := from - len(out); left > 0 {
		out = append(out, fmt.Sprintf("    ... %d lines, further up", left))
	}
	return append(out, all[from:]...)
}

// lines returns the lines of a test's output, each cut to what can be read; those of go test itself
// left out.
func lines(output []string, most int) []string {
	var out []string
	for line := range strings.Lines(strings.Join(output, "")) {
		line = strings.TrimRight(line, "\r\n")
		if line != "" && !frameLine.MatchString(line) {
			out = append(out, cut(line, most))
		}
	}
	return out
}

// crash returns the first line of a panic or a data race, -1 for none.
func crash(lines []string) int {
	for i, line := range lines {
		if crashLine.MatchString(line) {
			return i
		}
	}
	return -1
}

// unhealthy leaves out what servers log of healthy operation, and all but the last lines of the
// rest of their logs.
func unhealthy(lines []string) []string {
	var kept []string
	var server []int             // where the kept lines of servers' logs are
	inside, told := false, false // of a server's log; of a complaint in it
	for _, line := range lines {
		switch level := levelOf(line); level {
		case "":
			continued := inside && strings.HasPrefix(strings.TrimLeft(line, " "), "\t")
			if !continued {
				inside, told = false, false
				kept = append(kept, line)
				continue
			}
		case "DETAIL", "HINT", "CONTEXT", "STATEMENT", "QUERY": // of the line before
			inside = true
		default:
			inside, told = true, level != "LOG" && level != "Note"
		}
		if told {
			server = append(server, len(kept))
			kept = append(kept, line)
		}
	}
	return without(kept, server[:max(0, len(server)-digestServer)])
}

// levelOf returns the level of a line of a server's log, "" of another line.
func levelOf(line string) string {
	m := serverLine.FindStringSubmatch(line)
	if m == nil {
		return ""
	}
	return m[1] + m[2]
}

// without leaves out the lines of some ascending places.
func without(lines []string, places []int) []string {
	if len(places) == 0 {
		return lines
	}
	var out []string
	for i, line := range lines {
		if len(places) > 0 && places[0] == i {
			places = places[1:]
			continue
		}
		out = append(out, line)
	}
	return out
}

// cut shortens a line.
func cut(line string, most int) string {
	if len(line) <= most {
		return line
	}
	return strings.ToValidUTF8(line[:most], "") + " ..."
}
