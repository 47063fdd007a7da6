package pipeline

// Mark is a place to resume: the rows before End, and all rows of the stream's earlier batches, are
// complete up to Pos. An empty Pos says that the stream is finished and may be forgotten.
type Mark struct {
	End int
	Pos Position
}

// Batch is a run of rows of one stream, of many tables, in commit order, with the memory that their
// values point into. Marks are in order, of Row and of Pos. A batch without rows but with a Mark
// advances an idle stream (PostgreSQL: keeps a quiet table's slot moving).
//
// A batch belongs to one holder at a time: the source from Output.New to Output.Emit, then the
// engine, which lends it to transforms and sinks.
type Batch struct {
	Arena
	Stream Stream // qualified by the source's address; set by the engine
	Rows   []Row
	Marks  []Mark

	MaxRows  int // Full from here on; set by the engine
	MaxBytes int // likewise
}

// Add appends an empty row and returns it, valid until the next Add.
func (b *Batch) Add() *Row {
	b.Rows = append(b.Rows, Row{})
	return &b.Rows[len(b.Rows)-1]
}

// Mark records that everything added so far is complete up to pos.
func (b *Batch) Mark(pos Position) {
	b.Marks = append(b.Marks, Mark{End: len(b.Rows), Pos: pos})
}

// Full reports whether the batch has reached its bound of rows or bytes and should be emitted. A
// source may overshoot by one row.
func (b *Batch) Full() bool {
	return len(b.Rows) >= b.MaxRows || b.Size() >= b.MaxBytes
}

// Ripe reports whether the batch has reached half of a bound: the end of a transaction is then a good
// place to emit it, rather than to cut the next transaction in two.
func (b *Batch) Ripe() bool {
	return 2*len(b.Rows) >= b.MaxRows || 2*b.Size() >= b.MaxBytes
}

// Empty reports whether the batch carries neither rows nor marks.
func (b *Batch) Empty() bool { return len(b.Rows) == 0 && len(b.Marks) == 0 }

// Last returns the last mark's position, "" and false where the batch has none.
func (b *Batch) Last() (Position, bool) {
	if len(b.Marks) == 0 {
		return "", false
	}
	return b.Marks[len(b.Marks)-1].Pos, true
}

// Reset empties the batch for reuse.
func (b *Batch) Reset() {
	b.Arena.Reset()
	clear(b.Rows)
	b.Rows, b.Marks, b.Stream = b.Rows[:0], b.Marks[:0], ""
}
