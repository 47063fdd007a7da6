package mariadb

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/pipe-cdc/pipe/pipeline/spec"
	"github.com/pipe-cdc/pipe/sources/mariadb/wire"
)

// Connection is how to reach a server: the block connection "mariadb", and the attributes of a source
// that may come from one.
type Connection struct {
	DSN         spec.Secret
	Host        string
	Port        int
	User        string
	Password    spec.Secret
	Database    string
	SSLMode     string
	SSLRootCert string
	SSLCert     string
	SSLKey      string
}

const (
	connectWithin = 15 * time.Second
	defaultPort   = 3306
	programName   = "pipe"
)

// The TLS modes.
const (
	sslDisable = "disable"
	sslPrefer  = "prefer"
	sslRequire = "require"
	sslCA      = "verify-ca"
	sslFull    = "verify-full"
)

// Spec describes the attributes.
func (c *Connection) Spec(b *spec.Block) {
	spec.Attr(b, "dsn", &c.DSN).Sensitive().Example(`env("MARIADB_URL")`).
		Doc("The server as a URL: mariadb://user:password@host:3306/database?sslmode=verify-full. The attributes below override parts of it.")
	spec.Attr(b, "host", &c.Host).Doc("Host name, address, or path of a socket.")
	spec.Attr(b, "port", &c.Port).Range(1, 65535).Doc("Port; 3306 without it.")
	spec.Attr(b, "user", &c.User).Doc("Account; it needs REPLICATION SLAVE, BINLOG MONITOR, and SELECT on the tables.")
	spec.Attr(b, "password", &c.Password).Doc("Password.")
	spec.Attr(b, "database", &c.Database).Doc("The database of patterns that name none, such as \"orders\"; without it they mean every database.")
	spec.Attr(b, "sslmode", &c.SSLMode).OneOf(sslDisable, sslPrefer, sslRequire, sslCA, sslFull).
		Doc("TLS mode; prefer without it, which does not protect against a forged server.")
	spec.Attr(b, "sslrootcert", &c.SSLRootCert).Doc("File with the certificates of the authorities to trust.")
	spec.Attr(b, "sslcert", &c.SSLCert).Doc("File with the client's certificate.")
	spec.Attr(b, "sslkey", &c.SSLKey).Doc("File with the client's key.")
}

// merged returns the attributes with what the DSN says where they are silent.
func (c *Connection) merged() (Connection, error) {
	out := *c
	if c.DSN != "" {
		u, err := url.Parse(c.DSN.Reveal())
		if err != nil || u.Scheme != "mariadb" && u.Scheme != "mysql" {
			return out, errors.New("dsn is not of the form mariadb://user:password@host:port/database") // without the secret
		}
		if err := out.fromURL(u); err != nil {
			return out, err
		}
	}
	if out.Host == "" {
		return out, errors.New("no host is given")
	}
	if out.Port == 0 {
		out.Port = defaultPort
	}
	if out.SSLMode == "" {
		out.SSLMode = sslPrefer
	}
	return out, nil
}

func (c *Connection) fromURL(u *url.URL) error {
	first := func(p *string, v string) {
		if *p == "" {
			*p = v
		}
	}
	password, _ := u.User.Password()
	if c.Password == "" {
		c.Password = spec.Secret(password)
	}
	q := u.Query()
	host := u.Hostname()
	if host == "" {
		host = q.Get("socket")
	}
	first(&c.Host, host)
	first(&c.User, u.User.Username())
	first(&c.Database, strings.TrimPrefix(u.Path, "/"))
	first(&c.SSLMode, q.Get("sslmode"))
	first(&c.SSLRootCert, q.Get("sslrootcert"))
	first(&c.SSLCert, q.Get("sslcert"))
	first(&c.SSLKey, q.Get("sslkey"))
	if c.Port != 0 || u.Port() == "" {
		return nil
	}
	port, err := strconv.Atoi(u.Port())
	c.Port = port
	return err
}

// config builds what wire needs.
func (c *Connection) config() (*wire.Config, error) {
	m, err := c.merged()
	if err != nil {
		return nil, err
	}
	out := &wire.Config{Host: m.Host, Port: m.Port, User: m.User, Password: m.Password.Reveal(),
		Timeout: connectWithin, Name: programName, Prefer: m.SSLMode == sslPrefer}
	if m.SSLMode == sslDisable {
		return out, nil
	}
	out.TLS, err = m.tls()
	return out, err
}

func (c *Connection) tls() (*tls.Config, error) {
	t := &tls.Config{ServerName: c.Host, MinVersion: tls.VersionTLS12}
	if c.SSLRootCert != "" {
		pem, err := os.ReadFile(c.SSLRootCert)
		if err != nil {
			return nil, err
		}
		if t.RootCAs = x509.NewCertPool(); !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("sslrootcert %s has no certificate", c.SSLRootCert)
		}
	}
	if c.SSLCert != "" {
		pair, err := tls.LoadX509KeyPair(c.SSLCert, c.SSLKey)
		if err != nil {
			return nil, err
		}
		t.Certificates = []tls.Certificate{pair}
	}
	switch c.SSLMode {
	case sslPrefer, sslRequire:
		t.InsecureSkipVerify = true
	case sslCA:
		t.InsecureSkipVerify = true // the name; the chain is verified here
		t.VerifyConnection = verifyChain(t.RootCAs)
	}
	return t, nil
}

// verifyChain checks the server's certificate without its name.
func verifyChain(roots *x509.CertPool) func(tls.ConnectionState) error {
	return func(s tls.ConnectionState) error {
		between := x509.NewCertPool()
		for _, cert := range s.PeerCertificates[1:] {
			between.AddCert(cert)
		}
		_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
		return err
	}
}

// pinned are the settings of every connection, whatever the server's are: those that change what
// values look like, and timeouts that would end a long read or an idle connection.
const pinned = "SET SESSION time_zone = '+00:00', character_set_results = NULL, sql_mode = '', net_write_timeout = 600, " +
	"net_read_timeout = 600, wait_timeout = 86400, max_statement_time = 0, idle_transaction_timeout = 0, " +
	"idle_readonly_transaction_timeout = 0"

// connect opens a connection. Its error never shows the password.
func (c *Connection) connect(ctx context.Context) (*wire.Conn, error) {
	cfg, err := c.config()
	if err != nil {
		return nil, fmt.Errorf("connection attributes: %w", err)
	}
	conn, err := wire.Connect(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	if err := conn.Exec(ctx, pinned); err != nil {
		conn.Close()
		return nil, fmt.Errorf("connect: %w", err)
	}
	return conn, nil
}
