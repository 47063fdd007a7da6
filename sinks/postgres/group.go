package postgres

import (
	"context"

	"github.com/pipe-cdc/pipe/pipeline"
)

// group is a run of rows of one plan that may be applied together.
type group struct {
	plan     *plan
	rows     []*pipeline.Row
	truncate []*pipeline.Row // or one TRUNCATE, of these rows' tables
	targets  []*plan         // those tables
	streamed bool            // a row of it is not a snapshot's
}

// gather sorts rows into groups, applied one after another. Rows of different tables may change
// places unless the target checks foreign keys; a TRUNCATE and a new version of a table are barriers.
func (l *lane) gather(ctx context.Context, rows []pipeline.Row) error {
	l.groups = l.groups[:0]
	clear(l.current)
	var last *group
	for i := range rows {
		r := &rows[i]
		if l.trimmed(r.Tx) || r.Op == pipeline.Message {
			continue
		}
		p, err := l.planOf(ctx, r)
		if err != nil {
			return err
		}
		if r.Op == pipeline.Truncate {
			last = l.addTruncate(last, p, r)
			clear(l.current)
			continue
		}
		g := l.groupOf(last, p)
		g.rows = append(g.rows, r)
		g.streamed = g.streamed || r.Tx == nil || !r.Tx.Snapshot
		last = g
	}
	return nil
}

// groupOf returns the group that a row of the plan joins.
func (l *lane) groupOf(last *group, p *plan) *group {
	if last != nil && last.plan == p {
		return last
	}
	g := l.current[p.target]
	inOrder := !l.conn.replica && p.target.table.foreign
	if g != nil && g.plan == p && !inOrder {
		return g
	}
	g = l.newGroup(p)
	l.current[p.target] = g
	return g
}

func (l *lane) newGroup(p *plan) *group {
	if len(l.groups) == cap(l.groups) {
		l.groups = append(l.groups, &group{})
	} else {
		l.groups = l.groups[:len(l.groups)+1]
		if l.groups[len(l.groups)-1] == nil {
			l.groups[len(l.groups)-1] = &group{}
		}
	}
	g := l.groups[len(l.groups)-1]
	clear(g.rows)
	*g = group{plan: p, rows: g.rows[:0]}
	return g
}

func (l *lane) addTruncate(last *group, p *plan, r *pipeline.Row) *group {
	if r.Flags&pipeline.Joined == 0 || last == nil || len(last.truncate) == 0 {
		last = l.newGroup(nil)
	}
	last.truncate = append(last.truncate, r)
	last.targets = append(last.targets, p)
	return last
}

// trimmed reports whether the sink has the transaction already.
func (l *lane) trimmed(tx *pipeline.Tx) bool {
	if tx != l.lastTx {
		l.lastTx = tx
		l.lastIn = tx != nil && l.kept != "" && tx.In(l.kept)
	}
	return l.lastIn
}

// planOf is the binder's plan, remembered for the schemas that a lane sees one after another.
func (l *lane) planOf(ctx context.Context, r *pipeline.Row) (*plan, error) {
	if l.lastPlan != nil && l.lastPlan.schema == r.Schema {
		return l.lastPlan, nil
	}
	var session *conn
	if l.open {
		session = l.conn
	}
	p, err := l.sink.binder.plan(ctx, session, l.stream, r)
	l.lastPlan = p
	return p, err
}
