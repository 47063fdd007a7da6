package pgoutput

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrShort says that a message ends before its content does.
var ErrShort = errors.New("message is cut short")

// Decoder decodes one stream of messages, in order: whether a change carries a transaction id
// depends on the Stream Start and Stream Stop messages before it.
type Decoder struct {
	Message
	inStream bool
	data     []byte
	pos      int
}

// InStream reports whether the messages now come from a block of a transaction in progress.
func (d *Decoder) InStream() bool { return d.inStream }

// SetInStream sets what Stream Start and Stream Stop would, to decode a change that was kept apart
// from them.
func (d *Decoder) SetInStream(in bool) { d.inStream = in }

// Decode decodes data into d.Message, which is valid until the next Decode and as long as data is.
func (d *Decoder) Decode(data []byte) error {
	if len(data) == 0 {
		return ErrShort
	}
	d.data, d.pos = data, 1
	d.Kind = Kind(data[0])
	if err := d.body(); err != nil {
		return fmt.Errorf("pgoutput %s message of %d bytes: %w", d.Kind, len(data), err)
	}
	if d.pos != len(data) {
		return fmt.Errorf("pgoutput %s message: %d bytes after its end", d.Kind, len(data)-d.pos)
	}
	return nil
}

func (d *Decoder) body() error {
	switch d.Kind {
	case Insert:
		return d.insert()
	case Update:
		return d.update()
	case Delete:
		return d.delete()
	case Begin:
		return d.begin()
	case Commit:
		return d.commit()
	case Relation:
		return d.relation()
	case Type:
		return d.typ()
	case Origin:
		return d.origin()
	case Logical:
		return d.logical()
	case Truncate:
		return d.truncate()
	}
	return d.streamed()
}

func (d *Decoder) streamed() error {
	switch d.Kind {
	case StreamStart:
		return d.streamStart()
	case StreamStop:
		d.inStream = false
		return nil
	case StreamCommit:
		return d.streamCommit()
	case StreamAbort:
		return d.streamAbort()
	case BeginPrepare:
		return d.beginPrepare()
	case Prepare, CommitPrepared, StreamPrepare:
		return d.prepare()
	case RollbackPrepared:
		return d.rollbackPrepared()
	}
	return fmt.Errorf("unknown message type 0x%02x", byte(d.Kind))
}

func (d *Decoder) begin() error {
	if !d.has(20) {
		return ErrShort
	}
	d.LSN = d.uint64()
	d.Time = int64(d.uint64())
	d.XID = d.uint32()
	return nil
}

func (d *Decoder) commit() error {
	if !d.has(25) {
		return ErrShort
	}
	d.uint8() // flags: unused
	d.LSN = d.uint64()
	d.EndLSN = d.uint64()
	d.Time = int64(d.uint64())
	return nil
}

func (d *Decoder) origin() error {
	if !d.has(8) {
		return ErrShort
	}
	d.LSN = d.uint64()
	return d.string(&d.Name)
}

func (d *Decoder) logical() error {
	if !d.xid() || !d.has(9) {
		return ErrShort
	}
	d.Flags = d.uint8()
	d.LSN = d.uint64()
	if err := d.string(&d.Prefix); err != nil {
		return err
	}
	if !d.has(4) {
		return ErrShort
	}
	n := int64(d.uint32())
	if n > int64(len(d.data)-d.pos) {
		return ErrShort
	}
	d.Content = d.data[d.pos : d.pos+int(n)]
	d.pos += int(n)
	return nil
}

func (d *Decoder) relation() error {
	if !d.xid() || !d.has(4) {
		return ErrShort
	}
	d.RelationID = d.uint32()
	if err := errors.Join(d.string(&d.Namespace), d.string(&d.Name)); err != nil {
		return err
	}
	if !d.has(3) {
		return ErrShort
	}
	d.Identity = d.uint8()
	n := int(d.uint16())
	d.Columns = d.Columns[:0]
	for range n {
		if !d.has(1) {
			return ErrShort
		}
		c := RelationColumn{Key: d.uint8()&1 != 0}
		if err := d.string(&c.Name); err != nil {
			return err
		}
		if !d.has(8) {
			return ErrShort
		}
		c.TypeID = d.uint32()
		c.Mod = int32(d.uint32())
		d.Columns = append(d.Columns, c)
	}
	return nil
}

func (d *Decoder) typ() error {
	if !d.xid() || !d.has(4) {
		return ErrShort
	}
	d.RelationID = d.uint32()
	if err := d.string(&d.Namespace); err != nil {
		return err
	}
	return d.string(&d.Name)
}

func (d *Decoder) insert() (err error) {
	if !d.xid() || !d.has(5) {
		return ErrShort
	}
	d.RelationID = d.uint32()
	d.OldKind = OldNone
	if k := d.uint8(); k != 'N' {
		return fmt.Errorf("tuple type 0x%02x where N was due", k)
	}
	d.New, err = d.tuple(d.New)
	return err
}

func (d *Decoder) update() (err error) {
	if !d.xid() || !d.has(5) {
		return ErrShort
	}
	d.RelationID = d.uint32()
	d.OldKind = OldNone
	k := d.uint8()
	if k == OldKey || k == OldRow {
		d.OldKind = k
		if d.Old, err = d.tuple(d.Old); err != nil {
			return err
		}
		if !d.has(1) {
			return ErrShort
		}
		k = d.uint8()
	}
	if k != 'N' {
		return fmt.Errorf("tuple type 0x%02x where N was due", k)
	}
	d.New, err = d.tuple(d.New)
	return err
}

func (d *Decoder) delete() (err error) {
	if !d.xid() || !d.has(5) {
		return ErrShort
	}
	d.RelationID = d.uint32()
	d.OldKind = d.uint8()
	if d.OldKind != OldKey && d.OldKind != OldRow {
		return fmt.Errorf("tuple type 0x%02x where K or O was due", d.OldKind)
	}
	d.Old, err = d.tuple(d.Old)
	return err
}

// tuple decodes a TupleData into cols, reusing its memory.
func (d *Decoder) tuple(cols []Column) ([]Column, error) {
	cols = cols[:0]
	if !d.has(2) {
		return cols, ErrShort
	}
	data, pos := d.data, d.pos+2
	for range int(binary.BigEndian.Uint16(data[d.pos:])) {
		if pos >= len(data) {
			return cols, ErrShort
		}
		kind := data[pos]
		pos++
		if kind == Null || kind == Unchanged {
			cols = append(cols, Column{Kind: kind})
			continue
		}
		if kind != Text && kind != Binary {
			return cols, fmt.Errorf("column type 0x%02x where n, u, t or b was due", kind)
		}
		if len(data)-pos < 4 {
			return cols, ErrShort
		}
		n := binary.BigEndian.Uint32(data[pos:])
		pos += 4
		if uint64(n) > uint64(len(data)-pos) {
			return cols, ErrShort
		}
		cols = append(cols, Column{Off: uint32(pos), Len: n, Kind: kind})
		pos += int(n)
	}
	d.pos = pos
	return cols, nil
}

func (d *Decoder) truncate() error {
	if !d.xid() || !d.has(5) {
		return ErrShort
	}
	n := int64(d.uint32())
	d.Flags = d.uint8()
	if n*4 > int64(len(d.data)-d.pos) {
		return ErrShort
	}
	d.Relations = d.Relations[:0]
	for range n {
		d.Relations = append(d.Relations, d.uint32())
	}
	return nil
}

func (d *Decoder) streamStart() error {
	if !d.has(5) {
		return ErrShort
	}
	d.XID = d.uint32()
	d.First = d.uint8() == 1
	d.inStream = true
	return nil
}

func (d *Decoder) streamCommit() error {
	if !d.has(29) {
		return ErrShort
	}
	d.XID = d.uint32()
	return d.commit()
}

func (d *Decoder) streamAbort() error {
	if !d.has(8) {
		return ErrShort
	}
	d.XID = d.uint32()
	d.SubXID = d.uint32()
	d.LSN, d.Time = 0, 0
	if d.has(16) { // protocol 4 with streaming 'parallel'
		d.LSN = d.uint64()
		d.Time = int64(d.uint64())
	}
	return nil
}

func (d *Decoder) beginPrepare() error {
	if !d.has(28) {
		return ErrShort
	}
	d.LSN = d.uint64()
	d.EndLSN = d.uint64()
	d.Time = int64(d.uint64())
	d.XID = d.uint32()
	return d.string(&d.GID)
}

// prepare decodes Prepare, Commit Prepared and Stream Prepare, which are laid out alike.
func (d *Decoder) prepare() error {
	if !d.has(29) {
		return ErrShort
	}
	d.uint8() // flags: unused
	d.LSN = d.uint64()
	d.EndLSN = d.uint64()
	d.Time = int64(d.uint64())
	d.XID = d.uint32()
	return d.string(&d.GID)
}

func (d *Decoder) rollbackPrepared() error {
	if !d.has(37) {
		return ErrShort
	}
	d.uint8()  // flags: unused
	d.uint64() // end of the prepared transaction
	d.EndLSN = d.uint64()
	d.LSN = d.EndLSN
	d.uint64() // time of the prepare
	d.Time = int64(d.uint64())
	d.XID = d.uint32()
	return d.string(&d.GID)
}

// xid reads the transaction id that changes carry inside a stream block; false: cut short.
func (d *Decoder) xid() bool {
	if !d.inStream {
		d.XID = 0
		return true
	}
	if !d.has(4) {
		return false
	}
	d.XID = d.uint32()
	return true
}

func (d *Decoder) has(n int) bool { return len(d.data)-d.pos >= n }

func (d *Decoder) uint8() byte {
	d.pos++
	return d.data[d.pos-1]
}

func (d *Decoder) uint16() uint16 {
	d.pos += 2
	return binary.BigEndian.Uint16(d.data[d.pos-2:])
}

func (d *Decoder) uint32() uint32 {
	d.pos += 4
	return binary.BigEndian.Uint32(d.data[d.pos-4:])
}

func (d *Decoder) uint64() uint64 {
	d.pos += 8
	return binary.BigEndian.Uint64(d.data[d.pos-8:])
}

// string reads a string that ends with a zero byte.
func (d *Decoder) string(p *[]byte) error {
	n := bytes.IndexByte(d.data[d.pos:], 0)
	if n < 0 {
		return ErrShort
	}
	*p = d.data[d.pos : d.pos+n]
	d.pos += n + 1
	return nil
}
