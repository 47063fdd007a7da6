package pipeline

import (
	"slices"
	"strings"
)

// Column describes one column of a Schema.
type Column struct {
	Name      string
	Kind      Kind     // how its values are held
	Type      string   // the source's own type name with modifiers: "numeric(12,2)", "bigint(20) unsigned"
	Nullable  bool     // NULL may occur
	Precision int      // total digits of a Decimal, fraction digits of a temporal kind; -1 where not declared
	Scale     int      // digits after the point of a Decimal
	Length    int      // characters or bits; -1 where not declared
	Labels    []string // the labels of an enum or set, in order
	Elem      *Column  // the element of an Array; nil where unknown
	Default   string   // the source's default expression; "" where there is none
	TypeID    uint32   // the source's own number of the type (PostgreSQL: the type's OID); 0 where there is none
}

// System names whose type names a Schema's columns carry.
type System string

// The systems that sources read.
const (
	PostgreSQL System = "postgresql"
	MariaDB    System = "mariadb"
	MySQL      System = "mysql"
)

// Schema describes the rows of one table. It is immutable once a Row refers to it: the pointer is
// the version, so equal pointers mean equal shape and whatever was bound to a pointer stays bound.
type Schema struct {
	System    System // of the source
	Database  string
	Namespace string // PostgreSQL: the schema. MariaDB: "" (the database is the namespace)
	Table     string
	Columns   []Column
	Key       []int // indexes of the key's columns, in the key's order; empty: no key
	// Indexes are the table's secondary indexes, where the source knows them; nil where it does not.
	Indexes []Index
	// OtherIndexes are those that Indexes cannot describe, for saying that they are not made elsewhere.
	OtherIndexes []OtherIndex
	// KeyFull says that the table has no key and its whole row identifies it (REPLICA IDENTITY FULL).
	KeyFull bool
	Version uint64 // rises with each new Schema of the table within one run; for messages only
	// Target, where a transform set it, is where the rows shall go: what a sink's template
	// calls table.target. "" leaves it to the sink.
	Target string
}

// Index is a secondary index of a table: one over whole columns and all rows, not over expressions.
type Index struct {
	Name    string // the source's; in MariaDB unique within its table only
	Columns []int  // of the schema, in the index's order
	Unique  bool
}

// OtherIndex is a secondary index that is more, or less, than one over whole columns and all rows.
type OtherIndex struct {
	Name string
	Why  string // "fulltext", "on a part of note", "on an expression", "a column of it is left out"
}

// MoveIndexes makes the schema's indexes follow its columns, whose new places moved has by their old
// ones. An index that lost a column becomes one of the others.
func (s *Schema) MoveIndexes(moved map[int]int) {
	var kept []Index
	others := s.OtherIndexes[:len(s.OtherIndexes):len(s.OtherIndexes)]
next:
	for _, x := range s.Indexes {
		columns := make([]int, len(x.Columns))
		for n, old := range x.Columns {
			i, ok := moved[old]
			if !ok {
				others = append(others, OtherIndex{Name: x.Name, Why: "a column of it is left out"})
				continue next
			}
			columns[n] = i
		}
		x.Columns = columns
		kept = append(kept, x)
	}
	s.Indexes, s.OtherIndexes = kept, others
}

// Blend says that column i does not hold the source's values any more, and that two of its values may be
// equal where those differ: an index over it is not unique any more.
func (s *Schema) Blend(i int) {
	s.Indexes = slices.Clone(s.Indexes)
	for n := range s.Indexes {
		x := &s.Indexes[n]
		x.Unique = x.Unique && !slices.Contains(x.Columns, i)
	}
}

// Name returns the table's qualified name as users write it: namespace.table in PostgreSQL,
// database.table in MariaDB. For matching and messages; it is not quoted.
func (s *Schema) Name() string {
	if s.Namespace != "" {
		return s.Namespace + "." + s.Table
	}
	if s.Database != "" {
		return s.Database + "." + s.Table
	}
	return s.Table
}

// Index returns the index of the column of that name, or -1.
func (s *Schema) Index(name string) int {
	for i := range s.Columns {
		if s.Columns[i].Name == name {
			return i
		}
	}
	return -1
}

// IsKey reports whether column i belongs to the key.
func (s *Schema) IsKey(i int) bool {
	for _, k := range s.Key {
		if k == i {
			return true
		}
	}
	return false
}

// KeyText renders the key of a row for messages: "id=7, region=eu".
func (s *Schema) KeyText(values []Value) string {
	var b strings.Builder
	for _, i := range s.Key {
		if i >= len(values) {
			continue
		}
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		b.WriteString(s.Columns[i].Name)
		b.WriteByte('=')
		b.WriteString(values[i].String())
	}
	return b.String()
}
