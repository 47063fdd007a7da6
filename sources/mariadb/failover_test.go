package mariadb

import (
	"fmt"
	"testing"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// TestFailover holds that a position of one server is good on its replica once that has taken over,
// and refused there where the replica never had it.
func TestFailover(t *testing.T) {
	one := pipetest.MariaDB(t, "server_id=101")
	two := pipetest.MariaDB(t, "server_id=102", "log_slave_updates=ON")
	two.Exec(t, "", "RESET MASTER", fmt.Sprintf("CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = %d, MASTER_USER = 'pipe', "+
		"MASTER_PASSWORD = 'pipe', MASTER_USE_GTID = slave_pos", one.Port), "START SLAVE")
	one.Exec(t, "", "CREATE DATABASE shop", "CREATE TABLE shop.t (id int PRIMARY KEY)")
	c := configFor(t, one, "shop")
	c.Snapshot = policyNever
	r := pipetest.Run(t, open(t, c), nil, nil)
	r.Out.Wait(t, "the first mark", func(b []*pipeline.Batch) bool { return len(b) > 0 })
	one.Exec(t, "shop", "INSERT INTO t VALUES (1)")
	wantRows(t, r, "shop", "insert t (1)")
	r.Stop()
	one.Exec(t, "shop", "INSERT INTO t VALUES (2)")
	at := one.QueryText(t, "", "SELECT @@gtid_binlog_pos")[0][0]
	two.Exec(t, "", fmt.Sprintf("SELECT MASTER_GTID_WAIT('%s', 20)", at), "STOP SLAVE", "INSERT INTO shop.t VALUES (3)")
	next := configFor(t, two, "shop")
	again := pipetest.Run(t, open(t, next), r.Out.Checkpoint(), nil)
	wantRows(t, again, "shop", "insert t (2)", "insert t (3)")
	again.Stop()
	one.Exec(t, "shop", "INSERT INTO t VALUES (30)", "INSERT INTO t VALUES (31)")
	errant := pipeline.Checkpoint{binlogStream: positionAt(t, one.QueryText(t, "", "SELECT @@gtid_binlog_pos")[0][0])}
	two.Exec(t, "shop", "INSERT INTO t VALUES (4)", "INSERT INTO t VALUES (5)", "INSERT INTO t VALUES (6)")
	wantFailure(t, next, errant, "another history")
}
