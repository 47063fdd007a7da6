package postgres

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// Connection is how to reach a server: the block connection "postgres", and the attributes of a
// source that may come from one.
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
	AppName     string
}

// connectWithin bounds connecting where the DSN has no connect_timeout.
const connectWithin = 15 * time.Second

// When the kernel probes an idle connection, and after how many probes without an answer it ends it:
// a snapshot's connection whose server vanished would be read from for ever.
const (
	probeAfter = 20 * time.Second
	probeEvery = 5 * time.Second
	probes     = 6
)

// Spec describes the attributes.
func (c *Connection) Spec(b *spec.Block) {
	spec.Attr(b, "dsn", &c.DSN).Sensitive().Example(`env("DATABASE_URL")`).
		Doc("Connection string, as a URL or as keywords. The attributes below override parts of it.")
	spec.Attr(b, "host", &c.Host).Doc("Host name, address, or directory of a socket.")
	spec.Attr(b, "port", &c.Port).Range(1, 65535).Doc("Port; 5432 without it.")
	spec.Attr(b, "user", &c.User).Doc("Role; it needs REPLICATION, and SELECT on the tables for a snapshot.")
	spec.Attr(b, "password", &c.Password).Doc("Password.")
	spec.Attr(b, "database", &c.Database).Doc("Database.")
	spec.Attr(b, "sslmode", &c.SSLMode).OneOf("disable", "allow", "prefer", "require", "verify-ca", "verify-full").
		Doc("TLS mode; prefer without it, which does not protect against a forged server.")
	spec.Attr(b, "sslrootcert", &c.SSLRootCert).Doc("File with the certificates of the authorities to trust.")
	spec.Attr(b, "sslcert", &c.SSLCert).Doc("File with the client's certificate.")
	spec.Attr(b, "sslkey", &c.SSLKey).Doc("File with the client's key.")
	app := spec.Attr(b, "application_name", &c.AppName).Doc("Name shown in pg_stat_activity.")
	spec.Default(app, &c.AppName, "pipe")
}

// pinned are the settings that every connection has, whatever server, database or role say: those
// that change how values are printed, and timeouts that would end a long read.
func pinned() map[string]string {
	return map[string]string{
		"client_encoding":                     "UTF8",
		"datestyle":                           "ISO, YMD",
		"intervalstyle":                       "postgres",
		"bytea_output":                        "hex",
		"timezone":                            "UTC",
		"extra_float_digits":                  "3",
		"lc_monetary":                         "C",
		"statement_timeout":                   "0",
		"lock_timeout":                        "0",
		"idle_in_transaction_session_timeout": "0",
		"standard_conforming_strings":         "on",
	}
}

// config parses the connection's attributes. Its error never shows the DSN.
func (c *Connection) config() (*pgconn.Config, error) {
	cfg, err := pgconn.ParseConfig(c.text())
	if err != nil {
		return nil, fmt.Errorf("connection attributes: %s", withoutSecrets(err.Error(), c.DSN, c.Password))
	}
	for name, value := range pinned() {
		cfg.RuntimeParams[name] = value
	}
	if c.AppName != "" {
		cfg.RuntimeParams["application_name"] = c.AppName
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = connectWithin
	}
	dialer := &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: probeAfter, Interval: probeEvery, Count: probes}}
	cfg.DialFunc = dialer.DialContext
	return cfg, nil
}

// connect opens an ordinary connection.
func (c *Connection) connect(ctx context.Context) (*pgconn.PgConn, error) {
	cfg, err := c.config()
	if err != nil {
		return nil, err
	}
	conn, err := pgconn.ConnectConfig(ctx, cfg)
	return conn, c.connectError(err, cfg)
}

// connectReplication opens a connection that speaks the replication protocol. Its socket is read
// through the reader returned.
func (c *Connection) connectReplication(ctx context.Context) (*pgconn.PgConn, *socketReader, error) {
	cfg, err := c.config()
	if err != nil {
		return nil, nil, err
	}
	cfg.RuntimeParams["replication"] = "database"
	var socket *socketReader
	cfg.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		socket = newSocketReader(r)
		return pgproto3.NewFrontend(socket, w)
	}
	conn, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, nil, c.connectError(err, cfg)
	}
	return conn, socket, nil
}
