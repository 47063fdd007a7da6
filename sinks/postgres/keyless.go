package postgres

import (
	"context"
	"errors"

	"github.com/pipe-cdc/pipe/pipeline"
)

// applyKeyless writes rows of a table without a key, in order: runs of new rows at once, updates and
// deletes one by one, each of one row that equals the whole old one.
func (l *lane) applyKeyless(ctx context.Context, p *plan, rows []*pipeline.Row) error {
	for len(rows) > 0 {
		n := 0
		for n < len(rows) && (rows[n].Op == pipeline.Insert || rows[n].Op == pipeline.Read) {
			n++
		}
		if n > 0 {
			if err := l.insert(ctx, p, rows[:n]); err != nil {
				return err
			}
			rows = rows[n:]
			continue
		}
		if err := l.applyWhole(ctx, p, rows[0]); err != nil {
			return err
		}
		rows = rows[1:]
	}
	return nil
}

// applyWhole applies one update or delete by the whole old row.
func (l *lane) applyWhole(ctx context.Context, p *plan, r *pipeline.Row) error {
	if r.Op == pipeline.Delete && l.sink.cfg.Deletes == deletesIgnore {
		return nil
	}
	if r.Before == nil || r.OldKey() || p.soft != "" {
		return &rowFault{row: r, plan: p, err: &pipeline.Error{Class: pipeline.Input,
			Table: r.Schema.Name(), Pos: r.Tx.Pos,
			Err: errors.New("the table has no key, so its " + r.Op.String() + " cannot be applied"),
			Hint: "On the source, add a primary key or run ALTER TABLE ... REPLICA IDENTITY FULL; or name a key" +
				" with the source's attribute key; or set deletes = \"ignore\" or write = \"append\""}}
	}
	l.compact.reset(nil, 1)
	v, values := verbFullDelete, r.Before
	if r.Op == pipeline.Update {
		v = verbFullUpdate
		values = l.pair(l.compact.overlay(r.Before, r.Values), r.Before)
	}
	in := &l.lists.some
	in.reset()
	in.add(values, r)
	n, err := l.run(ctx, p, p.statement(l.sink.binder, v, nil), in)
	if err != nil || n > 0 {
		return l.blame(p, r, err)
	}
	return l.missing(p, r)
}

// appendRows adds a row for each change: updates as they are after it, deletes (soft) as they were.
func (l *lane) appendRows(ctx context.Context, p *plan, rows []*pipeline.Row) error {
	in, hidden := &l.lists.inserts, &l.lists.deletes
	in.reset()
	hidden.reset()
	l.compact.reset(nil, 1)
	for _, r := range rows {
		values := r.Values
		if r.Op == pipeline.Delete {
			if l.sink.cfg.Deletes == deletesIgnore {
				continue
			}
			if err := l.appendHidden(ctx, p, in, r); err != nil {
				return err
			}
			in.reset()
			continue
		}
		if !r.Complete() && r.Before != nil {
			values = l.compact.overlay(r.Before, r.Values)
		}
		in.add(values, r)
	}
	return l.insertAll(ctx, p, in)
}

func (l *lane) insertAll(ctx context.Context, p *plan, in *list) error {
	if len(in.values) == 0 {
		return nil
	}
	return l.insertList(ctx, p, in)
}

// appendHidden writes what came before, then the deleted row with what is known of it.
func (l *lane) appendHidden(ctx context.Context, p *plan, before *list, r *pipeline.Row) error {
	if err := l.insertAll(ctx, p, before); err != nil {
		return err
	}
	one := &l.lists.some
	one.reset()
	one.add(r.Before, r)
	_, err := l.run(ctx, p, p.statement(l.sink.binder, verbBury, presence(r.Before)), one)
	return l.blame(p, r, err)
}
