package transforms

import (
	"fmt"
	"sort"
	"strings"
	"sync"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/match"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// Rename is the configuration of transform "rename".
type Rename struct {
	Tables  []string
	Table   spec.Template
	Schema  spec.Template
	Columns map[string]string
	Case    string
}

// Renames reports whether tables get other names; see spec.Renamer.
func (c *Rename) Renames() bool { return c.Table.IsSet() || c.Schema.IsSet() || c.Case != "" }

// Spec describes the block.
func (c *Rename) Spec(b *spec.Block) {
	b.Doc("Gives tables and columns other names. Two tables or two columns that would get one name are an error.")
	tablesAttr(b, &c.Tables)
	spec.Attr(b, "table", &c.Table).Doc("The table's new name.").Example(`"crm_${table.name}"`)
	spec.Attr(b, "schema", &c.Schema).Doc("The new name of its schema (MariaDB: of its " +
		"database).").Example(`"crm"`)
	spec.Attr(b, "columns", &c.Columns).
		Doc("New names by column: \"column\", \"table.column\" or \"schema.table.column\".").
		Example(`{ "orders.amt" = "amount" }`)
	spec.Attr(b, "case", &c.Case).OneOf("lower", "upper").
		Doc("Changes the case of the names of tables and columns that nothing else renames.")
	b.Check(func(p *spec.Problems) {
		checkTables(p, c.Tables)
		checkColumns(p, "columns", sortedKeys(c.Columns))
		for _, name := range c.Columns {
			if name == "" {
				p.Error("columns", "Empty name", "A column cannot be renamed to nothing; transform \"omit\" takes "+
					"columns away.")
			}
		}
	})
	b.Example = "transform \"rename\" \"lower\" {\n  from = source.shop\n  case = \"lower\"\n}\n"
}

// sortedKeys lists patterns so that the more particular, the longer, comes first.
func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool {
		if len(keys[i]) != len(keys[j]) {
			return len(keys[i]) > len(keys[j])
		}
		return keys[i] < keys[j]
	})
	return keys
}

// Open builds the transform.
func (c *Rename) Open(env spec.Env) (pipeline.Transform, error) {
	s, err := newScope(env, c.Tables)
	if err != nil {
		return nil, err
	}
	t := &rename{scope: s, config: c, patterns: sortedKeys(c.Columns), taken: make(map[[3]string][3]string)}
	if t.columns, err = match.NewColumns(t.patterns); err != nil {
		return nil, s.wrong("", fmt.Errorf("columns: %w", err), "")
	}
	return t, nil
}

type rename struct {
	scope
	config   *Rename
	patterns []string
	columns  *match.Columns

	mu    sync.Mutex
	taken map[[3]string][3]string // new name of a table -> the name it had
}

// Bind makes the schema with the new names; rows do not change.
func (t *rename) Bind(in *pipeline.Schema) (*pipeline.Schema, pipeline.Func, error) {
	if !t.covers(in) {
		return in, nil, t.take(in, in)
	}
	out := copySchema(in)
	if err := t.names(in, out); err != nil {
		return nil, nil, t.wrong(in.Name(), err, "")
	}
	seen := make(map[string]string, len(out.Columns))
	for i := range out.Columns {
		col := &out.Columns[i]
		col.Name = t.column(in, col.Name)
		if first, twice := seen[col.Name]; twice {
			return nil, nil, t.wrong(in.Name(), fmt.Errorf("columns %s and %s both become %s",
				first, in.Columns[i].Name, col.Name), "Rename one of them in columns, or omit it.")
		}
		seen[col.Name] = in.Columns[i].Name
	}
	return out, nil, t.take(in, out)
}

func (t *rename) column(in *pipeline.Schema, name string) string {
	if i := t.columns.Index(in.Database, in.Namespace, in.Table, name); i >= 0 {
		return t.config.Columns[t.patterns[i]]
	}
	return t.fold(name)
}

func (t *rename) fold(name string) string {
	switch t.config.Case {
	case "lower":
		return strings.ToLower(name)
	case "upper":
		return strings.ToUpper(name)
	}
	return name
}

// names sets the table's and the schema's name.
func (t *rename) names(in, out *pipeline.Schema) error {
	out.Table = t.fold(in.Table)
	if t.config.Table.IsSet() {
		name, err := t.config.Table.Text(in)
		if err != nil || name == "" {
			return fmt.Errorf("table gives no name: %w", orEmpty(err))
		}
		out.Table = name
	}
	if !t.config.Schema.IsSet() {
		return nil
	}
	name, err := t.config.Schema.Text(in)
	if err != nil || name == "" {
		return fmt.Errorf("schema gives no name: %w", orEmpty(err))
	}
	if in.Namespace == "" {
		out.Database = name
	} else {
		out.Namespace = name
	}
	return nil
}

func orEmpty(err error) error {
	if err == nil {
		return fmt.Errorf("the text is empty")
	}
	return err
}

// take claims the new name for the table.
func (t *rename) take(in, out *pipeline.Schema) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	name, from := [3]string{out.Database, out.Namespace, out.Table}, [3]string{in.Database, in.Namespace, in.Table}
	if other, ok := t.taken[name]; ok && other != from {
		return t.wrong(in.Name(), fmt.Errorf("it becomes %s, as %s does", out.Name(),
			strings.Trim(strings.Join(other[:], "."), ".")),
			"Choose a name with table.schema or table.database in it.")
	}
	t.taken[name] = from
	return nil
}
