package postgres

import (
	"net"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// farConn is a connection without TLS to somewhere else.
type farConn struct {
	net.Conn
	addr net.Addr
}

func (f farConn) RemoteAddr() net.Addr { return f.addr }

func TestPlainConnection(t *testing.T) {
	t.Setenv("PGSSLMODE", "")
	far := &net.TCPAddr{IP: net.IPv4(10, 1, 2, 3), Port: 5432}
	for _, x := range []struct {
		c    Connection
		addr net.Addr
		want bool
	}{
		{Connection{DSN: "postgres://me@db/shop"}, far, true},
		{Connection{Host: "db"}, far, true},
		{Connection{Host: "db", SSLMode: "disable"}, far, false},
		{Connection{DSN: "postgres://me@db/shop?sslmode=prefer"}, far, false},
		{Connection{DSN: "host=db sslmode=disable"}, far, false},
		{Connection{Host: "db"}, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, false},
		{Connection{Host: "db"}, &net.TCPAddr{IP: net.ParseIP("::ffff:127.0.0.1")}, false},
		{Connection{Host: "db"}, &net.TCPAddr{IP: net.IPv6loopback}, false},
		{Connection{Host: "/run"}, &net.UnixAddr{Name: "/run/.s.PGSQL.5432", Net: "unix"}, false},
	} {
		mine, theirs := net.Pipe()
		theirs.Close()
		conn, err := pgconn.Construct(&pgconn.HijackedConn{Conn: farConn{mine, x.addr}, Config: parsed(t, &x.c)})
		if err != nil {
			t.Fatal(err)
		}
		if got := x.c.plain(conn); got != x.want {
			t.Errorf("host %q, sslmode %q, to %v: %v", x.c.Host, x.c.SSLMode, x.addr, got)
		}
	}
}

func parsed(t *testing.T, c *Connection) *pgconn.Config {
	t.Helper()
	cfg, err := c.config()
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestFallsBack(t *testing.T) {
	t.Setenv("PGSSLMODE", "")
	for dsn, want := range map[spec.Secret]bool{
		"postgres://me@db/shop": true, "postgres://me@127.0.0.1/shop": false, "host=/run user=me": false,
		"postgres://me@db/shop?sslmode=require": false, "postgres://me@db/shop?sslmode=disable": false,
	} {
		c := Connection{DSN: dsn}
		if got := c.fallsBack(parsed(t, &c)); got != want {
			t.Errorf("%s: %v", dsn.Reveal(), got)
		}
	}
}
