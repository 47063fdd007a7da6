package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// A shared snapshot is written by several processes: the leader's sink, which has the fence, and those of
// helpers, which borrow it. Each chunk is a stream with one mark, and two processes may write the same one,
// where the first gave no sign of life for too long. Its mark is inserted, never updated, in the
// transaction of its rows, so the server lets one of them pass; and only while the position of the attempt
// says that it is open, which the leader changes when all chunks are there: whoever is still busy with one
// then cannot commit.

// assistIdle is how long a helper's transaction may lie still before the server ends it: it may be that of
// a process that hangs, and hold keys that whoever takes its chunk over must write.
const assistIdle = "15s"

// Assist implements pipeline.Assistant.
func (s *Sink) Assist() { s.assists = true }

// shared returns the attempt that a stream belongs to, as SQL conditions need it: the name of the stream
// whose position is the attempt's, and what that begins with.
func shared(stream pipeline.Stream) (attempt pipeline.Stream, prefix string, ok bool) {
	source := stream.Address()
	local, ok := stream.Local(source)
	if !ok {
		return "", "", false
	}
	id, ok := snapshot.SharedStream(local)
	return snapshot.AttemptStream.In(source), id + "/", ok
}

// borrow takes the epoch of the instance that has the fence.
func (s *state) borrow(ctx context.Context, c *conn) error {
	rows, err := c.query(ctx, "SELECT epoch FROM "+s.schema+".fence WHERE pipeline = $1 AND sink = $2", s.pipeline, s.sink)
	if err != nil {
		return err
	}
	if len(rows) != 1 {
		return &pipeline.Error{Class: pipeline.Retryable, Err: errors.New("no instance has the fence")}
	}
	if s.epoch, err = strconv.ParseInt(rows[0][0], 10, 64); err != nil {
		return fmt.Errorf("the fence's epoch %q: %w", rows[0][0], err)
	}
	return nil
}

// assisting prepares a helper's session.
func (s *Sink) assisting(ctx context.Context, c *conn) error {
	if !s.assists {
		return nil
	}
	return c.run(ctx, "SET idle_in_transaction_session_timeout = '"+assistIdle+"'")
}

// recall looks up whether another process has written what comes on a stream of a shared snapshot.
func (l *lane) recall(ctx context.Context, b *pipeline.Batch, kept pipeline.Position) (pipeline.Position, error) {
	last, marked := b.Last()
	if _, _, ok := shared(b.Stream); !ok || l.open || kept != "" || marked && last == "" {
		return kept, nil
	}
	s := l.sink
	rows, err := l.conn.query(ctx, "SELECT position, '' FROM "+s.state.schema+".checkpoint WHERE "+s.state.owner()+
		" AND stream = $1 UNION ALL SELECT position, target FROM "+s.state.schema+".checkpoint_unlogged WHERE "+
		s.state.owner()+" AND stream = $1", string(b.Stream))
	if err != nil || len(rows) == 0 {
		return kept, err
	}
	kept = pipeline.Position(rows[0][0])
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept[b.Stream] = kept
	if target := rows[0][1]; target != "" {
		s.volatile[b.Stream] = target
	}
	return kept, nil
}

// helped returns an UNLOGGED target that has chunks which helpers wrote, "" for none: what an entry says of
// those is as volatile as what it says of the sink's own.
func (l *lane) helped(ctx context.Context) (string, error) {
	s, source := l.sink, l.stream.Address()
	s.mu.Lock()
	a, err := snapshot.ParseAttempt(s.kept[snapshot.AttemptStream.In(source)])
	s.mu.Unlock()
	if err != nil || !a.Shared {
		return "", nil // no attempt runs, or none that is shared
	}
	first := string(a.Stream(0).In(source))
	prefix := first[:strings.LastIndexByte(first, '/')+1]
	rows, err := l.conn.query(ctx, "SELECT stream, target FROM "+s.state.schema+".checkpoint_unlogged WHERE "+s.state.owner()+
		" AND left(stream, length($1)) = $1 LIMIT 1", prefix)
	if err != nil || len(rows) == 0 {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.volatile[pipeline.Stream(rows[0][0])] = rows[0][1]
	return rows[0][1], nil
}

// sharedMarkSQL is markSQL, or with a target markUnloggedSQL, for a chunk of a shared snapshot.
func (s *state) sharedMarkSQL(attempt pipeline.Stream, prefix string, unlogged bool) string {
	table, column, value := ".checkpoint", "", ""
	if unlogged {
		table, column, value = ".checkpoint_unlogged", ", target", ", $5"
	}
	return "INSERT INTO " + s.schema + table + " (pipeline, sink, stream, position" + column + `)
		VALUES ((SELECT f.pipeline FROM ` + s.schema + `.fence f JOIN ` + s.schema + `.checkpoint a ON a.pipeline = f.pipeline
			AND a.sink = f.sink AND a.stream = ` + literal(string(attempt)) + ` WHERE f.pipeline = $1 AND f.sink = $2
			AND f.epoch = ` + strconv.FormatInt(s.epoch, 10) + ` AND a.position LIKE '%/shared'
			AND left(a.position, ` + strconv.Itoa(len(prefix)) + `) = ` + literal(prefix) + ` FOR SHARE), $2, $3, $4` + value + `)`
}

// commitShared is commitOpen for the mark of a shared chunk.
func (l *lane) commitShared(ctx context.Context, attempt pipeline.Stream, prefix string, pos pipeline.Position) error {
	st := l.sink.state
	params := [][]byte{[]byte(st.pipeline), []byte(st.sink), []byte(l.stream), []byte(pos)}
	unlogged := l.sink.unloggedOf(l.stream, l.unlogged)
	if unlogged != "" {
		params = append(params, []byte(unlogged))
	}
	pipe := l.conn.StartPipeline(ctx)
	pipe.SendQueryParams(st.sharedMarkSQL(attempt, prefix, unlogged != ""), params, nil, nil, nil)
	pipe.SendQueryPrepared("pipe_commit", nil, nil, nil)
	if err := pipe.Sync(); err != nil {
		return firstError(pipe.Close(), err)
	}
	tag, err := drain(pipe)
	switch {
	case marked(err):
		l.sink.binder.log.Info("a chunk is left to the process that wrote it first", "stream", string(l.stream))
		clear(l.staged) // what was made in the transaction goes with it
		return l.conn.run(ctx, "ROLLBACK")
	case err != nil:
		return fenced(err)
	case tag.String() != "COMMIT":
		return fmt.Errorf("the server answered %q to COMMIT", tag)
	}
	return nil
}

// marked reports whether a shared chunk's mark is there already: all of it was committed by another process.
func marked(err error) bool {
	var pe *pgconn.PgError
	return errors.As(err, &pe) && pe.Code == stateUnique && strings.HasPrefix(pe.TableName, stateCheckpoint)
}

var _ pipeline.Assistant = (*Sink)(nil)
