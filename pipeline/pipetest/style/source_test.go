package style

import (
	"go/ast"
	"go/token"
	"regexp"
	"strings"
	"testing"
)

// The bounds of sizes, in lines. Tests and generated code are apart.
const (
	maxFile     = 500
	maxFunction = 70
)

// Interfaces whose only method the type's own comment describes need no second comment.
const oneMethod = 1

// unfinished is what no comment says.
var unfinished = regexp.MustCompile(`\b(TODO|FIXME|XXX)\b`)

// checker prints the violations of one package.
type checker struct {
	*pkg
	t *testing.T
}

func TestSource(t *testing.T) {
	for _, p := range load(t) {
		c := checker{p, t}
		c.packageDoc()
		for name, f := range p.files {
			if n := p.fset.File(f.FileStart).LineCount(); n > maxFile {
				t.Errorf("%s/%s: %d lines, at most %d", p.path, name, n, maxFile)
			}
			for _, g := range f.Comments {
				if unfinished.MatchString(g.Text()) {
					c.at(g.Pos(), "a comment says that something is unfinished")
				}
			}
			for _, d := range f.Decls {
				c.declaration(d)
			}
		}
	}
}

// at prints a violation with its place.
func (c checker) at(pos token.Pos, format string, args ...any) {
	place := c.fset.Position(pos)
	c.t.Errorf("%s:%d: "+format, append([]any{strings.TrimPrefix(place.Filename, c.Dir[:len(c.Dir)-len(c.path)]), place.Line}, args...)...)
}

func (c checker) packageDoc() {
	for _, f := range c.files {
		if f.Doc != nil {
			return
		}
	}
	if len(c.files) > 0 {
		c.t.Errorf("%s: no package comment", c.path)
	}
}

func (c checker) declaration(d ast.Decl) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		c.function(d)
	case *ast.GenDecl:
		for _, s := range d.Specs {
			c.spec(d, s)
		}
	}
}

func (c checker) function(d *ast.FuncDecl) {
	name := d.Name.Name
	if d.Recv == nil && name == "init" {
		c.at(d.Pos(), "no init functions")
	}
	first, last := c.fset.Position(d.Pos()).Line, c.fset.Position(d.End()).Line
	if n := last - first + 1; n > maxFunction {
		c.at(d.Pos(), "%s has %d lines, at most %d", name, n, maxFunction)
	}
	if d.Name.IsExported() && receiverExported(d) && d.Doc == nil {
		c.at(d.Pos(), "%s has no comment", name)
	}
	ast.Inspect(d, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			id, ok := call.Fun.(*ast.Ident)
			if ok && id.Name == "panic" && !strings.HasPrefix(c.path, "pipeline/pipetest") {
				c.at(call.Pos(), "no panics")
			}
		}
		return true
	})
}

// receiverExported reports whether a function is no method, or one of an exported type.
func receiverExported(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	t := d.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return false
		}
	}
}

func (c checker) spec(d *ast.GenDecl, s ast.Spec) {
	switch s := s.(type) {
	case *ast.TypeSpec:
		if s.Name.IsExported() && d.Doc == nil && s.Doc == nil {
			c.at(s.Pos(), "%s has no comment", s.Name.Name)
		}
		if i, ok := s.Type.(*ast.InterfaceType); ok && s.Name.IsExported() && i.Methods.NumFields() > oneMethod {
			for _, m := range i.Methods.List {
				if len(m.Names) > 0 && m.Doc == nil && m.Comment == nil {
					c.at(m.Pos(), "%s.%s has no comment", s.Name.Name, m.Names[0].Name)
				}
			}
		}
	case *ast.ValueSpec:
		for _, n := range s.Names {
			if n.IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
				c.at(n.Pos(), "%s has no comment", n.Name)
			}
		}
	}
}
