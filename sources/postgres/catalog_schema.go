package postgres

import (
	"fmt"
	"slices"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/pgtext"
)

// schema builds the schema under which the rows of r leave, in the snapshot as in the stream.
// Generated columns are not in it: before PostgreSQL 18 the stream cannot carry them.
func (c *catalog) schema(r *relation, s tableSettings) (*pipeline.Schema, error) {
	for _, name := range s.Omit {
		if r.Attribute(name) == nil {
			return nil, fmt.Errorf("omit: table %s has no column %s", r, name)
		}
	}
	out := &pipeline.Schema{System: pipeline.PostgreSQL, Database: c.Database,
		Namespace: r.Namespace, Table: r.Name}
	for i := range r.Columns {
		a := &r.Columns[i]
		if a.Generated || slices.Contains(s.Omit, a.Name) {
			continue
		}
		col := pgtext.ColumnOf(a.Name, a.Type)
		col.Nullable, col.Default = !a.NotNull, a.Default
		out.Columns = append(out.Columns, col)
	}
	names := s.Key
	if len(names) == 0 {
		names = r.keyNames()
	}
	for _, name := range names {
		i := out.Index(name)
		if i < 0 && len(s.Key) > 0 {
			return nil, fmt.Errorf("key: table %s has no column %s that is replicated", r, name)
		}
		if i < 0 {
			out.Key = nil // half a key is none
			break
		}
		out.Key = append(out.Key, i)
	}
	r.setIndexes(out)
	out.KeyFull = len(out.Key) == 0 && r.Identity == identityFull
	return out, nil
}

// setIndexes tells a schema of the indexes.
func (r *relation) setIndexes(s *pipeline.Schema) {
	for _, x := range r.Indexes {
		out := pipeline.Index{Name: x.Name, Unique: x.Unique}
		for _, name := range x.Columns {
			i := s.Index(name)
			if i < 0 && x.Why == "" {
				x.Why = "a column of it is left out"
			}
			out.Columns = append(out.Columns, i)
		}
		if x.Why != "" {
			s.OtherIndexes = append(s.OtherIndexes, pipeline.OtherIndex{Name: x.Name, Why: x.Why})
			continue
		}
		s.Indexes = append(s.Indexes, out)
	}
}

// keyNames returns the columns by which updates and deletes name a row: those of the identity's
// index, else of the primary key.
func (r *relation) keyNames() []string {
	nums := r.Primary
	if r.Identity == identityIndex && len(r.Index) > 0 {
		nums = r.Index
	}
	var names []string
	for _, num := range nums {
		if a := r.attributeNum(num); a != nil {
			names = append(names, a.Name)
		}
	}
	return names
}
