package mariadb

import (
	"testing"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// TestEd25519 holds that an account with the plugin ed25519 reads snapshot and stream.
func TestEd25519(t *testing.T) {
	m := pipetest.MariaDB(t)
	db := m.Database(t)
	m.Exec(t, db, "INSTALL SONAME 'auth_ed25519'", "CREATE USER curve@'127.0.0.1' IDENTIFIED VIA ed25519 USING PASSWORD('a secret')",
		"GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO curve@'127.0.0.1'", "GRANT SELECT ON "+db+".* TO curve@'127.0.0.1'",
		"CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)")
	c := configFor(t, m, db)
	c.User, c.Password = "curve", "a secret"
	r := pipetest.Run(t, open(t, c), nil, nil)
	r.Out.WaitRows(t, 1)
	m.Exec(t, db, "INSERT INTO t VALUES (2)")
	wantRows(t, r, db, "read t (1)", "insert t (2)")
	r.Stop()
	c.Password = "another"
	if err := failing(t, c, nil); pipeline.ClassOf(err) != pipeline.Environment {
		t.Errorf("with a wrong password: %v", err)
	}
}
