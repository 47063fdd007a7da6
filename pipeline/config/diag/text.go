package diag

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// colours are the escape sequences of a terminal; all empty without colour.
type colours struct{ red, yellow, blue, bold, off string }

func palette(colour bool) colours {
	if !colour {
		return colours{}
	}
	return colours{red: "\x1b[1;31m", yellow: "\x1b[1;33m", blue: "\x1b[34m", bold: "\x1b[1m", off: "\x1b[0m"}
}

// Text prints diagnostics for people, an empty line between them.
func Text(w io.Writer, all []Diagnostic, colour bool) error {
	p := printer{c: palette(colour)}
	for i, d := range all {
		if i > 0 {
			p.line()
		}
		p.diagnostic(d)
	}
	_, err := io.WriteString(w, p.b.String())
	return err
}

type printer struct {
	b strings.Builder
	c colours
}

func (p *printer) line(parts ...string) {
	p.b.WriteString(strings.TrimRight(strings.Join(parts, ""), " "))
	p.b.WriteByte('\n')
}

func (p *printer) diagnostic(d Diagnostic) {
	colour := p.c.red
	if d.Severity == "warning" {
		colour = p.c.yellow
	}
	p.line(colour, d.Severity, p.c.off, ": ", p.c.bold, d.Summary, p.c.off)
	width := gutter(d)
	if d.Range != nil {
		p.place(width, *d.Range, d.Snippet, colour)
	}
	for _, n := range d.Notes {
		p.line(strings.Repeat(" ", width), p.c.blue, " = ", p.c.off, n.Text)
		p.place(width, n.Range, n.Snippet, p.c.blue)
	}
	if d.Detail != "" {
		p.line("  ", strings.ReplaceAll(d.Detail, "\n", "\n  "))
	}
}

// gutter is the width of the largest line number that the diagnostic shows.
func gutter(d Diagnostic) int {
	width := 1
	if d.Snippet != nil {
		width = len(strconv.Itoa(d.Snippet.Line))
	}
	for _, n := range d.Notes {
		width = max(width, len(strconv.Itoa(n.Range.Start.Line)))
	}
	return width
}

func (p *printer) place(width int, r Range, s *Snippet, colour string) {
	pad := strings.Repeat(" ", width)
	p.line(pad, p.c.blue, " --> ", p.c.off, fmt.Sprintf("%s:%d:%d", r.File, r.Start.Line, r.Start.Column))
	if s == nil || s.Code == "" {
		return
	}
	p.line(pad, p.c.blue, " |", p.c.off)
	p.line(p.c.blue, fmt.Sprintf("%*d | ", width, s.Line), p.c.off, s.Code)
	before := utf8.RuneCountInString(s.Code[:min(s.Start, len(s.Code))])
	carets := max(1, utf8.RuneCountInString(s.Code[min(s.Start, len(s.Code)):min(s.End, len(s.Code))]))
	p.line(pad, p.c.blue, " | ", p.c.off, strings.Repeat(" ", before), colour, strings.Repeat("^", carets), p.c.off)
}

// GitHub prints diagnostics as annotations of a GitHub workflow.
func GitHub(w io.Writer, all []Diagnostic) error {
	var b strings.Builder
	for _, d := range all {
		b.WriteString("::" + d.Severity + " ")
		if r := d.Range; r != nil {
			fmt.Fprintf(&b, "file=%s,line=%d,endLine=%d,col=%d,endColumn=%d,",
				property(r.File), r.Start.Line, r.End.Line, r.Start.Column, r.End.Column)
		}
		detail := d.Detail
		for _, n := range d.Notes {
			detail += fmt.Sprintf("\n%s:%d: %s", n.Range.File, n.Range.Start.Line, n.Text)
		}
		b.WriteString("title=" + property(d.Summary) + "::" + message(detail) + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func message(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(s)
}

func property(s string) string {
	return strings.NewReplacer(":", "%3A", ",", "%2C").Replace(message(s))
}
