package postgres

import (
	"context"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipe-cdc/pipe/pipeline"
)

// The versions from which something is there (server_version_num).
const (
	version10 = 100000
	version11 = 110000
	version13 = 130000
	version14 = 140000
	version15 = 150000
)

// server is what is known of the server before a start.
type server struct {
	Version       int
	WALLevel      string
	SenderTimeout time.Duration // wal_sender_timeout; 0: none
	Standby       bool
	Database      string
	Flushed       uint64 // LSN up to which the WAL was flushed, or replayed by a standby
	Replication   bool   // the role may replicate
	Role          string
	Creates       bool // the role may create objects in the database, a publication for one
}

const queryServer = `SELECT current_setting('server_version_num'), current_setting('wal_level'),
	(SELECT setting FROM pg_catalog.pg_settings WHERE name = 'wal_sender_timeout'),
	pg_catalog.pg_is_in_recovery(), pg_catalog.current_database(),
	CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
		ELSE pg_catalog.pg_current_wal_flush_lsn() END,
	(SELECT rolreplication OR rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)
		OR EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'rds_replication' AND pg_catalog.pg_has_role(oid, 'MEMBER')),
	current_user, pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE')`

// loadServer reads what is known of the server.
func loadServer(ctx context.Context, conn *pgconn.PgConn) (server, error) {
	var s server
	row, err := queryRow(ctx, conn, "read the server's settings", queryServer)
	if err != nil {
		return s, err
	}
	s.Version, _ = strconv.Atoi(row[0])
	s.WALLevel = row[1]
	if ms, err := strconv.Atoi(row[2]); err == nil {
		s.SenderTimeout = time.Duration(ms) * time.Millisecond
	}
	s.Standby, s.Database = row[3] == "t", row[4]
	s.Replication, s.Role, s.Creates = row[6] == "t", row[7], row[8] == "t"
	s.Flushed, err = parseLSN(row[5])
	return s, err
}

// refuse returns why the server cannot be read, nil if it can.
func (s server) refuse() error {
	switch {
	case s.Version < version10:
		return failed(pipeline.Environment, "Upgrade the server",
			"server version %d has no logical replication, 10 is the first", s.Version)
	case s.WALLevel != "logical":
		return failed(pipeline.Environment, hintWALLevel, "wal_level is %s, logical is needed", s.WALLevel)
	case !s.Replication:
		return failed(pipeline.Environment, "ALTER ROLE "+quoteName(s.Role)+" REPLICATION (on a managed "+
			"service, grant its replication role)",
			"role %s may not use replication", s.Role)
	}
	return nil
}

// identify reads the identity of the server by the replication protocol.
func identify(ctx context.Context, repl *pgconn.PgConn) (identity, error) {
	row, err := queryRow(ctx, repl, "identify the server", "IDENTIFY_SYSTEM")
	if err != nil {
		return identity{}, err
	}
	system, err := strconv.ParseUint(row[0], 10, 64)
	if err != nil {
		return identity{}, errQuery("identify the server", err)
	}
	timeline, err := strconv.ParseUint(row[1], 10, 32)
	return identity{system: system, timeline: uint32(timeline)}, err
}
