package postgres

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/pipe-cdc/pipe/pipeline"
)

// The SQLSTATEs of steps that have been done by somebody else.
const (
	stateNoTable  = "42P01"
	stateTwoKeys  = "42P16"
	stateNoObject = "42704"
)

// finisher does the steps of one settlement: all, or those that changes need.
type finisher struct {
	*binder
	conn    *conn // one of its sessions
	workers int   // sessions at most

	mu   sync.Mutex // guards what follows
	late []step     // unique indexes that do not hold before a key does
}

// finish does steps. Whatever reads the rows of a table is done side by side, which is what takes long;
// only the key itself waits for the others on its table, for a moment.
func (b *binder) finish(ctx context.Context, c *conn, todo []step, whole bool) error {
	if len(todo) == 0 {
		return nil
	}
	f := &finisher{binder: b, conn: c, workers: 1}
	if b.cfg.Load != nil {
		f.workers = b.cfg.Load.Workers
	}
	// SET LOGGED one after another: the last one keeps the positions.
	err := f.together(ctx, pick(todo, stepLogged), 1, false)
	if err == nil {
		early := pick(todo, stepKeyIndex)
		if whole {
			early = append(early, pick(todo, stepUnique, stepIndex)...)
		}
		err = f.together(ctx, early, f.workers, true)
	}
	if err == nil {
		err = f.together(ctx, pick(todo, stepKey), f.workers, false)
	}
	if err != nil || !whole {
		return err
	}
	if err := f.together(ctx, f.late, f.workers, false); err != nil {
		return err
	}
	return f.together(ctx, pick(todo, stepAnalyze), f.workers, false)
}

// pick returns the steps of some verbs.
func pick(steps []step, verbs ...string) []step {
	return slices.DeleteFunc(slices.Clone(steps), func(st step) bool { return !slices.Contains(verbs, st.Verb) })
}

// together does steps that do not depend on one another, several sessions taking one after another. early
// says that the keys are still to be made.
func (f *finisher) together(ctx context.Context, steps []step, workers int, early bool) error {
	workers = min(workers, len(steps))
	if workers == 0 {
		return nil
	}
	queue := make(chan step, len(steps))
	for _, st := range steps {
		queue <- st
	}
	close(queue)
	var wait sync.WaitGroup
	errs := make([]error, workers)
	for w := 1; w < workers; w++ {
		wait.Go(func() {
			own, err := f.builder(ctx)
			if err != nil {
				errs[w] = err
				return
			}
			defer own.close()
			errs[w] = f.work(ctx, own, queue, early)
		})
	}
	errs[0] = f.work(ctx, f.conn, queue, early)
	wait.Wait()
	return firstError(errs...)
}

func (f *finisher) work(ctx context.Context, c *conn, queue <-chan step, early bool) error {
	for st := range queue {
		err := f.do(ctx, c, &st, early)
		if err != nil {
			return err
		}
	}
	return nil
}

// do does one step, and decides what its failure means.
func (f *finisher) do(ctx context.Context, c *conn, st *step, early bool) error {
	f.log.Info("finishing a load", "table", st.Target.String(), "step", st.Verb, "columns", st.Columns, "index",
		st.Index)
	sql := st.sql()
	if st.Verb == stepKeyIndex && st.Index == "" {
		sql = "" // the key would not find it
	}
	err := f.once(ctx, c, st, sql)
	if st.Index != "" && nameTaken(err) { // since it was chosen
		st.Index = longName(st.Target, st.Index)
		err = f.once(ctx, c, st, st.sql())
	}
	switch state := sqlState(err); {
	case err == nil:
		return nil
	case state == stateNoTable, state == stateTwoKeys && st.Verb == stepKey:
		return f.once(ctx, c, st, "")
	case state == stateUnique && st.Verb == stepKeyIndex: // the key is made without it, and keeps one row of each
		return f.once(ctx, c, st, "")
	case state == stateUnique && st.Verb == stepKey:
		f.log.Warn("rows were read twice; one of each is kept", "table", st.Target.String())
		return f.once(ctx, c, st, st.dedupSQL()+"; "+st.sql())
	case state == stateUnique && st.Verb == stepUnique && early: // these rows may be to blame
		f.mu.Lock()
		defer f.mu.Unlock()
		f.late = append(f.late, *st)
		return nil
	case st.spare() && state != "" && pipeline.ClassOf(explain("", err)) != pipeline.Retryable:
		f.log.Warn("an index could not be made; it is tried again at the next start", "table", st.Target.String(),
			"sql", st.sql(), "error", err.Error())
		return c.run(ctx, f.state.troubleSQL(st, err))
	}
	e := explain("", err)
	if known := (*pipeline.Error)(nil); errors.As(e, &known) && known.Table == "" {
		known.Table = st.Target.String()
	}
	return e
}

// once does a step's statement in the transaction that deletes the step, under the fence; where another
// session did it meanwhile, nothing.
func (b *binder) once(ctx context.Context, c *conn, st *step, sql string) error {
	if err := c.run(ctx, "BEGIN"); err != nil {
		return err
	}
	err := b.inside(ctx, c, st, sql)
	if err != nil {
		return firstError(err, c.run(ctx, "ROLLBACK"))
	}
	return c.run(ctx, "COMMIT")
}

func (b *binder) inside(ctx context.Context, c *conn, st *step, sql string) error {
	rows, err := c.query(ctx, b.state.fenceSQL(), b.state.pipeline, b.state.sink)
	if err != nil || len(rows) != 1 {
		return firstError(err, pipeline.ErrFenced)
	}
	if rows, err = c.query(ctx, b.state.dropStepSQL(st)); err != nil || len(rows) == 0 || sql == "" {
		return err
	}
	if st.Verb == stepLogged {
		if err := c.run(ctx, b.state.keepMarksSQL(st.Source)); err != nil {
			return err
		}
	}
	if st.Verb == stepKey {
		if sql, err = b.adopt(ctx, c, st, sql); err != nil {
			return err
		}
	}
	return c.run(ctx, sql)
}

// adopt returns the statement that makes the key of the unique index that was made for it, where there is
// one; else sql, which makes it anew.
func (b *binder) adopt(ctx context.Context, c *conn, st *step, sql string) (string, error) {
	for _, index := range []string{st.Index, longName(st.Target, st.Index)} {
		if st.Index == "" {
			break
		}
		rows, err := c.query(ctx, "SELECT FROM pg_index WHERE indexrelid = to_regclass($1) AND indrelid = $2::regclass"+
			" AND indisunique AND indisvalid AND NOT indisprimary", name{st.Target.schema, index}.sql(), st.Target.sql())
		if err != nil {
			return "", err
		}
		if len(rows) == 1 {
			return st.adoptSQL(index), nil
		}
	}
	return sql, nil
}
