package postgres

import (
	"context"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipe-cdc/pipe/pipeline/codec/pgtext"
)

// types holds the rows of pg_type that the columns of interest refer to.
type types map[uint32]*typeRow

type typeRow struct {
	name       string
	class      byte
	array      bool
	elem       uint32
	base       uint32
	baseMod    int32
	baseFormat string
	baseElem   string // format of the element, of a domain over an array
	output     string // SQL name of the output function
	labels     []string
}

func (ts types) load(ctx context.Context, conn *pgconn.PgConn, used map[uint32]bool) error {
	var enums []uint32
	err := eachRow(ctx, conn, queryTypes, slices.Sorted(maps.Keys(used)), func(f *fields) {
		oid := f.oid()
		t := &typeRow{name: f.text(), class: f.char(), array: f.bool(), elem: f.oid(), base: f.oid(),
			baseMod: int32(f.int64()), baseFormat: f.text(), baseElem: f.text(), output: f.text()}
		ts[oid] = t
		if t.class == 'e' {
			enums = append(enums, oid)
		}
	})
	if err != nil || len(enums) == 0 {
		return err
	}
	return eachRow(ctx, conn, queryLabels, enums, func(f *fields) {
		if t := ts[f.oid()]; t != nil {
			t.labels = append(t.labels, f.text())
		}
	})
}

// build describes a type with the modifier and the names that format_type gave it and its element.
func (ts types) build(oid uint32, mod int32, format, elemFormat string) pgtext.Type {
	t := pgtext.Type{OID: oid, Mod: mod, Format: format, Class: 'b'}
	row := ts[oid]
	if row == nil {
		return t
	}
	t.Name, t.Class, t.Array, t.Labels = row.name, row.class, row.array, row.labels
	if row.class == 'd' {
		base := ts.build(row.base, row.baseMod, row.baseFormat, row.baseElem)
		t.Base = &base
	}
	if row.array {
		elem := ts.build(row.elem, mod, elemFormat, "")
		t.Elem = &elem
	}
	return t
}

// output returns the SQL expression that is, as a text, what the server prints for the column. The
// output function is called by name since a cast to text is another thing for some types (it trims
// character(n), writes true for t, adds a mask to an inet) and may be redefined for others.
func (ts types) output(a *attribute) string {
	name, t := quoteName(a.Name), &a.Type
	for t.Class == 'd' && t.Base != nil {
		t = t.Base
		name = quoteName(a.Name) + "::" + t.Format
	}
	row := ts[t.OID]
	if row == nil {
		return name + "::text"
	}
	return "pg_catalog.textin(" + row.output + "(" + name + "))"
}
