package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// mariadbDefaults make a small server that logs rows with their columns' names. Nothing is synced
// to disk for speed: what is written survives a crash of the server but not of the machine.
var mariadbDefaults = [...]string{
	"bind_address=127.0.0.1", "skip_name_resolve=ON", "server_id=1", "log_bin=binlog", "binlog_format=ROW",
	"binlog_row_image=FULL", "binlog_row_metadata=FULL", "gtid_strict_mode=ON", "max_connections=150",
	"character_set_server=utf8mb4", "innodb_buffer_pool_size=64M", "innodb_log_file_size=32M",
	"innodb_flush_log_at_trx_commit=0", "sync_binlog=0", "performance_schema=OFF",
}

// mariadbHandshake is the protocol version that opens the first packet of a server that accepts
// connections (after four bytes of header).
const mariadbHandshake = 10

// MariaDBConfig says how to start a MariaDB server. The zero value is ready to use.
type MariaDBConfig struct {
	Settings []string // "name=value" as in my.cnf; the last of a name counts
	Port     int      // 0: a free one
	Dir      string   // where to keep the data and leave it; "": a temporary directory, removed by Close
}

// MariaDB is a running private MariaDB server. The user pipe with the password pipe may do
// everything over TCP, root without a password over the socket. Not safe for concurrent use, but
// for the methods that only name it.
type MariaDB struct {
	*instance
	DataDir string
	Socket  string
	Port    int

	bin, client string
}

// StartMariaDB makes a data directory where there is none, starts the installed MariaDB on it and
// waits until it accepts connections.
func StartMariaDB(ctx context.Context, c MariaDBConfig) (*MariaDB, error) {
	bin, install, client, err := mariadbBin()
	if err != nil {
		return nil, err
	}
	port, err := portOr(c.Port)
	if err != nil {
		return nil, err
	}
	as, err := accountFor("mysql")
	if err != nil {
		return nil, err
	}
	in, err := newInstance(c.Dir, "pipe-mariadb-", as)
	if err != nil {
		return nil, err
	}
	m := &MariaDB{
		instance: in, DataDir: filepath.Join(in.dir, "data"), Socket: filepath.Join(in.dir, "sock"),
		Port: port, bin: bin, client: client,
	}
	if err = m.prepare(ctx, install, c.Settings); err == nil {
		err = m.Start(ctx)
	}
	if err != nil {
		return nil, in.failed("MariaDB on port "+strconv.Itoa(port), err)
	}
	return m, nil
}

// mariadbBin finds the server, the program that makes its data directory, and the client.
func mariadbBin() (server, install, client string, err error) {
	for _, p := range []struct {
		at   *string
		name string
	}{{&server, "mariadbd"}, {&install, "mariadb-install-db"}, {&client, "mariadb"}} {
		if *p.at, err = lookSbin(p.name); err != nil {
			return "", "", "", fmt.Errorf("MariaDB is not installed (no %s): run `make deps` "+
				"(Debian: apt-get install mariadb-server)", p.name)
		}
	}
	return server, install, client, nil
}

// lookSbin is exec.LookPath that also looks where an ordinary user's PATH does not.
func lookSbin(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	return exec.LookPath(filepath.Join("/usr/sbin", name))
}

// prepare writes the settings, and makes the system tables where that was not done yet.
func (m *MariaDB) prepare(ctx context.Context, install string, settings []string) error {
	conf := "[mariadbd]\n" + strings.Join(slices.Concat(mariadbDefaults[:], settings), "\n") + "\n"
	users := "CREATE USER IF NOT EXISTS pipe@'127.0.0.1' IDENTIFIED BY 'pipe';\n" +
		"GRANT ALL ON *.* TO pipe@'127.0.0.1' WITH GRANT OPTION;\n"
	for name, content := range map[string]string{"my.cnf": conf, "users.sql": users} {
		if err := os.WriteFile(filepath.Join(m.dir, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	if _, err := os.Stat(filepath.Join(m.DataDir, "mysql")); err == nil {
		return nil
	}
	cmd := exec.CommandContext(ctx, install, "--no-defaults", "--datadir="+m.DataDir, "--skip-test-db",
		"--auth-root-authentication-method=normal", "--skip-name-resolve")
	cmd.Dir, cmd.Env = m.dir, m.env()
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: m.as.credential()}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mariadb-install-db: %w\n%s", err, out)
	}
	return nil
}

// env is our environment without what the server and its client would read from it. Temporary tables lie
// in the server's own directory: a server that starts removes those that it finds, whoever made them.
func (m *MariaDB) env() []string {
	return append(slices.DeleteFunc(os.Environ(), func(s string) bool {
		return strings.HasPrefix(s, "MYSQL_") || strings.HasPrefix(s, "TMPDIR=")
	}), "TMPDIR="+m.dir)
}

// Start starts a server that was stopped or killed, on the same port, and waits until it accepts
// connections.
func (m *MariaDB) Start(ctx context.Context) error {
	cmd := exec.Command(m.bin, "--defaults-file="+filepath.Join(m.dir, "my.cnf"), "--datadir="+m.DataDir,
		"--socket="+m.Socket, "--pid-file="+filepath.Join(m.dir, "pid"), "--port="+strconv.Itoa(m.Port),
		"--init-file="+filepath.Join(m.dir, "users.sql"))
	cmd.Env, cmd.Dir = m.env(), m.dir
	proc, err := launch(cmd, m.as, syscall.SIGKILL, &m.log)
	if err != nil {
		return err
	}
	m.proc = proc
	return proc.ready(ctx, func(ctx context.Context) error { return mariadbGreets(ctx, m.Port) })
}

// mariadbGreets reports nil when the server sends its handshake.
func mariadbGreets(ctx context.Context, port int) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", loopback(port))
	if err != nil {
		return err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	var head [5]byte
	if _, err := conn.Read(head[:]); err != nil {
		return err
	}
	if head[4] != mariadbHandshake {
		return errors.New("no handshake yet")
	}
	return nil
}

// Stop ends the server in order. It may be started again.
func (m *MariaDB) Stop() error { return m.stop(syscall.SIGTERM) }

// Close stops the server and removes its directory unless it was named by the caller.
func (m *MariaDB) Close() error { return errors.Join(m.Stop(), m.remove()) }

// DSN returns the URL of a database for the user pipe over TCP.
func (m *MariaDB) DSN(database string) string {
	return fmt.Sprintf("mysql://pipe:pipe@127.0.0.1:%d/%s", m.Port, url.PathEscape(database))
}

// Query runs statements by the server's own command line client, as root, and returns the rows they
// yield: tab-separated values with \t \n \\ escaped, NULL as NULL, one row a line.
func (m *MariaDB) Query(ctx context.Context, database, sql string) (string, error) {
	cmd := exec.CommandContext(ctx, m.client, "--no-defaults", "--socket="+m.Socket, "--user=root", "--batch",
		"--skip-column-names", "--default-character-set=utf8mb4", "--binary-mode", database)
	cmd.Env, cmd.Stdin = m.env(), strings.NewReader(sql)
	var out, fault bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &fault
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("mariadb: %w: %s", err, strings.TrimSpace(fault.String()))
	}
	return out.String(), nil
}
