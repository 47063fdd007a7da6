package mariadb

import (
	"testing"
	"time"

	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// TestIdleServer holds that chunks do not wait for somebody to write something, whether the source began
// at the log's end, behind a rotation, or with a snapshot.
func TestIdleServer(t *testing.T) {
	db := maria.Database(t)
	maria.Exec(t, db, "CREATE TABLE a (id int PRIMARY KEY, v varchar(20))", "INSERT INTO a SELECT seq, 's' FROM seq_1_to_500")
	c := configFor(t, maria, db)
	c.Heartbeat = time.Minute
	o := newOracle()
	r := startLive(t, c, db, nil, o)
	r.streaming()
	ask := func(what string) {
		t.Helper()
		begin := time.Now()
		r.ask(snapshot.Request{Table: "a", Reason: snapshot.ForRequest})
		if took := time.Since(begin); took > c.Heartbeat*2/3 || r.entry("a").Rows != 500 {
			t.Errorf("%s: %v, %+v", what, took, r.entry("a"))
		}
	}
	ask("at first")
	maria.Exec(t, db, "FLUSH BINARY LOGS")
	ask("after a rotation")
	from := r.Out.Checkpoint()
	r.Stop()
	r = startLive(t, c, db, from, o)
	r.streaming()
	ask("after a restart")
	r.Stop()
	maria.Exec(t, db, "FLUSH BINARY LOGS", "FLUSH BINARY LOGS")
	r = startLive(t, c, db, from, o)
	ask("after a restart behind rotations")
	maria.Exec(t, db, "CREATE USER idle@localhost", "DROP USER idle@localhost")
	ask("after statements without rows")
	r.Stop()
}
