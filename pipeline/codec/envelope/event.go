package envelope

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/pipe-cdc/pipe/pipeline"
)

// Event is one message that a Row becomes.
type Event struct {
	Row    *pipeline.Row
	Op     byte             // Debezium's letter; 0: a tombstone, which has no value
	Key    []pipeline.Value // a row holding the key; nil: no key
	Before []pipeline.Value // nil: null
	After  []pipeline.Value // nil: null. Flat: the row to write
	Header string           // name of the header with the other key; "": none
	Other  []pipeline.Value // a row holding the other key
	Now    int64            // when it is encoded, nanoseconds since 1970
	Memo   *Memo            // what an encoder may remember between the events of a batch; nil: nothing
}

// Memo is memory of an encoder that belongs to its caller: what the events of one transaction, table
// and operation have in common, encoded. Forget it before another batch, whose transactions may lie
// where earlier ones did.
type Memo struct {
	Plan               *Plan
	Tx                 *pipeline.Tx
	Op                 byte
	Now                int64
	High               uint64 // the leading digits of the LSN that Head ends with; 0: none
	Fixed              int    // length of Head without them
	Head, Middle, Tail []byte
}

// Forget empties the memo and keeps its memory.
func (m *Memo) Forget() { m.Plan, m.Tx = nil, nil }

// Image says which row of an event is encoded.
type Image uint8

// The images.
const (
	Before Image = iota
	After
)

// ErrAbsent says that a value is needed that the source did not send.
var ErrAbsent = errors.New("the source did not send the value (unchanged TOAST, or a column outside the row image)")

// ErrNull says that NULL stands in a column declared NOT NULL.
var ErrNull = errors.New("NULL in a column declared NOT NULL")

// Events appends the messages that r becomes, in the order in which they must be sent.
func (p *Plan) Events(dst []Event, r *pipeline.Row, now int64) ([]Event, error) {
	if r.Op <= pipeline.Insert || r.Op == pipeline.Update && (r.Before == nil || !p.moved(r)) {
		dst = append(dst, Event{})
		e := &dst[len(dst)-1]
		e.Row, e.Now, e.Op, e.After = r, now, codes[r.Op], r.Values
		p.write(e)
		return dst, nil
	}
	e := Event{Row: r, Now: now, Op: codes[r.Op]}
	switch r.Op {
	case pipeline.Truncate:
		return p.truncate(dst, e)
	case pipeline.Message:
		return dst, nil
	case pipeline.Delete:
		return p.remove(dst, e)
	}
	return p.move(dst, e)
}

// codes are Debezium's letters of the operations.
const codes = "\x00rcudtm"

// write completes the event of a row that is there.
func (p *Plan) write(e *Event) {
	e.Key = p.key(e.After)
	if e.Row.Before != nil && p.Shape == Debezium && !onlyKey(e.Row) {
		e.Before = e.Row.Before
	}
}

// remove is a delete: in Debezium's shape the old row and a tombstone.
func (p *Plan) remove(dst []Event, e Event) ([]Event, error) {
	e.Key, e.Op = p.key(e.Row.Before), 'd'
	tomb := Event{Row: e.Row, Key: e.Key}
	switch {
	case p.Shape == Flat && p.Deletes == Rewrite:
		e.After = e.Row.Before
		return append(dst, e), nil
	case p.Shape == Flat && e.Key == nil:
		return dst, p.fail(e.Row, "", errors.New("a delete in a table without a key cannot become a tombstone"),
			`Set key = ["column", ...] or deletes = "rewrite".`)
	case p.Shape == Flat:
		return append(dst, tomb), nil
	}
	e.Before = e.Row.Before
	dst = append(dst, e)
	if p.Tombstones && e.Key != nil {
		dst = append(dst, tomb)
	}
	return dst, nil
}

// move is an update that changed the key: the old key's row goes, the new key's comes.
func (p *Plan) move(dst []Event, e Event) ([]Event, error) {
	gone := e
	dst, err := p.remove(dst, gone)
	if err != nil {
		return dst, err
	}
	e.After, e.Key = e.Row.Values, p.key(e.Row.Values)
	if p.Shape == Debezium {
		e.Op = 'c'
		e.Header, e.Other = OldKeyHeader, e.Row.Before
		first := len(dst) - 1
		if p.Tombstones {
			first--
		}
		dst[first].Header, dst[first].Other = NewKeyHeader, e.Row.Values
	}
	return append(dst, e), nil
}

func (p *Plan) truncate(dst []Event, e Event) ([]Event, error) {
	how := p.Truncates
	if how == "" && p.Shape == Flat {
		how = Fail
	}
	switch {
	case how == Ignore, e.Row.Note():
		return dst, nil
	case how == Fail || p.Shape == Flat:
		return dst, p.fail(e.Row, "", errors.New("TRUNCATE has no form in this envelope"),
			`Set truncates = "ignore" to leave the rows where they are, or envelope = "debezium" with truncates = "emit".`)
	}
	return append(dst, e), nil
}

func (p *Plan) key(values []pipeline.Value) []pipeline.Value {
	if len(p.Keys) == 0 {
		return nil
	}
	return values
}

// moved reports whether the key of the messages differs between Before and Values.
func (p *Plan) moved(r *pipeline.Row) bool {
	for i := range p.Keys {
		k := p.Keys[i].Index
		if b, v := r.Before[k], r.Values[k]; !b.IsAbsent() && !v.IsAbsent() && !b.Equal(v) {
			return true
		}
	}
	return false
}

// onlyKey reports whether the row's old image is no more than its old key: Debezium then writes
// before = null for an update.
func onlyKey(r *pipeline.Row) bool { return r.OldKey() }

// Fill returns what to write for column f, whose value in the image is v, where v cannot be written
// as it is: NULL in a required column, or Absent.
func (p *Plan) Fill(e *Event, img Image, f *Field, v pipeline.Value) (pipeline.Value, error) {
	old := img == Before || e.Op == 'd'
	if v.IsNull() && !old {
		return v, ErrNull
	}
	if old {
		return p.fallback(f), nil
	}
	if b := e.Row.Before; b != nil && !b[f.Index].IsAbsent() && (f.Type.Optional || !b[f.Index].IsNull()) {
		return b[f.Index], nil
	}
	switch {
	case p.Unavailable == AsNull && f.Type.Optional:
		return pipeline.NullValue, nil
	case p.Unavailable == Placeholder && !p.ghosts[f.Index].IsNull():
		return p.ghosts[f.Index], nil
	}
	return v, ErrAbsent
}

func (p *Plan) fallback(f *Field) pipeline.Value {
	if f.Type.Optional {
		return pipeline.NullValue
	}
	return p.zeros[f.Index]
}

// KeyValue returns column f's value for a key, which must have been sent.
func (p *Plan) KeyValue(e *Event, f *Field, row []pipeline.Value) (pipeline.Value, error) {
	v := row[f.Index]
	if v.IsAbsent() && e.Row.Before != nil {
		v = e.Row.Before[f.Index]
	}
	switch {
	case v.IsAbsent():
		return v, ErrAbsent
	case v.IsNull() && !f.Type.Optional:
		return v, ErrNull
	}
	return v, nil
}

// AppendUnavailable appends the names of the columns that the event writes as NULL although the
// source did not send them, comma-separated; nothing unless Unavailable is AsNull.
func (p *Plan) AppendUnavailable(dst []byte, e *Event) []byte {
	if p.Unavailable != AsNull || e.After == nil || e.Op == 'd' {
		return dst
	}
	start := len(dst)
	for i := range e.After {
		if !e.After[i].IsAbsent() || e.Row.Before != nil && !e.Row.Before[i].IsAbsent() {
			continue
		}
		if len(dst) > start {
			dst = append(dst, ',')
		}
		dst = append(dst, p.Fields[i].Name...)
	}
	return dst
}

// Error wraps what went wrong with a column of a row, with what to do about it.
func (p *Plan) Error(r *pipeline.Row, column string, err error) error {
	hint := ""
	switch {
	case errors.Is(err, ErrAbsent):
		hint = `Run ALTER TABLE ... REPLICA IDENTITY FULL, or set unavailable = "placeholder" or "null".`
	case errors.Is(err, ErrNaN):
		hint = `Set decimal = "string" or "double".`
	case errors.Is(err, ErrRange), errors.Is(err, ErrInfinity), errors.Is(err, ErrKind):
		hint = "Cast the column to text with a cast transform, or change the mapping of its type."
	case errors.Is(err, ErrUTF8):
		hint = "Cast the column to bytes with a cast transform, or correct the row."
	case errors.Is(err, ErrNull):
		hint = "The table's schema as the source reports it does not match its rows: restart to read it again."
	case errors.Is(err, ErrSyntax):
		hint = "Cast the column to text with a cast transform; arrays of several dimensions need arrays = \"text\"."
	}
	return p.fail(r, column, err, hint)
}

func (p *Plan) fail(r *pipeline.Row, column string, err error, hint string) error {
	if column != "" {
		err = fmt.Errorf("column %s: %w", column, err)
	}
	e := &pipeline.Error{Table: p.Schema.Name(), Class: pipeline.Input, Err: err, Hint: hint}
	if values := r.Key(); values != nil {
		e.Key = p.Schema.KeyText(values)
	}
	if r.Tx != nil {
		e.Pos = r.Tx.Pos
	}
	return e
}

// Source block of Debezium, the parts that change from row to row.

// Micros returns the commit's time in microseconds since 1970.
func Micros1970(tx *pipeline.Tx) int64 { return tx.Time + pipeline.EpochMicros }

// SnapshotText returns source.snapshot.
func SnapshotText(tx *pipeline.Tx) string {
	if tx.Snapshot {
		return "true"
	}
	return "false"
}

// LSN returns source.lsn: the place of the change, or of its transaction; 0 where unknown.
func LSN(r *pipeline.Row) int64 {
	if r.At != 0 {
		return int64(r.At)
	}
	return int64(r.Tx.LSN)
}

// AppendSequence appends source.sequence, a JSON text: ["<commit LSN>","<LSN>"].
func AppendSequence(dst []byte, r *pipeline.Row) []byte {
	dst = strconv.AppendInt(AppendOrder(dst, r.Tx), LSN(r), 10)
	return append(dst, '"', ']')
}

// AppendOrder appends the part of AppendSequence that a transaction's rows share.
func AppendOrder(dst []byte, tx *pipeline.Tx) []byte {
	dst = strconv.AppendUint(append(dst, '[', '"'), tx.LSN, 10)
	return append(dst, '"', ',', '"')
}
