package mariadb

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// TestSnapshotThenStreamIsExact holds that a snapshot that is read in parallel while others write,
// with the changes after it, gives the table's final state: nothing missing, nothing twice.
func TestSnapshotThenStreamIsExact(t *testing.T) {
	for _, c := range []struct{ name, user string }{{"commits held", "pipe"}, {"without RELOAD", "limited"}} {
		t.Run(c.name, func(t *testing.T) { snapshotExact(t, c.user) })
	}
}

func snapshotExact(t *testing.T, user string) {
	db := maria.Database(t)
	maria.Exec(t, db, "CREATE TABLE a (id int PRIMARY KEY, v text)", "INSERT INTO a SELECT seq, 'start' FROM seq_1_to_20000", "ANALYZE TABLE a",
		"CREATE TABLE b (k varchar(20) PRIMARY KEY, v text)", "INSERT INTO b SELECT concat('k', seq), 'start' FROM seq_1_to_500",
		"CREATE OR REPLACE USER limited@'127.0.0.1' IDENTIFIED BY 'limited'", "GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO limited@'127.0.0.1'",
		"GRANT SELECT ON "+db+".* TO limited@'127.0.0.1'", "CREATE TABLE fence (id int PRIMARY KEY)")
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for w := range 3 {
		writers.Go(func() { write(ctx, t, db, uint64(w)) })
	}
	c := configFor(t, maria, db)
	if user == "limited" {
		c.User, c.Password = user, "limited"
	}
	c.Workers, c.ChunkRows = 3, 1000
	r := pipetest.Run(t, open(t, c), nil, nil)
	r.Out.Wait(t, "streaming", func(batches []*pipeline.Batch) bool {
		return len(batches) > 0 && batches[len(batches)-1].Stream == binlogStream && len(batches[len(batches)-1].Rows) > 0
	})
	stop()
	writers.Wait()
	maria.Exec(t, db, "INSERT INTO fence VALUES (1)")
	r.Out.Wait(t, "the fence", func(batches []*pipeline.Batch) bool {
		for _, b := range batches {
			for i := range b.Rows {
				if b.Rows[i].Schema.Table == "fence" {
					return true
				}
			}
		}
		return false
	})
	r.Stop()
	have := map[string]string{}
	streams := map[pipeline.Stream]bool{}
	for _, b := range r.Out.Batches() {
		streams[b.Stream] = true
		for i := range b.Rows {
			apply(t, have, &b.Rows[i])
		}
	}
	if len(streams) < 4 {
		t.Errorf("%d streams: the snapshot was not cut", len(streams))
	}
	want := map[string]string{"fence/1": ""}
	for _, row := range maria.QueryText(t, db, "SELECT concat('a/', id), v FROM a UNION ALL SELECT concat('b/', k), v FROM b") {
		want[row[0]] = row[1]
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("(-want +have):\n%.3000s", diff)
	}
}

// write changes rows until ctx ends.
func write(ctx context.Context, t *testing.T, db string, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 3))
	for n := 0; ctx.Err() == nil; n++ {
		var sql strings.Builder
		for range 50 {
			id := rnd.IntN(30000)
			fmt.Fprintf(&sql, "BEGIN; REPLACE INTO a VALUES (%d, 'w%d'); DELETE FROM a WHERE id = %d; COMMIT;", id, n, rnd.IntN(30000))
			fmt.Fprintf(&sql, "INSERT INTO b VALUES ('k%d', 'w') ON DUPLICATE KEY UPDATE v = concat('u', %d);", rnd.IntN(900), n)
			fmt.Fprintf(&sql, "UPDATE a SET id = id + 100000 WHERE id = %d;", rnd.IntN(30000))
		}
		_, _ = maria.Query(ctx, db, sql.String()) // a deadlock or a duplicate ends the batch
	}
}

// apply applies a row exactly: an insert of a row that is there is as wrong as a delete of one that is not.
func apply(t *testing.T, state map[string]string, r *pipeline.Row) {
	t.Helper()
	name := func(v []pipeline.Value) string { return r.Schema.Table + "/" + v[0].String() }
	if r.Before != nil {
		if _, ok := state[name(r.Before)]; !ok {
			t.Fatalf("%s: there is no such row", pipetest.RowText(r))
		}
		delete(state, name(r.Before))
	}
	if r.Values == nil {
		return
	}
	if _, ok := state[name(r.Values)]; ok {
		t.Fatalf("%s: the row is there already", pipetest.RowText(r))
	}
	value := ""
	if len(r.Values) > 1 {
		value = r.Values[1].String()
	}
	state[name(r.Values)] = value
}

// TestSnapshotAgain holds that a snapshot that was not finished starts over under other streams, and
// declares the earlier one's rows void.
func TestSnapshotAgain(t *testing.T) {
	db := maria.Database(t)
	maria.Exec(t, db, "CREATE TABLE a (id int PRIMARY KEY)", "INSERT INTO a SELECT seq FROM seq_1_to_100")
	c := configFor(t, maria, db)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &pipetest.Collect{MaxRows: 10, OnEmit: func(b *pipeline.Batch) error {
		if len(b.Rows) > 0 {
			cancel()
		}
		return nil
	}}
	if err := open(t, c).Run(ctx, nil, out); err == nil {
		t.Fatal("the snapshot was finished")
	}
	c.Snapshot = policyOnly
	again := &pipetest.Collect{}
	if err := open(t, c).Run(t.Context(), out.Checkpoint(), again); err != nil {
		t.Fatal(err)
	}
	voids, reads := 0, 0
	for _, b := range again.Batches() {
		for i := range b.Rows {
			switch {
			case b.Rows[i].Op == pipeline.Truncate && b.Rows[i].Flags == pipeline.Again:
				voids++
			case b.Rows[i].Op == pipeline.Read && voids == 1:
				reads++
			}
		}
	}
	if voids != 1 || reads != 100 {
		t.Errorf("%d rows declared void, %d read after", voids, reads)
	}
	if cp := again.Checkpoint(); len(cp) != 2 || cp[binlogStream] == "" || cp[snapshot.TableStream(db+".a")] == "" {
		t.Errorf("checkpoint %v", cp)
	}
}
