package postgres

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipe-cdc/pipe/pipeline"
)

// How often a slot in use is looked at, how long asking to cancel a command may take, how often it is
// asked, and how long it then may take to end.
const (
	standbyPoll  = 500 * time.Millisecond
	cancelWithin = 5 * time.Second
	cancelTries  = 5
	cancelPause  = 500 * time.Millisecond
)

// slot is a replication slot as pg_replication_slots shows it.
type slot struct {
	Plugin, Type, Database string
	Active                 bool
	PID                    string
	Confirmed              uint64 // 0: the slot is being made, or its maker died
	WALStatus              string // "" before PostgreSQL 13
	Failover               bool
}

// loadSlot returns the slot of that name, nil where there is none.
func loadSlot(ctx context.Context, conn *pgconn.PgConn, name string) (*slot, error) {
	row, err := queryRow(ctx, conn, "read the replication slot", `SELECT plugin, slot_type, database, active, active_pid,
		confirmed_flush_lsn, to_jsonb(s)->>'wal_status', to_jsonb(s)->>'failover'
		FROM pg_catalog.pg_replication_slots s WHERE slot_name = `+quoteLiteral(name))
	if err != nil || row == nil {
		return nil, err
	}
	s := &slot{Plugin: row[0], Type: row[1], Database: row[2], Active: row[3] == "t", PID: row[4],
		WALStatus: row[6], Failover: row[7] == "true"}
	if row[5] != "" {
		s.Confirmed, err = parseLSN(row[5])
	}
	return s, err
}

// refuse returns why changes cannot be read from the slot, nil if they can.
func (s *slot) refuse(c *Config, database string) error {
	switch {
	case s.Type != "logical" || s.Plugin != "pgoutput":
		return failed(pipeline.Environment, "Set slot to another name",
			"slot %s is a %s slot of plugin %q, a logical one of pgoutput is needed", c.Slot, s.Type, s.Plugin)
	case s.Database != database:
		return failed(pipeline.Environment, "Set slot to another name",
			"slot %s belongs to database %s, not %s", c.Slot, s.Database, database)
	case s.WALStatus == slotLost:
		return failed(pipeline.Environment, c.lostHint(), "slot %s is lost: the server removed WAL that it "+
			"needs (max_slot_wal_keep_size)", c.Slot)
	}
	return nil
}

// slotLost is the wal_status of a slot whose WAL is gone.
const slotLost = "lost"

// ours reports whether it is a slot as we make them, though its WAL may be gone.
func (s *slot) ours(database string) bool {
	return s.Type == "logical" && s.Plugin == "pgoutput" && s.Database == database
}

// awaitSlot waits while another process uses the slot: a standby takes over when that one ends. It
// returns nil where there is no such slot. The lock that it takes is held until the stream runs or the
// connection ends: a slot is in use only once its stream runs, not while its first snapshot is taken.
func (r *runner) awaitSlot(ctx context.Context) (*slot, error) {
	polls := max(1, int(r.config.Standby/standbyPoll))
	for i := 0; ; i++ {
		pid, err := lockSlot(ctx, r.admin, r.config.Slot)
		if err != nil {
			return nil, err
		}
		s, err := loadSlot(ctx, r.admin, r.config.Slot)
		if err != nil {
			return nil, err
		}
		if pid == "" && s != nil && s.Active {
			pid = s.PID
		}
		if pid == "" {
			return s, nil
		}
		r.expel(ctx)
		if i == 0 {
			r.source.enter("standby")
			r.env.Log.Info("the slot is in use, waiting as standby", "slot", r.config.Slot, "pid", pid)
		}
		if i >= polls {
			return nil, failed(pipeline.Retryable, "Stop the process that reads the slot, or give this source "+
				"its own slot",
				"slot %s is in use by the process with pid %s", r.config.Slot, pid)
		}
		if err := pause(ctx, standbyPoll); err != nil {
			return nil, err
		}
	}
}

// lockSlot takes the advisory lock that stands for the use of a slot by pipe. It returns the server process that has it where that is another one.
func lockSlot(ctx context.Context, conn *pgconn.PgConn, slot string) (pid string, err error) {
	h := fnv.New64a()
	h.Write([]byte("pipe slot " + slot)) // never fails
	key := h.Sum64()
	row, err := queryRow(ctx, conn, "lock the replication slot", fmt.Sprintf(`SELECT pg_catalog.pg_try_advisory_lock(%d),
		(SELECT min(pid) FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND granted AND classid = %d AND objid = %d
			AND objsubid = 1 AND pid <> pg_catalog.pg_backend_pid())`, int64(key), key>>32, uint32(key)))
	if err != nil || len(row) < 2 || row[0] == "t" {
		return "", err
	}
	if row[1] == "" {
		row[1] = "unknown" // it ended in between
	}
	return row[1], nil
}

// unlockSlot gives the lock back once the slot is in use. The server ends the stream of a process that
// hangs and frees its slot, but it would not end an idle session, and a standby would wait for ever.
func unlockSlot(ctx context.Context, conn *pgconn.PgConn) error {
	return execute(ctx, conn, "unlock the replication slot", "SELECT pg_catalog.pg_advisory_unlock_all()")
}

// made is a slot just created.
type made struct {
	At       uint64 // its consistent point
	Snapshot string // the name of the exported snapshot, valid until the connection's next command
}

// createSlot creates a slot on the replication connection. It waits for the transactions that are
// open, within slot_timeout.
func (r *runner) createSlot(ctx context.Context, name string, temporary, export bool) (made, error) {
	sql := "CREATE_REPLICATION_SLOT " + quoteName(name)
	if temporary {
		sql += " TEMPORARY"
	}
	sql += " LOGICAL pgoutput"
	if export {
		sql += " EXPORT_SNAPSHOT"
	} else {
		sql += " NOEXPORT_SNAPSHOT"
	}
	row, err := r.replicationCommand(ctx, sql)
	if err != nil {
		return made{}, err
	}
	m := made{Snapshot: row[2]}
	m.At, err = parseLSN(row[1])
	r.env.Log.Info("created a replication slot", "slot", name, "lsn", row[1], "temporary", temporary)
	return m, err
}

// replicationCommand runs a command that may wait, and cancels it at the server when it takes too
// long or ctx ends: closing the connection would leave the walsender waiting with the slot half made.
func (r *runner) replicationCommand(ctx context.Context, sql string) ([]string, error) {
	limited, cancel := context.WithTimeout(ctx, r.config.SlotTimeout)
	defer cancel()
	ended := make(chan struct{})
	var canceller sync.WaitGroup
	canceller.Go(func() { r.cancelAfter(limited, ended) })
	row, err := queryRow(context.WithoutCancel(ctx), r.repl, "create the replication slot", sql)
	close(ended)
	canceller.Wait()
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil && limited.Err() != nil {
		return nil, r.blocked(ctx)
	}
	return row, err
}

// cancelAfter cancels the replication connection's command once limited is over, again and again: a
// server that has not begun the command yet ignores it. When that does not help it breaks the connection.
func (r *runner) cancelAfter(limited context.Context, ended <-chan struct{}) {
	select {
	case <-ended:
		return
	case <-limited.Done():
	}
	for range cancelTries {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(limited), cancelWithin)
		_ = r.repl.CancelRequest(ctx)
		cancel()
		select {
		case <-ended:
			return
		case <-time.After(cancelPause):
		}
	}
	_ = r.repl.Conn().SetDeadline(time.Unix(1, 0))
}

// blocked names what a slot's creation waits for.
func (r *runner) blocked(ctx context.Context) error {
	row, err := queryRow(ctx, r.admin, "find what blocks the slot", `SELECT coalesce(string_agg(what, ', '), 'nothing that this role may see') FROM (
		SELECT 'transaction of pid ' || pid || ' since ' || xact_start::timestamptz(0) AS what FROM pg_catalog.pg_stat_activity
			WHERE backend_xid IS NOT NULL AND pid <> pg_catalog.pg_backend_pid()
		UNION ALL SELECT 'prepared transaction ' || quote_literal(gid) FROM pg_catalog.pg_prepared_xacts) b`)
	if err != nil {
		return err
	}
	return failed(pipeline.Retryable, "End those transactions (SELECT pg_terminate_backend(pid); ROLLBACK "+
		"PREPARED 'gid'), or raise slot_timeout",
		"creating slot %s took longer than %v: it waits for every transaction that was open before: "+
			"%s", r.config.Slot, r.config.SlotTimeout, row[0])
}

// dropSlot drops the source's slot.
func (r *runner) dropSlot(ctx context.Context) error {
	return execute(ctx, r.admin, "drop the replication slot",
		"SELECT pg_catalog.pg_drop_replication_slot("+quoteLiteral(r.config.Slot)+")")
}

// creates reports whether the configuration lets what ("slot", "publication") be created.
func (c *Config) creates(what string) bool { return slices.Contains(c.Create, what) }

// missingSlot says that there is no slot and none may be made.
func (c *Config) missingSlot() error {
	return failed(pipeline.Environment, fmt.Sprintf("SELECT pg_create_logical_replication_slot(%s, 'pgoutput'), "+
		"or create = [\"slot\"]", quoteLiteral(c.Slot)),
		"replication slot %s does not exist", c.Slot)
}

// pause sleeps for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
