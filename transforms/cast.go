package transforms

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/expr"
	"github.com/pipe-cdc/pipe/pipeline/match"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// Cast is the configuration of transform "cast".
type Cast struct {
	Tables  []string
	Types   map[string]string
	Columns map[string]string
	OnError string
}

// Spec describes the block.
func (c *Cast) Spec(b *spec.Block) {
	b.Doc("Changes the types of columns. Values are converted exactly: what would be cut, rounded or " +
		"wrapped fails. " +
		"Only decimals and texts cast to floats take the nearest float. Columns win over types. Types are " +
		targetList() + ".")
	tablesAttr(b, &c.Tables)
	spec.Attr(b, "types", &c.Types).
		Doc("New types by the source's own type name, with modifiers or without.").
		Example(`{ "bit(1)" = "bool", "tinyint(1)" = "bool" }`)
	spec.Attr(b, "columns", &c.Columns).
		Doc("New types by column: \"column\", \"table.column\" or \"schema.table.column\", with *. " +
			"Of several patterns the exact one counts, then the longest.").
		Example(`{ "*.deleted" = "bool", "deals.vents" = "int16" }`)
	a := spec.Attr(b, "on_error", &c.OnError).OneOf("fail", "null").
		Doc("What happens with a value that cannot be converted: the pipeline stops, or the value becomes " +
			"NULL (not in a key).")
	spec.Default(a, &c.OnError, "fail")
	b.Check(c.check)
	b.Example = "transform \"cast\" \"types\" {\n  from = source.xchange\n\n  types = {\n    \"bit(1)\" " +
		"= \"bool\"\n  }\n\n" +
		"  columns = {\n    \"*.deleted\" = \"bool\"\n  }\n}\n"
}

func (c *Cast) check(p *spec.Problems) {
	checkTables(p, c.Tables)
	checkColumns(p, "columns", sortedKeys(c.Columns))
	for attr, m := range map[string]map[string]string{"types": c.Types, "columns": c.Columns} {
		for _, key := range sortedKeys(m) {
			if _, err := parseTarget(m[key]); err != nil {
				p.Error(attr, "Unknown type", fmt.Sprintf("%q = %q: %v.", key, m[key], err))
			}
		}
	}
	if len(c.Types) == 0 && len(c.Columns) == 0 {
		p.Error("", "Nothing to cast", "Give types, or columns.")
	}
}

// Open builds the transform.
func (c *Cast) Open(env spec.Env) (pipeline.Transform, error) {
	s, err := newScope(env, c.Tables)
	if err != nil {
		return nil, err
	}
	t := &cast{scope: s, null: c.OnError == "null", types: make(map[string]target, len(c.Types))}
	patterns := sortedKeys(c.Columns)
	if t.columns, err = match.NewColumns(patterns); err != nil {
		return nil, s.wrong("", fmt.Errorf("columns: %w", err), "")
	}
	for _, p := range patterns {
		to, err := parseTarget(c.Columns[p])
		if err != nil {
			return nil, s.wrong("", err, "")
		}
		t.targets = append(t.targets, to)
	}
	for name, typ := range c.Types {
		if t.types[normalType(name)], err = parseTarget(typ); err != nil {
			return nil, s.wrong("", err, "")
		}
	}
	return t, nil
}

// normalType makes type names comparable: lower case, no blanks around parentheses and commas.
func normalType(s string) string {
	s = strings.Join(strings.Fields(strings.ToLower(s)), " ")
	return strings.NewReplacer(" (", "(", ", ", ",", "( ", "(", " )", ")").Replace(s)
}

type cast struct {
	scope
	columns *match.Columns
	targets []target // by pattern
	types   map[string]target
	null    bool
}

type castColumn struct {
	index   int
	to      target
	convert converter
	null    bool
}

// Bind finds the columns to cast and checks that their kinds can be.
func (t *cast) Bind(in *pipeline.Schema) (*pipeline.Schema, pipeline.Func, error) {
	if !t.covers(in) {
		return in, nil, nil
	}
	out := copySchema(in)
	var columns []castColumn
	for i := range in.Columns {
		to, ok := t.target(in, &in.Columns[i])
		if !ok {
			continue
		}
		if !to.takes(in.Columns[i].Kind) {
			return nil, nil, t.wrong(in.Name(), fmt.Errorf("column %s of type %s cannot be cast to %s",
				in.Columns[i].Name, in.Columns[i].Type, to.name), "Cast it to text, or omit it.")
		}
		columns = append(columns, castColumn{i, to, to.converter(), t.null && !in.IsKey(i)})
		out.Columns[i] = to.column(&in.Columns[i])
		if out.Columns[i].Kind != pipeline.Text && out.Columns[i].Kind != in.Columns[i].Kind {
			out.Blend(i)
		}
		out.Columns[i].Nullable = in.Columns[i].Nullable || t.null && !in.IsKey(i)
	}
	if len(columns) == 0 {
		return in, nil, nil
	}
	f := func(a *pipeline.Arena, r *pipeline.Row) (bool, error) {
		if !eventful(r) {
			return true, nil
		}
		if err := t.image(a, in, r, columns, r.Values); err != nil {
			return false, err
		}
		return true, t.image(a, in, r, columns, r.Before)
	}
	return out, f, nil
}

func (t *cast) target(in *pipeline.Schema, col *pipeline.Column) (target, bool) {
	if i := t.columns.Index(in.Database, in.Namespace, in.Table, col.Name); i >= 0 {
		return t.targets[i], true
	}
	name := normalType(col.Type)
	if to, ok := t.types[name]; ok {
		return to, true
	}
	base, _, _ := strings.Cut(name, "(")
	to, ok := t.types[base]
	return to, ok
}

func (t *cast) image(a *pipeline.Arena, in *pipeline.Schema, r *pipeline.Row, columns []castColumn,
	values []pipeline.Value) error {
	if values == nil {
		return nil
	}
	for i := range columns {
		c := &columns[i]
		x := values[c.index]
		if x.IsNull() || x.IsAbsent() {
			continue
		}
		y, ok := c.convert(a, x)
		switch {
		case ok:
			values[c.index] = y
		case c.null:
			values[c.index] = pipeline.NullValue
		default:
			return t.failed(in, r, fmt.Errorf("column %s: %s is no %s", in.Columns[c.index].Name, shown(x), c.to.name),
				"Correct the value, choose a wider type, or set on_error = \"null\".")
		}
	}
	return nil
}

// shownMax bounds, in bytes, how much of a value a message repeats.
const shownMax = 40

// shown renders a value for a message, shortened.
func shown(x pipeline.Value) string {
	s := string(expr.AppendText(nil, x))
	if len(s) <= shownMax {
		return fmt.Sprintf("%q", s)
	}
	n := shownMax
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return fmt.Sprintf("%q...", s[:n])
}
