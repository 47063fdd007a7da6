package transforms

import (
	"errors"
	"fmt"
	"slices"
	"sort"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/expr"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// Set is the configuration of transform "set".
type Set struct {
	Tables   []string
	Columns  map[string]spec.Expr
	Metadata []string
}

// Spec describes the block.
func (c *Set) Spec(b *spec.Block) {
	b.Doc("Computes columns: new ones, or other values for ones that are there. All see the row as it came. " +
		"An update that did not send what a column is computed from leaves that column unchanged.")
	tablesAttr(b, &c.Tables)
	spec.Attr(b, "columns", &c.Columns).
		Doc("Row expressions by column.").Example(`{ total = row.price * row.qty }`)
	spec.Attr(b, "metadata", &c.Metadata).OneOf(metadataNames()...).
		Doc("Columns about the change, under the names that Debezium's unwrapped records have: __op is its letter, " +
			"__deleted \"true\" or \"false\", __source_ts_ms the commit time, __lsn and __txid numbers.").
		Example(`["__op", "__source_ts_ms"]`)
	b.Check(func(p *spec.Problems) {
		checkTables(p, c.Tables)
		if len(c.Columns) == 0 && len(c.Metadata) == 0 {
			p.Error("", "Nothing to set", "Give columns, or metadata.")
		}
	})
	b.Example = "transform \"set\" \"total\" {\n  from    = source.shop\n  columns = { total = row.price " +
		"* row.qty }\n}\n"
}

// Open builds the transform.
func (c *Set) Open(env spec.Env) (pipeline.Transform, error) {
	s, err := newScope(env, c.Tables)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(c.Columns))
	for name := range c.Columns {
		names = append(names, name)
	}
	sort.Strings(names)
	return &set{scope: s, config: c, names: names}, nil
}

type set struct {
	scope
	config *Set
	names  []string
}

// computed is one column that is set.
type computed struct {
	index    int
	name     string
	program  *expr.Program
	metadata metadata // where program is nil
}

type boundSet struct {
	*set
	in      *pipeline.Schema
	width   int // columns that leave
	columns []computed
	vars    expr.Vars
	results []pipeline.Value
	old     bool // the image at hand is Before
}

// Bind compiles the expressions for the table.
func (t *set) Bind(in *pipeline.Schema) (*pipeline.Schema, pipeline.Func, error) {
	if !t.covers(in) {
		return in, nil, nil
	}
	out := copySchema(in)
	b := &boundSet{set: t, in: in}
	for _, name := range t.names {
		if err := b.compile(out, name); err != nil {
			return nil, nil, err
		}
	}
	for _, name := range t.config.Metadata {
		m := metadata(slices.Index(metadataNames(), name))
		if out.Index(name) >= 0 {
			return nil, nil, t.wrong(in.Name(), fmt.Errorf("there already is a column %s", name),
				"Rename or omit it first.")
		}
		b.columns = append(b.columns, computed{index: len(out.Columns), name: name, metadata: m})
		out.Columns = append(out.Columns, m.column(name))
	}
	b.width = len(out.Columns)
	b.results = make([]pipeline.Value, len(b.columns))
	return out, b.row, nil
}

func (b *boundSet) compile(out *pipeline.Schema, name string) error {
	e := b.config.Columns[name]
	p, diags := expr.Compile(e.Syntax, b.in, e.Ctx)
	if err := b.diagnosed(b.in, diags); err != nil {
		return err
	}
	i := out.Index(name)
	if i >= 0 && out.IsKey(i) {
		return b.wrong(b.in.Name(), fmt.Errorf("column %s belongs to the key", name),
			"Set a column of another name; transform \"omit\" can make it the key.")
	}
	col := resultColumn(name, p, e.Syntax, b.in)
	if i < 0 {
		i = len(out.Columns)
		out.Columns = append(out.Columns, col)
	} else {
		out.Columns[i] = col
		out.Blend(i)
	}
	b.columns = append(b.columns, computed{index: i, name: name, program: p})
	return nil
}

// resultColumn describes a computed column; the copy of a column keeps all of it but the name.
func resultColumn(name string, p *expr.Program, x hclsyntax.Expression, in *pipeline.Schema) pipeline.Column {
	if _, plain := x.(*hclsyntax.ScopeTraversalExpr); plain && len(p.Columns()) == 1 {
		col := in.Columns[p.Columns()[0]]
		col.Name, col.Default = name, ""
		return col
	}
	kind := p.Kind()
	if kind == pipeline.Null {
		kind = pipeline.Text
	}
	return pipeline.Column{Name: name, Kind: kind, Type: p.Type(), Nullable: true, Precision: -1, Length: -1}
}

func (b *boundSet) row(a *pipeline.Arena, r *pipeline.Row) (bool, error) {
	if !eventful(r) {
		return true, nil
	}
	before, values := r.Before, r.Values
	var err error
	if values != nil {
		b.old = false
		if r.Values, err = b.image(a, r, values, before); err != nil {
			return false, err
		}
	}
	if before != nil {
		b.old = true
		r.Before, err = b.image(a, r, before, nil)
	}
	return err == nil, err
}

// image makes the wider image of one image of the row.
func (b *boundSet) image(a *pipeline.Arena, r *pipeline.Row, values,
	old []pipeline.Value) ([]pipeline.Value, error) {
	b.vars.Row, b.vars.New, b.vars.Old = r, values, old
	for i := range b.columns {
		x, err := b.compute(a, r, &b.columns[i])
		if err != nil {
			return nil, err
		}
		b.results[i] = x
	}
	out := values
	if b.width > len(values) {
		out = a.Values(b.width)
		copy(out, values)
	}
	for i := range b.columns {
		out[b.columns[i].index] = b.results[i]
	}
	return out, nil
}

func (b *boundSet) compute(a *pipeline.Arena, r *pipeline.Row, c *computed) (pipeline.Value, error) {
	if c.program == nil {
		return c.metadata.value(b.in, r), nil
	}
	x, err := c.program.Eval(a, &b.vars)
	if err == nil {
		return x, nil
	}
	if errors.Is(err, expr.ErrAbsent) && (b.old || len(c.program.Columns()) == 1) {
		return pipeline.AbsentValue, nil
	}
	hint := absentHint(err)
	return x, b.failed(b.in, r, fmt.Errorf("column %s: %w", c.name, err), hint)
}
