package postgres

import (
	"context"
	"errors"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
)

// apply writes rows in the lane's transaction, which it opens where there is none.
func (l *lane) apply(ctx context.Context, rows []pipeline.Row) error {
	if len(rows) == 0 {
		return nil
	}
	if err := l.gather(ctx, rows); err != nil || len(l.groups) == 0 {
		return err
	}
	if err := l.begin(ctx); err != nil {
		return err
	}
	err := l.applyGroups(ctx)
	for tries := 0; tries < maxColumns && l.relaxes(err); tries++ {
		if err = l.relax(ctx, err); err == nil {
			err = l.applyGroups(ctx)
		}
	}
	if err == nil || !aboutRows(err) && !faulty(err) {
		return err
	}
	if faulty(err) {
		return err // an encoder's: it knows the row
	}
	return l.repair(ctx, err)
}

func faulty(err error) bool {
	var f *rowFault
	return errors.As(err, &f) && !aboutRows(f.err)
}

func (l *lane) applyGroups(ctx context.Context) error {
	for _, g := range l.groups {
		if err := l.applyGroup(ctx, g); err != nil {
			return err
		}
	}
	return nil
}

func (l *lane) applyGroup(ctx context.Context, g *group) error {
	if len(g.truncate) > 0 {
		return l.truncate(ctx, g)
	}
	if err := l.enter(ctx, g); err != nil {
		return err
	}
	return l.applyRows(ctx, g.plan, g.rows)
}

// enter records, in the lane's transaction, what kind of rows reach a target.
func (l *lane) enter(ctx context.Context, g *group) error {
	if g.plan.unlogged && isChunk(l.stream) {
		l.unlogged = g.plan.target.name.sql()
	}
	if !g.streamed {
		return nil
	}
	return l.sink.binder.streamed(ctx, l.conn, g.plan.target)
}

// errEarly says that a source broke the order of snapshot and changes.
var errEarly = errors.New("a change came among the rows of a snapshot, before the table has its key")

func (l *lane) applyRows(ctx context.Context, p *plan, rows []*pipeline.Row) error {
	if err := l.writeRows(ctx, p, rows); err != nil {
		return err
	}
	return l.remember(ctx, p, rows)
}

func (l *lane) writeRows(ctx context.Context, p *plan, rows []*pipeline.Row) error {
	switch {
	case l.sink.cfg.Write == writeAppend:
		return l.appendRows(ctx, p, rows)
	case len(p.key) == 0:
		return l.applyKeyless(ctx, p, rows)
	case p.deferred && !all(pipeline.Read, rows):
		return &rowFault{row: rows[0], plan: p, err: errEarly}
	case p.deferred:
		return l.insert(ctx, p, rows)
	case l.sink.binder.fresh(p.target) && all(pipeline.Read, rows):
		return l.insert(ctx, p, rows)
	case l.sink.binder.guess(p.target) && all(pipeline.Insert, rows):
		return l.insert(ctx, p, rows)
	}
	return l.applyKeyed(ctx, p, rows)
}

// all reports whether rows are complete and of one operation.
func all(op pipeline.Op, rows []*pipeline.Row) bool {
	for _, r := range rows {
		if r.Op != op || !r.Complete() {
			return false
		}
	}
	return true
}

// insert writes rows whose keys the target does not have. COPY is twice as fast as an upsert.
func (l *lane) insert(ctx context.Context, p *plan, rows []*pipeline.Row) error {
	in := &l.lists.inserts
	in.reset()
	for _, r := range rows {
		in.add(r.Values, r)
	}
	return l.insertList(ctx, p, in)
}

func (l *lane) insertList(ctx context.Context, p *plan, in *list) error {
	if p.direct && len(in.values) > 1 {
		return l.runCopy(ctx, p, in)
	}
	_, err := l.run(ctx, p, p.statement(l.sink.binder, verbInsert, nil), in)
	return err
}

// truncate empties the tables of one TRUNCATE statement of the source.
func (l *lane) truncate(ctx context.Context, g *group) error {
	b, policy := l.sink.binder, l.sink.cfg.Truncates
	var names []string
	var flags pipeline.Flags
	for i, r := range g.truncate {
		p := g.targets[i]
		if r.Flags&pipeline.Again != 0 {
			if b.restart(p.target, sourceOf(l.stream, r.Schema)) {
				names = append(names, p.table)
			}
			continue
		}
		if r.Note() {
			if err := l.note(ctx, p, r); err != nil {
				return err
			}
			continue
		}
		switch {
		case policy == truncatesIgnore || l.sink.cfg.Write == writeAppend:
			continue
		case policy == truncatesFail:
			return &rowFault{row: r, plan: p, err: &pipeline.Error{Class: pipeline.Input,
				Table: r.Schema.Name(), Pos: r.Tx.Pos,
				Err:  errors.New("the source table was truncated"),
				Hint: "Truncate the target yourself and set truncates"}}
		case b.shared(p.target):
			return &pipeline.Error{Class: pipeline.Input, Table: r.Schema.Name(), Pos: r.Tx.Pos,
				Err:  errors.New("the source table was truncated, but its target holds other tables' rows too"),
				Hint: "Delete its rows from the target yourself and set truncates = \"ignore\""}
		case p.soft != "":
			if err := l.conn.run(ctx,
				"UPDATE "+p.table+" SET "+ident(p.soft)+" = true WHERE "+ident(p.soft)+" IS NOT TRUE"); err != nil {
				return err
			}
			continue
		}
		if err := b.streamed(ctx, l.conn, p.target); err != nil {
			return err
		}
		names, flags = append(names, p.table), flags|r.Flags
	}
	if len(names) == 0 {
		return nil
	}
	sql := "TRUNCATE " + strings.Join(names, ", ")
	if flags&pipeline.RestartIdentity != 0 {
		sql += " RESTART IDENTITY"
	}
	if flags&pipeline.Cascade != 0 {
		sql += " CASCADE"
	}
	return l.conn.run(ctx, sql)
}

// note acts on a word about a snapshot.
func (l *lane) note(ctx context.Context, p *plan, r *pipeline.Row) error {
	if r.Flags&pipeline.Sift != 0 {
		return l.sift(ctx, p, r)
	}
	return l.sweep(ctx, p)
}

// restart reports whether the target holds nothing but the unfinished load of source, which starts
// over, so that it must be emptied.
func (b *binder) restart(t *target, source string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t.load != source {
		return false
	}
	t.fresh = true
	return true
}

// shared reports whether several source tables are written to the target.
func (b *binder) shared(t *target) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(t.sources) > 1
}
