package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/pgtext"
	"github.com/pipe-cdc/pipe/pipeline/expr"
	"github.com/pipe-cdc/pipe/sources/postgres/pgoutput"
)

// streamed is a relation as the stream describes it, with what turns its tuples into rows.
type streamed struct {
	oid    uint32
	table  *table // nil: not taken
	name   string // the table's, qualified
	schema *pipeline.Schema
	dec    *pgtext.Decoder
	filter *expr.Where
	plan   []int  // index of each tuple column in the schema; -1: left out
	inKey  []bool // for each tuple column: it belongs to the replica identity

	partial bool // the last row filled left values out
}

// relation handles a description. The schema stays the same pointer as long as nothing that it says
// differs; else the catalogue is read again, and where that is ahead of the stream already, the
// stream's own word counts.
func (s *stream) relation(d *pgoutput.Decoder) error {
	s.last = nil
	t, err := s.tableOf(d)
	if err != nil {
		return err
	}
	rel := &streamed{oid: d.RelationID, table: t}
	s.relations[d.RelationID] = rel
	if t == nil {
		return nil
	}
	rel.schema, rel.name = t.Schema, t.Schema.Name()
	rel.dec = pgtext.NewDecoder(rel.schema.Columns)
	rel.dec.Version = s.server.Version
	if rel.filter, err = compileWhere(t, rel.schema); err != nil {
		return &pipeline.Error{Class: pipeline.Input, Table: t.String(), Err: err}
	}
	for _, c := range d.Columns {
		i := -1
		if !slices.Contains(t.Omit, string(c.Name)) {
			i = rel.schema.Index(string(c.Name))
		}
		rel.plan = append(rel.plan, i)
		rel.inKey = append(rel.inKey, c.Key)
	}
	return nil
}

// tableOf returns the table that the stream describes, with a schema that fits; nil where it is not
// taken.
func (s *stream) tableOf(d *pgoutput.Decoder) (*table, error) {
	known := s.table(d.RelationID)
	if known != nil && known.fits(d) {
		return known, nil
	}
	if known == nil && !s.named(d) {
		return nil, nil
	}
	fresh, err := s.reload(s.ctx, d)
	if err != nil {
		return nil, err
	}
	if fresh == nil && known != nil {
		return nil, failed(pipeline.Environment, "Name the table in tables or exclude, then start again",
			"table %s is now %s.%s, which tables does not name", known, d.Namespace, d.Name)
	}
	if fresh == nil {
		return nil, nil
	}
	// What the catalogue said at the start may be ahead of the stream: only what the stream said
	// before, or the catalogue since, tells what changed.
	changed := s.relations[d.RelationID] != nil || fresh.fits(d)
	if !fresh.fits(d) {
		if fresh, err = s.asDescribed(s.ctx, fresh, d); err != nil {
			return nil, err
		}
	}
	if known == nil {
		err = s.remade(fresh)
	} else if changed {
		err = s.rewritten(known, fresh)
	}
	if err != nil {
		return nil, err
	}
	return fresh, s.replace(known, fresh)
}

// replace makes fresh the table from here on.
func (s *stream) replace(known, fresh *table) error {
	if known == nil {
		s.tables = append(s.tables, fresh)
		return s.appeared(fresh)
	}
	if known.String() != fresh.String() {
		s.env.Log.Warn("a table was renamed", "from", known.String(), "to", fresh.String())
	}
	if err := s.changed(known, fresh); err != nil {
		return err
	}
	if s.config.Binary == "auto" && s.binary() {
		for i := range fresh.Schema.Columns {
			if c := &fresh.Schema.Columns[i]; !pgtext.BinaryOK(c) {
				*known = *fresh
				return failed(pipeline.Retryable, "", "column %s of table %s, of type %s, came to be: starting "+
					"again with values as text", c.Name, fresh, c.Type)
			}
		}
	}
	fresh.Schema.Version = known.Schema.Version + 1
	*known = *fresh
	if s.live != nil {
		s.set(known)
	}
	s.env.Log.Info("a table's columns changed", "table", fresh.String(), "columns", len(fresh.Schema.Columns))
	return nil
}

// table returns the taken table with that OID.
func (s *stream) table(oid uint32) *table {
	for _, t := range s.tables {
		if t.OID == oid {
			return t
		}
	}
	return nil
}

// named reports whether the patterns name what the stream describes.
func (s *stream) named(d *pgoutput.Decoder) bool {
	_, ok := s.settings.picker.named(s.server.Database, &relation{Namespace: namespaceOf(d), Name: string(d.Name)})
	return ok
}

// namespaceOf returns the schema's name, which is left empty for pg_catalog.
func namespaceOf(d *pgoutput.Decoder) string {
	if len(d.Namespace) == 0 {
		return "pg_catalog"
	}
	return string(d.Namespace)
}

// fits reports whether the table is what the stream describes: name, identity, and the columns, in
// any order (those of a partition differ from its parent's).
func (t *table) fits(d *pgoutput.Decoder) bool {
	if t.Namespace != namespaceOf(d) || t.Name != string(d.Name) || t.Identity != d.Identity {
		return false
	}
	taken := 0
	for _, c := range d.Columns {
		name := string(c.Name)
		if slices.Contains(t.Omit, name) {
			continue
		}
		a := t.Attribute(name)
		if a == nil || a.Type.OID != c.TypeID || a.Type.Mod != c.Mod {
			return false
		}
		if a.Generated {
			continue
		}
		taken++
		if t.Identity != identityFull && c.Key != slices.Contains(t.keyNames(), name) {
			return false
		}
	}
	return taken == len(t.Schema.Columns)
}

// reload reads the catalogue again, on a connection of its own: the first may have been idle for days.
func (s *stream) reload(ctx context.Context, d *pgoutput.Decoder) (*table, error) {
	conn, err := s.config.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	c, err := loadCatalog(ctx, conn, s.settings.picker.wants(s.server.Database))
	if err != nil {
		return nil, err
	}
	s.catalog = c
	for _, p := range s.settings.picker.pick(c) {
		if p.OID == d.RelationID && p.Taken {
			return s.settings.table(c, p.relation)
		}
	}
	if s.named(d) { // dropped or renamed since
		return s.settings.table(c, &relation{OID: d.RelationID, Namespace: namespaceOf(d),
			Name: string(d.Name), Kind: kindTable})
	}
	return nil, nil
}

// asDescribed is the table as the stream describes it, at a time when the catalogue said something
// else than now; what the description does not tell is taken from the catalogue where names agree.
func (s *stream) asDescribed(ctx context.Context, now *table, d *pgoutput.Decoder) (*table, error) {
	conn, err := s.config.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	r := *now.relation
	r.Namespace, r.Name, r.Identity = namespaceOf(d), string(d.Name), d.Identity
	r.Columns, r.Primary, r.Index = nil, nil, nil
	for i, c := range d.Columns {
		a := attribute{Name: string(c.Name)}
		if old := now.Attribute(a.Name); old != nil {
			a = *old
		}
		if a.Type.OID != c.TypeID || a.Type.Mod != c.Mod {
			if a.Type, err = s.typeOf(ctx, c, func(sql string) ([]string, error) {
				return queryRow(ctx, conn,
					"read a type", sql)
			}); err != nil {
				return nil, err
			}
		}
		a.Num, a.Generated = int16(i+1), false
		r.Columns = append(r.Columns, a)
		if c.Key && d.Identity == identityIndex {
			r.Index = append(r.Index, a.Num)
		} else if c.Key && d.Identity != identityFull {
			r.Primary = append(r.Primary, a.Num)
		}
	}
	if d.Identity == identityFull {
		r.Primary = renumber(now.relation, &r)
	}
	return s.settings.table(s.catalog, &r)
}

// renumber translates the primary key of one description of a table to another; nil where a column
// of it is missing.
func renumber(from, to *relation) []int16 {
	var nums []int16
	for _, num := range from.Primary {
		old := from.attributeNum(num)
		if old == nil {
			return nil
		}
		a := to.Attribute(old.Name)
		if a == nil {
			return nil
		}
		nums = append(nums, a.Num)
	}
	return nums
}

// typeOf describes a type by its number; one that is gone keeps its values' text.
func (s *stream) typeOf(ctx context.Context, c pgoutput.RelationColumn, row func(string) ([]string,
	error)) (pgtext.Type, error) {
	conn, err := s.config.connect(ctx)
	if err != nil {
		return pgtext.Type{}, err
	}
	defer conn.Close(ctx)
	ts := types{}
	if err := ts.load(ctx, conn, map[uint32]bool{c.TypeID: true}); err != nil {
		return pgtext.Type{}, errQuery("read a type", err)
	}
	format, err := row(fmt.Sprintf("SELECT pg_catalog.format_type(t.oid, %[2]d), "+
		"coalesce(pg_catalog.format_type(nullif(t.typelem, 0), %[2]d), '') FROM pg_catalog.pg_type t WHERE "+
		"t.oid = %[1]d", c.TypeID, c.Mod))
	if err != nil || format == nil {
		return pgtext.Type{OID: c.TypeID, Mod: c.Mod, Format: fmt.Sprintf("type %d", c.TypeID), Class: 'b'}, err
	}
	return ts.build(c.TypeID, c.Mod, format[0], format[1]), nil
}

// fill makes row what the message says. data is the message in the batch's memory.
func (rel *streamed) fill(a *pipeline.Arena, row *pipeline.Row, d *pgoutput.Decoder, data []byte) (err error) {
	row.Schema, rel.partial = rel.schema, false
	switch d.Kind {
	case pgoutput.Insert:
		row.Op = pipeline.Insert
	case pgoutput.Update:
		row.Op = pipeline.Update
	default:
		row.Op = pipeline.Delete
	}
	if d.OldKind != pgoutput.OldNone {
		if row.Before, err = rel.tuple(a, d.Old, data, d.OldKind == pgoutput.OldKey); err != nil {
			return err
		}
	}
	if d.Kind == pgoutput.Delete {
		return nil
	}
	if row.Values, err = rel.tuple(a, d.New, data, false); err != nil || row.Before == nil {
		return err
	}
	for i := range row.Values { // the old row has what was not sent again
		if row.Values[i].IsAbsent() {
			row.Values[i] = row.Before[i]
		}
	}
	return nil
}

// tuple decodes a tuple; keyOnly: columns outside of the replica identity were not sent, though
// their place says NULL.
func (rel *streamed) tuple(a *pipeline.Arena, cols []pgoutput.Column, data []byte,
	keyOnly bool) ([]pipeline.Value, error) {
	if len(cols) != len(rel.plan) {
		return nil, fmt.Errorf("a tuple of %d columns, the table was described with %d", len(cols), len(rel.plan))
	}
	out := a.Values(len(rel.schema.Columns))
	for n, c := range cols {
		i := rel.plan[n]
		if i < 0 {
			continue
		}
		var err error
		switch {
		case c.Kind == pgoutput.Unchanged || keyOnly && !rel.inKey[n]:
			out[i], rel.partial = pipeline.AbsentValue, true
		case c.Kind == pgoutput.Text:
			out[i], err = rel.dec.TextOwned(a, i, c.Bytes(data))
		case c.Kind == pgoutput.Binary:
			out[i], err = rel.dec.BinaryOwned(a, i, c.Bytes(data))
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}
