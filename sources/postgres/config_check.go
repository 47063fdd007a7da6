package postgres

import (
	"fmt"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// maxName is the length of the server's names in bytes (NAMEDATALEN - 1).
const maxName = 63

// validName holds for the names of slots, and of publications that are created here: the
// replication protocol takes them unquoted in places.
func validName(name string) bool {
	bad := func(c rune) bool { return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' }
	return name != "" && len(name) <= maxName && strings.IndexFunc(name, bad) < 0
}

// check looks at the block without connecting.
func (c *Config) check(p *spec.Problems) {
	for _, n := range []struct{ attr, name string }{{"slot", c.Slot}, {"publication", c.Publication}} {
		if !validName(n.name) {
			p.Error(n.attr, fmt.Sprintf("%q cannot name a %s", n.name, n.attr),
				"Use lower case letters, digits and underscores, at most 63.")
		}
	}
	if c.DSN == "" && c.Host == "" {
		p.Error("dsn", "No server is given", `Set dsn = env("DATABASE_URL"), or host, user and database, or connection = connection.NAME.`)
		return
	}
	if _, err := newSettings(c); err != nil {
		p.Error("tables", "A table pattern is wrong", err.Error())
	}
	cfg, err := c.config()
	if err != nil {
		p.Error("dsn", "The connection attributes are wrong", err.Error())
		return
	}
	if c.fallsBack(cfg) {
		p.Warning("dsn", "sslmode is prefer: the connection may silently go without TLS",
			"Set sslmode to verify-full (or disable, where the network is trusted).")
	}
}
