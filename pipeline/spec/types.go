package spec

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/pipe-cdc/pipe/pipeline"
)

// redacted is what a Secret shows of itself.
const redacted = "(sensitive)"

// Secret is a string that never shows itself: not in a log, an error, JSON or a plan.
type Secret string

// String returns "(sensitive)", or "" for an empty secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString is String, for %#v.
func (s Secret) GoString() string { return s.String() }

// Format is String for every verb.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// MarshalText is String, for JSON and other encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue is String, for slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Reveal returns the secret itself, to hand to a driver.
func (s Secret) Reveal() string { return string(s) }

// Bytes is a size in bytes, written as a string with a unit: "64MiB".
type Bytes int64

// Ref is a reference to another block: source.shop, or source.shop["eu"].
type Ref struct {
	Kind  string // "source", "transform", "sink", "connection"
	Name  string
	Key   string // of one instance under for_each; "" for all or the only one
	Range hcl.Range
}

// Expr is a row expression, kept unevaluated and compiled for each table by package expr.
type Expr struct {
	Syntax hclsyntax.Expression // nil where the attribute is unset
	Ctx    *hcl.EvalContext     // var, local, each and functions, for the parts that are not of the row
}

// IsSet reports whether the attribute was given.
func (e Expr) IsSet() bool { return e.Syntax != nil }

// Template is a table-scope string such as "shop.${table.schema}.${table.name}", evaluated once for
// each table.
type Template struct {
	Syntax hclsyntax.Expression
	Ctx    *hcl.EvalContext
}

// IsSet reports whether the attribute was given.
func (t Template) IsSet() bool { return t.Syntax != nil }

// Value is what an attribute may be bound to.
type Value interface {
	string | bool | int | int64 | float64 | time.Duration | Bytes | Secret |
		[]string | map[string]string | Ref | []Ref | Expr | Template | map[string]Expr
}

// tableScope is what a Template may refer to as table.NAME.
func tableScope(s *pipeline.Schema) map[string]string {
	schema := s.Namespace
	if schema == "" {
		schema = s.Database
	}
	target := s.Target
	if target == "" {
		target = s.Table
	}
	return map[string]string{"database": s.Database, "schema": schema, "name": s.Table, "target": target}
}
