package postgres

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipe-cdc/pipe/pipeline"
)

// past is what ran when this process began to stream after another one: of those, some may have been
// delivered by that one though they are not visible yet.
type past struct {
	began   time.Time
	resumed bool
	sees    visibility
}

// settle waits until every new snapshot sees all that was emitted so far: the window knows nothing of it.
// A transaction that waits for a synchronous standby was sent and is not visible.
func (l *live) settle(ctx context.Context, table string) error {
	conn, err := l.config.connect(ctx)
	if err != nil {
		return l.config.classified(err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	before := l.emitted.all()
	err = l.await(ctx, conn, table, "sent and not yet visible (waiting for a synchronous standby?)",
		func(v *visibility) (bool, error) {
			if before = v.unseen(before); len(before) > 0 {
				return false, nil
			}
			return l.pastSettled(ctx, conn, v)
		})
	return l.config.classified(err)
}

// end returns where the log ends: no sink knows of a position behind it.
func (l *live) end(ctx context.Context) (pipeline.Position, error) {
	conn, err := l.config.connect(ctx)
	if err != nil {
		return "", l.config.classified(err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	row, err := queryRow(ctx, conn, "read the end of the log", "SELECT "+l.server.insertedSQL())
	if err != nil {
		return "", l.config.classified(err)
	}
	lsn, err := parseLSN(row[0])
	return l.identity.position(recordEnd(lsn, l.walBlock)), err
}

// pastSettled reports whether none is left that a process before this one may have delivered.
func (l *live) pastSettled(ctx context.Context, conn *pgconn.PgConn, now *visibility) (bool, error) {
	if !l.past.resumed {
		return true, nil
	}
	var left []uint64
	for _, tx := range l.past.sees.running {
		if !now.sees(tx) {
			left = append(left, tx)
		}
	}
	if len(left) == 0 && !l.server.Standby {
		return true, nil
	}
	if time.Since(l.past.began) < settleGrace {
		return false, nil
	}
	waiting, all, err := syncWaiters(ctx, conn, now.xmax)
	if err != nil {
		return false, err
	}
	for _, tx := range left {
		if all || waiting[tx] {
			return false, nil
		}
	}
	return true, nil
}

const querySyncWaiters = `SELECT current_setting('synchronous_standby_names') <> '',
	(SELECT rolsuper OR pg_catalog.pg_has_role(oid, 'pg_read_all_stats', 'USAGE') FROM pg_catalog.pg_roles
		WHERE rolname = current_user),
	coalesce((SELECT bool_or(backend_xid IS NULL) FROM pg_catalog.pg_stat_activity WHERE wait_event = 'SyncRep'), false),
	coalesce((SELECT string_agg(backend_xid::text, ',') FROM pg_catalog.pg_stat_activity WHERE wait_event = 'SyncRep'), '')`

// syncWaiters returns the transactions that wait for a synchronous standby. all says that any one may: the
// role does not see what others wait for, or one of those that wait has no number (COMMIT PREPARED).
func syncWaiters(ctx context.Context, conn *pgconn.PgConn, near uint64) (waiting map[uint64]bool, all bool,
	err error) {
	row, err := queryRow(ctx, conn, "look for transactions that wait for a standby", querySyncWaiters)
	if err != nil {
		return nil, false, err
	}
	waiting = map[uint64]bool{}
	for _, text := range strings.Split(row[3], ",") {
		if xid, err := strconv.ParseUint(text, 10, 32); err == nil {
			waiting[extend(uint32(xid), near)] = true
		}
	}
	return waiting, row[2] == "t" || row[0] == "t" && row[1] != "t", nil
}
