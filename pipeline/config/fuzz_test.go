package config_test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/pipe-cdc/pipe/pipeline/config"
	"github.com/pipe-cdc/pipe/pipeline/config/diag"
)

// FuzzLoad loads arbitrary bytes as native and as JSON syntax and prints what is wrong with them. It
// must never panic, and either yield nodes or say why not.
func FuzzLoad(f *testing.F) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range archive.Files {
			if !strings.HasPrefix(file.Name, "want.") {
				f.Add(file.Data, strings.HasSuffix(file.Name, ".json"))
			}
		}
	}
	f.Add([]byte("x = "+strings.Repeat("(1+\n", 5000)), false)
	f.Add([]byte("a = \""+strings.Repeat("%{ if true }", 5000)+"\""), false)
	f.Add([]byte(`{"source":{"postgres":{"x":{"host":"${`+strings.Repeat("[", 5000)+`}"}}}}`), true)
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte, json bool) {
		name := filepath.Join(dir, "main.hcl")
		if json {
			name += ".json"
		}
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		c, diags := config.Load(name, config.Options{Registry: fakes(), NoEnv: true})
		if !diags.HasErrors() && len(c.Nodes) == 0 {
			t.Error("no nodes and no error")
		}
		all := diag.From(diags, c.Files)
		if err := diag.Text(io.Discard, all, true); err != nil {
			t.Error(err)
		}
		if err := diag.GitHub(io.Discard, all); err != nil {
			t.Error(err)
		}
	})
}
