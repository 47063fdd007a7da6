package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/pgtext"
)

// lane is one session and what it needs to write one batch at a time. While the transaction of a
// stream is open, the lane belongs to that stream.
type lane struct {
	sink     *Sink
	conn     *conn
	open     bool // a transaction is open
	stream   pipeline.Stream
	kept     pipeline.Position
	prepared map[string]bool
	staged   map[string]bool   // staging tables that exist
	filled   map[string]string // staging tables with rows of this transaction, by their statements

	lastTx   *pipeline.Tx
	lastIn   bool
	lastPlan *plan
	groups   []*group
	current  map[*target]*group
	compact  compactor
	lists    lists
	reader   pgtext.CopyReader
	buf      []byte
	params   [][]byte
	ends     []int
	unlogged string // the UNLOGGED target that rows of the open transaction went to, from a chunk
	replace  bool   // delete rows before they are inserted again
}

// The most statements that a session keeps prepared, and staging tables; then it starts over.
const maxPrepared = 1024

func (s *Sink) newLane(ctx context.Context) (*lane, error) {
	c, err := s.cfg.connect(ctx, s.binder.name)
	if err != nil {
		return nil, err
	}
	err = s.assisting(ctx, c)
	if err == nil {
		err = s.sign(ctx, c)
	}
	if err != nil {
		c.close()
		return nil, err
	}
	l := &lane{sink: s, conn: c, prepared: map[string]bool{}, staged: map[string]bool{},
		filled: map[string]string{}, current: map[*target]*group{}}
	for name, sql := range map[string]string{"pipe_mark": s.state.markSQL(),
		"pipe_mark_unlogged": s.state.markUnloggedSQL(), "pipe_fence": s.state.fenceSQL(),
		"pipe_forget": s.state.forgetSQL(), "pipe_commit": "COMMIT"} {
		if _, err := c.Prepare(ctx, name, sql, nil); err != nil {
			c.close()
			return nil, err
		}
	}
	return l, nil
}

// write writes a batch: what is up to its last mark is committed with that mark's position, what is
// after it stays in the open transaction.
func (l *lane) write(ctx context.Context, b *pipeline.Batch, kept pipeline.Position) error {
	l.stream, l.kept = b.Stream, kept
	l.lastTx, l.lastIn, l.lastPlan = nil, false, nil
	end := 0
	if n := len(b.Marks); n > 0 {
		end = b.Marks[n-1].End
		if err := l.apply(ctx, b.Rows[:end]); err != nil {
			return err
		}
		if err := l.commit(ctx, b.Marks[n-1].Pos); err != nil {
			return err
		}
	}
	return l.apply(ctx, b.Rows[end:])
}

// savepoint is what a batch is rolled back to when its set-based form fails.
const savepoint = "pipe"

// begin opens the transaction, or a new savepoint in the open one.
func (l *lane) begin(ctx context.Context) error {
	if l.open {
		return l.conn.run(ctx, "RELEASE SAVEPOINT "+savepoint+"; "+l.empty()+"SAVEPOINT "+savepoint)
	}
	if len(l.prepared) > maxPrepared {
		if err := l.forget(ctx); err != nil {
			return err
		}
	}
	l.open = true
	clear(l.filled)
	return l.conn.run(ctx, "BEGIN; SAVEPOINT "+savepoint)
}

// empty returns what empties the staging tables of earlier batches. Outside of a savepoint the server
// does it in place from the second time on; inside, each TRUNCATE would leave a file behind until the
// end of the transaction.
func (l *lane) empty() string {
	sql := ""
	for name, stage := range l.filled {
		if l.staged[name] {
			sql += "TRUNCATE " + stage + "; "
			delete(l.filled, name)
		}
	}
	return sql
}

// forget drops what the session has collected for tables it may not see again.
func (l *lane) forget(ctx context.Context) error {
	for name := range l.prepared {
		if err := l.conn.Deallocate(ctx, name); err != nil {
			return err
		}
	}
	clear(l.prepared)
	clear(l.staged)
	return l.conn.run(ctx, "DISCARD TEMP")
}

// back undoes what came after a savepoint. Staging tables made since then are gone with it.
func (l *lane) back(ctx context.Context, savepoint string) error {
	clear(l.staged)
	return l.conn.run(ctx, "ROLLBACK TO SAVEPOINT "+savepoint)
}

// commit stores the position under the fence and ends the transaction. When the connection breaks
// here it is not known whether it was committed: the position tells, once the pipeline is built anew.
func (l *lane) commit(ctx context.Context, pos pipeline.Position) error {
	if pos != "" && pos <= l.kept && !l.open {
		return nil
	}
	if !l.open {
		if err := l.conn.run(ctx, "BEGIN"); err != nil {
			return err
		}
		l.open = true
	}
	err := l.commitOpen(ctx, pos)
	l.open, l.unlogged = false, ""
	clear(l.filled)
	return err
}

func (l *lane) commitOpen(ctx context.Context, pos pipeline.Position) error {
	st := l.sink.state
	who := [][]byte{[]byte(st.pipeline), []byte(st.sink), []byte(l.stream)}
	if pos == "" || pos <= l.kept {
		res := l.conn.ExecPrepared(ctx, "pipe_fence", who[:2], nil, nil).Read()
		if res.Err != nil || len(res.Rows) != 1 {
			return firstError(res.Err, pipeline.ErrFenced)
		}
	}
	if attempt, prefix, ok := shared(l.stream); ok && pos > l.kept {
		return l.commitShared(ctx, attempt, prefix, pos)
	}
	unlogged := l.sink.unloggedOf(l.stream, l.unlogged)
	if unlogged == "" && isEntry(l.stream) {
		var err error
		if unlogged, err = l.helped(ctx); err != nil {
			return err
		}
	}
	pipe := l.conn.StartPipeline(ctx)
	switch {
	case pos == "":
		pipe.SendQueryPrepared("pipe_forget", who, nil, nil)
	case pos > l.kept && unlogged != "":
		pipe.SendQueryPrepared("pipe_mark_unlogged", append(who, []byte(pos), []byte(unlogged)), nil, nil)
	case pos > l.kept:
		pipe.SendQueryPrepared("pipe_mark", append(who, []byte(pos)), nil, nil)
	}
	pipe.SendQueryPrepared("pipe_commit", nil, nil, nil)
	if err := pipe.Sync(); err != nil {
		return firstError(pipe.Close(), err)
	}
	tag, err := drain(pipe)
	if err != nil {
		return fenced(err)
	}
	if tag.String() != "COMMIT" {
		return fmt.Errorf("the server answered %q to COMMIT", tag)
	}
	return nil
}

// drain reads a pipeline's results to the end and returns the last command's tag.
func drain(pipe *pgconn.Pipeline) (tag pgconn.CommandTag, err error) {
	for {
		res, err := pipe.GetResults()
		if err != nil {
			return tag, firstError(err, pipe.Close())
		}
		switch r := res.(type) {
		case *pgconn.ResultReader:
			if tag, err = r.Close(); err != nil {
				return tag, firstError(err, pipe.Close())
			}
		default:
			return tag, pipe.Close()
		}
	}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
