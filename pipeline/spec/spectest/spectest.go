// Package spectest decodes component definitions from HCL text, for the tests of components.
package spectest

import (
	"os"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"

	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// Decode decodes the body of a block, such as `slot = "a"`, into def and fails the test with every
// error in it. It returns the block, for IsSet and AttrRange. env("X") works and is sensitive.
func Decode(t testing.TB, def spec.Definition, text string) *spec.Block {
	t.Helper()
	b, diags := decode(t, def, text)
	for _, d := range diags {
		if d.Severity == hcl.DiagError {
			t.Errorf("%v", d)
		}
	}
	if t.Failed() {
		t.FailNow()
	}
	return b
}

// Errors decodes the body of a block and returns its diagnostics, one line each:
// "error 3:9 Unknown value: ...".
func Errors(t testing.TB, def spec.Definition, text string) []string {
	t.Helper()
	_, diags := decode(t, def, text)
	var out []string
	for _, d := range diags {
		severity := "error"
		if d.Severity == hcl.DiagWarning {
			severity = "warning"
		}
		at := strings.TrimPrefix(d.Subject.String(), "test.hcl:")
		out = append(out, severity+" "+at+" "+d.Summary+": "+d.Detail)
	}
	return out
}

func decode(t testing.TB, def spec.Definition, text string) (*spec.Block, hcl.Diagnostics) {
	t.Helper()
	f, diags := hclsyntax.ParseConfig([]byte(text), "test.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatalf("%v", diags)
	}
	b := spec.Describe("test", def)
	return b, spec.Decode(b, f.Body, Context())
}

// Context is an evaluation context with env("X"), lower, upper and split.
func Context() *hcl.EvalContext {
	env := function.New(&function.Spec{
		Params: []function.Parameter{{Name: "name", Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return cty.StringVal(os.Getenv(args[0].AsString())).Mark("sensitive"), nil
		},
	})
	return &hcl.EvalContext{Functions: map[string]function.Function{
		"env": env, "lower": stdlib.LowerFunc, "upper": stdlib.UpperFunc, "split": stdlib.SplitFunc,
	}}
}
