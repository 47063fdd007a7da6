package style

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// module is this module's path.
const module = "github.com/pipe-cdc/pipe"

// pkg is one package of the module.
type pkg struct {
	Dir, ImportPath                    string
	GoFiles                            []string
	Imports, TestImports, XTestImports []string

	path  string // without the module's
	fset  *token.FileSet
	files map[string]*ast.File // by name, without tests
}

// inModule returns an import path without the module's, and whether it is ours.
func inModule(path string) (string, bool) { return strings.CutPrefix(path, module+"/") }

// load reads every package of the module.
func load(t *testing.T) []*pkg {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-e", "-json", module+"/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []*pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		p := &pkg{fset: token.NewFileSet(), files: map[string]*ast.File{}}
		err := dec.Decode(p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		p.path, _ = inModule(p.ImportPath)
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(p.fset, filepath.Join(p.Dir, name), nil, parser.ParseComments)
			if err != nil {
				t.Errorf("%s/%s: %v", p.path, name, err)
				continue
			}
			p.files[name] = f
		}
		all = append(all, p)
	}
	if len(all) < 5 {
		t.Fatalf("go list found %d packages", len(all))
	}
	return all
}
