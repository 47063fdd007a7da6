package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipe-cdc/pipe/pipeline"
)

// The SQLSTATE codes that are told apart (PostgreSQL documentation, appendix A).
const (
	stateObjectInUse      = "55006"
	stateNotPrerequisite  = "55000"
	stateUndefinedObject  = "42704"
	stateUndefinedColumn  = "42703"
	stateUndefinedTable   = "42P01"
	stateNoSchema         = "3F000"
	stateDuplicateObject  = "42710"
	stateNoPrivilege      = "42501"
	stateQueryCanceled    = "57014"
	stateConfigLimit      = "53400"
	stateTooManyConns     = "53300"
	stateBadPassword      = "28P01"
	stateBadAuthorization = "28000"
	stateNoDatabase       = "3D000"
	stateInternal         = "XX000"
)

// failed makes an error of the source.
func failed(class pipeline.Class, hint, format string, args ...any) *pipeline.Error {
	return &pipeline.Error{Class: class, Hint: hint, Err: fmt.Errorf(format, args...)}
}

// classified gives an error that came up somewhere its class and hint; one that has a class, and
// the end of ctx, are left alone.
func (c *Config) classified(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || pipeline.ClassOf(err) != pipeline.Unclassified {
		return err
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		class, hint := c.stateClass(pg)
		return &pipeline.Error{Class: class, Err: withDetail(err, pg), Hint: hint}
	}
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) {
		return &pipeline.Error{Class: pipeline.Retryable, Err: err,
			Hint: "Check host, port and that the server runs"}
	}
	if isConnectionLoss(err) {
		return &pipeline.Error{Class: pipeline.Retryable, Err: err}
	}
	return err
}

// withDetail adds the server's detail, which often says more than its message.
func withDetail(err error, pg *pgconn.PgError) error {
	if pg.Detail == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, pg.Detail)
}

// stateClass maps what the server says to what can be done.
func (c *Config) stateClass(pg *pgconn.PgError) (pipeline.Class, string) {
	switch pg.Code {
	case stateObjectInUse:
		return pipeline.Retryable, "Another process reads the slot: stop it, or give this source its own slot"
	case stateNotPrerequisite:
		return c.prerequisite(pg)
	case stateUndefinedObject:
		if strings.HasPrefix(pg.Message, "publication") {
			return pipeline.Environment, fmt.Sprintf("The slot decodes changes from before the publication existed. "+
				"Create the publication before the slot: SELECT pg_drop_replication_slot(%s), "+
				"then start with a new snapshot",
				quoteLiteral(c.Slot))
		}
		return pipeline.Environment, ""
	case stateNoPrivilege:
		return pipeline.Environment, "Grant the role what is missing: ALTER ROLE ... REPLICATION; GRANT SELECT " +
			"ON ... TO ...; GRANT CREATE ON DATABASE ... TO ..."
	case stateConfigLimit:
		return pipeline.Environment, "Raise max_replication_slots or max_wal_senders, or drop an unused slot: " +
			"SELECT * FROM pg_replication_slots"
	case stateTooManyConns:
		return pipeline.Retryable, "Raise max_connections or max_wal_senders"
	case stateBadPassword, stateBadAuthorization:
		return pipeline.Environment, "Check user and password, that the role has REPLICATION, and that " +
			"pg_hba.conf lets it connect to the database"
	case stateNoDatabase:
		return pipeline.Environment, "Check the database's name"
	case stateInternal:
		if strings.Contains(pg.Message, "invalid memory alloc request size") {
			return pipeline.Environment, `A value is too large to be sent as text: set binary = "on"`
		}
	}
	switch pg.Code[:min(2, len(pg.Code))] {
	case "08", "57", "40", "53", "58": // connection, operator intervention, rollback, resources, system
		return pipeline.Retryable, ""
	}
	return pipeline.Environment, ""
}

// prerequisite explains 55000, which is many things.
func (c *Config) prerequisite(pg *pgconn.PgError) (pipeline.Class, string) {
	text := pg.Message + " " + pg.Detail
	switch {
	case strings.Contains(text, "invalidated"), strings.Contains(text, "can no longer get changes"):
		return pipeline.Environment, c.lostHint()
	case strings.Contains(text, "wal_level"):
		return pipeline.Environment, hintWALLevel
	}
	return pipeline.Environment, ""
}

const hintWALLevel = "ALTER SYSTEM SET wal_level = 'logical', then restart the server"

// lostHint says what to do about a slot that cannot give what is missing.
func (c *Config) lostHint() string {
	return fmt.Sprintf("Changes are missing for good. Set snapshot = \"when_needed\" and create = [\"slot\", ...]: the next "+
		"start reads the tables again; or SELECT pg_drop_replication_slot(%s) where the slot is there, remove this "+
		"source's saved position, and start again with a snapshot. Raise max_slot_wal_keep_size to keep more",
		quoteLiteral(c.Slot))
}

// isConnectionLoss reports whether the connection broke, rather than the server refused.
func isConnectionLoss(err error) bool {
	var network interface{ Timeout() bool }
	text := err.Error()
	return errors.As(err, &network) || pgconn.Timeout(err) || strings.Contains(text, "unexpected EOF") ||
		strings.Contains(text, "conn closed") || strings.Contains(text, "connection reset") ||
		strings.Contains(text, "broken pipe") || strings.Contains(text, "closed network connection")
}

// connectError is a failure to connect, without secrets.
func (c *Connection) connectError(err error, _ *pgconn.Config) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("connect: %w", pipeline.OneLine(err))
}
