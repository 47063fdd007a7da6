package mariadb

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/pipe-cdc/pipe/sources/mariadb/binlog"
)

// TestStreamAllocations holds that a row costs no allocation from its event to its batch, and a
// transaction hardly one: headers and positions are allocated many at once.
func TestStreamAllocations(t *testing.T) {
	db := maria.Database(t)
	maria.Exec(t, db, "CREATE TABLE t (id int PRIMARY KEY, v varchar(90), d decimal(12,2), e datetime(6))")
	c := configFor(t, maria, db)
	c.Snapshot, c.Heartbeat = policyNever, 100*time.Millisecond
	for _, sql := range []string{
		"INSERT INTO t VALUES (1, 'text', 1.5, now(6))",
		"INSERT INTO t SELECT seq, 'text', seq / 7, now(6) FROM seq_10_to_3000",
		"UPDATE t SET v = concat(v, 'x') WHERE id > 1",
	} {
		at, events := captured(t, c, db, sql)
		out := newDiscard()
		s := unconnected(t, c, at, out)
		i := 0
		for binlog.EventType(events[i][4]) != binlog.GTIDEvent {
			if err := s.event(events[i]); err != nil {
				t.Fatal(err)
			}
			i++
		}
		group := events[i:]
		begin := bytes.Clone(group[0])
		seq := binary.LittleEndian.Uint64(bodyOf(begin))
		run := func() {
			for _, e := range group {
				if err := s.event(e); err != nil {
					t.Fatal(err)
				}
			}
			seq++
			binary.LittleEndian.PutUint64(begin[binlog.HeaderSize:], seq)
			group[0] = made(begin, binlog.GTIDEvent, bodyOf(begin))
		}
		for range 30 {
			run()
		}
		if n := testing.AllocsPerRun(50, run); n > 3 { // two are this test's own
			t.Errorf("%.40s: %v allocations for a transaction", sql, n)
		}
	}
}
