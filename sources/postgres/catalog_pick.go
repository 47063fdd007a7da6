package postgres

import (
	"fmt"

	"github.com/pipe-cdc/pipe/pipeline/match"
)

// picker decides which relations a source reads.
type picker struct {
	Tables  *match.Set // nil: every table
	Exclude *match.Set // nil: none
}

// pick is what a picker decided about one relation.
type pick struct {
	*relation
	Taken bool
	Why   string // `tables pattern "public.*"`, `exclude "public.audit"`, "not matched", "a view", ...
}

// pick decides about every relation of the catalogue, in its order. A partition below a taken
// partitioned table is not taken: its rows come under that table.
func (p picker) pick(c *catalog) []pick {
	out := make([]pick, len(c.Relations))
	for i, r := range c.Relations {
		taken, why := p.taken(c.Database, r)
		out[i] = pick{relation: r, Taken: taken, Why: why}
	}
	return out
}

func (p picker) taken(database string, r *relation) (bool, string) {
	why, ok := p.named(database, r)
	if !ok {
		return false, why
	}
	switch r.Kind {
	case kindView, kindMatview:
		return false, "a view: it has no changes of its own"
	case kindForeign:
		return false, "a foreign table: its changes are not in this server's WAL"
	}
	if r.Unlogged {
		return false, "unlogged: its changes are not in the WAL"
	}
	for root := r.Parent; root != nil; root = root.Parent {
		if _, ok := p.named(database, root); ok {
			return false, fmt.Sprintf("a partition of %s", root)
		}
	}
	return true, why
}

func (p picker) named(database string, r *relation) (why string, ok bool) {
	why = "every table"
	if p.Tables != nil {
		pattern, ok := p.Tables.Match(database, r.Namespace, r.Name)
		if !ok {
			return "not matched", false
		}
		why = fmt.Sprintf("tables pattern %q", pattern)
	}
	if p.Exclude != nil {
		if pattern, ok := p.Exclude.Match(database, r.Namespace, r.Name); ok {
			return fmt.Sprintf("exclude %q", pattern), false
		}
	}
	return why, true
}

// wants is for loadCatalog: the relations that the patterns name. The database's name is not known
// before the catalogue is read, so the caller gives it.
func (p picker) wants(database string) func(*relation) bool {
	return func(r *relation) bool {
		_, ok := p.named(database, r)
		return ok
	}
}
