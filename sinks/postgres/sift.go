package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
)

// A sift finds the rows of a target that its source does not have any more: from the Truncate with Sift
// on, the key of every row that is written goes into a table of its own too, in the transaction of the
// row; at the one with Sweep, rows whose key is not there are deleted. The table is logged and named
// after the target, so a crash between the two loses nothing.

// siftTable is the table of a target's keys.
func (s *state) siftTable(target name) string {
	return s.schema + "." + s.siftName(s.sink, target.sql())
}

// siftName is the name, without schema, that the table of a target's keys has for a sink at an address.
func (s *state) siftName(sink, target string) string {
	sum := sha256.Sum256([]byte(s.pipeline + "\x00" + sink + "\x00" + target))
	return ident("sift_" + hex.EncodeToString(sum[:8]))
}

// inheritSifts takes over the sifts that are open under the sink's old address.
func (s *state) inheritSifts(ctx context.Context, c *conn) error {
	rows, err := c.query(ctx, "UPDATE "+s.schema+".sift SET sink = $2 WHERE pipeline = $1 AND sink = $3 RETURNING target",
		s.pipeline, s.sink, s.was)
	for _, r := range rows {
		if err == nil {
			err = c.run(ctx, "ALTER TABLE "+s.schema+"."+s.siftName(s.was, r[0])+" RENAME TO "+s.siftName(s.sink, r[0]))
		}
	}
	return err
}

// sifting reports whether a sift of the target is open.
func (s *state) sifting(ctx context.Context, c *conn, target name) (bool, error) {
	rows, err := c.query(ctx, "SELECT 1 FROM "+s.schema+".sift WHERE "+s.owner()+" AND target = $1", target.sql())
	return len(rows) > 0, err
}

// siftable says why rows that vanished cannot be told in a plan's target, "" where they can.
func (l *lane) siftable(p *plan) string {
	cfg := l.sink.cfg
	switch {
	case cfg.Write == writeAppend:
		return `write = "append" keeps every row`
	case cfg.Deletes == deletesIgnore:
		return `deletes = "ignore" keeps every row`
	case len(p.key) == 0:
		return "the table has no key"
	case cfg.Merge || l.sink.binder.shared(p.target):
		return "several tables are written to the target"
	}
	return ""
}

// sift begins to remember what is written to a plan's target.
func (l *lane) sift(ctx context.Context, p *plan, r *pipeline.Row) error {
	b := l.sink.binder
	if why := l.siftable(p); why != "" {
		b.log.Warn("rows that vanished at the source stay in the target", "table", r.Schema.Name(), "why", why)
		return nil
	}
	names := p.keyIdents()
	table := b.state.siftTable(p.target.name)
	sql := "DROP TABLE IF EXISTS " + table + "; CREATE TABLE " + table + " AS SELECT " + strings.Join(names, ", ") +
		" FROM " + p.table + " WITH NO DATA; ALTER TABLE " + table + " ADD PRIMARY KEY (" + strings.Join(names, ", ") + ")"
	if err := l.conn.run(ctx, sql); err != nil {
		return err
	}
	_, err := l.conn.query(ctx, "INSERT INTO "+b.state.schema+`.sift (pipeline, sink, target, source) VALUES ($1, $2, $3, $4)
		ON CONFLICT (pipeline, sink, target) DO UPDATE SET source = excluded.source, begun = now()`,
		b.state.pipeline, b.state.sink, p.target.name.sql(), sourceOf(l.stream, r.Schema))
	if err == nil {
		b.setSifting(p.target, true)
	}
	return err
}

// sweep deletes the rows of a plan's target that were not written since its sift began. Without a sift,
// because there could be none, it deletes nothing.
func (l *lane) sweep(ctx context.Context, p *plan) error {
	b := l.sink.binder
	if !b.sifting(p.target) {
		return nil
	}
	table := b.state.siftTable(p.target.name)
	var same []string
	for _, n := range p.keyIdents() {
		same = append(same, "s."+n+" = t."+n)
	}
	vanished := " WHERE NOT EXISTS (SELECT FROM " + table + " AS s WHERE " + strings.Join(same, " AND ") + ")"
	sql := "DELETE FROM " + p.table + " AS t" + vanished
	if p.soft != "" {
		sql = "UPDATE " + p.table + " AS t SET " + ident(p.soft) + " = true" + vanished + " AND " + ident(p.soft) + " IS NOT TRUE"
	}
	// What was just written has no statistics, and the planner would compare every row with every key.
	if err := l.conn.run(ctx, "ANALYZE "+table); err != nil {
		return err
	}
	tag, err := l.conn.ExecParams(ctx, sql, nil, nil, nil, nil).Close()
	if err != nil {
		return err
	}
	b.log.Info("rows that vanished at the source were deleted", "table", p.schema.Name(), "rows", tag.RowsAffected())
	return l.endSift(ctx, p.target, table)
}

func (l *lane) endSift(ctx context.Context, t *target, table string) error {
	st := l.sink.binder.state
	_, err := l.conn.query(ctx, "DELETE FROM "+st.schema+".sift WHERE "+st.owner()+" AND target = $1", t.name.sql())
	if err == nil {
		err = l.conn.run(ctx, "DROP TABLE "+table)
	}
	if err == nil {
		l.sink.binder.setSifting(t, false)
	}
	return err
}

// remember records the keys of rows that were written to a target that is sifted.
func (l *lane) remember(ctx context.Context, p *plan, rows []*pipeline.Row) error {
	if len(p.key) == 0 || !l.sink.binder.sifting(p.target) {
		return nil
	}
	in := &l.lists.some
	in.reset()
	for _, r := range rows {
		if r.Op == pipeline.Delete {
			continue
		}
		values := r.Values
		if r.Before != nil && !r.Complete() {
			values = l.compact.overlay(r.Before, r.Values)
		}
		in.add(values, r)
	}
	_, err := l.run(ctx, p, p.statement(l.sink.binder, verbSift, nil), in)
	return err
}

// siftSQL is the statement that remembers keys.
func (p *plan) siftSQL(in []input, from string, expr func(input) string) string {
	var names, exprs []string
	for _, i := range in {
		names, exprs = append(names, ident(i.col.attr.name)), append(exprs, expr(i))
	}
	return "INSERT INTO " + p.sifted + " (" + strings.Join(names, ", ") + ") SELECT " + strings.Join(exprs, ", ") + " FROM " +
		from + " ON CONFLICT DO NOTHING"
}

func (p *plan) keyIdents() []string {
	names := make([]string, len(p.key))
	for n, k := range p.key {
		names[n] = ident(p.schema.Columns[k].Name)
	}
	return names
}

// sifting reports whether keys that are written to the target are remembered.
func (b *binder) sifting(t *target) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return t.sifted
}

func (b *binder) setSifting(t *target, on bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t.sifted = on
}
