package postgres

import (
	"fmt"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/expr"
	"github.com/pipe-cdc/pipe/pipeline/match"
	"github.com/pipe-cdc/pipe/pipeline/spec"
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
type tableSettings struct {
	shape
	Policy    string // one of the policies
	ChunkRows int
	Workers   int
	ChunkBy   string    // "": the key
	Where     spec.Expr // unset: every row
	Why       string    // which pattern took the table
}

// settings resolves what the configuration says of each table.
type settings struct {
	config *Config
	picker picker
	blocks *match.Set
}

// newSettings compiles the patterns of the configuration.
func newSettings(c *Config) (*settings, error) {
	s := &settings{config: c}
	patterns := make([]string, len(c.TableBlocks))
	for i, b := range c.TableBlocks {
		patterns[i] = b.Pattern
	}
	var err error
	if s.picker.Tables, err = match.New(c.Include); err != nil {
		return nil, fmt.Errorf("tables: %w", err)
	}
	if s.picker.Exclude, err = match.New(c.excluded()); err != nil {
		return nil, fmt.Errorf("exclude: %w", err)
	}
	if s.blocks, err = match.New(patterns); err != nil {
		return nil, fmt.Errorf("table: %w", err)
	}
	return s, nil
}

// of returns the settings of a relation: the source's, and those of the table block that names it.
func (s *settings) of(database string, r *relation) tableSettings {
	c := s.config
	out := tableSettings{Policy: c.Snapshot, ChunkRows: c.ChunkRows, Workers: c.Workers}
	i := s.blocks.Index(database, r.Namespace, r.Name)
	if i < 0 {
		return out
	}
	b := c.TableBlocks[i]
	out.shape = shape{Omit: b.Omit, Key: b.Key}
	out.ChunkBy, out.Where = b.ChunkBy, b.Where
	if b.Snapshot != "" {
		out.Policy = b.Snapshot
	}
	if b.ChunkRows != 0 {
		out.ChunkRows = b.ChunkRows
	}
	if b.Workers != 0 {
		out.Workers = b.Workers
	}
	return out
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
		t.Why = p.Why
		out = append(out, t)
	}
	return out, nil
}

func (s *settings) table(c *catalog, r *relation) (*table, error) {
	t := &table{relation: r, tableSettings: s.of(c.Database, r)}
	schema, err := c.schema(r, t.shape)
	if err != nil {
		return nil, err
	}
	t.Schema = schema
	t.filter, err = compileWhere(t, t.Schema)
	return t, err
}
