package mariadb

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/sources/mariadb/binlog"
	"github.com/pipe-cdc/pipe/sources/mariadb/wire"
)

// The bounds of finding a moment: reads of a position until three agree, and attempts until all
// workers happen to see the same state.
const (
	maxPositionReads = 100
	sameReads        = 3
	maxAgreements    = 20
)

// moment is a state of the database that several connections see, each in its transaction.
type moment struct {
	Set   binlog.Set // what the state includes
	File  string
	End   uint64 // in the file
	conns []*wire.Conn

	mu    sync.Mutex // guards taken
	taken int
}

// take hands out the next connection with its number; nil when all are taken.
func (m *moment) take() (n int, conn *wire.Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.taken == len(m.conns) {
		return 0, nil
	}
	m.taken++
	return m.taken - 1, m.conns[m.taken-1]
}

// rewind lets the connections be handed out again; those who had them have ended.
func (m *moment) rewind() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.taken = 0
}

func (m *moment) close() {
	for _, conn := range m.conns {
		_ = conn.Close()
	}
}

// moment opens n transactions that see the same state. With RELOAD, commits are held for the
// milliseconds that this takes; without, it is tried until it succeeds by chance, which a busy server
// may not allow: then one connection reads alone.
func (r *runner) moment(ctx context.Context, n int) (*moment, error) {
	m := &moment{}
	for range n {
		conn, err := r.config.connect(ctx)
		if err == nil {
			m.conns = append(m.conns, conn)
			err = conn.Exec(ctx, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
		}
		if err != nil {
			m.close()
			return nil, err
		}
	}
	err := r.together(ctx, m)
	if err != nil {
		m.close()
		return nil, err
	}
	return m, nil
}

func (r *runner) together(ctx context.Context, m *moment) error {
	if len(m.conns) == 1 {
		_, err := m.begin(ctx, r.server.LogBin)
		return err
	}
	blocked, err := r.block(ctx)
	if err != nil {
		return err
	}
	for range maxAgreements {
		same, err := m.begin(ctx, r.server.LogBin)
		if blocked {
			err = errors.Join(err, r.admin.Exec(context.WithoutCancel(ctx), "BACKUP STAGE END"))
			if !same && err == nil {
				err = failed(pipeline.Retryable, "", "the workers of a snapshot saw different states although commits were held")
			}
			return err
		}
		if err != nil || same {
			return err
		}
	}
	r.env.Log.Warn("the snapshot is read by one connection: without the privilege RELOAD several could not be given the same state",
		"fix", "GRANT RELOAD ON *.* TO the account")
	for _, conn := range m.conns[1:] {
		_ = conn.Close()
	}
	m.conns = m.conns[:1]
	_, err = m.begin(ctx, r.server.LogBin)
	return err
}

// block holds commits; false where the account may not.
func (r *runner) block(ctx context.Context) (bool, error) {
	err := r.admin.Exec(ctx, "BACKUP STAGE START")
	var refused *wire.ServerError
	if errors.As(err, &refused) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := r.admin.Exec(ctx, "BACKUP STAGE BLOCK_COMMIT"); err != nil {
		return false, errors.Join(err, r.admin.Exec(context.WithoutCancel(ctx), "BACKUP STAGE END"))
	}
	return true, nil
}

// begin starts every connection's transaction and reports whether they see the same state.
func (m *moment) begin(ctx context.Context, logged bool) (same bool, err error) {
	same = true
	for i, conn := range m.conns {
		if err := conn.Exec(ctx, "START TRANSACTION WITH CONSISTENT SNAPSHOT"); err != nil {
			return false, err
		}
		if !logged {
			continue
		}
		file, end, err := snapshotPosition(ctx, conn)
		if err != nil {
			return false, err
		}
		if i > 0 && (file != m.File || end != m.End) {
			same = false
		}
		m.File, m.End = file, end
	}
	if !logged {
		return len(m.conns) == 1, nil
	}
	return same, m.resolve(ctx)
}

// resolve turns the place in the file into GTIDs.
func (m *moment) resolve(ctx context.Context) error {
	rows, err := m.conns[0].Query(ctx, fmt.Sprintf("SELECT BINLOG_GTID_POS(%s, %d)", quoteText(m.File), m.End))
	if err != nil {
		return err
	}
	if len(rows) != 1 || rows[0][0].Null {
		return failed(pipeline.Retryable, "", "the server does not know the GTIDs of %s:%d", m.File, m.End)
	}
	m.Set, err = binlog.ParseSet(rows[0][0].Text)
	return err
}

// snapshotPosition reads the place in the binary log that the transaction sees. Two sessions that
// ask at once may get each other's answer, so it counts only when it came several times in a row.
func snapshotPosition(ctx context.Context, conn *wire.Conn) (file string, end uint64, err error) {
	var last [2]string
	for n, reads := 0, 0; reads < maxPositionReads; reads++ {
		rows, err := conn.Query(ctx, "SHOW STATUS LIKE 'binlog_snapshot_%'")
		if err != nil {
			return "", 0, err
		}
		now := positionOf(rows)
		if now == last {
			n++
		} else {
			last, n = now, 1
		}
		if n < sameReads {
			continue
		}
		end, err := strconv.ParseUint(last[1], 10, 64)
		if err != nil || last[0] == "" {
			return "", 0, fmt.Errorf("the server gives the snapshot's position as %q", last)
		}
		return last[0], end, nil
	}
	return "", 0, failed(pipeline.Retryable, "", "the server gives the snapshot's position differently each time")
}

func positionOf(rows [][]wire.Cell) (out [2]string) {
	for _, row := range rows {
		switch row[0].Text {
		case "Binlog_snapshot_file", "binlog_snapshot_file":
			out[0] = row[1].Text
		case "Binlog_snapshot_position", "binlog_snapshot_position":
			out[1] = row[1].Text
		}
	}
	return out
}
