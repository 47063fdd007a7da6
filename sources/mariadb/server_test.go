package mariadb

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// TestDomains holds that positions of several replication domains rise, and that a start at any of
// them gives what comes after it.
func TestDomains(t *testing.T) {
	db := maria.Database(t)
	maria.Exec(t, db, "CREATE TABLE t (id int PRIMARY KEY AUTO_INCREMENT, v text)")
	at := maria.QueryText(t, "", "SELECT @@gtid_binlog_pos")[0][0]
	first := pipeline.Checkpoint{binlogStream: positionAt(t, at)}
	c := configFor(t, maria, db)
	r := pipetest.Run(t, open(t, c), first, nil)
	const rows = 12
	for i := range rows {
		maria.Exec(t, db, fmt.Sprintf("SET gtid_domain_id = %d", i%3*7), fmt.Sprintf("INSERT INTO t (v) VALUES ('%d')", i))
	}
	r.Out.WaitRows(t, rows)
	r.Out.Wait(t, "the last mark", func(b []*pipeline.Batch) bool { return len(b[len(b)-1].Marks) > 0 })
	r.Stop()
	want := r.Out.Rows()
	seen := 0
	var last pipeline.Position
	for _, b := range r.Out.Batches() {
		if b.Stream != binlogStream {
			continue
		}
		for _, m := range b.Marks {
			if m.Pos <= last {
				t.Errorf("mark %q after %q", m.Pos, last)
			}
			last = m.Pos
		}
		if seen += len(b.Rows); seen%4 != 0 || len(b.Marks) == 0 {
			continue
		}
		again := pipetest.Run(t, open(t, c), pipeline.Checkpoint{binlogStream: last}, nil)
		again.Out.WaitRows(t, rows-seen)
		again.Stop()
		have := slices.Sorted(slices.Values(again.Out.Rows())) // the server interleaves domains as its log does
		if diff := cmp.Diff(slices.Sorted(slices.Values(want[seen:])), have); diff != "" {
			t.Errorf("after %d rows (-want +have):\n%s", seen, diff)
		}
	}
}

// TestEngines holds that tables without transactions, savepoints and tables made by a query end
// their groups.
func TestEngines(t *testing.T) {
	db := maria.Database(t)
	maria.Exec(t, db, "CREATE TABLE m (id int PRIMARY KEY) ENGINE MyISAM", "CREATE TABLE t (id int PRIMARY KEY)")
	r := streaming(t, db, nil)
	maria.Exec(t, db, "INSERT INTO m VALUES (1), (2)", "BEGIN", "INSERT INTO t VALUES (1)", "SAVEPOINT s", "INSERT INTO t VALUES (2)", "ROLLBACK TO s",
		"INSERT INTO t VALUES (3)", "COMMIT", "BEGIN", "INSERT INTO t VALUES (4)", "INSERT INTO m VALUES (3)", "ROLLBACK", "CREATE TABLE u SELECT * FROM t")
	wantRows(t, r, db, "insert m (1)", "insert m (2)", "insert t (1)", "insert t (3)", "insert m (3)", "insert u (1)", "insert u (3)")
	r.Stop()
}

// TestLargeValues holds that rows of several packets come whole, in snapshot and stream.
func TestLargeValues(t *testing.T) {
	m := pipetest.MariaDB(t, "max_allowed_packet=256M", "innodb_log_file_size=256M")
	db := m.Database(t)
	m.Exec(t, db, "CREATE TABLE t (id int PRIMARY KEY, v longblob)", "INSERT INTO t VALUES (1, repeat('x', 40000000))")
	r := pipetest.Run(t, open(t, configFor(t, m, db)), nil, nil)
	r.Out.WaitRows(t, 1)
	m.Exec(t, db, "INSERT INTO t VALUES (2, repeat('y', 16777215)), (3, repeat('z', 33554400))")
	r.Out.WaitRows(t, 3)
	r.Stop()
	var sizes []int
	for _, b := range r.Out.Batches() {
		for i := range b.Rows {
			v := b.Rows[i].Values[1].Bytes()
			sizes = append(sizes, len(v))
			if strings.Count(string(v[:100]), string(v[:1])) != 100 || v[0] != v[len(v)-1] {
				t.Errorf("row %d is damaged", i)
			}
		}
	}
	if diff := cmp.Diff([]int{40000000, 16777215, 33554400}, sizes); diff != "" {
		t.Error(diff)
	}
}

// certificate writes a self-signed certificate for 127.0.0.1 and its key.
func certificate(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	bytes, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: bytes}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func TestTLS(t *testing.T) {
	dir, err := os.MkdirTemp("", "pipe-tls-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // the server has its own account
		t.Fatal(err)
	}
	cert, key := certificate(t, dir)
	m := pipetest.MariaDB(t, "ssl_cert="+cert, "ssl_key="+key, "require_secure_transport=ON")
	db := m.Database(t)
	for _, mode := range []string{sslPrefer, sslRequire, sslCA, sslFull} {
		c := configFor(t, m, db)
		c.SSLMode, c.SSLRootCert = mode, cert
		conn, err := c.connect(t.Context())
		if err != nil {
			t.Errorf("%s: %v", mode, err)
			continue
		}
		rows, err := conn.Query(t.Context(), "SHOW STATUS LIKE 'Ssl_cipher'")
		if err != nil || rows[0][1].Text == "" {
			t.Errorf("%s: not over TLS: %v, %v", mode, rows, err)
		}
		conn.Close()
	}
	c := configFor(t, m, db)
	if _, err := c.connect(t.Context()); err == nil {
		t.Error("a server that requires TLS took a connection without")
	}
	if c.SSLMode = sslFull; c.reachable(t) {
		t.Error("an unknown authority was trusted")
	}
	c.SSLRootCert, c.Host = cert, "localhost"
	if c.reachable(t) {
		t.Error("a certificate for another name was trusted")
	}
}

func (c *Config) reachable(t *testing.T) bool {
	conn, err := c.connect(t.Context())
	if err == nil {
		conn.Close()
	}
	return err == nil
}
