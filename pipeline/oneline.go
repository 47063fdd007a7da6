package pipeline

import (
	"slices"
	"strings"
)

// OneLine returns err with its text in one line, each part of it once: drivers list every attempt to connect
// on a line of its own. Without a line break it returns err itself.
func OneLine(err error) error {
	if err == nil || !strings.Contains(err.Error(), "\n") {
		return err
	}
	var parts []string
	for line := range strings.Lines(err.Error()) {
		if line = strings.TrimSpace(line); line != "" && !slices.Contains(parts, line) {
			parts = append(parts, line)
		}
	}
	text := strings.ReplaceAll(strings.Join(parts, "; "), ":; ", ": ")
	return &lineError{text: text, err: err}
}

type lineError struct {
	text string
	err  error
}

func (e *lineError) Error() string { return e.text }
func (e *lineError) Unwrap() error { return e.err }
