package postgres

import (
	"fmt"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline/codec/pgtext"
)

// verb is what a statement does with the rows that it is given.
type verb byte

const (
	verbInsert verb = iota
	verbUpsert
	verbUpdate // of the columns that are present, by key
	verbMove   // as verbUpdate, by the old key, which follows the row's values
	verbDelete // by key
	verbHide   // a soft delete, by key
	verbBury   // insert of a deleted row, marked so
	verbFullDelete
	verbFullUpdate // by the whole old row, which follows the row's values
	verbSift       // remember the key
)

// statement is one set-based statement in its two forms: over array parameters, and over a staging
// table that is filled by COPY.
type statement struct {
	name    string // unique among the plans of a sink
	array   string
	params  *pgtext.Encoder
	create  string
	stage   string
	copySQL string
	copyEnc *pgtext.Encoder
	merge   string
}

// input is one column that a statement is given.
type input struct {
	col   *column
	index int // of the value in the rows
	name  string
	old   bool // a value of the old row
}

// statement returns the plan's statement for a verb and the columns that are present (nil: all).
func (p *plan) statement(b *binder, v verb, present []bool) *statement {
	key := string(rune(v)) + bitmap(present)
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.statements[key]; s != nil {
		return s
	}
	s := p.build(v, present, b.number.Add(1))
	p.statements[key] = s
	return s
}

func bitmap(present []bool) string {
	b := make([]byte, len(present))
	for i, p := range present {
		if p {
			b[i] = 1
		}
	}
	return string(b)
}

func (p *plan) build(v verb, present []bool, number int64) *statement {
	in := p.inputs(v, present)
	s := &statement{name: fmt.Sprintf("pipe_%d", number), stage: fmt.Sprintf("pg_temp.pipe_stage_%d",
		number)}
	var arrays, stages, names []string
	var params, copies []pgtext.EncodeColumn
	for i, c := range in {
		arrays = append(arrays, fmt.Sprintf("$%d::%s[]", i+1, c.col.param.typ))
		stages = append(stages, c.name+" "+c.col.stage.typ)
		names = append(names, c.name)
		enc := pgtext.EncodeColumn{Name: c.col.attr.name, Index: c.index, Nul: p.nul}
		enc.OID, enc.Elem = c.col.param.oid, c.col.param.elem
		params = append(params, enc)
		enc.OID, enc.Elem = c.col.stage.oid, c.col.stage.elem
		copies = append(copies, enc)
	}
	from := "unnest(" + strings.Join(arrays, ", ") + ") AS s (" + strings.Join(names, ", ") + ")"
	s.array = p.sql(v, in, from, func(c *column) string { return c.param.cast })
	if v == verbDelete && len(in) == 1 && in[0].col.param.cast == "" {
		s.array = "DELETE FROM " + p.table + " WHERE " + ident(in[0].col.attr.name) + " = ANY (" +
			arrays[0] + ")"
	}
	s.merge = p.sql(v, in, s.stage+" AS s", func(c *column) string { return c.stage.cast })
	s.create = "CREATE TEMPORARY TABLE IF NOT EXISTS " + strings.TrimPrefix(s.stage, "pg_temp.") + " (" +
		strings.Join(stages, ", ") + ") ON COMMIT DELETE ROWS"
	s.copySQL = "COPY " + s.stage + " FROM STDIN (FORMAT binary)"
	s.params, s.copyEnc = pgtext.NewEncoder(params), pgtext.NewEncoder(copies)
	return s
}

// inputs lists what a statement is given. An old row's values follow the row's own.
func (p *plan) inputs(v verb, present []bool) []input {
	var in []input
	add := func(c *column, index int, old bool) {
		in = append(in, input{col: c, index: index, name: fmt.Sprintf("c%d", len(in)), old: old})
	}
	width := len(p.schema.Columns)
	for i := range p.cols {
		c := &p.cols[i]
		switch v {
		case verbDelete, verbHide:
			if c.key {
				add(c, c.index, true)
			}
		case verbSift:
			if c.key {
				add(c, c.index, false)
			}
		case verbFullDelete:
			add(c, c.index, true)
		default:
			if present == nil || present[c.index] || c.key && v == verbUpdate {
				add(c, c.index, false)
			}
		}
	}
	for i := range p.cols {
		c := &p.cols[i]
		if v == verbFullUpdate || v == verbMove && c.key {
			add(c, width+c.index, true)
		}
	}
	return in
}

func (p *plan) sql(v verb, in []input, from string, cast func(*column) string) string {
	expr := func(i input) string { return "s." + i.name + cast(i.col) }
	switch v {
	case verbInsert, verbUpsert, verbBury:
		return p.insertSQL(v, in, from, expr)
	case verbSift:
		return p.siftSQL(in, from, expr)
	case verbDelete:
		return "DELETE FROM " + p.table + " AS t USING " + from + " WHERE " + byKey(in, true, expr)
	case verbHide:
		return "UPDATE " + p.table + " AS t SET " + ident(p.soft) + " = true FROM " + from + " WHERE " +
			byKey(in, true, expr)
	case verbUpdate:
		return "UPDATE " + p.table + " AS t SET " + p.sets(in, false, expr) + " FROM " + from + " WHERE " +
			byKey(in, false, expr)
	case verbMove:
		return "UPDATE " + p.table + " AS t SET " + p.sets(in, true, expr) + " FROM " + from + " WHERE " +
			byKey(in, true, expr)
	case verbFullUpdate:
		return "UPDATE " + p.table + " AS t SET " + p.sets(in, true, expr) + " FROM " + from +
			" WHERE t.ctid = (SELECT x.ctid FROM " + p.table + " AS x WHERE " + whole(in, expr) +
			" LIMIT 1)"
	}
	return "DELETE FROM " + p.table + " AS t USING " + from +
		" WHERE t.ctid = (SELECT x.ctid FROM " + p.table + " AS x WHERE " + whole(in, expr) + " LIMIT 1)"
}

func (p *plan) insertSQL(v verb, in []input, from string, expr func(input) string) string {
	var names, exprs, keys, sets []string
	for _, i := range in {
		names = append(names, ident(i.col.attr.name))
		exprs = append(exprs, expr(i))
		if i.col.key {
			keys = append(keys, ident(i.col.attr.name))
			continue
		}
		sets = append(sets, ident(i.col.attr.name)+" = excluded."+ident(i.col.attr.name))
	}
	if p.soft != "" && v != verbInsert {
		mark := "false"
		if v == verbBury {
			mark = "true"
		}
		names, exprs = append(names, ident(p.soft)), append(exprs, mark)
		sets = append(sets, ident(p.soft)+" = false")
	}
	sql := "INSERT INTO " + p.table + " (" + strings.Join(names, ", ") +
		") OVERRIDING SYSTEM VALUE SELECT " +
		strings.Join(exprs, ", ") + " FROM " + from
	if v != verbUpsert {
		return sql
	}
	sql += " ON CONFLICT (" + strings.Join(keys, ", ") + ") DO "
	if len(sets) == 0 {
		return sql + "NOTHING"
	}
	return sql + "UPDATE SET " + strings.Join(sets, ", ")
}

// sets assigns the new row's columns, of the key too where withKey.
func (p *plan) sets(in []input, withKey bool, expr func(input) string) string {
	var sets []string
	for _, i := range in {
		if !i.old && (withKey || !i.col.key) {
			sets = append(sets, ident(i.col.attr.name)+" = "+expr(i))
		}
	}
	if p.soft != "" {
		sets = append(sets, ident(p.soft)+" = false")
	}
	if len(sets) == 0 { // nothing but the key is present: the statement only finds out whether there is a row
		for _, i := range in {
			sets = append(sets, ident(i.col.attr.name)+" = t."+ident(i.col.attr.name))
		}
	}
	return strings.Join(sets, ", ")
}

func byKey(in []input, old bool, expr func(input) string) string {
	var parts []string
	for _, i := range in {
		if i.col.key && i.old == old {
			parts = append(parts, "t."+ident(i.col.attr.name)+" = "+expr(i))
		}
	}
	return strings.Join(parts, " AND ")
}

// whole compares all columns of the old row, NULLs included; types that may have no equality (json,
// point, and what else has no binary form) by what they print.
func whole(in []input, expr func(input) string) string {
	var parts []string
	for _, i := range in {
		if !i.old {
			continue
		}
		have, want := "x."+ident(i.col.attr.name), expr(i)
		if strings.Contains(want, "::") || i.col.stage.typ == "pg_catalog.json" {
			have, want = have+"::text", want+"::text"
		}
		parts = append(parts, have+" IS NOT DISTINCT FROM "+want)
	}
	return strings.Join(parts, " AND ")
}
