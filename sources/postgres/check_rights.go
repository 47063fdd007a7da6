package postgres

import (
	"fmt"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/match"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// mayPublish returns why the role cannot create the publication, nil if it can: that takes CREATE on
// the database and the ownership of every table (CREATE PUBLICATION, notes).
func (r *runner) mayPublish(tables []*table) error {
	sql := "CREATE PUBLICATION " + quoteName(r.config.Publication) + " FOR TABLE " + r.members(tables)
	if !r.server.Creates {
		return failed(pipeline.Environment, fmt.Sprintf("GRANT CREATE ON DATABASE %s TO %s; or, as another "+
			"role: %s",
			quoteName(r.server.Database), quoteName(r.server.Role), sql),
			"role %s may not create the publication: it has no CREATE on database "+
				"%s", r.server.Role, r.server.Database)
	}
	for _, t := range tables {
		if !t.Owned {
			return failed(pipeline.Environment, "As the tables' owner: "+sql,
				"role %s may not create the publication: it does not own %s", r.server.Role, t.relation)
		}
	}
	return nil
}

// unmatched warns about patterns that name no table: most often they are misspelt.
func (c *Config) unmatched(cat *catalog) []spec.Finding {
	var out []spec.Finding
	for _, pattern := range c.Include {
		set, err := match.New([]string{pattern})
		if err != nil || len(c.Include) == 1 {
			continue // the settings say what is wrong with it; a single one leaves no table at all
		}
		found := false
		for _, r := range cat.Relations {
			_, ok := set.Match(cat.Database, r.Namespace, r.Name)
			found = found || ok
		}
		if !found {
			out = append(out, spec.Finding{Severity: spec.Warning, Code: codeUnmatched, Attr: "tables",
				Summary: fmt.Sprintf("no table of database %s matches %q", cat.Database, pattern),
				Detail:  "or exclude names all that do", Fix: "pipe tables shows what is there"})
		}
	}
	return out
}
