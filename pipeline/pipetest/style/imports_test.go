package style

import (
	"slices"
	"strings"
	"testing"
)

// rule says which of the module's packages those under from may import. A path ends in / where it
// means everything below it.
type rule struct {
	from string
	may  []string
	not  []string // exceptions of may
}

// inner is what the packages that name no database may import.
var inner = []string{"pipeline", "pipeline/"}

// outer is what no inner package may import.
var outer = []string{"pipeline/control/", "pipeline/pipetest/", "pipeline/config/", "pipeline/engine/"}

// pipetest is for tests, and commands that start servers.
var pipetest = []string{"pipeline/pipetest/"}

// component is what a source, transform or sink may import besides its own sub-packages.
var component = []string{
	"pipeline", "pipeline/spec", "pipeline/snapshot", "pipeline/codec/", "pipeline/expr", "pipeline/match",
}

// rules are tried in order; the first whose from holds a package decides.
var rules = []rule{
	{from: "pipeline"},
	{from: "pipeline/pipetest/", may: inner, not: []string{"pipeline/config/", "pipeline/control/"}},
	{from: "pipeline/control/", may: inner, not: pipetest},
	{from: "pipeline/config/", may: inner, not: []string{"pipeline/pipetest/", "pipeline/control/"}},
	{from: "pipeline/engine/", may: inner, not: []string{"pipeline/pipetest/", "pipeline/control/", "pipeline/config/"}},
	{from: "pipeline/", may: inner, not: outer},
	{from: "sources/", may: component},
	{from: "sinks/", may: component},
	{from: "transforms/", may: component},
	{from: "cmd/pipe/", may: []string{"pipeline", "pipeline/", "sources/", "sinks/", "transforms/"}, not: pipetest},
	{from: "cmd/", may: []string{"pipeline", "pipeline/"}},
}

// holds reports whether a pattern, "a" or "a/", means a path. "a/" means a itself too.
func holds(pattern, path string) bool {
	return path == strings.TrimSuffix(pattern, "/") ||
		strings.HasSuffix(pattern, "/") && strings.HasPrefix(path, pattern)
}

func anyHolds(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return holds(p, path) })
}

// family returns the folder of a component, whose packages may import each other: sinks/kafka.
func family(path string) string {
	parts := strings.SplitN(path, "/", 3)
	return strings.Join(parts[:min(2, len(parts))], "/")
}

func (r rule) allows(from, to string) bool {
	if family(from) == family(to) && !strings.HasPrefix(from, "pipeline") {
		return true // its own sub-packages
	}
	return anyHolds(r.may, to) && !anyHolds(r.not, to)
}

func TestImports(t *testing.T) {
	for _, p := range load(t) {
		i := slices.IndexFunc(rules, func(r rule) bool { return holds(r.from, p.path) })
		if i < 0 {
			t.Errorf("%s: no rule says what it may import: it lies outside cmd, pipeline, sources, transforms and sinks", p.path)
			continue
		}
		for _, imported := range p.Imports {
			to, ours := inModule(imported)
			if ours && !rules[i].allows(p.path, to) {
				t.Errorf("%s must not import %s", p.path, to)
			}
			if p.path == "pipeline" && strings.Contains(imported, ".") {
				t.Errorf("pipeline must import the standard library only, not %s", imported)
			}
			if imported == "log" && !strings.HasPrefix(p.path, "cmd/") {
				t.Errorf("%s must not import log: errors are returned", p.path)
			}
		}
		for _, imported := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			if strings.HasPrefix(imported, "github.com/stretchr/") {
				t.Errorf("%s must not import %s: plain testing and go-cmp", p.path, imported)
			}
		}
	}
}

// TestRules checks the rules themselves, on imports that must not be.
func TestRules(t *testing.T) {
	for _, c := range []struct {
		from, to string
		want     bool
	}{
		{"pipeline", "pipeline/spec", false},
		{"pipeline/engine", "pipeline", true},
		{"pipeline/engine", "pipeline/config", false},
		{"pipeline/spec", "pipeline/engine", false},
		{"pipeline/codec/avro", "pipeline/codec/envelope", true},
		{"pipeline/snapshot", "sources/postgres", false},
		{"pipeline/pipetest", "pipeline/pipetest/server", true},
		{"pipeline/pipetest", "sinks/stdout", false},
		{"sinks/kafka", "sinks/postgres", false},
		{"sinks/kafka", "sources/postgres", false},
		{"sinks/kafka", "pipeline/engine", false},
		{"sinks/kafka", "pipeline/pipetest", false},
		{"sinks/kafka", "pipeline/codec/avro", true},
		{"sources/postgres", "sources/postgres/pgoutput", true},
		{"sources/postgres", "cmd/pipe", false},
		{"transforms", "pipeline/expr", true},
		{"cmd/pipe", "sinks/kafka", true},
		{"cmd/pipe", "pipeline/pipetest", false},
		{"cmd/devstack", "pipeline/pipetest/server", true},
		{"cmd/pipebench", "sinks/kafka", false},
	} {
		i := slices.IndexFunc(rules, func(r rule) bool { return holds(r.from, c.from) })
		if got := rules[i].allows(c.from, c.to); got != c.want {
			t.Errorf("%s imports %s: allowed is %v, want %v", c.from, c.to, got, c.want)
		}
	}
}
