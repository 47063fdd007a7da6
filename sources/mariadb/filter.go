package mariadb

import (
	"fmt"

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
