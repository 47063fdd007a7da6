package pipeline

// Op says what happened to a row.
type Op uint8

// The operations.
const (
	Read     Op = iota + 1 // a row that was there: read by a snapshot
	Insert                 // Values
	Update                 // Values; Before where the source sent it
	Delete                 // Before (Values is nil)
	Truncate               // the table was emptied: neither Values nor Before; Flags
	Message                // a logical message: Values[0] its prefix (Text), Values[1] its content (Bytes)
)

var opNames = [...]string{"", "read", "insert", "update", "delete", "truncate", "message"}

// String returns the operation's name in lower case.
func (o Op) String() string {
	if int(o) < len(opNames) {
		return opNames[o]
	}
	return "unknown"
}

// Code returns Debezium's letter for the operation: r c u d t m.
func (o Op) Code() string {
	return [...]string{"", "r", "c", "u", "d", "t", "m"}[o]
}

// Flags refine an Op.
type Flags uint8

// The flags. The first two are those of PostgreSQL's TRUNCATE.
const (
	Cascade Flags = 1 << iota
	RestartIdentity
	// Joined says that this Truncate belongs to the same statement as the row before it.
	Joined
	// Again, on a Truncate, says that nothing was emptied at the source: the table's snapshot starts
	// over, and the rows that an earlier, unfinished one delivered are void. A sink whose table holds
	// nothing but those rows empties it; any other sink ignores the row.
	Again
	// Sift, on a Truncate, says that nothing was emptied: a snapshot of the whole table begins whose end
	// is a Truncate with Sweep. Rows of the table that are neither read nor written between the two are
	// gone at the source: a sink that can remember what it wrote deletes them at Sweep. Any other sink
	// ignores both.
	Sift
	Sweep
)

// notEmptied are the flags of a Truncate that does not tell of one.
const notEmptied = Again | Sift | Sweep

// Tx is one source transaction (or one snapshot chunk), shared by its rows and immutable.
type Tx struct {
	ID     uint64   // PostgreSQL: top-level xid; 0 in a snapshot
	Pos    Position // the transaction is included in a position p iff Pos < p; see In
	LSN    uint64   // PostgreSQL: LSN of the commit record; snapshot: the snapshot's consistent point
	Time   int64    // commit time, microseconds since 2000-01-01 UTC; snapshot: when it was taken
	GTID   string   // MariaDB
	File   string   // MariaDB: binlog file
	Server uint32   // MariaDB: server id
	Origin string   // PostgreSQL: replication origin
	// Snapshot says that the rows were read by a snapshot, not streamed.
	Snapshot bool
}

// In reports whether the transaction's rows are included in position p.
func (t *Tx) In(p Position) bool { return t.Pos < p }

// Row is one change of one table. Values holds the row after the change, Before the row before it;
// both have one Value for each column of Schema, in its order, or are nil.
//
// Before, where the source knows only the old key, has the key's columns and Absent elsewhere. An
// Update without Before did not change its key.
type Row struct {
	Schema *Schema
	Tx     *Tx
	Values []Value
	Before []Value
	At     uint64 // the change's own place: PostgreSQL: LSN of its record; MariaDB: end of its event
	Seq    uint32 // ordinal in the transaction, from 0
	Op     Op
	Flags  Flags
}

// Key returns the values that hold the row's current key: Values, or Before for a Delete.
func (r *Row) Key() []Value {
	if r.Values != nil {
		return r.Values
	}
	return r.Before
}

// Note reports whether the row is a Truncate that emptied nothing: a word about a snapshot.
func (r *Row) Note() bool { return r.Op == Truncate && r.Flags&notEmptied != 0 }

// KeyChanged reports whether the row is an Update whose key differs from the one it had.
func (r *Row) KeyChanged() bool {
	if r.Op != Update || r.Before == nil {
		return false
	}
	for _, k := range r.Schema.Key {
		if b := r.Before[k]; b.kind != Absent && !b.Equal(r.Values[k]) && r.Values[k].kind != Absent {
			return true
		}
	}
	return false
}

// Complete reports whether no value of Values is Absent.
func (r *Row) Complete() bool {
	for i := range r.Values {
		if r.Values[i].kind == Absent {
			return false
		}
	}
	return true
}

// OldKey reports whether Before holds no more than the key: what PostgreSQL sends under REPLICA
// IDENTITY DEFAULT or USING INDEX.
func (r *Row) OldKey() bool {
	if r.Before == nil {
		return false
	}
	for i := range r.Before {
		if r.Before[i].kind == Absent {
			return true
		}
	}
	return false
}
