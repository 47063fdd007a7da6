package postgres

import (
	"context"
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

// settle does what is left of a source's loads, before the first change after its snapshot is written,
// the last of its snapshots counts as done, or a position of its changes is stored after rows. A position
// without changes that comes before the first row of the snapshot ends nothing: changes is false for it.
// now says that this call did it.
//
// While a snapshot is open, which whole denies, no more is done than changes need: rows that are still to
// be read may leave one there with a value that belongs to another now, and a unique index would refuse that.
func (b *binder) settle(ctx context.Context, stream pipeline.Stream, changes, whole bool) (now bool, err error) {
	source, s := stream.Address(), b.settlement(stream)
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
	s := b.settlements[stream.Address()]
	if s == nil {
		s = &settlement{}
		b.settlements[stream.Address()] = s
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
