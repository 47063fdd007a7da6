package mariadb

import (
	"fmt"
	"slices"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/expr"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
	"github.com/pipe-cdc/pipe/sources/mariadb/binlog"
)

// table is one captured table: what the catalogue says and what the configuration asks for.
type table struct {
	*relation
	// Schema is what rows leave under, in the snapshot as in the stream until the table changes.
	Schema *pipeline.Schema
	fields []binlog.Field // of the relation's columns
	tableSettings
	filter *expr.Where // rows to take; nil: every row
}

// tableSettings are what the configuration says of one table.
type tableSettings = snapshot.Settings

// settings resolves what the configuration says of each table.
type settings struct {
	config *Config
	picker picker
	rules  *snapshot.Rules
}

// newSettings compiles the patterns of the configuration.
func newSettings(c *Config) (*settings, error) {
	own := tableSettings{Policy: c.Snapshot, ChunkRows: c.ChunkRows, Workers: c.Workers}
	rules, err := snapshot.NewRules(c.Include, c.Exclude, own, c.TableBlocks)
	if err != nil {
		return nil, err
	}
	m, err := c.merged()
	return &settings{config: c, rules: rules, picker: picker{Database: m.Database, Tables: rules.Tables, Exclude: rules.Exclude,
		Named: slices.ContainsFunc(c.Include, namesDatabase)}}, err
}

// tables returns the tables that the configuration takes, in the catalogue's order.
func (s *settings) tables(c *catalog, srv *server) ([]*table, error) {
	var out []*table
	for _, p := range s.picker.pick(c) {
		if !p.Taken {
			continue
		}
		t, err := s.table(p.relation, srv, 1)
		if err != nil {
			return nil, fmt.Errorf("table %s: %w", p.relation, err)
		}
		for _, name := range slices.Concat(t.Omit, t.tableSettings.Key) {
			if t.Column(name) == nil {
				return nil, fmt.Errorf("table %s: there is no column %s", t, name)
			}
		}
		out = append(out, t)
	}
	return out, nil
}

// table builds a captured table with its schema.
func (s *settings) table(r *relation, srv *server, version uint64) (*table, error) {
	t := &table{relation: r, tableSettings: s.rules.Of(r.Database, "", r.Name)}
	t.Schema = &pipeline.Schema{System: pipeline.MariaDB, Database: r.Database, Table: r.Name, Version: version}
	for i := range r.Columns {
		col := &r.Columns[i]
		if slices.Contains(t.Omit, col.Name) {
			t.fields = append(t.fields, binlog.Field{Out: -1})
			continue
		}
		c, f, err := s.config.shape(col, srv)
		if err != nil {
			return nil, err
		}
		f.Out = len(t.Schema.Columns)
		t.fields, t.Schema.Columns = append(t.fields, f), append(t.Schema.Columns, c)
	}
	t.setKey()
	t.setIndexes()
	var err error
	t.filter, err = compileWhere(t, t.Schema)
	return t, err
}

// setKey sets the schema's key: the configured columns, else the table's; none where one is omitted.
func (t *table) setKey() {
	names := t.tableSettings.Key
	if len(names) == 0 {
		names = t.relation.Key
	}
	for _, name := range names {
		i := t.Schema.Index(name)
		if i < 0 {
			t.Schema.Key = nil
			break
		}
		t.Schema.Key = append(t.Schema.Key, i)
		if slices.Contains(t.relation.Key, name) && !t.relation.Column(name).Nullable {
			t.Schema.Columns[i].Nullable = false
		}
	}
	t.Schema.KeyFull = len(t.Schema.Key) == 0
}

// keyed reports whether rows can be read while the stream goes on: those of a chunk are told from those
// of the stream by their keys.
func (t *table) keyed() bool { return len(t.Schema.Key) > 0 && t.keyset() != nil }

// resumes reports whether what is left of the table's first snapshot can be read by a later run.
func (t *table) resumes() bool { return t.Policy != policyOnly && t.keyed() }

// setIndexes tells of the indexes whose columns are all read, and of the others why they are none.
func (t *table) setIndexes() {
	for _, x := range t.Indexes {
		out := pipeline.Index{Name: x.Name, Unique: x.Unique}
		for _, name := range x.Columns {
			i := t.Schema.Index(name)
			if i < 0 && x.Why == "" {
				x.Why = "a column of it is left out"
			}
			out.Columns = append(out.Columns, i)
		}
		if x.Why != "" {
			t.Schema.OtherIndexes = append(t.Schema.OtherIndexes, pipeline.OtherIndex{Name: x.Name, Why: x.Why})
			continue
		}
		t.Schema.Indexes = append(t.Schema.Indexes, out)
	}
}

// sameShape reports whether two schemas describe the same rows.
func sameShape(a, b *pipeline.Schema) bool {
	return slices.Equal(a.Key, b.Key) && slices.EqualFunc(a.Columns, b.Columns, func(x, y pipeline.Column) bool {
		return x.Name == y.Name && x.Kind == y.Kind && x.Type == y.Type && x.Nullable == y.Nullable && x.Default == y.Default &&
			x.Precision == y.Precision && x.Scale == y.Scale && x.Length == y.Length && slices.Equal(x.Labels, y.Labels)
	})
}
