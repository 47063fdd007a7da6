package pgoutput

// Kind is the first byte of a message.
type Kind byte

// The messages. Those from StreamStart on need protocol 2, those from BeginPrepare on protocol 3.
const (
	Begin            Kind = 'B'
	Commit           Kind = 'C'
	Relation         Kind = 'R'
	Type             Kind = 'Y'
	Origin           Kind = 'O'
	Logical          Kind = 'M' // pg_logical_emit_message
	Insert           Kind = 'I'
	Update           Kind = 'U'
	Delete           Kind = 'D'
	Truncate         Kind = 'T'
	StreamStart      Kind = 'S'
	StreamStop       Kind = 'E'
	StreamCommit     Kind = 'c'
	StreamAbort      Kind = 'A'
	BeginPrepare     Kind = 'b'
	Prepare          Kind = 'P'
	CommitPrepared   Kind = 'K'
	RollbackPrepared Kind = 'r'
	StreamPrepare    Kind = 'p'
)

// String returns the name of the message, as the protocol's documentation has it.
func (k Kind) String() string {
	switch k {
	case Begin:
		return "Begin"
	case Commit:
		return "Commit"
	case Relation:
		return "Relation"
	case Type:
		return "Type"
	case Origin:
		return "Origin"
	case Logical:
		return "Message"
	case Insert:
		return "Insert"
	case Update:
		return "Update"
	case Delete:
		return "Delete"
	case Truncate:
		return "Truncate"
	case StreamStart:
		return "Stream Start"
	case StreamStop:
		return "Stream Stop"
	case StreamCommit:
		return "Stream Commit"
	case StreamAbort:
		return "Stream Abort"
	case BeginPrepare:
		return "Begin Prepare"
	case Prepare:
		return "Prepare"
	case CommitPrepared:
		return "Commit Prepared"
	case RollbackPrepared:
		return "Rollback Prepared"
	case StreamPrepare:
		return "Stream Prepare"
	}
	return "unknown"
}

// The kinds of an old tuple: what Message.OldKind may be.
const (
	OldNone byte = 0
	OldKey  byte = 'K' // the columns of the replica identity; the others are null and mean nothing
	OldRow  byte = 'O' // the whole row: REPLICA IDENTITY FULL
)

// The kinds of a tuple's column.
const (
	Null      byte = 'n'
	Unchanged byte = 'u' // a TOAST value that was not sent
	Text      byte = 't'
	Binary    byte = 'b'
)

// The option bits of a Truncate message.
const (
	TruncateCascade  byte = 1
	TruncateIdentity byte = 2
)

// Column is one column of a tuple: where its value lies in the message.
type Column struct {
	Off  uint32
	Len  uint32
	Kind byte // Null, Unchanged, Text or Binary
}

// Bytes returns the column's value in the message data that the column was decoded from.
func (c Column) Bytes(data []byte) []byte { return data[c.Off : c.Off+c.Len : c.Off+c.Len] }

// RelationColumn is one column that a Relation message describes.
type RelationColumn struct {
	Name   []byte
	TypeID uint32
	Mod    int32
	Key    bool // belongs to the replica identity
}

// Message is a decoded message. Which fields are set depends on Kind; the others keep what an
// earlier message left. LSNs and times (microseconds since 2000-01-01 UTC) are as the server sent
// them.
type Message struct {
	Kind Kind

	// XID is the transaction: of Begin and the Stream and prepare messages the top-level one, of a
	// change inside a stream block the (sub)transaction that made it, 0 outside of one.
	XID    uint32
	SubXID uint32 // StreamAbort: the (sub)transaction aborted

	LSN     uint64 // Begin, Commit, StreamCommit, CommitPrepared: of the commit; Prepare: of the prepare; Logical: its own; Origin: at the origin; StreamAbort: of the abort, protocol 4
	EndLSN  uint64 // Commit, StreamCommit, prepare messages: end of the transaction; RollbackPrepared: end of the rollback
	Time    int64  // of the commit, prepare, rollback or abort
	GID     []byte // prepare messages
	First   bool   // StreamStart: the first block of this transaction
	Flags   byte   // Logical: 1 transactional; Truncate: TruncateCascade | TruncateIdentity
	Prefix  []byte // Logical
	Content []byte // Logical

	RelationID uint32           // Relation, Insert, Update, Delete; Type: the type's OID
	Namespace  []byte           // Relation, Type; empty for pg_catalog
	Name       []byte           // Relation, Type, Origin
	Identity   byte             // Relation: pg_class.relreplident
	Columns    []RelationColumn // Relation
	Relations  []uint32         // Truncate

	OldKind byte     // Update, Delete
	Old     []Column // Update, Delete where OldKind is not OldNone
	New     []Column // Insert, Update
}
