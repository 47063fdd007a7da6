package mariadb

import (
	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/match"
)

// Names returns the patterns of the tables; see spec.Namer.
func (c *Config) Names() []*pipeline.Schema {
	own := "*"
	if m, err := c.merged(); err == nil && m.Database != "" {
		own = m.Database
	}
	var out []*pipeline.Schema
	for _, pattern := range c.Include {
		_, database, table, ok := match.Names(pattern)
		if !ok {
			continue
		}
		if database == "*" {
			database = own
		}
		out = append(out, &pipeline.Schema{System: pipeline.MariaDB, Database: database, Table: table})
	}
	return out
}
