package engine

import (
	"context"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
)

// The bounds of saving.
const (
	saveTimeout = 30 * time.Second
	// saveFloor is the least time between saves when nothing is in flight: a trickle of small
	// transactions shall not make the disk sync for each.
	saveFloor = 20 * time.Millisecond
)

// saver saves what the tracker has acknowledged, coalescing, and tells the sources after it
// (invariant 2).
type saver struct {
	engine *Engine
	store  pipeline.Store // nil where every sink is a Keeper
	last   time.Time      // of the last save
	failed bool
}

// run saves when it is due until done is closed or a save fails.
func (v *saver) run(done <-chan struct{}) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-done:
			return
		case <-v.engine.tracker.wake:
		case <-timer.C:
		}
		wait, something := v.due()
		if !something {
			continue
		}
		if wait > 0 {
			timer.Reset(wait)
			continue
		}
		if err := v.save(); err != nil {
			v.failed = true
			v.engine.fail(err)
			return
		}
	}
}

// due returns how long to wait before the next save, and whether there is anything to save.
func (v *saver) due() (time.Duration, bool) {
	t := v.engine.tracker
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.dirty) == 0 {
		return 0, false
	}
	since := time.Since(v.last)
	switch {
	case t.draining > 0:
		return 0, true
	case t.inFlight == 0:
		return min(saveFloor, v.engine.limits.SaveEvery) - since, true
	}
	return v.engine.limits.SaveEvery - since, true
}

// save saves and tells the sources. Nothing is told that is not saved, and nobody's Drain returns
// before both are done.
func (v *saver) save() error {
	l, something := v.engine.tracker.take()
	if !something {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(v.engine.work), saveTimeout)
	defer cancel()
	if v.store != nil {
		err := v.engine.guard("state", func() error { return v.store.Save(ctx, l.next) })
		if err != nil {
			return atNode("state", err)
		}
	}
	v.last = time.Now()
	v.engine.saves.Add(1)
	v.engine.lastSave.Store(v.last.UnixNano())
	told := map[*source]bool{}
	for _, s := range l.streams {
		if told[s.source] {
			continue
		}
		told[s.source] = true
		if err := s.source.tell(ctx, l.next.Of(s.source.address)); err != nil {
			return err
		}
	}
	v.engine.tracker.settle(l)
	return nil
}
