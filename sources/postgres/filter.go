package postgres

import (
	"fmt"
	"slices"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/expr"
)

// compileWhere compiles the table's where for a schema of it; nil where it has none.
func compileWhere(t *table, schema *pipeline.Schema) (*expr.Where, error) {
	if !t.Where.IsSet() {
		return nil, nil
	}
	w, err := expr.CompileWhere(t.Where.Syntax, schema, t.Where.Ctx)
	if err != nil {
		return nil, fmt.Errorf("where of table %s: %w", t, err)
	}
	return w, nil
}

// publicationFilter renders the table's where as a publication's row filter; "" where PostgreSQL does not allow
// it: for updates and deletes it may read columns of the replica identity only.
func publicationFilter(t *table) string {
	sql, err := t.filter.Program.PublicationSQL()
	if err != nil {
		return ""
	}
	for _, i := range t.filter.Program.Columns() {
		name := t.Schema.Columns[i].Name
		if t.Identity != identityFull && !slices.Contains(t.keyNames(), name) {
			return ""
		}
	}
	return sql
}
