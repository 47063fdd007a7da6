package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipe-cdc/pipe/pipeline"
)

// A pipeline's owner proves that it lives in two ways: it sets the time in its row of the table lease,
// several times within the lease, and one of its sessions holds an advisory lock whose key has the epoch.
// So a process that ended is succeeded at once, since the server gives its lock back; one that hangs, or
// whose host is cut off while the server keeps its session, is succeeded after the lease. The clock is
// the server's.

// errOwned says who has the pipeline.
type errOwned struct {
	owner string
	since string
}

func (e *errOwned) Error() string {
	return "process " + e.owner + " has the pipeline since " + e.since
}

// own takes the pipeline, waiting for it where that is wanted, and returns the session that holds the
// lock. On an error conn is closed.
func (s *Server) own(ctx context.Context, conn *pgconn.PgConn) (*pgconn.PgConn, int64, error) {
	told := ""
	for {
		epoch, err := s.take(ctx, conn)
		var owned *errOwned
		switch {
		case err == nil:
			return conn, epoch, nil
		case !errors.As(err, &owned) || !s.Wait:
			hangUp(conn)
			return nil, 0, err
		}
		if told != owned.owner {
			s.Log.Info("standby: waiting for the pipeline", "owner", owned.owner, "since", owned.since)
			told = owned.owner
		}
		select {
		case <-ctx.Done():
			hangUp(conn)
			return nil, 0, ctx.Err()
		case <-time.After(s.Lease / beatsInLease):
		}
	}
}

// take tries once to own the pipeline.
func (s *Server) take(ctx context.Context, conn *pgconn.PgConn) (epoch int64, err error) {
	if err := conn.Exec(ctx, "BEGIN").Close(); err != nil {
		return 0, err
	}
	epoch, err = s.claim(ctx, conn)
	if err != nil {
		return 0, errors.Join(err, conn.Exec(ctx, "ROLLBACK").Close())
	}
	return epoch, conn.Exec(ctx, "COMMIT").Close()
}

const (
	enterSQL = `INSERT INTO STATE.lease (pipeline, epoch, owner, beat) VALUES ($1, 0, '', '-infinity')
		ON CONFLICT (pipeline) DO NOTHING`
	ownerSQL = `SELECT epoch, owner, to_char(taken_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS" UTC"'),
		beat < clock_timestamp() - $2::bigint * interval '1 ms' FROM STATE.lease WHERE pipeline = $1 FOR UPDATE`
	takeSQL = `UPDATE STATE.lease SET epoch = epoch + 1, owner = $2, taken_at = clock_timestamp(), beat = clock_timestamp()
		WHERE pipeline = $1 RETURNING epoch`
	leaveSQL = `UPDATE STATE.lease SET beat = '-infinity' WHERE pipeline = $1 AND epoch = $2`
	beatSQL  = `UPDATE STATE.lease SET beat = clock_timestamp() WHERE pipeline = $1 AND epoch = $2 RETURNING 1`
)

// claim is take inside a transaction.
func (s *Server) claim(ctx context.Context, conn *pgconn.PgConn) (int64, error) {
	if _, err := query(ctx, conn, s.sql(enterSQL), text(s.Pipeline)); err != nil {
		return 0, err
	}
	rows, err := query(ctx, conn, s.sql(ownerSQL), text(s.Pipeline), number(s.Lease.Milliseconds()))
	if err != nil {
		return 0, err
	}
	if len(rows) != 1 {
		return 0, errForeignTable
	}
	last, err := strconv.ParseInt(rows[0][0], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("epoch %q: %w", rows[0][0], err)
	}
	free, err := s.lock(ctx, conn, last)
	if err != nil {
		return 0, err
	}
	if !free && rows[0][3] != "t" {
		return 0, &errOwned{owner: rows[0][1], since: rows[0][2]}
	}
	if rows, err = query(ctx, conn, s.sql(takeSQL), text(s.Pipeline), text(s.Owner)); err != nil {
		return 0, err
	}
	epoch, err := strconv.ParseInt(rows[0][0], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("epoch %q: %w", rows[0][0], err)
	}
	held, err := s.lock(ctx, conn, epoch)
	if err == nil && !held {
		err = errors.New("the lock of a new owner is taken")
	}
	return epoch, err
}

// lock tries to take the lock of an epoch, for the session.
func (s *Server) lock(ctx context.Context, conn *pgconn.PgConn, epoch int64) (bool, error) {
	h := fnv.New32a()
	h.Write([]byte(s.Schema + "\x00" + s.Pipeline))
	rows, err := query(ctx, conn, "SELECT pg_try_advisory_lock($1::int, $2::int)", number(int64(int32(h.Sum32()))),
		number(int64(int32(epoch))))
	return err == nil && rows[0][0] == "t", err
}

// beat gives signs of life until ctx ends, and leaves then, or until the pipeline has another owner, which
// the next Save is told by the server. It closes the session that holds the lock.
func (p *Postgres) beat(ctx context.Context, holder *pgconn.PgConn) {
	h := &holding{Postgres: p, conn: holder, locked: true}
	defer func() { hangUp(h.conn) }()
	for {
		select {
		case <-ctx.Done():
			h.leave()
			return
		case <-time.After(p.server.Lease / beatsInLease):
		}
		if err := h.renew(ctx); errors.Is(err, pipeline.ErrFenced) {
			p.server.Log.Warn("another process has taken the pipeline")
			return
		} else if err != nil && ctx.Err() == nil {
			p.server.Log.Warn("the lease could not be renewed", "error", p.server.explain(ctx, err))
		}
	}
}

// holding is the session that holds the lock of an epoch.
type holding struct {
	*Postgres
	conn   *pgconn.PgConn
	locked bool
}

// renew gives one sign of life, in a new session where the old one was lost.
func (h *holding) renew(ctx context.Context) error {
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.server.Lease)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(closeWithin, cancel) })
	defer stop()
	if h.conn.IsClosed() {
		again, err := h.server.connect(within)
		if err != nil {
			return err
		}
		h.conn, h.locked = again, false
	}
	rows, err := query(within, h.conn, h.server.sql(beatSQL), text(h.server.Pipeline), number(h.epoch))
	if err == nil && len(rows) == 0 {
		return pipeline.ErrFenced
	}
	if err == nil && !h.locked { // the server may still keep the session that was lost
		h.locked, err = h.server.lock(within, h.conn, h.epoch)
	}
	if err != nil {
		hangUp(h.conn)
	}
	return err
}

// leave lets another process have the pipeline without waiting for the session's end.
func (h *holding) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), closeWithin)
	defer cancel()
	if !h.conn.IsClosed() {
		_, _ = query(ctx, h.conn, h.server.sql(leaveSQL), text(h.server.Pipeline), number(h.epoch)) // else the lease runs out
	}
}

var _ pipeline.Store = (*Postgres)(nil)
