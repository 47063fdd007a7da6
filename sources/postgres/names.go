package postgres

import (
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/match"
)

// Names returns the patterns of the tables; see spec.Namer.
func (c *Config) Names() []*pipeline.Schema {
	own := "*"
	if cfg, err := pgconn.ParseConfig(c.DSN.Reveal()); err == nil && c.DSN != "" && cfg.Database != "" {
		own = cfg.Database
	}
	var out []*pipeline.Schema
	for _, pattern := range c.Include {
		database, schema, table, ok := match.Names(pattern)
		if !ok {
			continue
		}
		if database == "*" {
			database = own
		}
		out = append(out, &pipeline.Schema{System: pipeline.PostgreSQL, Database: database, Namespace: schema, Table: table})
	}
	return out
}
