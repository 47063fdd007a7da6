package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// gap is the space between the columns of a table.
const gap = 2

// table prints rows in columns as wide as their widest cell.
func table(w io.Writer, rows [][]string) {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		var b strings.Builder
		for i, cell := range row {
			b.WriteString(printable(cell))
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+gap))
			}
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
}

// wrap breaks a text into lines of at most width characters, each with the indent before it.
func wrap(text, indent string, width int) string {
	var b strings.Builder
	for _, paragraph := range strings.Split(strings.TrimSpace(text), "\n") {
		line := 0
		for i, word := range strings.Fields(paragraph) {
			n := utf8.RuneCountInString(word)
			switch {
			case i == 0:
				b.WriteString(indent)
			case line+1+n > width:
				b.WriteString("\n" + indent)
				line = 0
			default:
				b.WriteByte(' ')
				line++
			}
			b.WriteString(word)
			line += n
		}
		b.WriteByte('\n')
	}
	return b.String()
}
