package pipetest

import (
	"fmt"
	"regexp"
	"strings"
)

// What is shown of a server's log where a test failed: more would hide what the test itself said.
const (
	complaintLines = 30  // the last ones
	complaintBytes = 300 // of a line
)

var (
	// logLine begins an entry of a server's log: a time, later its level.
	logLine = regexp.MustCompile(`^\[?\d{4}-\d\d-\d\d +\d+:\d\d:\d\d`)

	// complainLevel is in an entry of more than healthy operation; detailLevel in one that belongs to
	// the entry before.
	complainLevel = regexp.MustCompile(`\b(WARNING|ERROR|FATAL|PANIC): |\[(Warning|ERROR)\]|\b(WARN|ERROR|FATAL)\b|\(signal |terminated by signal`)
	detailLevel   = regexp.MustCompile(`\] (DETAIL|HINT|CONTEXT|STATEMENT|QUERY): `)
)

// complaints returns the end of what a server's log has of warnings and errors, with the lines that
// belong to them.
func complaints(log string) string {
	var kept []string
	told := true // a line that is cut off, or from before the log, belongs to nothing healthy
	for line := range strings.Lines(log) {
		line = strings.TrimRight(line, "\r\n")
		if logLine.MatchString(line) && !detailLevel.MatchString(line) {
			told = complainLevel.MatchString(line)
		}
		if told && line != "" {
			kept = append(kept, shorten(line))
		}
	}
	if left := len(kept) - complaintLines; left > 0 {
		kept = append([]string{fmt.Sprintf("... %d lines", left)}, kept[left:]...)
	}
	if len(kept) == 0 {
		return "no warning or error"
	}
	return strings.Join(kept, "\n")
}

// shorten cuts a line of a log.
func shorten(line string) string {
	if len(line) <= complaintBytes {
		return line
	}
	return strings.ToValidUTF8(line[:complaintBytes], "") + " ..."
}
