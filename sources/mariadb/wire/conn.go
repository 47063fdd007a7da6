package wire

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// The capabilities of client and server.
const (
	capLongPassword    = 1 << 0
	capLongFlag        = 1 << 2
	capConnectWithDB   = 1 << 3
	capProtocol41      = 1 << 9
	capSSL             = 1 << 11
	capTransactions    = 1 << 13
	capSecureAuth      = 1 << 15
	capMultiResults    = 1 << 17
	capPluginAuth      = 1 << 19
	capConnectAttrs    = 1 << 20
	capPluginAuthLenec = 1 << 21
)

// collation is that of the login: utf8mb4_general_ci.
const collation = 45

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
	config  *Config
	local   bool // over a socket of this machine
	secure  bool // over TLS
}

// Connect opens a connection and logs in.
func Connect(ctx context.Context, c *Config) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	network, addr := "tcp", net.JoinHostPort(c.Host, strconv.Itoa(c.Port))
	if strings.HasPrefix(c.Host, "/") {
		network, addr = "unix", c.Host
	}
	var d net.Dialer
	raw, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	conn := &Conn{config: c, local: network == "unix"}
	conn.packets = packets{Conn: raw, buf: make([]byte, bufferSize)}
	stop := context.AfterFunc(ctx, conn.Interrupt)
	err = conn.login()
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		raw.Close()
		return nil, err
	}
	return conn, raw.SetDeadline(time.Time{})
}

// Interrupt makes what the connection does, now and later, fail.
func (c *Conn) Interrupt() { _ = c.Conn.SetDeadline(time.Unix(1, 0)) }

// Close ends the connection.
func (c *Conn) Close() error {
	const quit = 1
	_ = c.Conn.SetDeadline(time.Now().Add(time.Second))
	_ = c.command(quit)
	return c.Conn.Close()
}

// greeting is the server's first message.
type greeting struct {
	capabilities uint32
	scramble     []byte
	plugin       string
}

func (c *Conn) login() error {
	p, err := c.next()
	if err != nil {
		return err
	}
	g, err := c.greeting(p)
	if err != nil {
		return err
	}
	flags := uint32(capLongPassword|capLongFlag|capProtocol41|capTransactions|capSecureAuth|capMultiResults|
		capPluginAuth|capConnectAttrs|capPluginAuthLenec) & g.capabilities
	if c.config.Database != "" {
		flags |= capConnectWithDB
	}
	if flags, err = c.encrypt(g, flags); err != nil {
		return err
	}
	answer, err := c.answer(g.plugin, g.scramble)
	if err != nil { // the server says which method the account has
		answer = nil
	}
	if err := c.write(c.response(flags, g.plugin, answer)); err != nil {
		return err
	}
	return c.authenticate(g)
}

func (c *Conn) greeting(p []byte) (g greeting, err error) {
	if len(p) > 0 && p[0] == msgError {
		return g, parseError(p)
	}
	end := bytes.IndexByte(p, 0)
	const fixed = 4 + 8 + 1 + 2 + 1 + 2 + 2 + 1 + 10
	if len(p) == 0 || p[0] != 10 || end < 0 || len(p) < end+1+fixed {
		return g, fmt.Errorf("%w: no greeting of protocol 10", ErrProtocol)
	}
	c.Version = strings.TrimPrefix(string(p[1:end]), "5.5.5-")
	rest := p[end+1:]
	c.ID = binary.LittleEndian.Uint32(rest)
	g.scramble = bytes.Clone(rest[4:12])
	g.capabilities = uint32(binary.LittleEndian.Uint16(rest[13:])) | uint32(binary.LittleEndian.Uint16(rest[18:]))<<16
	size := max(13, int(rest[20])-8)
	rest = rest[fixed:]
	g.scramble = append(g.scramble, rest[:min(len(rest), size)]...)
	g.scramble = g.scramble[:min(len(g.scramble), scrambleSize)]
	if len(rest) > size {
		g.plugin, _, _ = strings.Cut(string(rest[size:]), "\x00")
	}
	if g.capabilities&capProtocol41 == 0 || len(g.scramble) < scrambleSize {
		return g, fmt.Errorf("%w: the server is too old", ErrProtocol)
	}
	return g, nil
}

// encrypt begins TLS where it is wanted and there.
func (c *Conn) encrypt(g greeting, flags uint32) (uint32, error) {
	if c.config.TLS == nil || c.local {
		return flags, nil
	}
	if g.capabilities&capSSL == 0 {
		if c.config.Prefer {
			return flags, nil
		}
		return 0, errors.New("the server has no TLS")
	}
	flags |= capSSL
	if err := c.write(loginHead(flags)); err != nil {
		return 0, err
	}
	secured := tls.Client(c.Conn, c.config.TLS)
	if err := secured.Handshake(); err != nil {
		return 0, fmt.Errorf("TLS: %w", err)
	}
	c.Conn, c.secure = secured, true
	return flags, nil
}

func loginHead(flags uint32) []byte {
	head := make([]byte, 32)
	binary.LittleEndian.PutUint32(head, flags)
	binary.LittleEndian.PutUint32(head[4:], maxPayload)
	head[8] = collation
	return head
}

// response is the login message.
func (c *Conn) response(flags uint32, plugin string, answer []byte) []byte {
	out := append(loginHead(flags), c.config.User...)
	out = append(out, 0, byte(len(answer)))
	out = append(out, answer...)
	if flags&capConnectWithDB != 0 {
		out = append(append(out, c.config.Database...), 0)
	}
	if flags&capPluginAuth != 0 {
		out = append(append(out, plugin...), 0)
	}
	if flags&capConnectAttrs != 0 {
		attrs := appendShort(appendShort(nil, "program_name"), c.config.Name)
		out = append(append(out, byte(len(attrs))), attrs...)
	}
	return out
}

// appendShort appends a text of at most 100 bytes with its length.
func appendShort(dst []byte, s string) []byte {
	s = s[:min(len(s), 100)]
	return append(append(dst, byte(len(s))), s...)
}
