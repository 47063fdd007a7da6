package transforms

import (
	"fmt"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/match"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// Omit is the configuration of transform "omit".
type Omit struct {
	Tables  []string
	Columns []string
	Key     []string
}

// Spec describes the block.
func (c *Omit) Spec(b *spec.Block) {
	b.Doc("Takes columns away. A column of the key can only go where another key is named.")
	tablesAttr(b, &c.Tables)
	spec.Attr(b, "columns", &c.Columns).Required().
		Doc("The columns, as patterns: \"column\", \"table.column\" or \"schema.table.column\", with *.").
		Example(`["*.password_hash", "users.ssn"]`)
	spec.Attr(b, "key", &c.Key).
		Doc("The columns that are the key from here on. The source must send their old values with updates " +
			"and deletes.").
		Example(`["email"]`)
	b.Check(func(p *spec.Problems) {
		checkTables(p, c.Tables)
		checkColumns(p, "columns", c.Columns)
	})
	b.Example = "transform \"omit\" \"secrets\" {\n  from    = source.shop\n  columns = [\"*.password_hash\"]\n}\n"
}

// checkColumns checks patterns of columns.
func checkColumns(p *spec.Problems, attr string, patterns []string) {
	if _, err := match.NewColumns(patterns); err != nil {
		p.Error(attr, "Wrong pattern", err.Error()+".")
	}
}

// Open builds the transform.
func (c *Omit) Open(env spec.Env) (pipeline.Transform, error) {
	s, err := newScope(env, c.Tables)
	if err != nil {
		return nil, err
	}
	columns, err := match.NewColumns(c.Columns)
	if err != nil {
		return nil, s.wrong("", fmt.Errorf("columns: %w", err), "")
	}
	return &omit{scope: s, columns: columns, key: c.Key}, nil
}

type omit struct {
	scope
	columns *match.Columns
	key     []string
}

// Bind finds which columns stay.
func (o *omit) Bind(in *pipeline.Schema) (*pipeline.Schema, pipeline.Func, error) {
	if !o.covers(in) {
		return in, nil, nil
	}
	keep := make([]int, 0, len(in.Columns))
	for i := range in.Columns {
		if o.columns.Index(in.Database, in.Namespace, in.Table, in.Columns[i].Name) < 0 {
			keep = append(keep, i)
		}
	}
	if len(keep) == len(in.Columns) && len(o.key) == 0 {
		return in, nil, nil
	}
	out := copySchema(in)
	out.Columns = out.Columns[:0:0]
	moved := make(map[int]int, len(keep))
	for n, i := range keep {
		out.Columns = append(out.Columns, in.Columns[i])
		moved[i] = n
	}
	out.MoveIndexes(moved)
	if err := o.rekey(in, out, moved); err != nil {
		return nil, nil, err
	}
	f := func(_ *pipeline.Arena, r *pipeline.Row) (bool, error) {
		if eventful(r) {
			both(r, func(v []pipeline.Value) []pipeline.Value { return pick(v, keep) })
		}
		return true, nil
	}
	return out, f, nil
}

// pick moves the values at the rising indexes keep to the front.
func pick(v []pipeline.Value, keep []int) []pipeline.Value {
	for n, i := range keep {
		v[n] = v[i]
	}
	return v[:len(keep)]
}

// rekey sets the key of out by name, or by where the old key's columns went.
func (o *omit) rekey(in, out *pipeline.Schema, moved map[int]int) error {
	out.Key = out.Key[:0:0]
	for _, name := range o.key {
		i := out.Index(name)
		if i < 0 {
			return o.wrong(in.Name(), fmt.Errorf("key: there is no column %q", name), "Name columns that stay.")
		}
		out.Key, out.KeyFull = append(out.Key, i), false
	}
	if len(o.key) > 0 {
		return nil
	}
	for _, k := range in.Key {
		i, ok := moved[k]
		if !ok {
			return o.wrong(in.Name(), fmt.Errorf("column %s belongs to the key", in.Columns[k].Name),
				"Name another key with key = [...], or mask the column with a hash.")
		}
		out.Key = append(out.Key, i)
	}
	return nil
}
