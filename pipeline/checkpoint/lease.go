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

// Holding says who has a pipeline.
type Holding struct {
	Owner string    // "host:pid"
	Since time.Time // by the server's clock
}

func holdingOf(owner, micros string) Holding {
	return Holding{owner, time.UnixMicro(parsed(micros)).UTC()}
}

// errOwned is the error of who cannot have the pipeline.
type errOwned struct{ Holding }

func (e *errOwned) Error() string {
	return "process " + e.Owner + " has the pipeline since " + e.Since.Format("2006-01-02 15:04:05 MST")
}

// own takes the pipeline, waiting for it where that is wanted, and returns the session that holds the
// lock, with the time before it was taken. On an error conn is closed.
func (s *Server) own(ctx context.Context, conn *pgconn.PgConn) (*pgconn.PgConn, int64, time.Time, error) {
	var told Holding
	for {
		began := time.Now()
		epoch, err := s.take(ctx, conn)
		var owned *errOwned
		switch {
		case err == nil:
			return conn, epoch, began, nil
		case !errors.As(err, &owned) || !s.Wait:
			hangUp(conn)
			return nil, 0, began, err
		}
		if told != owned.Holding {
			told = owned.Holding
			s.Log.Info("standby: waiting for the pipeline", "owner", told.Owner, "since", told.Since)
			if s.Standing != nil {
				s.Standing(told)
			}
		}
		select {
		case <-ctx.Done():
			hangUp(conn)
			return nil, 0, began, ctx.Err()
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
	ownerSQL = `SELECT epoch, owner, (extract(epoch FROM taken_at) * 1000000)::bigint,
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
		return 0, &errOwned{holdingOf(rows[0][1], rows[0][2])}
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
	rows, err := query(ctx, conn, "SELECT pg_try_advisory_lock($1::int, $2::int)", number(int64(int32(s.lockClass()))),
		number(int64(int32(epoch))))
	return err == nil && rows[0][0] == "t", err
}

// lockClass is the first part of the keys of a pipeline's locks.
func (s *Server) lockClass() uint32 {
	h := fnv.New32a()
	h.Write([]byte(s.Schema + "\x00" + s.Pipeline)) // never fails
	return h.Sum32()
}

// beat gives signs of life until ctx ends, and leaves then, or until the pipeline has another owner. It closes
// the session that holds the lock.
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
	began := time.Now()
	rows, err := query(within, h.conn, h.server.sql(beatSQL), text(h.server.Pipeline), number(h.epoch))
	if err == nil && h.held.told(len(rows) == 1, began) != nil {
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
