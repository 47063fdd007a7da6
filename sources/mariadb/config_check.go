package mariadb

import (
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// check looks at the block without connecting.
func (c *Config) check(p *spec.Problems) {
	if c.DSN == "" && c.Host == "" {
		p.Error("dsn", "No server is given", `Set dsn = env("MARIADB_URL"), or host, user and password, or connection = connection.NAME.`)
		return
	}
	m, err := c.merged()
	if err != nil {
		p.Error("dsn", "The connection attributes are wrong", err.Error())
		return
	}
	if _, err := newSettings(c); err != nil {
		p.Error("tables", "A table pattern is wrong", err.Error())
	}
	if m.SSLMode == sslPrefer && !m.near() {
		p.Warning("dsn", "sslmode is prefer: the connection may silently go without TLS",
			"Set sslmode to verify-full (or disable, where the network is trusted).")
	}
}

// near reports whether the server is on this machine.
func (c *Connection) near() bool {
	return c.Host == "localhost" || c.Host == "::1" || len(c.Host) > 4 && c.Host[:4] == "127." || c.Host[0] == '/'
}
