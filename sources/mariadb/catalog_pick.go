package mariadb

import (
	"fmt"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline/match"
)

// picker decides which tables a source reads.
type picker struct {
	Database string // of patterns that name none; "": any
	Named    bool   // a pattern names a database
	Tables   *match.Set
	Exclude  *match.Set
}

// only returns the one database that has all the tables; "": there may be several.
func (p picker) only() string {
	if p.Named {
		return ""
	}
	return p.Database
}

// namesDatabase reports whether a pattern says which database it means.
func namesDatabase(pattern string) bool { return strings.ContainsAny(pattern, ".~") }

// pick is what a picker decided about one table.
type pick struct {
	*relation
	Taken bool
	Why   string // `tables pattern "shop.*"`, `exclude "shop.audit"`, "not matched", "a view", ...
}

// pick decides about every table of the catalogue, in its order.
func (p picker) pick(c *catalog) []pick {
	out := make([]pick, len(c.Relations))
	for i, r := range c.Relations {
		taken, why := p.taken(r)
		out[i] = pick{relation: r, Taken: taken, Why: why}
	}
	return out
}

func (p picker) taken(r *relation) (bool, string) {
	why, ok := p.named(r.Database, r.Name)
	if !ok {
		return false, why
	}
	switch r.Kind {
	case "BASE TABLE":
		return true, why
	case "VIEW", "SYSTEM VIEW":
		return false, "a view: it has no changes of its own"
	case "SEQUENCE":
		return false, "a sequence"
	case "SYSTEM VERSIONED":
		return false, "a system-versioned table: its log has old versions of rows as rows"
	}
	return false, "of a kind that is not read: " + r.Kind
}

func (p picker) named(database, name string) (why string, ok bool) {
	pattern, ok := p.Tables.Match(database, "", name)
	if !ok {
		return "not matched", false
	}
	if p.Database != "" && database != p.Database && !namesDatabase(pattern) {
		return fmt.Sprintf("tables pattern %q names no database, and this is not %s", pattern, p.Database), false
	}
	if pattern, ok := p.Exclude.Match(database, "", name); ok {
		return fmt.Sprintf("exclude %q", pattern), false
	}
	return fmt.Sprintf("tables pattern %q", pattern), true
}

func (p picker) wants(database, name string) bool {
	_, ok := p.named(database, name)
	return ok
}
