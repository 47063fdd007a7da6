package mariadb

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// TestOthersDoNotWait holds that while a large table is read the changes of another come as soon as
// without, about.
func TestOthersDoNotWait(t *testing.T) {
	db := maria.Database(t)
	maria.Exec(t, db, "CREATE TABLE a (id int PRIMARY KEY, v varchar(200))", "CREATE TABLE b (id int PRIMARY KEY AUTO_INCREMENT, v varchar(20))")
	c := configFor(t, maria, db)
	o := newOracle()
	r := startLive(t, c, db, nil, o)
	r.streaming()
	maria.Exec(t, db, "INSERT INTO a SELECT seq, repeat('x', 100) FROM seq_1_to_200000")
	r.fence()
	if err := r.source.Ask(t.Context(), snapshot.Request{Table: "a", Reason: snapshot.ForRequest}); err != nil {
		t.Fatal(err)
	}
	worst, n, asked := time.Duration(0), 0, time.Now()
	for ; r.open() && n < 200; n++ {
		begin := time.Now()
		maria.Exec(t, db, "INSERT INTO b VALUES (NULL, 'x')")
		r.until("row", func() bool {
			o.mu.Lock()
			defer o.mu.Unlock()
			_, ok := o.state[fmt.Sprintf("%s.b/id=%d", db, n+1)]
			return ok
		})
		worst = max(worst, time.Since(begin))
	}
	r.until("end", func() bool { return !r.open() })
	took := time.Since(asked)
	t.Logf("%d rows of b while a was read in %v, the slowest after %v", n, took, worst)
	if worst > max(2*time.Second, took/2) {
		t.Errorf("a row came after %v", worst)
	}
	if e := r.entry("a"); e.Rows != 200_000 {
		t.Errorf("%+v", e)
	}
	r.Stop()
}

// TestPreparedInTheWindow holds that XA transactions, which are logged before they are to be seen, do not
// make a chunk bring old rows.
func TestPreparedInTheWindow(t *testing.T) {
	db := maria.Database(t)
	maria.Exec(t, db, "CREATE TABLE a (id int PRIMARY KEY, v varchar(20))", "INSERT INTO a SELECT seq, 's' FROM seq_0_to_199")
	c := configFor(t, maria, db)
	c.ChunkRows, c.Workers = 10, 3
	o := newOracle()
	o.strict = true
	r := startLive(t, c, db, nil, o)
	r.streaming()
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for w := range 3 {
		writers.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				var sql strings.Builder
				for i := range 40 {
					x, id := fmt.Sprintf("'%s-%d-%d'", db, w, n*40+i), (n*40+i)*7%66*3+w
					fmt.Fprintf(&sql, "XA START %[1]s; UPDATE a SET v = 'x%[2]d' WHERE id = %[3]d; XA END %[1]s; XA PREPARE %[1]s; XA COMMIT %[1]s;", x, n, id)
				}
				_, _ = maria.Query(t.Context(), db, sql.String())
			}
		})
	}
	for begin := time.Now(); o.count() < 300 && time.Since(begin) < 20*time.Second && len(o.failures()) == 0; {
		r.ask(snapshot.Request{Table: "a", Reason: snapshot.ForRequest})
	}
	stop()
	writers.Wait()
	r.fence()
	r.Stop()
	t.Logf("%d chunks", o.count())
	o.check(t, r.image("a"))
}

// TestLossyStatement holds that a table whose rows changed without being in the log is read again, where
// its policy says so.
func TestLossyStatement(t *testing.T) {
	db := maria.Database(t)
	maria.Exec(t, db, "CREATE TABLE a (id int PRIMARY KEY, v varchar(20)) PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (100), "+
		"PARTITION p1 VALUES LESS THAN MAXVALUE)", "INSERT INTO a SELECT seq, 's' FROM seq_1_to_300")
	c := configFor(t, maria, db)
	c.Snapshot, c.ChunkRows = policyWhenNeeded, 50
	o := newOracle()
	r := startLive(t, c, db, nil, o)
	r.streaming()
	maria.Exec(t, db, "ALTER TABLE a TRUNCATE PARTITION p0", "INSERT INTO a VALUES (7, 'x')", "SET binlog_format = 'STATEMENT'; UPDATE a SET v = 'y' WHERE id > 200")
	r.until("snapshot", func() bool { return r.entry("a").Request.Reason == snapshot.ForLost && !r.open() })
	r.fence()
	r.Stop()
	o.check(t, r.image("a"))
	if o.swept < 1 {
		t.Error("nothing was swept")
	}
}
