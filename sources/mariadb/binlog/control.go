package binlog

import (
	"encoding/hex"
	"errors"
	"fmt"
)

// The flags of a GTID event (MariaDB Knowledge Base, "Gtid_event").
const (
	GTIDStandalone  uint8 = 0x01 // one statement, without a commit after it
	GTIDGroupCommit uint8 = 0x02 // it has a commit id
	GTIDTrans       uint8 = 0x04
	GTIDDDL         uint8 = 0x20
	GTIDPreparedXA  uint8 = 0x40 // rows of XA PREPARE
	GTIDCompletedXA uint8 = 0x80 // XA COMMIT or XA ROLLBACK of what was prepared
)

// XID names an XA transaction.
type XID struct {
	Format uint32
	GTrid  string
	Bqual  string
}

// String renders the name as statements of the server do: X'67',X'62',1.
func (x XID) String() string {
	return fmt.Sprintf("X'%s',X'%s',%d", hex.EncodeToString([]byte(x.GTrid)), hex.EncodeToString([]byte(x.Bqual)), x.Format)
}

// Begin is a GTID event: the begin of a group of events.
type Begin struct {
	GTID
	Flags uint8
	XID   XID // where Flags has GTIDPreparedXA or GTIDCompletedXA
}

// ParseGTID reads the body of a GTID event; server is the header's.
func ParseGTID(body []byte, server uint32, b *Begin) error {
	const commitID = 8
	c := cursor{b: body}
	b.Seq, b.Domain, b.Flags, b.Server = c.uint(8), c.u32(), c.u8(), server
	if b.Flags&GTIDGroupCommit != 0 {
		c.take(commitID)
	}
	if b.Flags&(GTIDPreparedXA|GTIDCompletedXA) != 0 {
		b.XID.Format = c.u32()
		gtrid, bqual := int(c.u8()), int(c.u8())
		b.XID.GTrid, b.XID.Bqual = string(c.take(gtrid)), string(c.take(bqual))
	}
	if c.bad {
		return fmt.Errorf("GTID event: %w", ErrShort)
	}
	return nil
}

// ParseGTIDList calls f for each GTID of the body of a GTID list event.
func ParseGTIDList(body []byte, f func(GTID)) error {
	c := cursor{b: body}
	for n := c.u32() & 0x0fffffff; n > 0 && !c.bad; n-- {
		g := GTID{Domain: c.u32(), Server: c.u32(), Seq: c.uint(8)}
		if !c.bad {
			f(g)
		}
	}
	if c.bad {
		return fmt.Errorf("GTID list event: %w", ErrShort)
	}
	return nil
}

// ParseRotate reads the body of a rotate event: the next file and where to begin in it.
func ParseRotate(body []byte) (file string, pos uint64, err error) {
	c := cursor{b: body}
	if pos = c.uint(8); c.bad {
		return "", 0, fmt.Errorf("rotate event: %w", ErrShort)
	}
	return string(c.b), pos, nil
}

// Query is a query event. Its bytes alias the event, or the reader's memory.
type Query struct {
	Database []byte
	SQL      []byte
	Code     uint16 // error that the statement ended with at the source
}

// ParseQuery reads the body of a query event, compressed or not.
func ParseQuery(t EventType, body []byte, z *Inflater, q *Query) error {
	c := cursor{b: body}
	c.take(8) // thread id, execution time
	database := int(c.u8())
	q.Code = c.u16()
	c.take(int(c.u16())) // status variables
	q.Database = c.take(database)
	c.u8() // the database's closing zero
	if c.bad {
		return fmt.Errorf("query event: %w", ErrShort)
	}
	q.SQL = c.b
	if t != QueryCompressedEvent {
		return nil
	}
	var err error
	if q.SQL, err = z.event(c.b); err != nil {
		return fmt.Errorf("compressed query event: %w", err)
	}
	return nil
}

// ParseXAPrepare reads the body of the event that ends the rows of an XA PREPARE (or commits them at
// once, where onePhase is set).
func ParseXAPrepare(body []byte) (x XID, onePhase bool, err error) {
	c := cursor{b: body}
	onePhase = c.u8() != 0
	x.Format = c.u32()
	gtrid, bqual := int(c.u32()), int(c.u32())
	x.GTrid, x.Bqual = string(c.take(gtrid)), string(c.take(bqual))
	if c.bad {
		return x, false, fmt.Errorf("XA prepare event: %w", ErrShort)
	}
	return x, onePhase, nil
}

// ErrIncident says that the source lost events.
var ErrIncident = errors.New("the source reports an incident: events may be missing from its binary log")

// ParseIncident turns an incident event into an error.
func ParseIncident(body []byte) error {
	c := cursor{b: body}
	number := c.u16()
	text := c.take(int(c.u8()))
	return fmt.Errorf("%w (number %d: %s)", ErrIncident, number, text)
}
