package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/pipe-cdc/pipe/pipeline"
)

// repair applies a batch again, after its set-based form failed because of rows: group by group, and
// where a group fails, rows deleted before they are inserted again (unique values that change
// hands), and at last in the order of the source in ever smaller parts, until what fails is one row.
func (l *lane) repair(ctx context.Context, cause error) error {
	if err := l.undo(ctx); err != nil {
		return firstError(cause, err)
	}
	for _, g := range l.groups {
		if len(g.truncate) > 0 {
			if err := l.truncate(ctx, g); err != nil {
				return err
			}
			continue
		}
		if err := l.repairGroup(ctx, g); err != nil {
			return err
		}
	}
	return nil
}

func (l *lane) repairGroup(ctx context.Context, g *group) error {
	if err := l.enter(ctx, g); err != nil {
		return err
	}
	err := l.attempt(ctx, g.plan, g.rows, 0)
	if err == nil || !aboutRows(err) {
		return err
	}
	switch sqlState(err) {
	case stateUnique, stateExclusion, stateTwice:
		l.sink.binder.stale(g.plan.target)
		if err = l.attempt(ctx, g.plan, g.rows, 0); err == nil || !aboutRows(err) {
			return err
		}
		if l.mayReplace(g) {
			l.replace = true
			err = l.attempt(ctx, g.plan, g.rows, 0)
			l.replace = false
		}
	}
	if err == nil || !aboutRows(err) {
		return err
	}
	return l.isolate(ctx, g.plan, g.rows, 1)
}

// mayReplace reports whether rows may be deleted and inserted again without losing anything.
func (l *lane) mayReplace(g *group) bool {
	if !g.plan.exact || !l.conn.replica || l.sink.cfg.Deletes != deletesApply || !g.plan.others() {
		return false
	}
	for _, r := range g.rows {
		if r.Op != pipeline.Delete && !r.Complete() {
			return false
		}
	}
	return true
}

// attempt applies rows within a savepoint of that depth, and takes them back where they fail.
func (l *lane) attempt(ctx context.Context, p *plan, rows []*pipeline.Row, depth int) error {
	name := fmt.Sprintf("%s_%d", savepoint, depth)
	if err := l.conn.run(ctx, "SAVEPOINT "+name); err != nil {
		return err
	}
	err := l.applyRows(ctx, p, rows)
	if err == nil {
		return l.conn.run(ctx, "RELEASE SAVEPOINT "+name)
	}
	var known *pipeline.Error
	if !aboutRows(err) || errors.As(err, &known) {
		return err
	}
	return firstError(l.back(ctx, name), err)
}

// isolate applies rows in order, halving what fails, and returns the fault of the first row that
// fails by itself. Its depth is bounded by the logarithm of the number of rows.
func (l *lane) isolate(ctx context.Context, p *plan, rows []*pipeline.Row, depth int) error {
	err := l.attempt(ctx, p, rows, depth)
	if err == nil || !aboutRows(err) {
		return err
	}
	if len(rows) == 1 {
		return l.blame(p, rows[0], err)
	}
	half := len(rows) / 2
	if err := l.isolate(ctx, p, rows[:half], depth+1); err != nil {
		return err
	}
	return l.isolate(ctx, p, rows[half:], depth+1)
}
