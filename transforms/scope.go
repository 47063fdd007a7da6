package transforms

import (
	"errors"
	"fmt"

	"github.com/hashicorp/hcl/v2"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/expr"
	"github.com/pipe-cdc/pipe/pipeline/match"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// identityHint is what makes a source send whole old rows.
const identityHint = "Make the source send the old row: ALTER TABLE ... REPLICA IDENTITY FULL " +
	"(MariaDB: binlog_row_image=FULL)"

// scope is the address of a transform and the tables it works on.
type scope struct {
	node   string
	tables *match.Set // nil: all
}

func newScope(env spec.Env, patterns []string) (scope, error) {
	s := scope{node: env.Address}
	if len(patterns) == 0 {
		return s, nil
	}
	set, err := match.New(patterns)
	if err != nil {
		return s, s.wrong("", fmt.Errorf("tables: %w", err), "")
	}
	s.tables = set
	return s, nil
}

// tablesAttr adds the attribute that every transform has.
func tablesAttr(b *spec.Block, tables *[]string) {
	spec.Attr(b, "tables", tables).
		Doc("The tables it works on, as patterns; rows of other tables pass untouched. All where unset.").
		Example(`["public.orders", "shop.*"]`)
}

// checkTables checks the patterns of tables.
func checkTables(p *spec.Problems, tables []string) {
	if _, err := match.New(tables); err != nil {
		p.Error("tables", "Wrong pattern", err.Error()+".")
	}
}

func (s *scope) covers(in *pipeline.Schema) bool {
	if s.tables == nil {
		return true
	}
	return s.tables.Index(in.Database, in.Namespace, in.Table) >= 0
}

// wrong reports a problem that does not depend on a row.
func (s *scope) wrong(table string, err error, hint string) error {
	return &pipeline.Error{Node: s.node, Table: table, Class: pipeline.Input, Err: err, Hint: hint}
}

// failed reports a problem with a row.
func (s *scope) failed(in *pipeline.Schema, r *pipeline.Row, err error, hint string) error {
	e := &pipeline.Error{
		Node: s.node, Table: in.Name(), Key: in.KeyText(r.Key()), Class: pipeline.Input, Err: err, Hint: hint,
	}
	if r.Tx != nil {
		e.Pos = r.Tx.Pos
	}
	return e
}

// condition compiles a condition for a table.
func (s *scope) condition(e spec.Expr, in *pipeline.Schema) (*expr.Program, error) {
	p, diags := expr.CompileBool(e.Syntax, in, e.Ctx)
	return p, s.diagnosed(in, diags)
}

// diagnosed turns diagnostics into an error of the table.
func (s *scope) diagnosed(in *pipeline.Schema, diags hcl.Diagnostics) error {
	if !diags.HasErrors() {
		return nil
	}
	return s.wrong(in.Name(), diags, "")
}

// absentHint says what to do about an expression's error.
func absentHint(err error) string {
	if errors.Is(err, expr.ErrAbsent) {
		return identityHint
	}
	return ""
}

// eventful reports whether the row carries values of its table.
func eventful(r *pipeline.Row) bool { return r.Op != pipeline.Truncate && r.Op != pipeline.Message }

// keyOnly reports whether all columns belong to the key.
func keyOnly(in *pipeline.Schema, columns []int) bool {
	for _, c := range columns {
		if !in.IsKey(c) {
			return false
		}
	}
	return true
}

// both calls f for each image that the row has.
func both(r *pipeline.Row, f func([]pipeline.Value) []pipeline.Value) {
	if r.Values != nil {
		r.Values = f(r.Values)
	}
	if r.Before != nil {
		r.Before = f(r.Before)
	}
}

// copySchema copies a schema so that its columns and key can be changed.
func copySchema(in *pipeline.Schema) *pipeline.Schema {
	out := *in
	out.Columns = append([]pipeline.Column(nil), in.Columns...)
	out.Key = append([]int(nil), in.Key...)
	return &out
}
