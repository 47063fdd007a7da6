package postgres

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
)

// TypeRule is one line of the contract between the types of a source and those of the tables that the
// sink makes. Columns of PostgreSQL keep their own type where the target knows it; the rules are for
// the others, and for other systems.
type TypeRule struct {
	Kind     pipeline.Kind // how the source delivers the column
	Types    []string      // the source's names of its type, without lengths; nil: all others
	Unsigned bool          // only for those that are unsigned
	Target   string        // the type made; (p,s), (p) and (n) are the column's own digits and bits
	Note     string        // why, or what to know
}

// TypeRules returns the contract for a source's system, in the order in which the rules are tried: the
// first one that fits a column holds. What is generated from it is the documentation.
func TypeRules(system pipeline.System) []TypeRule {
	if system == pipeline.MariaDB || system == pipeline.MySQL {
		return append(mariaRules(), kindRules()...)
	}
	return kindRules()
}

// mariaRules are those that need more than the kind.
func mariaRules() []TypeRule {
	const k = pipeline.Int
	return []TypeRule{
		{Kind: k, Types: []string{"tinyint"}, Target: "smallint", Note: "signed or not"},
		{Kind: k, Types: []string{"year"}, Target: "smallint"},
		{Kind: k, Types: []string{"smallint"}, Unsigned: true, Target: "integer"},
		{Kind: k, Types: []string{"smallint"}, Target: "smallint"},
		{Kind: k, Types: []string{"mediumint"}, Target: "integer", Note: "signed or not"},
		{Kind: k, Types: []string{"int", "integer"}, Unsigned: true, Target: "bigint"},
		{Kind: k, Types: []string{"int", "integer"}, Target: "integer"},
		{Kind: k, Types: []string{"bigint"}, Unsigned: true, Target: "numeric(20,0)"},
		{Kind: pipeline.Bits, Types: []string{"bit"}, Target: "bit(n)", Note: "bit(1) is a truth value"},
		{Kind: pipeline.Time, Types: []string{"time"}, Target: "interval",
			Note: "a time runs from -838:59:59 to 838:59:59; cast it to time where it is a time of day"},
		{Kind: pipeline.Text, Types: []string{"inet4", "inet6"}, Target: "inet"},
		{Kind: pipeline.JSON, Target: "jsonb", Note: "the order of keys and the blanks are not kept"},
	}
}

// kindRules hold for every system.
func kindRules() []TypeRule {
	return []TypeRule{
		{Kind: pipeline.Bool, Target: "boolean"},
		{Kind: pipeline.Int, Types: []string{"smallint"}, Target: "smallint"},
		{Kind: pipeline.Int, Types: []string{"integer"}, Target: "integer"},
		{Kind: pipeline.Int, Target: "bigint"},
		{Kind: pipeline.Uint, Target: "numeric(20,0)"},
		{Kind: pipeline.Float32, Target: "real"},
		{Kind: pipeline.Float64, Target: "double precision"},
		{Kind: pipeline.Decimal, Target: "numeric(p,s)"},
		{Kind: pipeline.Date, Target: "date"},
		{Kind: pipeline.Time, Target: "time(p)"},
		{Kind: pipeline.Timestamp, Target: "timestamp(p)"},
		{Kind: pipeline.TimestampTZ, Target: "timestamp(p) with time zone", Note: "held in UTC"},
		{Kind: pipeline.Bytes, Target: "bytea", Note: "binary, varbinary, blob; a geometry as WKB"},
		{Kind: pipeline.UUID, Target: "uuid"},
		{Kind: pipeline.JSON, Types: []string{"jsonb"}, Target: "jsonb"},
		{Kind: pipeline.JSON, Target: "json"},
		{Kind: pipeline.Bits, Target: "bit varying"},
		{Kind: pipeline.Interval, Target: "interval"},
		{Kind: pipeline.Text, Target: "text",
			Note: "char, varchar, text, enum, set: the source has checked lengths and labels, and may change them"},
		{Kind: pipeline.Array, Target: "text", Note: "an array of the element's type where that is known"},
		{Kind: pipeline.Other, Target: "text"},
	}
}

// ruleFor returns the rule that holds for a column.
func ruleFor(system pipeline.System, col *pipeline.Column) TypeRule {
	if e := col.Elem; col.Kind == pipeline.Array && e != nil && e.Kind != pipeline.Other && e.Kind != pipeline.Array {
		return TypeRule{Kind: pipeline.Array, Target: ruleFor(system, e).expand(e) + "[]"}
	}
	for _, r := range TypeRules(system) {
		if r.fits(col) {
			return r
		}
	}
	return TypeRule{Kind: col.Kind, Target: "text"}
}

func (r *TypeRule) fits(col *pipeline.Column) bool {
	if r.Kind != col.Kind {
		return false
	}
	base, unsigned := baseType(col.Type)
	return (r.Types == nil || slices.Contains(r.Types, base)) && (unsigned || !r.Unsigned)
}

// baseType splits a type's name, without lengths, from its attributes: "int(10) unsigned zerofill".
func baseType(typ string) (base string, unsigned bool) {
	text := strings.ToLower(typ)
	if before, rest, ok := strings.Cut(text, "("); ok {
		_, after, _ := strings.Cut(rest, ")")
		text = before + after
	}
	text, zerofill := strings.CutSuffix(text, " zerofill")
	text, unsigned = strings.CutSuffix(text, " unsigned")
	return text, unsigned || zerofill
}

// expand fills in the column's own lengths, and leaves out what it has not declared.
func (r TypeRule) expand(col *pipeline.Column) string {
	switch before, after, _ := strings.Cut(r.Target, "("); {
	case strings.HasPrefix(after, "p,s)"):
		return before + digits(col)
	case strings.HasPrefix(after, "p)"):
		return before + fraction(col) + after[len("p)"):]
	case after == "n)":
		n := col.Length
		if n <= 0 {
			n, _, _ = modifiers(col.Type)
		}
		if n <= 0 {
			return "bit varying"
		}
		return fmt.Sprintf("%s(%d)", before, n)
	}
	return r.Target
}

// digits returns the modifiers of a numeric. A scale beyond the precision, or below zero, is new in
// PostgreSQL 15: the type without modifiers holds it everywhere.
func digits(col *pipeline.Column) string {
	p, s := col.Precision, col.Scale
	if p <= 0 {
		p, s, _ = modifiers(col.Type)
	}
	if p <= 0 || p > 1000 || s < 0 || s > p {
		return ""
	}
	return fmt.Sprintf("(%d,%d)", p, s)
}

func fraction(col *pipeline.Column) string {
	if col.Precision >= 0 && col.Precision < 6 {
		return fmt.Sprintf("(%d)", col.Precision)
	}
	return ""
}
