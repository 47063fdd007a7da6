package mariadb

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/expr"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
	"github.com/pipe-cdc/pipe/pipeline/spec"
	"github.com/pipe-cdc/pipe/sources/mariadb/binlog"
	"github.com/pipe-cdc/pipe/sources/mariadb/wire"
)

// textRows decodes the rows of a query for a table's columns.
type textRows struct {
	table   *table
	schema  *pipeline.Schema // that the rows leave under
	dec     *binlog.Decoder
	filters []*expr.Where
}

// textRows returns what decodes a result whose first columns are the schema's, in its order. Rows
// must pass the table's filter and all of wheres.
func (r *runner) textRows(t *table, schema *pipeline.Schema, columns []wire.ColumnDef, wheres ...spec.Expr) (*textRows, error) {
	out := &textRows{table: t, schema: schema}
	fields := slices.DeleteFunc(slices.Clone(t.fields), func(f binlog.Field) bool { return f.Out < 0 })
	if len(fields) > len(columns) {
		return nil, fmt.Errorf("a result of %d columns, %d were asked for", len(columns), len(fields))
	}
	var err error
	for i := range fields {
		fields[i].Column = binlog.MapColumn{}
		if fields[i].Charset == nil {
			continue
		}
		if fields[i].Charset, err = r.server.charset(columns[i].Collation); err != nil {
			return nil, err
		}
	}
	if out.filters, err = compileWheres(t, schema, wheres...); err != nil {
		return nil, err
	}
	out.dec, err = binlog.NewDecoder(fields, r.config.policy())
	return out, err
}

// compileWheres compiles the conditions that are set.
func compileWheres(t *table, schema *pipeline.Schema, wheres ...spec.Expr) ([]*expr.Where, error) {
	var out []*expr.Where
	for _, x := range wheres {
		if !x.IsSet() {
			continue
		}
		w, err := expr.CompileWhere(x.Syntax, schema, x.Ctx)
		if err != nil {
			return nil, failed(pipeline.Input, "", "where of table %s: %w", t, err)
		}
		out = append(out, w)
	}
	return out, nil
}

var errRow = errors.New("a row that ends too early")

// values decodes a row; rest is what follows the schema's columns.
func (d *textRows) values(a *pipeline.Arena, p []byte) (values []pipeline.Value, rest []byte, err error) {
	values = a.Values(len(d.dec.Fields))
	for i := range values {
		cell, null, rest, ok := wire.TextCell(p)
		if !ok {
			return nil, nil, errRow
		}
		if p = rest; null {
			continue
		}
		v, err := d.dec.Text(a, &d.dec.Fields[i], cell)
		if err != nil {
			return nil, nil, d.valueError(i, values, err)
		}
		values[i] = v
	}
	return values, p, nil
}

// match reports whether a row passes the filters.
func (d *textRows) match(values []pipeline.Value) (bool, error) {
	for _, w := range d.filters {
		if keep, err := w.Match(values, nil); err != nil || !keep {
			return false, err
		}
	}
	return true, nil
}

func (d *textRows) valueError(i int, values []pipeline.Value, err error) error {
	return &pipeline.Error{Class: pipeline.Input, Table: d.table.String(), Key: d.schema.KeyText(values),
		Err: fmt.Errorf("column %s: %w", d.schema.Columns[i].Name, err), Hint: valueHint(err)}
}

// keyCells reads the bounds that follow the schema's columns.
func keyCells(k *keyset, p []byte) ([]string, error) {
	out := make([]string, len(k.columns))
	for i, c := range k.columns {
		cell, null, rest, ok := wire.TextCell(p)
		if !ok || null {
			return nil, errRow
		}
		out[i], p = c.keep(cell), rest
	}
	return out, nil
}

// requested parses the condition of a request.
func requested(q *snapshot.Request) (spec.Expr, error) {
	if q.Where == "" {
		return spec.Expr{}, nil
	}
	x, diags := hclsyntax.ParseExpression([]byte(q.Where), "where", hcl.InitialPos)
	if diags.HasErrors() {
		return spec.Expr{}, failed(pipeline.Input, "Write it as in a table block: row.amount > 100", "where of the request: %w", diags)
	}
	return spec.Expr{Syntax: x}, nil
}

// selection is a query for rows of a table.
type selection struct {
	table *table
	hint  string
	extra []string // what to select behind the columns
	where []string // "" says nothing
	tail  string
}

// String renders the query.
func (q *selection) String() string {
	var list, where []string
	for i := range q.table.Schema.Columns {
		list = append(list, output(&q.table.Schema.Columns[i]))
	}
	for _, condition := range q.where {
		if condition != "" {
			where = append(where, condition)
		}
	}
	sql := "SELECT " + strings.Join(append(list, q.extra...), ", ") + " FROM " + q.table.Quoted() + q.hint
	if len(where) > 0 {
		sql += " WHERE " + strings.Join(where, " AND ")
	}
	return sql + q.tail
}

// output is how a column is asked for: the text of a float or of a double with digits is not exact.
func output(c *pipeline.Column) string {
	name := quoteName(c.Name)
	if c.Kind == pipeline.Float32 || c.Kind == pipeline.Float64 {
		return "CAST(" + name + " AS DOUBLE)"
	}
	return name
}
