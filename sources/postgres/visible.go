package postgres

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// visibility is which transactions a server's snapshot sees (PostgreSQL documentation,
// "pg_snapshot Components"), by their full numbers. It is immutable.
type visibility struct {
	xmin, xmax uint64
	running    []uint64 // top-level transactions between the two that it does not see, in order
}

// parseVisibility reads the text of a pg_snapshot: "100:104:100,102".
func parseVisibility(text string) (visibility, error) {
	var v visibility
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return v, fmt.Errorf("%.60q is not a snapshot", text)
	}
	xmin, err1 := strconv.ParseUint(parts[0], 10, 64)
	xmax, err2 := strconv.ParseUint(parts[1], 10, 64)
	if err1 != nil || err2 != nil || xmin > xmax {
		return v, fmt.Errorf("%.60q is not a snapshot", text)
	}
	v.xmin, v.xmax = xmin, xmax
	if parts[2] == "" {
		return v, nil
	}
	for _, s := range strings.Split(parts[2], ",") {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			return v, fmt.Errorf("%.60q is not a snapshot", text)
		}
		v.running = append(v.running, n)
	}
	slices.Sort(v.running)
	return v, nil
}

// sees reports whether the snapshot sees a transaction that has committed by now.
func (v *visibility) sees(tx uint64) bool {
	if tx < v.xmin {
		return true
	}
	if tx >= v.xmax {
		return false
	}
	_, running := slices.BinarySearch(v.running, tx)
	return !running
}

// unseen keeps the transactions that the snapshot does not see.
func (v *visibility) unseen(txs []uint64) []uint64 {
	return slices.DeleteFunc(txs, v.sees)
}

// snapshotSQL is the expression of the current snapshot's text.
func (s *server) snapshotSQL() string {
	if s.Version < version13 {
		return "pg_catalog.txid_current_snapshot()::text"
	}
	return "pg_catalog.pg_current_snapshot()::text"
}

// insertedSQL is the expression of the place up to which WAL was written, or replayed by a standby: every
// transaction that is visible lies before it. The WAL of one that commits without waiting may be beyond
// what was flushed.
func (s *server) insertedSQL() string {
	if s.Standby {
		return "pg_catalog.pg_last_wal_replay_lsn()"
	}
	return "pg_catalog.pg_current_wal_insert_lsn()"
}

// sight reads a snapshot that the server took as that of a query there. A standby's leaves out what runs,
// so that only what is older than all of it counts as seen.
func (s *server) sight(text string) (visibility, error) {
	v, err := parseVisibility(text)
	if s.Standby {
		v.xmax = v.xmin
	}
	return v, err
}

// current returns what a query on the connection sees now.
func (s *server) current(ctx context.Context, conn *pgconn.PgConn) (visibility, error) {
	row, err := queryRow(ctx, conn, "read the current snapshot", "SELECT "+s.snapshotSQL())
	if err != nil {
		return visibility{}, err
	}
	return s.sight(row[0])
}

// extend makes a transaction's number, which the stream has without its epoch, whole: it is the one
// nearest to another transaction of about the same time.
func extend(xid uint32, near uint64) uint64 {
	const epoch = 1 << 32
	full := near&^(epoch-1) | uint64(xid)
	switch {
	case full > near && full-near > epoch/2 && full >= epoch:
		return full - epoch
	case full < near && near-full > epoch/2:
		return full + epoch
	}
	return full
}

// The sizes of the header of a WAL page, which the place to insert at may lie behind while everything
// before the page was sent (access/xlog_internal.h).
const (
	shortPageHeader = 24
	longPageHeader  = 40
)

// recordEnd is the end of the last WAL record before a place to insert at.
func recordEnd(lsn, block uint64) uint64 {
	if block == 0 {
		return lsn
	}
	if at := lsn % block; at == shortPageHeader || at == longPageHeader {
		return lsn - at
	}
	return lsn
}
