package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "rewrite the goldens in testdata")

// said is what a command printed.
type said struct {
	code     int
	out, err string
}

func pipe(t *testing.T, stdin string, args ...string) said {
	t.Helper()
	var out, errs bytes.Buffer
	code := execute(t.Context(), args, streams{in: strings.NewReader(stdin), out: &out, err: &errs})
	return said{code, out.String(), errs.String()}
}

// TestCommands runs the command lines of each archive in testdata ("$ pipe ..." lines of the comment)
// in a directory with its files, and compares what they print. "want" holds all of it.
func TestCommands(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatalf("no goldens: %v", err)
	}
	for _, name := range names {
		path, err := filepath.Abs(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) { script(t, path) })
	}
}

func script(t *testing.T, path string) {
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	want, stdin := "", ""
	var inputs []txtar.File
	for _, f := range archive.Files {
		switch f.Name {
		case "want":
			want = string(f.Data)
			continue
		case "stdin":
			stdin = string(f.Data)
		}
		inputs = append(inputs, f)
		if err := os.WriteFile(f.Name, f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var got strings.Builder
	for line := range strings.Lines(string(archive.Comment)) {
		command, ok := strings.CutPrefix(strings.TrimSpace(line), "$ pipe")
		if !ok {
			continue
		}
		s := pipe(t, stdin, strings.Fields(command)...)
		got.WriteString("$ pipe" + command + "\n" + s.out + s.err)
		got.WriteString("exit " + string(rune('0'+s.code)) + "\n")
	}
	if *update {
		archive.Files = append(inputs, txtar.File{Name: "want", Data: []byte(got.String())})
		if err := os.WriteFile(path, txtar.Format(archive), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Every command prints exactly one envelope with --json, also where it fails.
func TestEnvelope(t *testing.T) {
	t.Chdir(t.TempDir())
	good := `
source "postgres" "shop" {
  dsn         = "postgres://localhost/shop"
  slot        = "s"
  publication = "p"
  tables      = ["public.*"]
}
sink "postgres" "copy" {
  from = source.shop
  dsn  = "postgres://localhost/copy"
}
`
	if err := os.WriteFile("good.hcl", []byte(good), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("ugly.hcl", []byte("locals {\na=1\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("bad.hcl", []byte(strings.Replace(good, "slot", "slto", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		code int
		fail bool // error is set
	}{
		{"version", 0, false}, {"list", 0, false}, {"list sinks", 2, true}, {"explain source.postgres", 0, false},
		{"explain source.postgres.slot", 0, false}, {"explain source.nothing", 2, true},
		{"validate good.hcl", 0, false},
		{"validate bad.hcl", 2, false}, {"validate nowhere.hcl", 2, false}, {"graph good.hcl", 0, false},
		{"graph bad.hcl", 2, false}, {"fmt --check ugly.hcl", 4, false}, {"fmt nowhere.hcl", 2, true},
		{"tables bad.hcl", 2, false}, {"tables --source source.x good.hcl", 2, true},
		{"validate --colour", 2, true},
	} {
		s := pipe(t, "", append(strings.Fields(c.args), "--json")...)
		if strings.Contains(c.args, "--colour") {
			s = pipe(t, "", append([]string{"--json"}, strings.Fields(c.args)...)...)
		}
		var e map[string]any
		d := json.NewDecoder(strings.NewReader(s.out))
		if err := d.Decode(&e); err != nil || d.More() || s.err != "" {
			t.Errorf("%s: not one envelope: %v\n%s%s", c.args, err, s.out, s.err)
			continue
		}
		for _, key := range []string{"command", "ok", "summary", "result", "error"} {
			if _, ok := e[key]; !ok || len(e) != 5 {
				t.Errorf("%s: the envelope is wrong: %s", c.args, s.out)
			}
		}
		if s.code != c.code || e["ok"] != (c.code == 0) || (e["error"] != nil) != c.fail {
			t.Errorf("%s: exit %d, want %d; %s", c.args, s.code, c.code, s.out)
		}
	}
}

// Every command has a short help with examples.
func TestHelp(t *testing.T) {
	root := rootCommand()
	for _, cmd := range root.Commands() {
		if cmd.Short == "" || !strings.Contains(cmd.Example, "pipe "+cmd.Name()) {
			t.Errorf("%s: no short text or no example", cmd.Name())
		}
		if strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: the short text ends in a full stop", cmd.Name())
		}
		var help bytes.Buffer
		if code := execute(context.Background(), []string{cmd.Name(), "--help"}, streams{out: &help, err: &help}); code != 0 {
			t.Errorf("%s --help: exit %d", cmd.Name(), code)
		}
	}
}

// Every component type can be explained, and says what it and each of its attributes is.
func TestComponentsAreDocumented(t *testing.T) {
	r := components()
	for _, kind := range []string{"source", "transform", "sink", "connection"} {
		for _, typ := range r.Types(kind) {
			s := pipe(t, "", "explain", kind+"."+typ, "--json")
			var e struct{ Result explained }
			if err := json.Unmarshal([]byte(s.out), &e); err != nil || s.code != 0 {
				t.Fatalf("%s.%s: %v\n%s", kind, typ, err, s.err)
			}
			if e.Result.Doc == "" {
				t.Errorf("%s.%s says nothing of itself", kind, typ)
			}
			for _, a := range e.Result.Attributes {
				if a.Doc == "" {
					t.Errorf("%s.%s.%s has no text", kind, typ, a.Name)
				}
			}
		}
	}
}

func TestFmtRewrites(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("a.hcl", []byte("locals {\n  a=1\n  long = 2\n}\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	if s := pipe(t, "", "fmt", "a.hcl"); s.code != 0 || s.out != "a.hcl\n" {
		t.Fatalf("%+v", s)
	}
	text, err := os.ReadFile("a.hcl")
	if err != nil || string(text) != "locals {\n  a    = 1\n  long = 2\n}\n" {
		t.Errorf("%q, %v", text, err)
	}
	if info, _ := os.Stat("a.hcl"); info.Mode().Perm() != 0o640 {
		t.Errorf("the mode changed to %v", info.Mode())
	}
	if s := pipe(t, "", "fmt", "a.hcl"); s.out != "" {
		t.Errorf("formatting is not idempotent: %+v", s)
	}
}

// The examples are valid and formatted, on a machine that has none of their servers.
func TestExamplesAreValid(t *testing.T) {
	names, err := filepath.Glob("../../examples/*.hcl")
	if err != nil || len(names) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, name := range names {
		for _, args := range [][]string{{"validate", "--no-env", "--strict", name}, {"fmt", "--check", "--diff", name}} {
			if s := pipe(t, "", args...); s.code != exitOK {
				t.Errorf("pipe %s: exit %d\n%s%s", strings.Join(args, " "), s.code, s.out, s.err)
			}
		}
	}
}
