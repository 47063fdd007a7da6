package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/pgtext"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// state names the tables that hold what the sink knows, and whose it is:
//
//	checkpoint           the position of each stream
//	checkpoint_unlogged  the same for streams whose rows are in UNLOGGED tables, so that a crash of
//	                     the server that empties those takes the positions too
//	fence                the number of the instance that may write; each start adds one
//	load                 targets that hold nothing but rows of an unfinished first load
//	load_step            what is left to be done to a target once its first load is complete
//	sift                 targets whose written keys are remembered, each in a table sift_<number>
//	made                 the targets that the sink made itself, whose constraints are its own
type state struct {
	schema   string // quoted
	pipeline string
	sink     string
	was      string // the sink's address before it was moved; "" where it was not
	moves    []spec.Move
	epoch    int64
}

func newState(schema string, env spec.Env) *state {
	return &state{schema: ident(schema), pipeline: env.Pipeline, sink: env.Address, was: env.Was, moves: env.Moves}
}

func ident(name string) string   { return string(pgtext.AppendIdent(nil, name)) }
func literal(text string) string { return string(pgtext.AppendLiteral(nil, text)) }

// claimTries bounds how often creating the tables is tried beside another instance that does it too.
const claimTries = 5

// claim creates the tables where they are missing, takes the fence and returns the positions.
func (s *state) claim(ctx context.Context, c *conn) (pipeline.Checkpoint, error) {
	if err := s.create(ctx, c); err != nil {
		return nil, err
	}
	if err := c.run(ctx, "BEGIN"); err != nil {
		return nil, err
	}
	kept, err := s.take(ctx, c)
	if err != nil {
		return nil, firstError(err, c.run(ctx, "ROLLBACK"))
	}
	return kept, c.run(ctx, "COMMIT")
}

// take does claim's work inside a transaction.
func (s *state) take(ctx context.Context, c *conn) (pipeline.Checkpoint, error) {
	rows, err := c.query(ctx, "INSERT INTO "+s.schema+`.fence AS f (pipeline, sink, epoch) VALUES ($1, $2, 1)
		ON CONFLICT (pipeline, sink) DO UPDATE SET epoch = f.epoch + 1, claimed_at = now() RETURNING epoch`,
		s.pipeline, s.sink)
	if err != nil {
		return nil, err
	}
	if len(rows) != 1 {
		return nil, errors.New("the fence could not be claimed")
	}
	if s.epoch, err = strconv.ParseInt(rows[0][0], 10, 64); err != nil {
		return nil, fmt.Errorf("the fence's epoch %q: %w", rows[0][0], err)
	}
	if err := s.inherit(ctx, c); err != nil {
		return nil, err
	}
	if err := s.follow(ctx, c, s.moves); err != nil {
		return nil, err
	}
	rows, err = c.query(ctx, "SELECT stream, position FROM "+s.schema+
		".checkpoint WHERE pipeline = $1 AND sink = $2 UNION ALL SELECT stream, position FROM "+s.schema+
		".checkpoint_unlogged WHERE pipeline = $1 AND sink = $2 ORDER BY 1, 2", s.pipeline, s.sink)
	if err != nil {
		return nil, err
	}
	kept := pipeline.Checkpoint{}
	for _, r := range rows {
		kept[pipeline.Stream(r[0])] = pipeline.Position(r[1])
	}
	return kept, nil
}

// owned are the tables whose rows go with the sink when it is moved.
var owned = [...]string{"checkpoint", "checkpoint_unlogged", "load", "load_step", "made"}

// inherit takes over what is stored under the sink's old address, unless there is something under its
// own. Deleting the old fence waits for the commits of an instance that still runs under the old
// address, and stops it.
func (s *state) inherit(ctx context.Context, c *conn) error {
	if s.was == "" || s.was == s.sink {
		return nil
	}
	var exists []string
	for _, table := range owned {
		exists = append(exists, "EXISTS (SELECT FROM "+s.schema+"."+table+" WHERE pipeline = $1 AND sink = $2)")
	}
	rows, err := c.query(ctx, "SELECT "+strings.Join(exists, " OR "), s.pipeline, s.sink)
	if err != nil || rows[0][0] == "t" {
		return err
	}
	_, err = c.query(ctx, "DELETE FROM "+s.schema+".fence WHERE pipeline = $1 AND sink = $2", s.pipeline, s.was)
	for _, table := range owned {
		if err != nil {
			return err
		}
		_, err = c.query(ctx, "UPDATE "+s.schema+"."+table+" SET sink = $2 WHERE pipeline = $1 AND sink = $3",
			s.pipeline, s.sink, s.was)
	}
	if err != nil {
		return err
	}
	return s.inheritSifts(ctx, c)
}

func (s *state) create(ctx context.Context, c *conn) error {
	rows, err := c.query(ctx, "SELECT to_regclass($1) IS NOT NULL, to_regnamespace($2) IS NULL",
		s.schema+".sift", s.schema)
	if err != nil || rows[0][0] == "t" {
		return err
	}
	sql := createSQL
	if rows[0][1] == "t" { // where it is there, a role without CREATE on the database may not even say IF NOT EXISTS
		sql = "CREATE SCHEMA IF NOT EXISTS STATE;" + sql
	}
	for range claimTries {
		err = c.run(ctx, strings.ReplaceAll(sql, "STATE", s.schema))
		if state := sqlState(err); state != stateUnique && state != stateTableExists && state != "42P06" {
			return err
		}
	}
	return err
}

// createSQL makes the tables in the schema STATE, which is there, or what is missing of them. The one that
// came last in the sink's history comes last: where it is there, all are.
const createSQL = `
	CREATE TABLE IF NOT EXISTS STATE.checkpoint (pipeline text NOT NULL, sink text NOT NULL,
		stream text NOT NULL, position text NOT NULL, updated_at timestamptz NOT NULL DEFAULT now(),
		PRIMARY KEY (pipeline, sink, stream)) WITH (fillfactor = 50);
	CREATE UNLOGGED TABLE IF NOT EXISTS STATE.checkpoint_unlogged (pipeline text NOT NULL, sink text NOT NULL,
		stream text NOT NULL, target text NOT NULL, position text NOT NULL, PRIMARY KEY (pipeline, sink, stream));
	CREATE TABLE IF NOT EXISTS STATE.fence (pipeline text NOT NULL, sink text NOT NULL,
		epoch bigint NOT NULL, claimed_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (pipeline, sink));
	CREATE TABLE IF NOT EXISTS STATE.load (pipeline text NOT NULL, sink text NOT NULL,
		target text NOT NULL, source text NOT NULL, PRIMARY KEY (pipeline, sink, target));
	CREATE TABLE IF NOT EXISTS STATE.load_step (pipeline text NOT NULL, sink text NOT NULL, target text NOT NULL,
		ordinal integer NOT NULL, source text NOT NULL, verb text NOT NULL, columns text NOT NULL DEFAULT '',
		schema_name text NOT NULL, table_name text NOT NULL, trouble text NOT NULL DEFAULT '',
		PRIMARY KEY (pipeline, sink, target, ordinal));
	ALTER TABLE STATE.load_step ADD COLUMN IF NOT EXISTS index_name text NOT NULL DEFAULT '';
	CREATE TABLE IF NOT EXISTS STATE.made (pipeline text NOT NULL, sink text NOT NULL, schema_name text NOT NULL,
		table_name text NOT NULL, table_oid oid NOT NULL, PRIMARY KEY (pipeline, sink, schema_name, table_name));
	CREATE TABLE IF NOT EXISTS STATE.sift (pipeline text NOT NULL, sink text NOT NULL, target text NOT NULL,
		source text NOT NULL, begun timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (pipeline, sink, target))`

// markSQL stores a position if the fence is still ours: where it is not, the scalar subquery is NULL
// and the NOT NULL of the column refuses the row. FOR SHARE lets the sink's own lanes pass one
// another and holds off a new instance until they have committed.
func (s *state) markSQL() string {
	return "INSERT INTO " + s.schema + `.checkpoint (pipeline, sink, stream, position)
		VALUES ((SELECT f.pipeline FROM ` + s.schema + `.fence f WHERE f.pipeline = $1 AND f.sink = $2
			AND f.epoch = ` + strconv.FormatInt(s.epoch, 10) + ` FOR SHARE), $2, $3, $4)
		ON CONFLICT (pipeline, sink, stream) DO UPDATE SET position = excluded.position, updated_at = now()`
}

// fenceSQL returns no row where the fence is lost.
func (s *state) fenceSQL() string {
	return "SELECT 1 FROM " + s.schema + ".fence WHERE pipeline = $1 AND sink = $2 AND epoch = " +
		strconv.FormatInt(s.epoch, 10) + " FOR SHARE"
}

// markUnloggedSQL is markSQL for a stream whose rows are in the UNLOGGED target $5.
func (s *state) markUnloggedSQL() string {
	return "INSERT INTO " + s.schema + `.checkpoint_unlogged (pipeline, sink, stream, position, target)
		VALUES ((SELECT f.pipeline FROM ` + s.schema + `.fence f WHERE f.pipeline = $1 AND f.sink = $2
			AND f.epoch = ` + strconv.FormatInt(s.epoch, 10) + ` FOR SHARE), $2, $3, $4, $5)
		ON CONFLICT (pipeline, sink, stream) DO UPDATE SET position = excluded.position, target = excluded.target`
}

// volatile returns the streams whose positions a crash of the server takes, with an UNLOGGED target.
func (s *state) volatile(ctx context.Context, c *conn) (map[pipeline.Stream]string, error) {
	rows, err := c.query(ctx, "SELECT stream, target FROM "+s.schema+".checkpoint_unlogged WHERE "+s.owner())
	if err != nil {
		return nil, err
	}
	out := map[pipeline.Stream]string{}
	for _, r := range rows {
		out[pipeline.Stream(r[0])] = r[1]
	}
	return out, nil
}

func (s *state) forgetSQL() string {
	return "WITH unlogged AS (DELETE FROM " + s.schema + ".checkpoint_unlogged WHERE pipeline = $1 AND sink = $2" +
		" AND stream = $3) DELETE FROM " + s.schema + ".checkpoint WHERE pipeline = $1 AND sink = $2 AND stream = $3"
}

// fenced tells a lost fence from another error of markSQL.
func fenced(err error) error {
	var pe *pgconn.PgError
	if errors.As(err, &pe) && pe.Code == stateNotNull && strings.HasPrefix(pe.TableName, stateCheckpoint) &&
		pe.ColumnName == "pipeline" {
		return pipeline.ErrFenced
	}
	return err
}

// loading returns the source whose unfinished first load fills the target, "" where there is none.
func (s *state) loading(ctx context.Context, c *conn, target string) (string, error) {
	rows, err := c.query(ctx, "SELECT source FROM "+s.schema+
		".load WHERE pipeline = $1 AND sink = $2 AND target = $3", s.pipeline, s.sink, target)
	if err != nil || len(rows) == 0 {
		return "", err
	}
	return rows[0][0], nil
}

// beginLoad records that the target is empty and is loaded from source.
func (s *state) beginLoad(ctx context.Context, c *conn, target, source string) error {
	_, err := c.query(ctx,
		"INSERT INTO "+s.schema+".load (pipeline, sink, target, source) VALUES ($1, $2, $3, $4)"+
			" ON CONFLICT (pipeline, sink, target) DO UPDATE SET source = excluded.source",
		s.pipeline, s.sink, target, source)
	return err
}

// endLoad records, with the first streamed change, that the target holds more than its first load.
func (s *state) endLoad(ctx context.Context, c *conn, target string) error {
	_, err := c.query(ctx,
		"DELETE FROM "+s.schema+".load WHERE pipeline = $1 AND sink = $2 AND target = $3",
		s.pipeline, s.sink, target)
	return err
}
