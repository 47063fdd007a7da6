package transforms

import (
	"errors"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/expr"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// The policies for an update that leaves the filter when the old row is not known.
const (
	leaveDelete = "delete"
	leaveIgnore = "ignore"
	leaveFail   = "fail"
)

// Filter is the configuration of transform "filter".
type Filter struct {
	Tables  []string
	Where   spec.Expr
	OnLeave string
}

// Spec describes the block.
func (c *Filter) Spec(b *spec.Block) {
	b.Doc("Keeps the rows for which a condition is true. An update that makes a row stop matching " +
		"becomes a delete, " +
		"one that makes it match becomes an insert, so that what is downstream is always the rows that match. " +
		"Truncates pass. A condition on old or op keeps or drops events as they are.")
	tablesAttr(b, &c.Tables)
	spec.Attr(b, "where", &c.Where).Required().
		Doc("The condition, with SQL's NULL: a row for which it is unknown is dropped.").
		Example(`row.amount > 100 && row.status != "draft"`)
	a := spec.Attr(b, "on_leave", &c.OnLeave).OneOf(leaveDelete, leaveIgnore, leaveFail).
		Doc("What an update becomes that does not match when the source did not send the old row: a delete by key, " +
			"which is harmless where the row never was; nothing; or an error.")
	spec.Default(a, &c.OnLeave, leaveDelete)
	b.Check(func(p *spec.Problems) { checkTables(p, c.Tables) })
	b.Example = "transform \"filter\" \"big\" {\n  from  = source.shop\n  where = row.amount > 100\n}\n"
}

// Open builds the transform.
func (c *Filter) Open(env spec.Env) (pipeline.Transform, error) {
	s, err := newScope(env, c.Tables)
	return &filter{scope: s, where: c.Where, onLeave: c.OnLeave}, err
}

type filter struct {
	scope
	where   spec.Expr
	onLeave string
}

// Bind compiles the condition for the table.
func (f *filter) Bind(in *pipeline.Schema) (*pipeline.Schema, pipeline.Func, error) {
	if !f.covers(in) {
		return in, nil, nil
	}
	p, err := f.condition(f.where, in)
	if err != nil {
		return nil, nil, err
	}
	b := &boundFilter{filter: f, in: in, where: p, keyed: keyOnly(in, p.Columns()), event: p.UsesOld() ||
		p.UsesOp()}
	return in, b.row, nil
}

type boundFilter struct {
	*filter
	in    *pipeline.Schema
	where *expr.Program
	keyed bool // the condition reads the key only
	event bool // the condition is about the event, not the row
	vars  expr.Vars
}

func (b *boundFilter) row(a *pipeline.Arena, r *pipeline.Row) (bool, error) {
	switch r.Op {
	case pipeline.Truncate, pipeline.Message:
		return true, nil
	case pipeline.Update:
		if !b.event {
			return b.update(a, r)
		}
	case pipeline.Delete:
		return b.remove(r)
	}
	ok, err := b.match(r, r.Values, r.Before)
	return ok, b.explain(r, err)
}

func (b *boundFilter) match(r *pipeline.Row, values, before []pipeline.Value) (bool, error) {
	b.vars.Row, b.vars.New, b.vars.Old = r, values, before
	return b.where.Match(&b.vars)
}

func (b *boundFilter) explain(r *pipeline.Row, err error) error {
	if err == nil {
		return nil
	}
	return b.failed(b.in, r, err, absentHint(err))
}

// remove keeps a delete whose row matched, or may have.
func (b *boundFilter) remove(r *pipeline.Row) (bool, error) {
	ok, err := b.match(r, r.Before, r.Before)
	if errors.Is(err, expr.ErrAbsent) && b.onLeave != leaveFail {
		return true, nil
	}
	return ok, b.explain(r, err)
}

func (b *boundFilter) update(a *pipeline.Arena, r *pipeline.Row) (bool, error) {
	now, err := b.match(r, r.Values, r.Before)
	if err != nil {
		return false, b.explain(r, err)
	}
	was, known, err := b.before(r, now)
	switch {
	case err != nil:
		return false, b.explain(r, err)
	case now && (was || !known):
		return true, nil
	case now:
		enter(r)
		return true, nil
	case known && was:
		r.Op, r.Values = pipeline.Delete, nil
		if r.Before == nil {
			return false, b.failed(b.in, r, errors.New("a row that matched has no old row"), "")
		}
		return true, nil
	case known:
		return false, nil
	}
	return b.leave(a, r)
}

// before finds whether the row matched before the update.
func (b *boundFilter) before(r *pipeline.Row, now bool) (was, known bool, err error) {
	if r.Before == nil {
		return now, b.keyed, nil
	}
	was, err = b.match(r, r.Before, nil)
	if errors.Is(err, expr.ErrAbsent) {
		return false, false, nil
	}
	return was, true, err
}

// enter turns an update into an insert of the whole row; it stays an update where a value is missing.
func enter(r *pipeline.Row) {
	for i := range r.Values {
		if r.Values[i].IsAbsent() {
			r.Values[i] = r.Before[i]
		}
	}
	if r.Complete() {
		r.Op, r.Before = pipeline.Insert, nil
	}
}

// leave handles an update to a row that does not match when it is not known whether it did.
func (b *boundFilter) leave(a *pipeline.Arena, r *pipeline.Row) (bool, error) {
	switch b.onLeave {
	case leaveIgnore:
		return false, nil
	case leaveFail:
		return false, b.failed(b.in, r, errors.New("it is not known whether the row matched before the "+
			"update"), identityHint)
	}
	if r.Before == nil {
		if len(b.in.Key) == 0 {
			return false, b.failed(b.in, r, errors.New("a row that stops matching cannot be deleted: the table "+
				"has no key"), identityHint)
		}
		r.Before = oldKey(a, b.in, r.Values)
	}
	r.Op, r.Values = pipeline.Delete, nil
	return true, nil
}

// oldKey makes an old image that holds the key only.
func oldKey(a *pipeline.Arena, in *pipeline.Schema, values []pipeline.Value) []pipeline.Value {
	out := a.Values(len(values))
	for i := range out {
		out[i] = pipeline.AbsentValue
	}
	for _, k := range in.Key {
		out[k] = values[k]
	}
	return out
}
