package engine

import (
	"errors"

	"github.com/pipe-cdc/pipe/pipeline"
)

// binding is a transform bound to a schema.
type binding struct {
	in, out *pipeline.Schema
	f       pipeline.Func
	drop    bool
}

// maxBound is how many schemas a step remembers; a source with more makes a new one for each row.
const maxBound = 10_000

// process runs the source's tree over a flight and hands the results to the sinks.
func (s *source) process(f *flight) error {
	s.number(f)
	if err := s.walk(s.root, &f.root); err != nil {
		return err
	}
	s.mergeAll(f)
	if f.extra != 0 {
		f.pool.recharge(f, f.charge+f.extra)
	}
	f.root.release()
	return nil
}

// number notes where each row of the root was, for the merges.
func (s *source) number(f *flight) {
	f.extra = 0
	if len(s.merges) == 0 {
		return
	}
	for i := range f.root.batch.Rows {
		f.root.origin = append(f.root.origin, int32(i))
	}
}

// walk hands the rows v of a step to its sinks and to its children. A child gets its own view of
// the rows, unless it is the last to read them.
func (s *source) walk(at *step, v *view) error {
	for _, x := range at.sinks {
		v.retain()
		if x.merge >= 0 {
			s.merges[x.merge].views = append(s.merges[x.merge].views, v)
			continue
		}
		x.sink.deliver(v)
	}
	for i, child := range at.children {
		if at.inPlace && i == len(at.children)-1 {
			return s.inPlace(child, v)
		}
		if err := s.branch(child, v); err != nil {
			return err
		}
	}
	return nil
}

func (s *source) inPlace(child *step, v *view) error {
	size := v.batch.Size()
	if err := s.engine.guard(child.transform.address, func() error { return child.apply(v) }); err != nil {
		return err
	}
	v.flight.extra += v.batch.Size() - size
	return s.walk(child, v)
}

func (s *source) branch(child *step, v *view) error {
	w := v.flight.pool.view(v.flight)
	defer w.release()
	if err := s.engine.guard(child.transform.address, func() error { return child.copy(w, v) }); err != nil {
		return err
	}
	v.flight.extra += w.batch.Size()
	return s.walk(child, w)
}

// apply runs the step's transform over the rows of v in place. Rows that leave are closed up and marks
// re-based: a mark's End counts the rows that remain before it (invariant 1).
func (at *step) apply(v *view) error {
	t := at.transform
	t.mu.Lock()
	defer t.mu.Unlock()
	b := &v.batch
	rows, marks, kept, m := b.Rows, b.Marks, 0, 0
	for i := range rows {
		for m < len(marks) && marks[m].End <= i {
			marks[m].End = kept
			m++
		}
		keep, err := at.row(&b.Arena, &rows[i])
		if err != nil {
			return err
		}
		if !keep {
			continue
		}
		if kept != i {
			rows[kept] = rows[i]
		}
		if len(v.origin) > 0 {
			v.origin[kept] = v.origin[i]
		}
		kept++
	}
	for ; m < len(marks); m++ {
		marks[m].End = kept
	}
	t.stats.batch(len(rows), kept, 0)
	clear(rows[kept:])
	b.Rows = rows[:kept]
	if len(v.origin) > 0 {
		v.origin = v.origin[:kept]
	}
	return nil
}

// copy is apply into another view: the rows and their values are copied, the bytes are shared.
func (at *step) copy(dst, src *view) error {
	t := at.transform
	t.mu.Lock()
	defer t.mu.Unlock()
	in, out := &src.batch, &dst.batch
	marks := in.Marks
	for i := range in.Rows {
		for len(marks) > 0 && marks[0].End <= i {
			out.Mark(marks[0].Pos)
			marks = marks[1:]
		}
		r := &in.Rows[i]
		if d, err := at.bind(r); err != nil {
			return err
		} else if d.drop {
			continue
		}
		out.Rows = append(out.Rows, *r)
		n := len(out.Rows) - 1
		c := &out.Rows[n]
		c.Values, c.Before = copyValues(&out.Arena, r.Values), copyValues(&out.Arena, r.Before)
		keep, err := at.row(&out.Arena, c)
		if err != nil {
			return err
		}
		if !keep {
			out.Rows = out.Rows[:n]
			continue
		}
		if len(src.origin) > 0 {
			dst.origin = append(dst.origin, src.origin[i])
		}
	}
	for ; len(marks) > 0; marks = marks[1:] {
		out.Mark(marks[0].Pos)
	}
	t.stats.batch(len(in.Rows), len(out.Rows), 0)
	return nil
}

func copyValues(a *pipeline.Arena, values []pipeline.Value) []pipeline.Value {
	if values == nil {
		return nil
	}
	out := a.Values(len(values))
	copy(out, values)
	return out
}

// row runs the transform on one row.
func (at *step) row(a *pipeline.Arena, r *pipeline.Row) (bool, error) {
	d, err := at.bind(r)
	if err != nil || d.drop {
		return false, err
	}
	r.Schema = d.out
	if d.f == nil {
		return true, nil
	}
	keep, err := d.f(a, r)
	if err != nil {
		at.transform.stats.errors.Add(1)
		return false, at.rowError(d.in, r, err)
	}
	return keep, nil
}

// bind returns the transform bound to the row's schema: nearly always that of the row before.
func (at *step) bind(r *pipeline.Row) (*binding, error) {
	if at.last != nil && at.last.in == r.Schema {
		return at.last, nil
	}
	d := at.bound[r.Schema]
	if d == nil {
		var err error
		if d, err = at.bindNew(r.Schema); err != nil {
			return nil, at.rowError(r.Schema, r, err)
		}
	}
	at.last = d
	return d, nil
}

func (at *step) bindNew(in *pipeline.Schema) (*binding, error) {
	d := &binding{in: in}
	if in != nil { // a message without a table passes every transform
		out, f, err := at.transform.t.Bind(in)
		if err != nil {
			return nil, err
		}
		d.out, d.f, d.drop = out, f, out == nil
	}
	if len(at.bound) >= maxBound {
		clear(at.bound)
	}
	at.bound[in] = d
	return d, nil
}

// rowError says which transform failed on which row. What the transform itself said stays.
func (at *step) rowError(s *pipeline.Schema, r *pipeline.Row, err error) error {
	var have *pipeline.Error
	if errors.As(err, &have) {
		return atNode(at.transform.address, err)
	}
	e := &pipeline.Error{Node: at.transform.address, Class: pipeline.Input, Err: err}
	if s != nil {
		e.Table, e.Key = s.Name(), s.KeyText(r.Key())
	}
	if r.Tx != nil {
		e.Pos = r.Tx.Pos
	}
	return e
}
