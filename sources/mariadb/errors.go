package mariadb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/expr"
	"github.com/pipe-cdc/pipe/sources/mariadb/binlog"
	"github.com/pipe-cdc/pipe/sources/mariadb/charset"
	"github.com/pipe-cdc/pipe/sources/mariadb/wire"
)

// The errors of the server that are told apart (MariaDB Knowledge Base, "Error Codes").
const (
	erTooManyConns   = 1040
	erDBAccess       = 1044
	erAccess         = 1045
	erNoDatabase     = 1049
	erShutdown       = 1053
	erTableAccess    = 1142
	erLockTimeout    = 1205
	erDeadlock       = 1213
	erSpecificAccess = 1227
	erBinlogFatal    = 1236
	erInterrupted    = 1317
	erTableChanged   = 1412
	erKilled         = 1927
	erSameServerID   = 4052
)

const hintGrants = "GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO the account, and SELECT on the tables"

// failed makes an error of the source.
func failed(class pipeline.Class, hint, format string, args ...any) *pipeline.Error {
	return &pipeline.Error{Class: class, Hint: hint, Err: fmt.Errorf(format, args...)}
}

// classified gives an error that came up somewhere its class and hint; one that has a class, and the
// end of ctx, are left alone.
func classified(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || pipeline.ClassOf(err) != pipeline.Unclassified {
		return err
	}
	var server *wire.ServerError
	if errors.As(err, &server) {
		class, hint := serverClass(server)
		return &pipeline.Error{Class: class, Err: err, Hint: hint}
	}
	if errors.Is(err, binlog.ErrIncident) {
		return &pipeline.Error{Class: pipeline.Environment, Err: err,
			Hint: "Compare source and sinks, remove this source's saved position and start again with a snapshot"}
	}
	if isConnectionLoss(err) {
		return &pipeline.Error{Class: pipeline.Retryable, Err: err, Hint: "Check host, port and that the server runs"}
	}
	return err
}

// valueHint says what to do about a value that cannot be decoded.
func valueHint(err error) string {
	switch {
	case errors.Is(err, binlog.ErrZeroDate):
		return `Set zero_dates = "null" or "epoch", or correct the row`
	case errors.Is(err, charset.ErrInvalid):
		return `Set invalid_text = "replace", or omit the column`
	case errors.Is(err, expr.ErrAbsent):
		return "SET GLOBAL binlog_row_image = FULL, so that the log has what where reads; for what was logged without: start again " +
			"with a snapshot"
	}
	return ""
}

func serverClass(e *wire.ServerError) (pipeline.Class, string) {
	switch e.Code {
	case erBinlogFatal:
		return binlogClass(e.Message)
	case erSameServerID:
		return pipeline.Environment, "Set server_id to a number that no server and no replica has"
	case erAccess:
		return pipeline.Environment, "Check user and password, and that the account may connect from this host"
	case erDBAccess, erTableAccess, erSpecificAccess:
		return pipeline.Environment, hintGrants
	case erNoDatabase:
		return pipeline.Environment, "Check the database's name"
	case erTooManyConns, erShutdown, erLockTimeout, erDeadlock, erInterrupted, erKilled:
		return pipeline.Retryable, ""
	case erTableChanged:
		return pipeline.Retryable, "Avoid ALTER TABLE and TRUNCATE during a snapshot"
	}
	return pipeline.Environment, ""
}

// binlogClass explains 1236, which is many things.
func binlogClass(text string) (pipeline.Class, string) {
	switch {
	case strings.Contains(text, "server_uuid"), strings.Contains(text, "server_id"):
		return pipeline.Environment, "Set server_id to a number that no server and no replica has"
	case strings.Contains(text, "diverged"), strings.Contains(text, "not in the master's binlog"):
		return pipeline.Environment, "The saved position belongs to another history, as after a fail-over that lost transactions: " +
			"compare source and sinks, remove this source's saved position and start again with a snapshot"
	case strings.Contains(text, "Could not find"), strings.Contains(text, "purged"):
		return pipeline.Environment, "Changes are missing for good: the server has deleted the binary logs after the saved position. " +
			"Remove this source's saved position and start again with a snapshot; raise binlog_expire_logs_seconds to keep more"
	case strings.Contains(text, "max_allowed_packet"):
		return pipeline.Environment, "SET GLOBAL slave_max_allowed_packet and max_allowed_packet to more than the largest event"
	}
	return pipeline.Environment, ""
}

// isConnectionLoss reports whether the connection broke, rather than the server refused.
func isConnectionLoss(err error) bool {
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, wire.ErrEnd)
}
