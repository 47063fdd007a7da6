package diag_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"

	"github.com/pipe-cdc/pipe/pipeline/config/diag"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// at makes the range of length bytes at a line and a byte column of text.
func at(text string, line, column, length int) *hcl.Range {
	offset := 0
	for range line - 1 {
		offset += strings.IndexByte(text[offset:], '\n') + 1
	}
	start := hcl.Pos{Line: line, Column: column, Byte: offset + column - 1}
	end := hcl.Pos{Line: line, Column: column + length, Byte: start.Byte + length}
	return &hcl.Range{Filename: "a.hcl", Start: start, End: end}
}

func render(t *testing.T, text string, colour bool, diags ...*hcl.Diagnostic) string {
	t.Helper()
	var b strings.Builder
	if err := diag.Text(&b, diag.From(diags, map[string][]byte{"a.hcl": []byte(text)}), colour); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTextShowsPlace(t *testing.T) {
	text := "a = 1\n\tcafé = \"x\"\r\nlast"
	got := render(t, text, false,
		&hcl.Diagnostic{Severity: hcl.DiagWarning, Summary: "Second", Subject: at(text, 3, 1, 4)},
		&hcl.Diagnostic{Severity: hcl.DiagError, Summary: "First", Detail: "Two\nlines.",
			Subject: at(text, 2, 10, 3),
			Extra:   &spec.Extra{Notes: []spec.Note{{Range: *at(text, 1, 1, 1), Text: "see here"}}}})
	want := `error: First
  --> a.hcl:2:10
  |
2 |   café = "x"
  |          ^^^
  = see here
  --> a.hcl:1:1
  |
1 | a = 1
  | ^
  Two
  lines.

warning: Second
  --> a.hcl:3:1
  |
3 | last
  | ^^^^
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTextHidesAndCleans(t *testing.T) {
	text := "password = \"c4nary\"\ndsn = \"postgres://u:c4nary@h/d\"\nx = \"\x1b[31m\""
	for line := 1; line <= 3; line++ {
		got := render(t, text, false, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "S\x1b",
			Subject: at(text, line, 1, 3)})
		if strings.Contains(got, "c4nary") || strings.Contains(got, "\x1b") {
			t.Errorf("line %d: %q", line, got)
		}
	}
}

func TestTextColour(t *testing.T) {
	got := render(t, "a = 1", true, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "S",
		Subject: at("a = 1", 1, 1, 1)})
	if !strings.Contains(got, "\x1b[1;31merror\x1b[0m: \x1b[1mS\x1b[0m") {
		t.Errorf("%q", got)
	}
}

// One problem of every instance of a for_each is said once.
func TestFromDropsRepeats(t *testing.T) {
	d := hcl.Diagnostic{Severity: hcl.DiagError, Summary: "S", Subject: at("a = 1", 1, 1, 1)}
	e, other := d, d
	other.Detail = "another"
	if got := diag.From(hcl.Diagnostics{&d, &other, &e}, nil); len(got) != 2 {
		t.Errorf("got %d diagnostics, want 2", len(got))
	}
}

func TestLongLineIsCut(t *testing.T) {
	text := "x = \"" + strings.Repeat("ä", 500) + "\" !"
	start := len(text) - 1
	got := render(t, text, false, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "S",
		Subject: at(text, 1, start+1, 1)})
	for line := range strings.Lines(got) {
		if len(line) > 200 {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
	lines := strings.Split(got, "\n")
	code, carets := []rune(lines[3]), []rune(lines[4])
	if len(carets) != len(code) || carets[len(carets)-1] != '^' || code[len(code)-1] != '!' {
		t.Errorf("the caret is not under the place:\n%s", got)
	}
}

func TestGitHub(t *testing.T) {
	var b strings.Builder
	diags := hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "A: b, c", Detail: "100%\nsure",
		Subject: at("a = 1", 1, 1, 1)}}
	if err := diag.GitHub(&b, diag.From(diags, nil)); err != nil {
		t.Fatal(err)
	}
	want := "::error file=a.hcl,line=1,endLine=1,col=1,endColumn=2,title=A%3A b%2C c::100%25%0Asure\n"
	if b.String() != want {
		t.Errorf("got  %q\nwant %q", b.String(), want)
	}
}

func TestJSON(t *testing.T) {
	text := "a = 1"
	diags := hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "S", Detail: "D", Subject: at(text, 1, 5, 1)}}
	got, err := json.Marshal(diag.From(diags, map[string][]byte{"a.hcl": []byte(text)})[0])
	if err != nil {
		t.Fatal(err)
	}
	want := `{"severity":"error","summary":"S","detail":"D","range":{"file":"a.hcl","start":{"line":1,"column":5,"byte":4},` +
		`"end":{"line":1,"column":6,"byte":5}},"snippet":{"line":1,"code":"a = 1","start":4,"end":5}}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
