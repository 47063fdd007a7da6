package postgres

import (
	"strings"

	"github.com/pipe-cdc/pipe/pipeline/codec/pgtext"
)

// The kinds of relation that the catalogue query returns (pg_class.relkind).
const (
	kindTable       = 'r'
	kindPartitioned = 'p'
	kindView        = 'v'
	kindMatview     = 'm'
	kindForeign     = 'f'
)

// The values of pg_class.relreplident.
const (
	identityDefault = 'd'
	identityFull    = 'f'
	identityIndex   = 'i'
	identityNothing = 'n'
)

// relation is what the catalogue says of one table, view or partition. Columns, keys and size are
// there only where the caller of loadCatalog wanted them.
type relation struct {
	OID        uint32
	Namespace  string
	Name       string
	Kind       byte
	Unlogged   bool
	Partition  bool
	Parent     *relation   // of a partition
	Partitions []*relation // direct ones, in name order
	Inherited  bool        // a child by plain inheritance: its rows are its own
	Access     string      // access method: "heap"; "" for a partitioned table
	Identity   byte
	RowSecured bool // row level security is enabled
	Forced     bool // also for the owner
	Owned      bool // by the connected role or one that it belongs to
	Readable   bool // the role may SELECT and use the schema
	Pages      int64
	Rows       int64 // the planner's estimate, partitions included; -1 unknown
	Bytes      int64 // with indexes and TOAST, partitions included; -1 not asked for

	Columns   []attribute
	Primary   []int16 // numbers of the primary key's columns, in its order
	IndexName string  // the index of REPLICA IDENTITY USING INDEX
	Index     []int16 // its columns
	Indexes   []index // all but the key's, by name
}

// index is a secondary index.
type index struct {
	Name    string
	Columns []string
	Unique  bool
	Why     string // it is none over whole columns and all rows; "" where it is one
}

// attribute is one column, dropped ones excluded.
type attribute struct {
	Num       int16
	Name      string
	Type      pgtext.Type
	NotNull   bool
	Generated bool
	Identity  bool
	Default   string
	Readable  bool
	Output    string // SQL expression of the column's text as the server prints it, of type text
}

// String returns schema.name, not quoted.
func (r *relation) String() string { return r.Namespace + "." + r.Name }

// Quoted returns the name as SQL.
func (r *relation) Quoted() string { return quoteName(r.Namespace) + "." + quoteName(r.Name) }

// Stored reports whether the relation's changes can be in the WAL: a table or a partitioned one.
func (r *relation) Stored() bool { return r.Kind == kindTable || r.Kind == kindPartitioned }

// Root returns the topmost partitioned table that r is part of, r itself where it is none.
func (r *relation) Root() *relation {
	for r.Parent != nil {
		r = r.Parent
	}
	return r
}

// Leaves returns the tables that hold the rows of r: its partitions' leaves, or r.
func (r *relation) Leaves() []*relation {
	if r.Kind != kindPartitioned {
		return []*relation{r}
	}
	var out []*relation
	for _, p := range r.Partitions {
		out = append(out, p.Leaves()...)
	}
	return out
}

// Attribute returns the column of that name, nil where there is none.
func (r *relation) Attribute(name string) *attribute {
	for i := range r.Columns {
		if r.Columns[i].Name == name {
			return &r.Columns[i]
		}
	}
	return nil
}

func (r *relation) attributeNum(num int16) *attribute {
	for i := range r.Columns {
		if r.Columns[i].Num == num {
			return &r.Columns[i]
		}
	}
	return nil
}

// IdentityText says what replica identity the table has: "default", "full", "index NAME", "nothing".
func (r *relation) IdentityText() string {
	switch r.Identity {
	case identityFull:
		return "full"
	case identityIndex:
		return "index " + r.IndexName
	case identityNothing:
		return "nothing"
	}
	return "default"
}

// quoteName quotes an identifier, always: so that case and reserved words never matter.
func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
