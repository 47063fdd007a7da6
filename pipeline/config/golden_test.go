package config_test

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/pipe-cdc/pipe/pipeline/config"
	"github.com/pipe-cdc/pipe/pipeline/config/diag"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

var update = flag.Bool("update", false, "rewrite the goldens in testdata")

// minGoldens is how many cases are held; fewer means that some were lost.
const minGoldens = 60

// canary is what secrets are set to in the cases: no golden may contain it.
const canary = "c4nary"

// TestGoldens loads the files of each archive in testdata and compares what is found wrong
// (want.diag) and what was made of it (want.plan). The comment of an archive holds directives, one a
// line: "env X=Y", "var x=y", "varfile NAME", "noenv", "load NAME", "hex NAME BYTES", "big NAME SIZE TEXT".
func TestGoldens(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(names) < minGoldens {
		t.Fatalf("found %d archives, want at least %d: %v", len(names), minGoldens, err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) { golden(t, name) })
	}
}

func golden(t *testing.T, name string) {
	archive, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	got := run(t, archive)
	file := func(part string) string {
		i := slices.IndexFunc(archive.Files, func(f txtar.File) bool { return f.Name == part })
		if i < 0 {
			return ""
		}
		return string(archive.Files[i].Data)
	}
	if strings.Contains(got["want.diag"], canary) {
		t.Errorf("a secret is shown:\n%s", got["want.diag"])
	}
	if *update {
		rewrite(t, name, archive, got)
		return
	}
	for _, part := range []string{"want.diag", "want.plan"} {
		if diff := cmp.Diff(file(part), got[part]); diff != "" {
			t.Errorf("%s (-want +got):\n%s\ngot:\n%s", part, diff, got[part])
		}
	}
}

func rewrite(t *testing.T, name string, archive *txtar.Archive, got map[string]string) {
	archive.Files = slices.DeleteFunc(archive.Files,
		func(f txtar.File) bool { return strings.HasPrefix(f.Name, "want.") })
	for _, part := range []string{"want.diag", "want.plan"} {
		if got[part] != "" {
			archive.Files = append(archive.Files, txtar.File{Name: part, Data: []byte(got[part])})
		}
	}
	_, self, _ := strings.Cut(name, "testdata")
	if err := os.WriteFile(filepath.Join(packageDir, "testdata", self), txtar.Format(archive), 0o644); err != nil {
		t.Fatal(err)
	}
}

// packageDir is where the tests start, before they change the directory.
var packageDir, _ = os.Getwd()

// run writes the files, follows the directives and loads.
func run(t *testing.T, archive *txtar.Archive) map[string]string {
	opt := config.Options{Registry: fakes()}
	path := "main.hcl"
	for _, f := range archive.Files {
		if strings.HasPrefix(f.Name, "want.") {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(f.Name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(f.Name, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for line := range strings.Lines(string(archive.Comment)) {
		directive(t, strings.TrimSpace(line), &opt, &path)
	}
	c, diags := config.Load(path, opt)
	var text bytes.Buffer
	if err := diag.Text(&text, diag.From(diags, c.Files), false); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{"want.diag": text.String()}
	if !diags.HasErrors() {
		got["want.plan"] = plan(c)
	}
	return got
}

func directive(t *testing.T, line string, opt *config.Options, path *string) {
	word, rest, _ := strings.Cut(line, " ")
	name, value, _ := strings.Cut(rest, " ")
	switch word {
	case "env":
		name, value, _ := strings.Cut(rest, "=")
		t.Setenv(name, value)
	case "var":
		opt.Vars = append(opt.Vars, rest)
	case "varfile":
		opt.VarFiles = append(opt.VarFiles, rest)
	case "noenv":
		opt.NoEnv = true
	case "load":
		*path = rest
	case "hex":
		data, err := hex.DecodeString(value)
		if err != nil {
			t.Fatal(err)
		}
		os.WriteFile(name, data, 0o644)
	case "big":
		size, text, _ := strings.Cut(value, " ")
		n, err := strconv.Atoi(size)
		if err != nil {
			t.Fatal(err)
		}
		os.WriteFile(name, []byte(strings.Repeat(text, n/len(text))), 0o644)
	}
}

// plan renders what a configuration was made into.
func plan(c *config.Config) string {
	var b strings.Builder
	s := c.Settings
	fmt.Fprintf(&b, "pipeline %s: state %s %s%s, batch %d rows %s, %d in flight, linger %v, grace %v, retry %+v\n",
		s.Name, s.State.Kind, place(s.State), s.State.Sink, s.BatchRows, s.BatchBytes, s.Batches,
		s.Linger, s.Grace, s.Retry)
	for _, m := range c.Moved {
		fmt.Fprintf(&b, "moved %s to %s\n", m.From, m.To)
	}
	for _, n := range c.Nodes {
		fmt.Fprintf(&b, "%s (%s)", n.Address, n.Type)
		if len(n.From) > 0 {
			fmt.Fprintf(&b, " from %s", strings.Join(n.From, ", "))
		}
		b.WriteString("\n")
		if conn := n.Block.Conn; conn != nil && conn.Ref.Name != "" {
			fmt.Fprintf(&b, "  connection = %s\n", conn.Ref)
		}
		for _, a := range n.Block.Attrs {
			if a.IsSet() {
				fmt.Fprintf(&b, "  %s = %s\n", a.Name, shown(c, a))
			}
		}
		if source, ok := n.Def.(*fakeSource); ok {
			for _, table := range source.Table {
				fmt.Fprintf(&b, "  table %q where %v omit %q\n", table.pattern, table.Where.IsSet(), table.Omit)
			}
		}
	}
	return b.String()
}

func place(s config.State) string {
	if s.Kind == "postgres" {
		return fmt.Sprintf("schema %s lease %s dsn %d bytes", s.Schema, s.Lease, len(s.DSN.Reveal()))
	}
	return filepath.ToSlash(s.Path)
}

func shown(c *config.Config, a *spec.Attribute) string {
	if a.Hidden() {
		return "(sensitive)"
	}
	switch p := a.Target().(type) {
	case *string:
		return strconv.Quote(*p)
	case *int:
		return fmt.Sprint(*p)
	case *int64:
		return fmt.Sprint(*p)
	case *bool:
		return fmt.Sprint(*p)
	case *[]string:
		return fmt.Sprintf("%q", *p)
	case *map[string]string:
		return fmt.Sprintf("%q", *p)
	case *spec.Bytes:
		return p.String()
	}
	rng := a.AttrRange()
	return string(c.Files[rng.Filename][rng.Start.Byte:rng.End.Byte])
}
