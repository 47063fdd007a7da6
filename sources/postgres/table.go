package postgres

import (
	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/expr"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// table is one captured table: what the catalogue says and what the configuration asks for.
type table struct {
	*relation
	// Schema is what rows leave under, in the snapshot as in the stream until the table changes.
	Schema *pipeline.Schema
	tableSettings
	filter *expr.Where // rows to take; nil: every row
}

// tableSettings are what the configuration says of one table.
type tableSettings = snapshot.Settings

// settings resolves what the configuration says of each table.
type settings struct {
	picker picker
	rules  *snapshot.Rules
}

// newSettings compiles the patterns of the configuration.
func newSettings(c *Config) (*settings, error) {
	own := tableSettings{Policy: c.Snapshot, ChunkRows: c.ChunkRows, Workers: c.Workers}
	rules, err := snapshot.NewRules(c.Include, c.excluded(), own, c.TableBlocks)
	if err != nil {
		return nil, err
	}
	return &settings{rules: rules, picker: picker{Tables: rules.Tables, Exclude: rules.Exclude}}, nil
}

// of returns the settings of a relation.
func (s *settings) of(database string, r *relation) tableSettings {
	return s.rules.Of(database, r.Namespace, r.Name)
}

// tables returns the relations that the configuration takes, in the catalogue's order.
func (s *settings) tables(c *catalog) ([]*table, error) {
	var out []*table
	for _, p := range s.picker.pick(c) {
		if !p.Taken {
			continue
		}
		t, err := s.table(c, p.relation)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

func (s *settings) table(c *catalog, r *relation) (*table, error) {
	t := &table{relation: r, tableSettings: s.of(c.Database, r)}
	schema, err := c.schema(r, t.tableSettings)
	if err != nil {
		return nil, err
	}
	t.Schema = schema
	t.filter, err = compileWhere(t, t.Schema)
	return t, err
}
