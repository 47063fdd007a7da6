package config

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	hcljson "github.com/hashicorp/hcl/v2/json"

	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// failure makes an error diagnostic.
func failure(rng hcl.Range, summary, detail string, notes ...spec.Note) *hcl.Diagnostic {
	d := &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: &rng}
	if len(notes) > 0 {
		d.Extra = &spec.Extra{Notes: notes}
	}
	return d
}

// warning makes a warning diagnostic.
func warning(rng hcl.Range, summary, detail string, notes ...spec.Note) *hcl.Diagnostic {
	d := failure(rng, summary, detail, notes...)
	d.Severity = hcl.DiagWarning
	return d
}

// outside makes an error that belongs to no place in a file.
func outside(summary, detail string) *hcl.Diagnostic {
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: detail}
}

// Names returns the files of a configuration in order: the file itself, or those of a directory
// that end in .hcl or .hcl.json, without tests (.test.hcl) and values of variables (.vars.hcl).
func Names(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path) // sorted by name
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() && isConfig(e.Name()) {
			names = append(names, filepath.Join(path, e.Name()))
		}
	}
	return names, nil
}

func isConfig(name string) bool {
	if strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".test.hcl") || strings.HasSuffix(name, ".vars.hcl") {
		return false
	}
	return strings.HasSuffix(name, ".hcl") || strings.HasSuffix(name, ".hcl.json")
}

// isJSON reports whether a file has the JSON syntax.
func isJSON(name string) bool { return strings.HasSuffix(name, ".json") }

// readFile reads a file of at most maxFile bytes.
func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, fmt.Errorf("%s is a directory", name)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFile {
		return nil, errTooLarge
	}
	return text, nil
}

var errTooLarge = fmt.Errorf("the file is larger than %s", spec.Bytes(maxFile))

// Parse checks the text against the bounds of a configuration and parses it.
func Parse(name string, text []byte) (*hcl.File, hcl.Diagnostics) {
	if len(text) > maxFile {
		return nil, hcl.Diagnostics{tooLarge(name)}
	}
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	if diags := checkText(name, text, isJSON(name)); diags.HasErrors() {
		return nil, diags
	}
	if isJSON(name) {
		f, diags := hcljson.Parse(text, name)
		return f, diags
	}
	f, diags := hclsyntax.ParseConfig(text, name, hcl.InitialPos)
	for _, d := range diags {
		hintSyntax(d, text)
	}
	return f, firstOfEach(diags)
}

// firstOfEach drops what the parser says after it lost its way: a second error at one place, and
// every line of an unclosed text but the first.
func firstOfEach(diags hcl.Diagnostics) hcl.Diagnostics {
	places := make(map[hcl.Pos]bool)
	unclosed := false
	return slices.DeleteFunc(diags, func(d *hcl.Diagnostic) bool {
		if d.Subject == nil {
			return false
		}
		again := places[d.Subject.Start]
		places[d.Subject.Start] = true
		if d.Summary != "Invalid multi-line string" {
			return again
		}
		d.Detail = "The text is not closed on its line: put a \" at its end."
		again, unclosed = again || unclosed, true
		return again
	})
}

func tooLarge(name string) *hcl.Diagnostic {
	return failure(hcl.Range{Filename: name, Start: hcl.InitialPos, End: hcl.InitialPos}, "File too large",
		"A configuration file has at most "+spec.Bytes(maxFile).String()+
			". Split it: every .hcl file of a directory"+
			" belongs to one configuration; lists can be read with jsondecode(file(\"list.json\")).")
}

// hintSyntax explains what the parser only finds unexpected.
func hintSyntax(d *hcl.Diagnostic, text []byte) {
	if d.Subject == nil || d.Subject.Start.Byte >= len(text) {
		return
	}
	rest := string(text[d.Subject.Start.Byte:])
	if at := d.Subject.Start.Byte; at > 0 && text[at-1] == '<' && text[at] == '>' {
		d.Detail = "Write != for <>."
		return
	}
	word := rest[:len(rest)-len(strings.TrimLeft(rest,
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789"))]
	if hint := syntaxHint(d.Summary, rest, word); hint != "" {
		d.Detail = hint
	}
}

func syntaxHint(summary, rest, word string) string {
	switch lower := strings.ToLower(word); {
	case lower == "and" || lower == "or":
		return "Write " + map[string]string{"and": "&&", "or": "||"}[lower] + " for " + strconv.Quote(lower) + "."
	case lower == "in":
		return "There is no \"in\": write contains([\"a\", \"b\"], row.name)."
	case lower == "is" || lower == "like" || lower == "between":
		return "There is no " + strconv.Quote(lower) + "; for NULL write row.name == null."
	case strings.HasPrefix(word, "_") && len(word) > 1 && word[1] >= '0' && word[1] <= '9':
		return "A number has no _ inside: write the digits together."
	case strings.HasPrefix(rest, "=") && !strings.HasPrefix(rest, "=="):
		if summary == "Missing newline after argument" || strings.HasPrefix(summary, "Unbalanced") ||
			summary == "Invalid expression" || strings.HasPrefix(summary, "Missing") {
			return "Write == to compare."
		}
	case summary == "Invalid single-argument block definition":
		return "A block on one line holds one attribute: put each attribute on a line of its own."
	}
	return ""
}
