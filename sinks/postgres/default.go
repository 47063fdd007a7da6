package postgres

import (
	"context"
	"encoding/json"
	"regexp"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
)

// defaultFor returns the expression that means in PostgreSQL what a column's default means at its
// source, "" where there is none. ok is false where there is a default but no expression is known to
// mean the same: constants do, and the time of the insert; nothing else is guessed.
func defaultFor(system pipeline.System, col *pipeline.Column) (expr string, ok bool) {
	text := strings.TrimSpace(col.Default)
	if text == "" || strings.EqualFold(text, "NULL") || strings.HasPrefix(text, "NULL::") {
		return "", true
	}
	if expr = clock(system, col.Kind, text); expr != "" {
		return expr, true
	}
	return constantFor(system, col)
}

// constantFor is defaultFor for constants only: those that ADD COLUMN ... DEFAULT gives to the rows that
// are there already, as the source did.
func constantFor(system pipeline.System, col *pipeline.Column) (string, bool) {
	maria := system == pipeline.MariaDB
	text, bits, ok := constant(strings.TrimSpace(col.Default), maria)
	if !ok || system == pipeline.MySQL || strings.IndexByte(text, 0) >= 0 {
		return "", false // MySQL does not tell a text from an expression
	}
	switch col.Kind {
	case pipeline.Bool:
		return truth(text)
	case pipeline.Int, pipeline.Uint, pipeline.Float32, pipeline.Float64, pipeline.Decimal:
		return literal(text), !bits && numberForm().MatchString(text)
	case pipeline.Bits:
		if n := col.Length - len(text); bits && n > 0 {
			text = strings.Repeat("0", n) + text
		}
		return literal(text), strings.Trim(text, "01") == ""
	case pipeline.JSON:
		return literal(text), json.Valid([]byte(text))
	case pipeline.Date, pipeline.Timestamp, pipeline.TimestampTZ:
		if maria && (strings.HasPrefix(text, "0000") || strings.Contains(text, "-00")) {
			return "", false
		}
		if maria && col.Kind == pipeline.TimestampTZ { // the source's sessions are in UTC
			text += "+00"
		}
	case pipeline.Bytes:
		return literal(text), !maria
	}
	return literal(text), !bits
}

func numberForm() *regexp.Regexp { return regexp.MustCompile(`^-?[0-9]*\.?[0-9]+(e[-+]?[0-9]+)?$`) }

func truth(text string) (string, bool) {
	switch strings.ToLower(text) {
	case "1", "true", "t":
		return "true", true
	case "0", "false", "f":
		return "false", true
	}
	return "", false
}

// clock translates the names of the time at which a row is inserted.
func clock(system pipeline.System, k pipeline.Kind, text string) string {
	if k != pipeline.Timestamp && k != pipeline.TimestampTZ && k != pipeline.Date {
		return ""
	}
	name, rest, called := strings.Cut(strings.ToLower(text), "(")
	digit, closed := strings.CutSuffix(rest, ")")
	if called != closed || len(digit) > 1 || strings.Trim(digit, "0123456") != "" {
		return ""
	}
	if digit != "" {
		digit = "(" + digit + ")"
	}
	if system != pipeline.PostgreSQL {
		return mariaClock(k, name, digit)
	}
	switch name {
	case "current_timestamp", "localtimestamp":
		return strings.ToUpper(name) + digit
	case "current_date":
		return "CURRENT_DATE"
	case "now", "transaction_timestamp", "statement_timestamp", "clock_timestamp":
		if called && digit == "" {
			return name + "()"
		}
	}
	return ""
}

// mariaClock knows current_timestamp and curdate, which stand for all of their other names in the
// catalogue. A DATETIME gets the session's local time.
func mariaClock(k pipeline.Kind, name, digit string) string {
	switch {
	case name == "curdate" && k == pipeline.Date:
		return "CURRENT_DATE"
	case name != "current_timestamp" || k == pipeline.Date:
		return ""
	case digit == "":
		digit = "(0)"
	}
	if k == pipeline.Timestamp {
		return "LOCALTIMESTAMP" + digit
	}
	return "CURRENT_TIMESTAMP" + digit
}

// constant returns the text of a default that is a constant: a number, true or false, 'text',
// 'text'::type, b'01'. bits tells of the last. Backslashes escape in MariaDB's only.
func constant(s string, escapes bool) (text string, bits, ok bool) {
	if strings.EqualFold(s, "true") || strings.EqualFold(s, "false") {
		return s, false, true
	}
	if inner, cut := strings.CutPrefix(s, "("); cut { // PostgreSQL: (-1), (0)::numeric
		number, after, _ := strings.Cut(inner, ")")
		return number, false, numberForm().MatchString(number) && typed(after)
	}
	rest, bits := strings.CutPrefix(strings.Replace(s, "B'", "b'", 1), "b'")
	if !bits {
		rest, ok = strings.CutPrefix(s, "'")
		if !ok {
			return s, false, numberForm().MatchString(s)
		}
	}
	text, rest, ok = unquoted(rest, escapes)
	return text, bits, ok && typed(rest)
}

// typed reports whether what follows a constant is nothing or ::type.
func typed(rest string) bool {
	return rest == "" || strings.HasPrefix(rest, "::") && plainType(rest[2:])
}

// unquoted reads a quoted text after its first quote, and returns what follows the last one.
func unquoted(s string, escapes bool) (text, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\'' && i+1 < len(s) && s[i+1] == '\'':
			i++
		case s[i] == '\'':
			return b.String(), s[i+1:], true
		case s[i] == '\\' && escapes && i+1 < len(s):
			i++
			if at := strings.IndexByte("nrt0Zb", s[i]); at >= 0 {
				b.WriteByte("\n\r\t\x00\x1a\b"[at])
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}

func plainType(s string) bool {
	for _, r := range s {
		ok := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' ||
			strings.ContainsRune(` _.,()[]"`, r)
		if !ok {
			return false
		}
	}
	return s != "" && strings.Count(s, `"`)%2 == 0
}

// takes reports whether the server takes an expression as a value of a type.
func takes(ctx context.Context, c *conn, expr, typ string) (bool, error) {
	_, err := c.query(ctx, "SELECT CAST("+expr+" AS "+typ+")")
	if err != nil && sqlState(err) == "" {
		return false, err
	}
	return err == nil, nil
}
