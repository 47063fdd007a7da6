package config

import (
	"bytes"
	"strconv"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Bounds on what is read, so that no file can exhaust memory or the parser's stack.
const (
	maxFile  = 1 << 20 // bytes of one file
	maxFiles = 1000    // files of one directory
	maxDepth = 200     // nested brackets, braces, parentheses and templates
	maxChain = 1000    // operators, indexes and attributes in a row within one expression
)

// checkText refuses what must not reach the parser: text that is no text, and nesting that would
// overflow its stack.
func checkText(name string, text []byte, json bool) hcl.Diagnostics {
	if i := binaryAt(text); i >= 0 {
		return hcl.Diagnostics{failure(placeOf(name, text, i), "Not a text file",
			"A configuration is UTF-8 text; this file has other bytes, first here.")}
	}
	if json {
		return checkJSON(name, text)
	}
	tokens, _ := hclsyntax.LexConfig(text, name, hcl.InitialPos)
	return checkTokens(tokens)
}

// binaryAt returns the offset of the first byte that text does not have, or -1.
func binaryAt(text []byte) int {
	if i := bytes.IndexByte(text, 0); i >= 0 {
		return i
	}
	if utf8.Valid(text) {
		return -1
	}
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

// placeOf returns the range of one byte.
func placeOf(name string, text []byte, offset int) hcl.Range {
	before := text[:offset]
	line := 1 + bytes.Count(before, []byte{'\n'})
	column := 1 + utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:])
	start := hcl.Pos{Line: line, Column: column, Byte: offset}
	end := start
	end.Byte, end.Column = min(offset+1, len(text)), column+1
	return hcl.Range{Filename: name, Start: start, End: end}
}

// depthMeter counts how deep the parser would recurse over tokens.
type depthMeter struct {
	chains []int  // for each open bracket, the operators since the last separator
	lines  []bool // for each open bracket, whether a newline separates there
	blocks int    // open template directives: %{ if } and %{ for }
}

func checkTokens(tokens hclsyntax.Tokens) hcl.Diagnostics {
	m := depthMeter{chains: []int{0}, lines: []bool{true}}
	for i, t := range tokens {
		m.token(t, tokens, i)
		if len(m.chains)+m.blocks > maxDepth {
			return hcl.Diagnostics{failure(t.Range, "Nested too deeply",
				"A configuration may nest "+strconv.Itoa(maxDepth)+" levels.")}
		}
		if m.chains[len(m.chains)-1] > maxChain {
			return hcl.Diagnostics{failure(t.Range, "Expression too long",
				"An expression may have "+strconv.Itoa(maxChain)+
					" operators. Use a list and a function, or local values.")}
		}
	}
	return nil
}

func (m *depthMeter) token(t hclsyntax.Token, tokens hclsyntax.Tokens, i int) {
	top := len(m.chains) - 1
	switch t.Type {
	case hclsyntax.TokenOBrack:
		m.chains[top]++
		m.open(false)
	case hclsyntax.TokenOBrace:
		m.open(true)
	case hclsyntax.TokenOParen, hclsyntax.TokenTemplateInterp, hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc:
		m.open(false)
	case hclsyntax.TokenTemplateControl:
		m.open(false)
		m.directive(tokens, i+1)
	case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenTemplateSeqEnd,
		hclsyntax.TokenCQuote, hclsyntax.TokenCHeredoc:
		if top > 0 {
			m.chains, m.lines = m.chains[:top], m.lines[:top]
		}
	case hclsyntax.TokenNewline:
		if m.lines[top] {
			m.chains[top] = 0
		}
	case hclsyntax.TokenComma:
		m.chains[top] = 0
	case hclsyntax.TokenIdent, hclsyntax.TokenNumberLit, hclsyntax.TokenQuotedLit, hclsyntax.TokenStringLit,
		hclsyntax.TokenEOF, hclsyntax.TokenComment, hclsyntax.TokenEqual, hclsyntax.TokenColon:
	default:
		m.chains[top]++
	}
}

func (m *depthMeter) open(lines bool) {
	m.chains = append(m.chains, 0)
	m.lines = append(m.lines, lines)
}

// directive counts %{ if } and %{ for }, which end by %{ endif } and %{ endfor }.
func (m *depthMeter) directive(tokens hclsyntax.Tokens, i int) {
	if i >= len(tokens) {
		return
	}
	switch string(tokens[i].Bytes) {
	case "if", "for":
		m.blocks++
	case "endif", "endfor":
		m.blocks = max(0, m.blocks-1)
	}
}

// checkJSON bounds the nesting of a JSON file, and of the templates in its strings.
func checkJSON(name string, text []byte) hcl.Diagnostics {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case '"':
			end := stringEnd(text, i)
			tokens, _ := hclsyntax.LexTemplate(text[i+1:end], name, hcl.InitialPos)
			if diags := checkTokens(tokens); diags.HasErrors() {
				at := placeOf(name, text, i)
				diags[0].Subject = &at
				return diags
			}
			i = end
		}
		if depth > maxDepth {
			return hcl.Diagnostics{failure(placeOf(name, text, i), "Nested too deeply",
				"A configuration may nest "+strconv.Itoa(maxDepth)+" levels.")}
		}
	}
	return nil
}

// stringEnd returns the offset of the quote that ends the string beginning at i, or the text's end.
func stringEnd(text []byte, i int) int {
	for j := i + 1; j < len(text); j++ {
		switch text[j] {
		case '\\':
			j++
		case '"':
			return j
		}
	}
	return len(text)
}
