package postgres

import (
	"net"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// Target says where rows go; see spec.Targeter.
func (c *Config) Target() spec.Target {
	return spec.Target{Servers: c.servers(), What: "table", Attr: "into", Merge: c.Merge, Merges: "merge",
		Name: func(s *pipeline.Schema) (string, error) {
			n, err := c.targetName(s)
			return n.schema + "." + n.table, err
		}}
}

// servers are the hosts of the connection string, each with the database.
func (c *Config) servers() []string {
	if c.DSN == "" {
		return nil
	}
	cfg, err := pgconn.ParseConfig(c.DSN.Reveal())
	if err != nil {
		return nil
	}
	database := cfg.Database
	if database == "" {
		database = cfg.User
	}
	out := []string{serverAt(cfg.Host, cfg.Port, database)}
	for _, f := range cfg.Fallbacks {
		out = append(out, serverAt(f.Host, f.Port, database))
	}
	return out
}

func serverAt(host string, port uint16, database string) string {
	host = strings.ToLower(host)
	if host == "localhost" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, strconv.Itoa(int(port))) + "/" + database
}
