package postgres

import (
	"context"
	"fmt"
	"hash/fnv"

	"github.com/pipe-cdc/pipe/pipeline"
)

// Where the processes of a pipeline take turns, the sessions that write hold an advisory lock with the number of
// their process's turn. A process that hangs may have a transaction open, whose locks would keep its successor
// from the same rows: who has a later turn ends those sessions.

var _ pipeline.Successor = (*Sink)(nil)

// Succeed implements pipeline.Successor.
func (s *Sink) Succeed(term int64) { s.term = term }

// turns is the first part of the keys of these locks.
func (s *state) turns() uint32 {
	h := fnv.New32a()
	h.Write([]byte("pipe turn " + s.schema + "\x00" + s.pipeline + "\x00" + s.sink)) // never fails
	return h.Sum32()
}

// sign marks a session as one of this process's turn.
func (s *Sink) sign(ctx context.Context, c *conn) error {
	if s.term == 0 {
		return nil
	}
	return c.run(ctx, fmt.Sprintf("SELECT pg_catalog.pg_advisory_lock_shared(%d, %d)", int32(s.state.turns()), int32(s.term)))
}

// expel ends the sessions of earlier turns. Where the role may not, their locks are waited for.
func (s *Sink) expel(ctx context.Context) error {
	if s.term == 0 {
		return nil
	}
	rows, err := s.binder.admin.query(ctx, fmt.Sprintf(`SELECT count(pg_catalog.pg_terminate_backend(pid)) FROM
		(SELECT DISTINCT pid FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2
		AND classid = %d AND objid < %d AND database = (SELECT oid FROM pg_catalog.pg_database
		WHERE datname = pg_catalog.current_database())) s`, s.state.turns(), uint32(s.term)))
	switch {
	case sqlState(err) == statePrivilege:
		s.binder.log.Warn("the process that had the pipeline before hangs, and its sessions cannot be ended", "error", err)
	case err != nil:
		return err
	case rows[0][0] != "0":
		s.binder.log.Warn("ended the sessions of the process that had the pipeline before and hangs", "sessions", rows[0][0])
	}
	return s.sign(ctx, s.binder.admin)
}

// statePrivilege is the SQLSTATE insufficient_privilege.
const statePrivilege = "42501"
