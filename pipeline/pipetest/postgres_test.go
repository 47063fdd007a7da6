package pipetest

import (
	"os"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var pg *PG

func TestMain(m *testing.M) { os.Exit(RunWithPostgres(m, &pg)) }

func TestPostgresDatabaseIsDroppedWithItsSlots(t *testing.T) {
	var dsn string
	t.Run("use", func(t *testing.T) {
		dsn = pg.Database(t)
		Exec(t, dsn, "SELECT pg_create_logical_replication_slot('dropped_with_db', 'pgoutput')",
			"CREATE TABLE a (id int)", "BEGIN", "INSERT INTO a VALUES (1)", "PREPARE TRANSACTION 'left over'")
	})
	admin := pg.DSN("postgres")
	if got := QueryText(t, admin, "SELECT slot_name FROM pg_replication_slots"); len(got) != 0 {
		t.Errorf("slots left: %v", got)
	}
	if got := QueryText(t, admin, "SELECT datname FROM pg_database WHERE datname LIKE 'test%'"); len(got) != 0 {
		t.Errorf("databases left after %s: %v", dsn, got)
	}
}

func TestPostgresRestarts(t *testing.T) {
	p := Postgres(t, "wal_sender_timeout=3s", "fsync=on")
	dsn := p.Database(t)
	Exec(t, dsn, "CREATE TABLE a (id int, note text)", "INSERT INTO a VALUES (1, NULL)")
	p.Restart(t, "fast")
	p.Restart(t, "immediate")
	p.Kill(t)
	p.StartAgain(t)
	want := [][]string{{"1", "NULL", "3s", "on"}}
	got := QueryText(t, dsn, "SELECT *, current_setting('wal_sender_timeout'), current_setting('fsync') FROM a")
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if got := QueryText(t, p.SocketDSN("postgres"), "SELECT $1::int + 1", 41); got[0][0] != "42" {
		t.Errorf("over the socket: %v", got)
	}
}

func TestPostgresLeavesNothing(t *testing.T) {
	var pid int
	var dir string
	t.Run("use", func(t *testing.T) {
		p := Postgres(t)
		pid, dir = p.Pid(), p.DataDir
	})
	if err := syscall.Kill(pid, 0); err == nil {
		t.Errorf("process %d still runs", pid)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Errorf("%s still exists", dir)
	}
}
