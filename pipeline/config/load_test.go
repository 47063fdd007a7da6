package config_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pipe-cdc/pipe/pipeline/config"
	"github.com/pipe-cdc/pipe/pipeline/config/diag"
)

// large is a configuration of n sources and sinks.
func large(n int, broken bool) []byte {
	var b strings.Builder
	host := `"h"`
	if broken {
		host = "5 + true"
	}
	for i := range n {
		fmt.Fprintf(&b, "source \"postgres\" \"s%d\" {\n  host = %s\n}\nsink \"stdout\" \"k%d\" {\n  from = source.s%d\n}\n", i, host, i, i)
	}
	return []byte(b.String())
}

// Loading is linear: a file of 300 kB takes a second, with as many errors as blocks.
func TestLoadLarge(t *testing.T) {
	const n, bound = 4000, 30 * time.Second
	for _, broken := range []bool{false, true} {
		began := time.Now()
		c, diags := config.Load("-", config.Options{Registry: fakes(), Stdin: large(n, broken)})
		all := diag.From(diags, c.Files)
		took := time.Since(began)
		t.Logf("%d nodes, %d problems in %v", len(c.Nodes), len(all), took)
		if diags.HasErrors() != broken || len(c.Nodes) != 2*n || took > bound {
			t.Errorf("broken %v: %d nodes, %d problems in %v", broken, len(c.Nodes), len(all), took)
		}
	}
}

// The same files give the same nodes and the same problems in the same order.
func TestLoadIsDeterministic(t *testing.T) {
	text := []byte(`
locals {
  b = local.x
  a = local.y
  hosts = { z = 1, y = 2, x = 3, w = 4 }
}
source "postgres" "s" {
  for_each = local.hosts
  host     = local.q
  wrong    = 1
}
sink "stdout" "k" {
  from = source.s
}
transform "filter" "t" {
  from  = source.s
  where = row.a == local.p
}`)
	var first []diag.Diagnostic
	for i := range 20 {
		c, diags := config.Load("-", config.Options{Registry: fakes(), Stdin: text,
			Vars: []string{"b=1", "a=2", "c=3"}})
		all := diag.From(diags, c.Files)
		if i == 0 {
			first = all
		}
		if !reflect.DeepEqual(first, all) {
			t.Fatalf("run %d differs:\n%v\n%v", i, first, all)
		}
	}
}

// A state path is relative to the configuration and says whether it is a directory.
func TestStatePath(t *testing.T) {
	for path, want := range map[string]string{"/a/b": "/a/b", "/a/b/": "/a/b/", "state/": "state/", "x": "x"} {
		text := fmt.Sprintf("pipeline \"p\" {\n  state \"file\" {\n    path = %q\n  }\n}\n%s", path,
			large(1, false))
		c, diags := config.Load("-", config.Options{Registry: fakes(), Stdin: []byte(text)})
		if diags.HasErrors() || c.Settings.State.Path != want {
			t.Errorf("%q: got %q, %v", path, c.Settings.State.Path, diags)
		}
	}
}

// The deepest expressions that pass the bounds neither exhaust the stack nor take long.
func TestLoadDeepest(t *testing.T) {
	sum := strings.Repeat("+1", 900)
	for name, text := range map[string]string{
		"parentheses": strings.Repeat("(", 190) + "1" + strings.Repeat(sum+")", 190),
		"indexes":     "x" + strings.Repeat("[0]", 900),
		"conditions":  strings.Repeat("true ? 1 : ", 450) + "1",
		"negations":   strings.Repeat("!", 900) + "true",
		"lists":       strings.Repeat("[", 190) + strings.Repeat("]", 190),
		"templates":   strings.Repeat(`"${`, 95) + "1" + strings.Repeat(`}"`, 95),
	} {
		began := time.Now()
		stdin := append([]byte("locals {\n  a = "+text+"\n}\n"), large(1, false)...)
		c, _ := config.Load("-", config.Options{Registry: fakes(), Stdin: stdin})
		if took := time.Since(began); took > 20*time.Second || len(c.Nodes) != 2 {
			t.Errorf("%s: %d nodes in %v", name, len(c.Nodes), took)
		}
	}
}
