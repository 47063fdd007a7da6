package expr

import (
	"errors"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/pipe-cdc/pipe/pipeline"
)

// Where is a condition on the rows of one schema, as a source's table block has it. Not safe for
// concurrent use, by reason of its scratch memory.
type Where struct {
	Program *Program
	vars    Vars
}

// CompileWhere compiles a condition. It may not refer to old: it decides about one row, not about a
// change.
func CompileWhere(x hclsyntax.Expression, s *pipeline.Schema, ctx *hcl.EvalContext) (*Where, error) {
	p, diags := CompileBool(x, s, ctx)
	if diags.HasErrors() {
		return nil, diags
	}
	if p.UsesOld() {
		return nil, errors.New("it refers to old, but decides about one row and not about a change")
	}
	return &Where{Program: p}, nil
}

// Match reports whether a row is in. An Absent value is looked up in fallback, which may be nil.
func (w *Where) Match(values, fallback []pipeline.Value) (bool, error) {
	w.vars.New, w.vars.Old = values, fallback
	return w.Program.Match(&w.vars)
}

// Apply decides about a change, as PostgreSQL's row filters do: an update whose old row was in and
// whose new is not becomes a delete, one that comes in becomes an insert; where the old row is not
// known beyond the filter's columns, the old row counts as in if it cannot be told.
func (w *Where) Apply(r *pipeline.Row) (keep bool, err error) {
	switch r.Op {
	case pipeline.Insert, pipeline.Read:
		return w.Match(r.Values, nil)
	case pipeline.Delete:
		if !w.known(r.Before) {
			return true, nil // deleting what a sink does not have does nothing
		}
		return w.Match(r.Before, nil)
	case pipeline.Update:
		return w.update(r)
	}
	return true, nil
}

func (w *Where) update(r *pipeline.Row) (bool, error) {
	in, err := w.Match(r.Values, r.Before)
	if err != nil {
		return false, err
	}
	wasKnown := r.Before != nil && w.known(r.Before)
	was := true
	if wasKnown {
		if was, err = w.Match(r.Before, nil); err != nil {
			return false, err
		}
	}
	switch {
	case in && was:
		return true, nil
	case in && !r.Complete():
		return true, nil // an insert needs every value
	case in:
		r.Op, r.Before = pipeline.Insert, nil
		return true, nil
	case !was:
		return false, nil
	}
	w.leave(r)
	return true, nil
}

// leave makes the update a delete of the old row.
func (w *Where) leave(r *pipeline.Row) {
	r.Op = pipeline.Delete
	if r.Before == nil {
		r.Before = r.Values // the key did not change, or the source would have sent the old one
		for i := range r.Before {
			if len(r.Schema.Key) > 0 && !r.Schema.IsKey(i) {
				r.Before[i] = pipeline.AbsentValue
			}
		}
	}
	r.Values = nil
}

// known reports whether the columns that the filter reads were sent.
func (w *Where) known(values []pipeline.Value) bool {
	for _, i := range w.Program.Columns() {
		if values[i].IsAbsent() {
			return false
		}
	}
	return true
}
