package server

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// postgresDefaults make a small server with logical decoding. fsync is off for speed: what is
// written survives a crash of the server but not of the machine.
var postgresDefaults = [...]string{
	"wal_level=logical", "max_replication_slots=40", "max_wal_senders=40", "max_prepared_transactions=20",
	"max_connections=150", "shared_buffers=64MB", "max_wal_size=2GB", "fsync=off", "listen_addresses=127.0.0.1",
	"log_min_messages=warning", "logging_collector=off",
}

// PostgresConfig says how to start a PostgreSQL server. The zero value is ready to use.
type PostgresConfig struct {
	Settings []string // "name=value", the value with or without quotes; the last of a name counts
	Port     int      // 0: a free one
	Dir      string   // where to keep the data and leave it; "": a temporary directory, removed by Close
	HBA      string   // content of pg_hba.conf; "": everybody on this machine is trusted
}

// Postgres is a running private PostgreSQL server. Not safe for concurrent use, but for the
// methods that only name it.
type Postgres struct {
	*instance
	BinDir    string // where psql, pg_recvlogical and the others lie
	DataDir   string
	SocketDir string
	Port      int
}

// StartPostgres makes a data directory where there is none, starts the newest installed PostgreSQL
// on it and waits until it accepts connections.
func StartPostgres(ctx context.Context, c PostgresConfig) (*Postgres, error) {
	bin, err := postgresBin()
	if err != nil {
		return nil, err
	}
	port, err := portOr(c.Port)
	if err != nil {
		return nil, err
	}
	as, err := accountFor("postgres")
	if err != nil {
		return nil, err
	}
	in, err := newInstance(c.Dir, "pipe-postgres-", as)
	if err != nil {
		return nil, err
	}
	p := &Postgres{instance: in, BinDir: bin, DataDir: filepath.Join(in.dir, "data"), SocketDir: in.dir, Port: port}
	if err = p.prepare(ctx, c); err == nil {
		err = p.Start(ctx)
	}
	if err != nil {
		return nil, in.failed("PostgreSQL on port "+strconv.Itoa(port), err)
	}
	return p, nil
}

// postgresBin returns the directory of the newest installed server binaries.
func postgresBin() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres") // the pattern is well-formed
	slices.SortFunc(found, func(a, b string) int { return debianVersion(a) - debianVersion(b) })
	if len(found) > 0 {
		return filepath.Dir(found[len(found)-1]), nil
	}
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		dir := strings.TrimSpace(string(out))
		if _, err := os.Stat(filepath.Join(dir, "postgres")); err == nil {
			return dir, nil
		}
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		return filepath.Dir(path), nil
	}
	return "", errors.New("PostgreSQL is not installed: run `make deps` (Debian: apt-get install postgresql)")
}

// debianVersion returns the 15 of /usr/lib/postgresql/15/bin/postgres.
func debianVersion(path string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
	return n
}

// prepare runs initdb where that was not done yet, and writes the settings.
func (p *Postgres) prepare(ctx context.Context, c PostgresConfig) error {
	if _, err := os.Stat(filepath.Join(p.DataDir, "PG_VERSION")); err != nil {
		cmd := exec.CommandContext(ctx, filepath.Join(p.BinDir, "initdb"), "-N", "-A", "trust", "-U", "postgres",
			"--locale=C.UTF-8", "-E", "UTF8", "-D", p.DataDir)
		cmd.Env, cmd.Dir = postgresEnv(), p.dir
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.as.credential()}
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("initdb: %w\n%s", err, out)
		}
	}
	conf, err := postgresConf(slices.Concat(postgresDefaults[:], c.Settings))
	if err != nil {
		return err
	}
	if err := p.write("postgresql.conf", conf); err != nil {
		return err
	}
	if c.HBA == "" {
		return nil
	}
	return p.write("pg_hba.conf", c.HBA)
}

// postgresConf renders "name=value" settings as a configuration file.
func postgresConf(settings []string) (string, error) {
	var b strings.Builder
	for _, s := range settings {
		name, value, ok := strings.Cut(s, "=")
		if !ok {
			return "", fmt.Errorf("setting %q: want name=value", s)
		}
		value = strings.Trim(strings.TrimSpace(value), "'")
		fmt.Fprintf(&b, "%s = '%s'\n", strings.TrimSpace(name), strings.ReplaceAll(value, "'", "''"))
	}
	return b.String(), nil
}

// write puts a file into the data directory.
func (p *Postgres) write(name, content string) error {
	path := filepath.Join(p.DataDir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		return err
	}
	return p.as.own(path)
}

// postgresEnv is our environment without what libpq would read from it.
func postgresEnv() []string {
	return slices.DeleteFunc(os.Environ(), func(s string) bool { return strings.HasPrefix(s, "PG") })
}

// Start starts a server that was stopped or killed, on the same port, and waits until it accepts
// connections.
func (p *Postgres) Start(ctx context.Context) error {
	cmd := exec.Command(filepath.Join(p.BinDir, "postgres"), "-D", p.DataDir, "-p", strconv.Itoa(p.Port),
		"-k", p.SocketDir)
	cmd.Env, cmd.Dir = postgresEnv(), p.dir
	proc, err := launch(cmd, p.as, syscall.SIGQUIT, &p.log)
	if err != nil {
		return err
	}
	p.proc = proc
	return proc.ready(ctx, func(ctx context.Context) error {
		conn, err := pgx.Connect(ctx, p.SocketDSN("postgres"))
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	})
}

// Stop ends the server: mode "fast" disconnects clients and writes a checkpoint, "immediate" ends
// as a crash would. It may be started again.
func (p *Postgres) Stop(mode string) error {
	switch mode {
	case "fast":
		return p.stop(syscall.SIGINT)
	case "immediate":
		return p.stop(syscall.SIGQUIT)
	}
	return fmt.Errorf("stop mode %q: want fast or immediate", mode)
}

// Close stops the server and removes its directory unless it was named by the caller.
func (p *Postgres) Close() error { return errors.Join(p.Stop("fast"), p.remove()) }

// DSN returns the URL of a database for the superuser over TCP.
func (p *Postgres) DSN(database string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%s?sslmode=disable", p.Port, url.PathEscape(database))
}

// SocketDSN returns the URL of a database for the superuser over the Unix socket.
func (p *Postgres) SocketDSN(database string) string {
	return fmt.Sprintf("postgres://postgres@/%s?host=%s&port=%d&sslmode=disable",
		url.PathEscape(database), url.QueryEscape(p.SocketDir), p.Port)
}
