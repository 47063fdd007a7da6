package postgres

import (
	"crypto/tls"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

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

// modeGiven reports whether somebody said which TLS mode to use.
func (c *Connection) modeGiven() bool {
	return c.SSLMode != "" || strings.Contains(c.DSN.Reveal(), "sslmode") || os.Getenv("PGSSLMODE") != ""
}

// The finding about a connection that ended up without TLS.
const (
	plainSummary = "the connection is not encrypted: sslmode was not given and the server does not offer TLS"
	plainFix     = `sslmode = "verify-full" (or "disable", where the network is trusted)`
)

// plain reports whether the connection goes over a network without TLS although nobody said so.
func (c *Connection) plain(conn *pgconn.PgConn) bool {
	_, encrypted := conn.Conn().(*tls.Conn)
	return !encrypted && !c.modeGiven() && !loopback(conn.Conn().RemoteAddr())
}

// loopback reports whether an address lies on this machine.
func loopback(a net.Addr) bool {
	if a.Network() == "unix" {
		return true
	}
	at, err := netip.ParseAddrPort(a.String())
	return err == nil && at.Addr().Unmap().IsLoopback()
}
