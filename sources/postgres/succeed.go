package postgres

import (
	"context"
	"fmt"
	"hash/fnv"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipe-cdc/pipe/pipeline"
)

// Where the processes of a pipeline take turns, the sessions that keep others from the slot hold an advisory
// lock with the number of their process's turn. A process that hangs keeps its sessions: who has a later turn
// ends them.

var _ pipeline.Successor = (*Source)(nil)

// Succeed implements pipeline.Successor.
func (s *Source) Succeed(term int64) { s.term = term }

// turns is the first part of the keys of these locks.
func (r *runner) turns() uint32 {
	h := fnv.New32a()
	h.Write([]byte("pipe turn " + r.env.Pipeline + "\x00" + r.config.Slot)) // never fails
	return h.Sum32()
}

// sign marks a session as one of this process's turn.
func (r *runner) sign(ctx context.Context, conn *pgconn.PgConn) error {
	if r.source.term == 0 {
		return nil
	}
	return execute(ctx, conn, "mark the session", fmt.Sprintf("SELECT pg_catalog.pg_advisory_lock_shared(%d, %d)",
		int32(r.turns()), int32(r.source.term)))
}

// expel ends the sessions of earlier turns. Where the role may not, they are waited for.
func (r *runner) expel(ctx context.Context) {
	if r.source.term == 0 {
		return
	}
	row, err := queryRow(ctx, r.admin, "end the sessions of a process that hangs", fmt.Sprintf(`SELECT
		count(pg_catalog.pg_terminate_backend(pid)) FROM (SELECT DISTINCT pid FROM pg_catalog.pg_locks
		WHERE locktype = 'advisory' AND granted AND objsubid = 2 AND classid = %d AND objid < %d AND database =
		(SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())) s`, r.turns(), uint32(r.source.term)))
	switch {
	case err != nil:
		r.env.Log.Warn("the process that had the pipeline before hangs, and its sessions cannot be ended", "error", err)
	case row[0] != "0":
		r.env.Log.Warn("ended the sessions of the process that had the pipeline before and hangs", "sessions", row[0])
	}
}
