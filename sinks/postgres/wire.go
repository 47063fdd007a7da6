package postgres

import (
	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/pgtext"
)

// wire says how a column travels: the type of the staging column or of the array parameter's
// elements, and the cast that makes the target's type of it.
type wire struct {
	oid  uint32
	elem uint32
	typ  string
	cast string // "::mood"; "" where the server's assignment cast does it
}

// The built-in types that need care: without a length, "character" and "bit" mean one.
const (
	oidBpchar = 1042
	oidBit    = 1560
	oidVarbit = 1562
)

// wireOf returns how values of a kind travel to an attribute in a staging table. What has no binary
// form travels as text, and an explicit cast reads it as the type's input function does.
func wireOf(k pipeline.Kind, a *attribute) wire {
	if !pgtext.Wire(k, a.oid, a.elem, a.enum) {
		return wire{oid: pgtext.TextOID, typ: "text", cast: "::" + castType(a)}
	}
	switch {
	case a.enum:
		return wire{oid: pgtext.TextOID, typ: "text", cast: "::" + a.typ}
	case a.oid == oidBpchar:
		return wire{oid: pgtext.TextOID, typ: "text", cast: "::pg_catalog.bpchar"}
	case a.oid == oidBit:
		return wire{oid: oidVarbit, typ: "pg_catalog.varbit"}
	case a.elem != 0:
		return wire{oid: a.oid, elem: a.elem, typ: pgtext.TypeName(a.elem) + "[]"}
	}
	return wire{oid: a.oid, typ: pgtext.TypeName(a.oid)}
}

// paramOf is wireOf for the elements of an array parameter, which cannot be arrays themselves.
func paramOf(k pipeline.Kind, a *attribute) wire {
	w := wireOf(k, a)
	if w.elem != 0 {
		return wire{oid: pgtext.TextOID, typ: "text", cast: "::" + castType(a)}
	}
	return w
}

// castType names the attribute's type without a length, so that the cast cuts nothing off; the
// assignment to the column then checks it.
func castType(a *attribute) string {
	switch a.typ {
	case "character":
		return "pg_catalog.bpchar"
	case "character[]":
		return "pg_catalog.bpchar[]"
	case "bit":
		return "pg_catalog.varbit"
	case "bit[]":
		return "pg_catalog.varbit[]"
	}
	return a.typ
}
