package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipe-cdc/pipe/pipeline"
)

const (
	connectWithin = 15 * time.Second // for one host to answer, unless dsn says otherwise
	closeWithin   = 2 * time.Second  // for a polite goodbye to the server
)

// noReplicaRole is what the server answers to a role that may not set session_replication_role.
const noReplicaRole = "42501"

// conn is one session with the settings that the sink relies on.
type conn struct {
	*pgconn.PgConn
	replica bool // triggers and foreign keys are not fired: session_replication_role = replica
}

// connect opens a session.
func (c *Config) connect(ctx context.Context, name string) (*conn, error) {
	cfg, err := pgconn.ParseConfig(c.DSN.Reveal())
	if err != nil {
		return nil, errors.New("the connection string cannot be read")
	}
	if cfg.RuntimeParams["application_name"] == "" {
		cfg.RuntimeParams["application_name"] = name
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = connectWithin
	}
	pc, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, pipeline.OneLine(err)
	}
	s := &conn{PgConn: pc}
	if err := s.run(ctx, c.settings()); err != nil {
		s.close()
		return nil, err
	}
	err = s.run(ctx, "SET session_replication_role = replica")
	if err != nil && sqlState(err) != noReplicaRole {
		s.close()
		return nil, err
	}
	s.replica = err == nil
	return s, nil
}

func (s *conn) close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeWithin)
	defer cancel()
	_ = s.Close(ctx) // the session is given up: there is nothing to do about an error
}

// run executes statements that return nothing.
func (s *conn) run(ctx context.Context, sql string) error {
	return s.Exec(ctx, sql).Close()
}

// query returns rows as text, NULL as "".
func (s *conn) query(ctx context.Context, sql string, args ...string) ([][]string, error) {
	params := make([][]byte, len(args))
	for i, a := range args {
		params[i] = []byte(a)
	}
	res := s.ExecParams(ctx, sql, params, nil, nil, nil).Read()
	if res.Err != nil {
		return nil, res.Err
	}
	out := make([][]string, len(res.Rows))
	for i, row := range res.Rows {
		out[i] = make([]string, len(row))
		for j, v := range row {
			out[i][j] = string(v)
		}
	}
	return out, nil
}
