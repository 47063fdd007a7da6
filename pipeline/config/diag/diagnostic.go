package diag

import (
	"bytes"
	"cmp"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"

	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// Diagnostic is one problem.
type Diagnostic struct {
	Severity string   `json:"severity"` // "error" or "warning"
	Summary  string   `json:"summary"`
	Detail   string   `json:"detail,omitempty"`
	Range    *Range   `json:"range,omitempty"`
	Snippet  *Snippet `json:"snippet,omitempty"`
	Notes    []Note   `json:"notes,omitempty"`
}

// Note is another place that a problem involves.
type Note struct {
	Text    string   `json:"text"`
	Range   Range    `json:"range"`
	Snippet *Snippet `json:"snippet,omitempty"`
}

// Range is a part of a file.
type Range struct {
	File  string `json:"file"`
	Start Place  `json:"start"`
	End   Place  `json:"end"`
}

// Place is a place in a file: line and column count from 1, Byte from 0.
type Place struct {
	Line   int `json:"line"`
	Column int `json:"column"`
	Byte   int `json:"byte"`
}

// Snippet is the first line of a range, and which of its bytes are meant.
type Snippet struct {
	Line  int    `json:"line"`
	Code  string `json:"code"`
	Start int    `json:"start"`
	End   int    `json:"end"`
}

// From makes diagnostics from hcl's, in the order of files and places, each once. files holds the
// text of the files by name.
func From(diags hcl.Diagnostics, files map[string][]byte) []Diagnostic {
	var hide []hcl.Range
	for _, d := range diags {
		hide = append(hide, spec.ExtraOf(d).Hide...)
	}
	s := snippets{files: files, hide: hide}
	out := []Diagnostic{}
	for _, d := range Sorted(diags) {
		next := s.diagnostic(d)
		same := func(o Diagnostic) bool { return reflect.DeepEqual(o, next) }
		if !slices.ContainsFunc(out[max(0, len(out)-maxRepeats):], same) {
			out = append(out, next)
		}
	}
	return out
}

// maxRepeats bounds how far back a repeated diagnostic is looked for: those of one place are
// together, one for each instance of a for_each.
const maxRepeats = 32

// Sorted returns hcl diagnostics in the order of files and places.
func Sorted(diags hcl.Diagnostics) hcl.Diagnostics {
	place := func(d *hcl.Diagnostic) hcl.Range {
		if d.Subject == nil {
			return hcl.Range{}
		}
		return *d.Subject
	}
	return slices.SortedStableFunc(slices.Values(diags), func(a, b *hcl.Diagnostic) int {
		x, y := place(a), place(b)
		return cmp.Or(cmp.Compare(x.Filename, y.Filename), cmp.Compare(x.Start.Byte, y.Start.Byte))
	})
}

type snippets struct {
	files map[string][]byte
	hide  []hcl.Range
}

func (s snippets) diagnostic(d *hcl.Diagnostic) Diagnostic {
	out := Diagnostic{Severity: "error", Summary: clean(d.Summary), Detail: clean(d.Detail)}
	if d.Severity == hcl.DiagWarning {
		out.Severity = "warning"
	}
	if d.Subject != nil && d.Subject.Filename != "" {
		rng := rangeOf(*d.Subject)
		out.Range, out.Snippet = &rng, s.snippet(*d.Subject)
	}
	for _, n := range spec.ExtraOf(d).Notes {
		out.Notes = append(out.Notes, Note{Text: clean(n.Text), Range: rangeOf(n.Range),
			Snippet: s.snippet(n.Range)})
	}
	return out
}

func rangeOf(r hcl.Range) Range {
	place := func(p hcl.Pos) Place { return Place{Line: p.Line, Column: p.Column, Byte: p.Byte} }
	return Range{File: r.Filename, Start: place(r.Start), End: place(r.End)}
}

// maxCode bounds how much of a line is shown, in bytes; marginCode how much before the place.
const (
	maxCode    = 160
	marginCode = 60
)

// snippet cuts the line of a range out of its file; nil where it has none.
func (s snippets) snippet(r hcl.Range) *Snippet {
	text, ok := s.files[r.Filename]
	start, end := r.Start.Byte, r.End.Byte
	if !ok || start < 0 || start > len(text) || end < start || r.Start.Line < 1 {
		return nil
	}
	from := bytes.LastIndexByte(text[:start], '\n') + 1
	to := len(text)
	if n := bytes.IndexByte(text[start:], '\n'); n >= 0 {
		to = start + n
	}
	end = min(end, to)
	if to-from > maxCode {
		from = max(from, start-marginCode)
		to = min(to, from+maxCode)
		end = min(end, to)
		for from < start && !utf8.RuneStart(text[from]) {
			from++
		}
	}
	line := s.hidden(r.Filename, text, from, to)
	code, start := shown(line, start-from)
	_, end = shown(line, end-from)
	return &Snippet{Line: r.Start.Line, Code: strings.TrimRight(code, " \r"), Start: start, End: max(start, end)}
}

// hidden returns text[from:to] with the secrets in it overwritten.
func (s snippets) hidden(file string, text []byte, from, to int) []byte {
	line := slices.Clone(text[from:to])
	for _, h := range s.hide {
		if h.Filename != file {
			continue
		}
		for i := max(h.Start.Byte, from); i < min(h.End.Byte, to); i++ {
			if line[i-from] != '"' {
				line[i-from] = '*'
			}
		}
	}
	return maskSecrets(line)
}

// secretLiteral finds what is probably a secret by its name, and passwords inside connection
// strings: a line may be shown because of an error that kept it from being decoded.
var secretLiteral = regexp.MustCompile(`(?i)(?:passw|pwd|secret|token|credential)[a-z_]*"?\s*[=:]\s*"([^"$]+)|://[^/@:"\s]*:([^@"\s$]+)@`)

// maskSecrets overwrites what looks like a secret.
func maskSecrets(line []byte) []byte {
	for _, m := range secretLiteral.FindAllSubmatchIndex(line, -1) {
		for group := 2; group+1 < len(m); group += 2 {
			for i := m[group]; i >= 0 && i < m[group+1]; i++ {
				line[i] = '*'
			}
		}
	}
	return line
}

// shown makes a line printable and returns where the byte offset at is then.
func shown(line []byte, at int) (string, int) {
	var b strings.Builder
	moved := -1
	for i := 0; i < len(line); {
		if i >= at && moved < 0 {
			moved = b.Len()
		}
		r, n := utf8.DecodeRune(line[i:])
		b.WriteString(printable(r))
		i += n
	}
	if moved < 0 {
		moved = b.Len()
	}
	return b.String(), moved
}

func printable(r rune) string {
	switch {
	case r == '\t':
		return "  "
	case r == '\r':
		return ""
	case r == utf8.RuneError || !unicode.IsPrint(r):
		return "\uFFFD"
	}
	return string(r)
}

// clean makes a message printable; its line breaks stay.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, strings.ReplaceAll(strings.TrimSpace(s), "\r", ""))
}
