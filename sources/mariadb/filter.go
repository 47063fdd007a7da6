package mariadb

import (
	"fmt"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/expr"
)

// filter is a table's where, compiled for its schema. Not safe for concurrent use by reason of its
// scratch memory: the stream has its own.
type filter struct {
	program *expr.Program
	vars    expr.Vars
}

// newFilter compiles the table's where for its schema; nil where it has none.
func newFilter(t *table) (*filter, error) {
	return compileFilter(t, t.Schema)
}

func compileFilter(t *table, schema *pipeline.Schema) (*filter, error) {
	if !t.Where.IsSet() {
		return nil, nil
	}
	p, diags := expr.CompileBool(t.Where.Syntax, schema, t.Where.Ctx)
	if diags.HasErrors() {
		return nil, fmt.Errorf("where of table %s: %w", t, diags)
	}
	if p.UsesOld() {
		return nil, fmt.Errorf("where of table %s refers to old: it decides about one row, not about a change", t)
	}
	return &filter{program: p}, nil
}

// match reports whether a row is in.
func (f *filter) match(values, fallback []pipeline.Value) (bool, error) {
	f.vars.New, f.vars.Old = values, fallback
	return f.program.Match(&f.vars)
}

// apply decides about a change: an update whose old row was in and
// whose new is not becomes a delete, one that comes in becomes an insert; where the old row is not
// known beyond the filter's columns, the old row counts as in if it cannot be told.
func (f *filter) apply(r *pipeline.Row) (keep bool, err error) {
	switch r.Op {
	case pipeline.Insert, pipeline.Read:
		return f.match(r.Values, nil)
	case pipeline.Delete:
		if !f.known(r.Before) {
			return true, nil // deleting what a sink does not have does nothing
		}
		return f.match(r.Before, nil)
	case pipeline.Update:
		return f.update(r)
	}
	return true, nil
}

func (f *filter) update(r *pipeline.Row) (bool, error) {
	in, err := f.match(r.Values, r.Before)
	if err != nil {
		return false, err
	}
	wasKnown := r.Before != nil && f.known(r.Before)
	was := true
	if wasKnown {
		if was, err = f.match(r.Before, nil); err != nil {
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
	f.leave(r)
	return true, nil
}

// leave makes the update a delete of the old row.
func (f *filter) leave(r *pipeline.Row) {
	r.Op = pipeline.Delete
	if r.Before == nil {
		r.Before = r.Values // an image without the columns before: the key did not change
		for i := range r.Before {
			if len(r.Schema.Key) > 0 && !r.Schema.IsKey(i) {
				r.Before[i] = pipeline.AbsentValue
			}
		}
	}
	r.Values = nil
}

// known reports whether the columns that the filter reads were sent.
func (f *filter) known(values []pipeline.Value) bool {
	for _, i := range f.program.Columns() {
		if values[i].IsAbsent() {
			return false
		}
	}
	return true
}
