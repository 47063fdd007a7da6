package postgres

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/pipe-cdc/pipe/pipeline"
)

// settlement is whether what a source's loads left to be done is done.
type settlement struct {
	mu     sync.Mutex  // held while it is being done
	keyed  bool        // tables are durable and have their keys
	done   bool        // and all else
	began  atomic.Bool // no table is made for its load any more
	looked atomic.Bool // nothing was left when a position came without changes
}

// The SQLSTATEs of steps that have been done by somebody else.
const (
	stateNoTable  = "42P01"
	stateTwoKeys  = "42P16"
	stateNoObject = "42704"
)

// settle does what is left of a source's loads, before the first change after its snapshot is written,
// the last of its snapshots counts as done, or a position of its changes is stored after rows. A position
// without changes that comes before the first row of the snapshot ends nothing: changes is false for it.
// now says that this call did it.
//
// While a snapshot is open, which whole denies, no more is done than changes need: rows that are still to
// be read may leave one there with a value that belongs to another now, and a unique index would refuse that.
func (b *binder) settle(ctx context.Context, stream pipeline.Stream, changes, whole bool) (now bool, err error) {
	source, s := address(stream), b.settlement(stream)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done || s.keyed && !whole || !changes && s.looked.Load() {
		return false, nil
	}
	if changes {
		s.began.Store(true)
	}
	c, err := b.builder(ctx)
	if err != nil {
		return false, err
	}
	defer c.close()
	todo, err := b.state.stepsOf(ctx, c, "source", source)
	if err != nil {
		return false, err
	}
	if !changes && len(todo) == 0 {
		s.looked.Store(true)
		return false, nil
	}
	s.began.Store(true)
	if err := b.finish(ctx, c, todo, whole); err != nil {
		return false, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, st := range todo {
		if err := b.refresh(ctx, c, b.targets[st.Target]); err != nil {
			return false, err
		}
	}
	s.keyed, s.done = true, whole
	return true, nil
}

func (b *binder) settlement(stream pipeline.Stream) *settlement {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.settlements[address(stream)]
	if s == nil {
		s = &settlement{}
		b.settlements[address(stream)] = s
	}
	return s
}

// unsettle says that the last open snapshot of a source ended: what its tables were denied is to be done.
func (b *binder) unsettle(stream pipeline.Stream) {
	s := b.settlement(stream)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = false
}

// settleTarget does what is left of one target's load. The binder's lock is held.
func (b *binder) settleTarget(ctx context.Context, t *target) error {
	c, err := b.builder(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	todo, err := b.state.stepsOf(ctx, c, "target", t.name.sql())
	if err != nil {
		return err
	}
	if err := b.finish(ctx, c, todo, true); err != nil {
		return err
	}
	return b.refresh(ctx, c, t)
}

// refresh looks at a target again after steps were done. The binder's lock is held.
func (b *binder) refresh(ctx context.Context, c *conn, t *target) error {
	if t == nil || !t.deferred && !t.table.unlogged {
		return nil
	}
	table, err := readTable(ctx, c, t.name)
	if err != nil || table == nil {
		return err
	}
	t.table, t.deferred = table, false
	t.version++
	return nil
}

// builder opens a session for statements that may take long, and whose client may be gone before them.
func (b *binder) builder(ctx context.Context) (*conn, error) {
	c, err := b.cfg.connect(ctx, b.name)
	if err != nil {
		return nil, err
	}
	if err = c.run(ctx, "SET statement_timeout = 0; SET synchronous_commit = on"); err == nil {
		err = c.run(ctx, "SET client_connection_check_interval = '5s'") // PostgreSQL 14
	}
	if err != nil && sqlState(err) != stateNoObject && sqlState(err) != "22023" {
		c.close()
		return nil, err
	}
	return c, nil
}

// finish does steps, verb after verb, those of one verb side by side: all, or those that changes need.
func (b *binder) finish(ctx context.Context, c *conn, todo []step, whole bool) error {
	if len(todo) == 0 {
		return nil
	}
	workers := 1
	if b.cfg.Load != nil {
		workers = b.cfg.Load.Workers
	}
	order := [][]string{{stepLogged}, {stepKey}, {stepUnique, stepIndex}, {stepAnalyze}}
	if !whole {
		order = order[:2]
	}
	for _, verbs := range order {
		var now []step
		for _, st := range todo {
			if slices.Contains(verbs, st.Verb) {
				now = append(now, st)
			}
		}
		side := min(workers, len(now))
		if verbs[0] == stepLogged { // one after another: the last one keeps the positions
			side = 1
		}
		if err := b.together(ctx, c, now, side); err != nil {
			return err
		}
	}
	return nil
}

// together does steps that do not depend on one another, c and more sessions taking one after another.
func (b *binder) together(ctx context.Context, c *conn, steps []step, workers int) error {
	if len(steps) == 0 {
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
			own, err := b.builder(ctx)
			if err != nil {
				errs[w] = err
				return
			}
			defer own.close()
			errs[w] = b.work(ctx, own, queue)
		})
	}
	errs[0] = b.work(ctx, c, queue)
	wait.Wait()
	return firstError(errs...)
}

func (b *binder) work(ctx context.Context, c *conn, queue <-chan step) error {
	for st := range queue {
		if err := b.do(ctx, c, &st); err != nil {
			return err
		}
	}
	return nil
}

// do does one step, and decides what its failure means.
func (b *binder) do(ctx context.Context, c *conn, st *step) error {
	b.log.Info("finishing a load", "table", st.Target.String(), "step", st.Verb, "columns", st.Columns, "index",
		st.Index)
	err := b.once(ctx, c, st, st.sql())
	if st.Index != "" && nameTaken(err) { // since it was chosen
		st.Index = longName(st.Target, st.Index)
		err = b.once(ctx, c, st, st.sql())
	}
	switch state := sqlState(err); {
	case err == nil:
		return nil
	case state == stateNoTable, state == stateTwoKeys && st.Verb == stepKey:
		return b.once(ctx, c, st, "")
	case state == stateUnique && st.Verb == stepKey:
		b.log.Warn("rows were read twice; one of each is kept", "table", st.Target.String())
		return b.once(ctx, c, st, st.dedupSQL()+"; "+st.sql())
	case st.spare() && state != "" && pipeline.ClassOf(explain("", err)) != pipeline.Retryable:
		b.log.Warn("an index could not be made; it is tried again at the next start", "table", st.Target.String(),
			"sql", st.sql(), "error", err.Error())
		return c.run(ctx, b.state.troubleSQL(st, err))
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
	return c.run(ctx, sql)
}
