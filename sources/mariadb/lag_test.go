package mariadb

import (
	"testing"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/sources/mariadb/binlog"
)

func TestLagBytes(t *testing.T) {
	files := []logFile{{"b.999998", 100}, {"b.999999", 200}, {"b.1000000", 50}}
	for _, x := range []struct {
		read  logFile
		files []logFile
		want  int64
	}{
		{logFile{"b.999998", 40}, files, 310},
		{logFile{"b.999999", 200}, files, 50},
		{logFile{"b.1000000", 50}, files, 0},
		{logFile{"b.1000000", 70}, files, 0}, // read on since the look
		{logFile{"b.1000001", 4}, files, 0},
		{logFile{"b.000001", 4}, files, -1}, // its size was not asked for
		{logFile{}, files, -1},
		{logFile{"b.999999", 4}, nil, -1},
	} {
		var l lag
		l.emitted(x.read.name, x.read.size)
		l.ended(x.files)
		if n := l.bytes(); n != x.want {
			t.Errorf("read %v: %d bytes behind, want %d", x.read, n, x.want)
		}
	}
}

// TestFollow holds that places in files beyond 4 GiB, and events without a place, are followed.
func TestFollow(t *testing.T) {
	s := &stream{}
	for _, x := range []struct {
		h    binlog.Header
		open bool
		want int64
	}{
		{binlog.Header{Type: binlog.GTIDEvent, End: 0xffff_fff0, Size: 40}, true, 0xffff_fff0},
		{binlog.Header{Type: binlog.TableMapEvent, Size: 0x20}, true, 0x1_0000_0010},
		{binlog.Header{Type: binlog.XIDEvent, End: 0x30, Size: 0x20}, true, 0x1_0000_0030},
		{binlog.Header{Type: binlog.HeartbeatEvent, End: 7, Size: 40}, false, 0x1_0000_0030},
		{binlog.Header{Type: binlog.FormatEvent, Size: 100}, false, 0x1_0000_0030},
		{binlog.Header{Type: binlog.GTIDListEvent, End: 9, Size: 100, Flags: binlog.FlagArtificial}, false, 0x1_0000_0030},
	} {
		s.group.open = x.open
		if s.follow(&x.h); s.at != x.want {
			t.Errorf("after %+v at %x, want %x", x.h, s.at, x.want)
		}
	}
}

// TestReport holds that a source behind says by how much, over several files, and one that has read
// everything that it is not behind, without waiting for the server to say so.
func TestReport(t *testing.T) {
	db := maria.Database(t)
	maria.Exec(t, db, "CREATE TABLE t (id int PRIMARY KEY, v mediumtext)", "FLUSH BINARY LOGS")
	from := pipeline.Checkpoint{binlogStream: positionAt(t, maria.QueryText(t, "", "SELECT @@gtid_binlog_pos")[0][0])}
	const rows, size = 40, 100_000
	maria.Exec(t, db, "INSERT INTO t SELECT seq, repeat('x', 100000) FROM seq_1_to_20", "FLUSH BINARY LOGS",
		"INSERT INTO t SELECT seq, repeat('x', 100000) FROM seq_21_to_40")
	c := configFor(t, maria, db)
	c.Heartbeat = time.Minute
	s := open(t, c).(*Source)
	out := &pipetest.Collect{}
	out.Hold()
	r := pipetest.Run(t, s, from, out)
	report := func(what string, ok func(pipeline.Report) bool) {
		t.Helper()
		for end := time.Now().Add(90 * time.Second); !ok(s.Report()); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: %+v", what, s.Report())
			}
		}
	}
	report("held up", func(r pipeline.Report) bool {
		return r.LagBytes > rows/4*size && r.LagBytes < 2*rows*size && r.LagTime >= 0 && r.Phase == phaseStreaming
	})
	out.Release()
	r.Out.WaitRows(t, rows)
	report("at the end", func(r pipeline.Report) bool { return r.LagBytes == 0 && r.LagTime == 0 })
	maria.Exec(t, db, "INSERT INTO t VALUES (1000, '')")
	r.Out.WaitRows(t, rows+1)
	report("after one more", func(r pipeline.Report) bool { return r.LagBytes == 0 && r.LagTime == 0 })
	r.Stop()
}
