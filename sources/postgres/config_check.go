package postgres

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

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

// fallsBack reports whether the connection may go over the network without TLS although nobody said so.
func (c *Connection) fallsBack(cfg *pgconn.Config) bool {
	if cfg.TLSConfig == nil || len(cfg.Fallbacks) == 0 {
		return false
	}
	local := cfg.Host == "localhost" || strings.HasPrefix(cfg.Host, "127.") || strings.HasPrefix(cfg.Host, "/")
	for _, f := range cfg.Fallbacks {
		if f.TLSConfig == nil {
			return !local
		}
	}
	return false
}

// urlText adds the attributes to a DSN that is a URL.
func (c *Connection) urlText(dsn string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		return dsn // the driver says what is wrong with it
	}
	q := u.Query()
	set := func(name, value string) {
		if value != "" {
			q.Set(name, value)
		}
	}
	set("host", c.Host)
	if c.Port != 0 {
		set("port", fmt.Sprint(c.Port))
	}
	set("user", c.User)
	set("password", c.Password.Reveal())
	set("dbname", c.Database)
	set("sslmode", c.SSLMode)
	set("sslrootcert", c.SSLRootCert)
	set("sslcert", c.SSLCert)
	set("sslkey", c.SSLKey)
	u.RawQuery = q.Encode()
	return u.String()
}

// withoutSecrets takes secrets out of a driver's message.
func withoutSecrets(text string, secrets ...spec.Secret) string {
	for _, s := range secrets {
		if s != "" {
			text = strings.ReplaceAll(text, s.Reveal(), s.String())
		}
	}
	return text
}

// errQuery is a failed query with what it was for.
func errQuery(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// execute runs statements whose results do not matter.
func execute(ctx context.Context, conn *pgconn.PgConn, what, sql string) error {
	return errQuery(what, conn.Exec(ctx, sql).Close())
}

// queryRow returns the first row of a query by the simple protocol, which replication connections
// need; nil where there is none. A NULL is "".
func queryRow(ctx context.Context, conn *pgconn.PgConn, what, sql string) ([]string, error) {
	results, err := conn.Exec(ctx, sql).ReadAll()
	if err != nil {
		return nil, errQuery(what, err)
	}
	if len(results) == 0 || len(results[0].Rows) == 0 {
		return nil, nil
	}
	row := make([]string, len(results[0].Rows[0]))
	for i, v := range results[0].Rows[0] {
		row[i] = string(v)
	}
	return row, nil
}
