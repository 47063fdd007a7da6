package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
)

// maxColumns is how many columns a table of PostgreSQL may have, and so the bound of how often a batch is
// tried again with one more of them without its NOT NULL.
const maxColumns = 1600

// offender returns the target and column whose NOT NULL refused a row; nil where the error says something
// else, or the constraint is not the sink's to drop.
func (l *lane) offender(err error) (*target, *attribute) {
	var pe *pgconn.PgError
	if !errors.As(err, &pe) || pe.Code != stateNotNull || pe.ColumnName == "" {
		return nil, nil
	}
	b := l.sink.binder
	if b.cfg.SchemaChanges != changesAdd && b.cfg.SchemaChanges != changesApply {
		return nil, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.targets[name{pe.SchemaName, pe.TableName}]
	if t == nil || !t.made || b.latest[t] == nil || b.latest[t].IsKey(b.latest[t].Index(pe.ColumnName)) {
		return nil, nil
	}
	if a := t.table.attr(pe.ColumnName); a != nil && a.notNull {
		return t, a
	}
	return nil, nil
}

// relaxes reports whether relax mends an error.
func (l *lane) relaxes(err error) bool {
	t, _ := l.offender(err)
	return t != nil
}

// relax drops the NOT NULL that refused a row, of a table that the sink made. The source has dropped its
// own, which PostgreSQL's stream does not tell, or the column itself; or the row is older than it.
func (l *lane) relax(ctx context.Context, err error) error {
	t, a := l.offender(err)
	if err := l.undo(ctx); err != nil {
		return err
	}
	sql := "ALTER TABLE " + t.name.sql() + " ALTER COLUMN " + ident(a.name) + " DROP NOT NULL"
	l.sink.binder.log.Info("the target table changes", "table", t.name.String(), "sql", sql)
	// Not under the savepoint, where a repair would take it back.
	if err := l.conn.run(ctx, "RELEASE SAVEPOINT "+savepoint+"; "+sql+"; SAVEPOINT "+savepoint); err != nil {
		return firstError(l.relaxLater(ctx, sql, err), err)
	}
	l.sink.binder.mu.Lock()
	defer l.sink.binder.mu.Unlock()
	a.notNull = false
	return nil
}

// relaxLater drops a NOT NULL in a transaction of its own after that of the batch has failed. Lanes that
// have all written to the table cannot change it beside one another: without this, those of the next life
// would meet in the same deadlock.
func (l *lane) relaxLater(ctx context.Context, sql string, cause error) error {
	if state := sqlState(cause); state != stateDeadlock && state != stateLock {
		return nil
	}
	if err := l.conn.run(ctx, "ROLLBACK"); err != nil {
		return cause
	}
	if err := l.conn.run(ctx, sql); err != nil {
		l.sink.binder.log.Warn("a column still may not be NULL", "sql", sql, "error", err.Error())
	}
	return cause
}

// undo takes back what the batch did to tables; that its targets' loads have ended stays recorded.
func (l *lane) undo(ctx context.Context) error {
	if err := l.back(ctx, savepoint); err != nil {
		return err
	}
	end := func(p *plan) error { return l.sink.binder.state.endLoad(ctx, l.conn, p.target.name.String()) }
	for _, g := range l.groups {
		if g.streamed {
			if err := end(g.plan); err != nil {
				return err
			}
		}
		for i, r := range g.truncate {
			if r.Note() {
				continue
			}
			if err := end(g.targets[i]); err != nil {
				return err
			}
		}
	}
	return nil
}
