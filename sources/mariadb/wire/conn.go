package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"
)

// Config says how to connect.
type Config struct {
	Host     string // name or address, or the path of a socket
	Port     int
	User     string
	Password string
	Database string
	TLS      *tls.Config   // nil: without TLS
	Prefer   bool          // without TLS where the server has none
	Timeout  time.Duration // of connecting and logging in
	Name     string        // program_name, shown by the server
}

// Conn is a connection. Not safe for concurrent use; Interrupt may be called by anybody.
type Conn struct {
	packets
	Version string // the server's
	ID      uint32 // the connection's number at the server
}

// Connect opens a connection and logs in, which go-mysql does: it knows every method of
// authentication. What follows is read and written here, without a further copy.
func Connect(ctx context.Context, c *Config) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	conn, err := c.login(ctx, c.TLS)
	if err != nil && c.TLS != nil && c.Prefer && noTLS(err) {
		conn, err = c.login(ctx, nil)
	}
	return conn, err
}

// login opens one connection and logs in over it.
func (c *Config) login(ctx context.Context, secure *tls.Config) (*Conn, error) {
	network, addr := "tcp", net.JoinHostPort(c.Host, strconv.Itoa(c.Port))
	if strings.HasPrefix(c.Host, "/") {
		network, addr, secure = "unix", c.Host, nil
	}
	var raw net.Conn
	dial := func(ctx context.Context, network, addr string) (_ net.Conn, err error) {
		raw, err = new(net.Dialer).DialContext(ctx, network, addr)
		return raw, err
	}
	stop := func() bool { return true }
	in, err := client.ConnectWithDialer(ctx, network, addr, c.User, c.Password, c.Database, dial, func(in *client.Conn) error {
		stop = context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) })
		c.prepare(in, secure)
		return nil
	})
	stopped := !stop()
	if err != nil {
		return nil, loginError(ctx, err)
	}
	if stopped {
		return nil, errors.Join(ctx.Err(), in.Close())
	}
	out := &Conn{Version: strings.TrimPrefix(in.GetServerVersion(), "5.5.5-"), ID: in.GetConnectionID()}
	out.packets = packets{Conn: in.Conn.Conn, buf: make([]byte, bufferSize)}
	return out, nil
}

// prepare sets what the login asks for: results as this package reads them.
func (c *Config) prepare(in *client.Conn, secure *tls.Config) {
	if secure != nil {
		in.SetTLSConfig(secure)
	}
	in.SetAttributes(map[string]string{"program_name": c.Name})
	in.UnsetCapability(mysql.CLIENT_DEPRECATE_EOF)
	in.UnsetCapability(mysql.CLIENT_QUERY_ATTRIBUTES)
}

// loginError returns the server's refusal as this package's type.
func loginError(ctx context.Context, err error) error {
	var refused *mysql.MyError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &refused):
		return &ServerError{Code: refused.Code, State: refused.State, Message: refused.Message}
	}
	return err
}

// noTLS reports whether a login failed since the server has no TLS. go-mysql has no type for it.
func noTLS(err error) bool { return strings.Contains(err.Error(), "does not support TLS") }

// Interrupt makes what the connection does, now and later, fail.
func (c *Conn) Interrupt() { _ = c.Conn.SetDeadline(time.Unix(1, 0)) }

// Close ends the connection.
func (c *Conn) Close() error {
	const quit = 1
	_ = c.Conn.SetDeadline(time.Now().Add(time.Second))
	_ = c.command(quit)
	return c.Conn.Close()
}
