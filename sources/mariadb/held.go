package mariadb

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/sources/mariadb/binlog"
)

// The bounds of what is held: the bytes of all files, what a transaction that has a file keeps in
// memory before it is appended there, and the bytes before each event.
const (
	maxSpilled  = 256 << 30
	spillFlush  = 1 << 20
	spillHeader = 19 // length of the body; time, type, server, end and flags of the header
)

// held are the XA transactions that are prepared and have no outcome yet. The log has their rows at
// XA PREPARE; XA COMMIT or XA ROLLBACK comes later, under another GTID, without them. Up to a bound
// they are in memory, beyond it in one file each. A file has no name once it is open, so none outlives
// the process: the position says from where the rows are read again after a restart.
type held struct {
	dir     string
	most    int   // bytes in memory
	used    int   // bytes in memory, of all transactions
	spilled int64 // bytes in files, likewise
	byXID   map[binlog.XID]*prepared
	last    *prepared // the one whose rows are being read
}

// prepared is one of them: its table map and rows events in order, those on file before those in
// memory.
type prepared struct {
	gtid   binlog.GTID // of its XA PREPARE
	lost   bool        // no outcome is awaited
	before binlog.Set  // the end of the group before it
	mem    []byte
	file   *os.File
	size   int64 // of the file
}

func newHeld(dir string, most int) held {
	return held{dir: dir, most: most, byXID: map[binlog.XID]*prepared{}}
}

// begin opens a transaction. One of the same name must have ended, seen or not.
func (h *held) begin(g *binlog.Begin, before binlog.Set) {
	x := g.XID
	h.drop(x)
	h.last = &prepared{gtid: g.GTID, before: append(binlog.Set{}, before...)}
	h.byXID[x] = h.last
}

// add keeps a copy of an event of the transaction that was begun last.
func (h *held) add(e *binlog.Header, body []byte) error {
	p := h.last
	p.mem = binary.LittleEndian.AppendUint32(p.mem, uint32(len(body)))
	p.mem = binary.LittleEndian.AppendUint32(p.mem, e.Time)
	p.mem = append(p.mem, byte(e.Type))
	p.mem = binary.LittleEndian.AppendUint32(p.mem, e.Server)
	p.mem = binary.LittleEndian.AppendUint32(p.mem, e.End)
	p.mem = binary.LittleEndian.AppendUint16(p.mem, e.Flags)
	p.mem = append(p.mem, body...)
	h.used += spillHeader + len(body)
	if p.file != nil && len(p.mem) >= spillFlush {
		return h.spill(p)
	}
	if h.used <= h.most {
		return nil
	}
	return h.spill(h.largest())
}

// largest returns the transaction that has most in memory.
func (h *held) largest() *prepared {
	best := h.last
	for _, p := range h.byXID {
		if len(p.mem) > len(best.mem) {
			best = p
		}
	}
	return best
}

// spill moves what a transaction has in memory to its file.
func (h *held) spill(p *prepared) (err error) {
	if h.spilled+int64(len(p.mem)) > maxSpilled {
		return failed(pipeline.Environment, "End the prepared transactions (XA RECOVER FORMAT='SQL')",
			"XA transactions that are prepared and not yet committed have more than %d bytes", int64(maxSpilled))
	}
	if p.file == nil {
		if p.file, err = os.CreateTemp(h.dir, "xa-*.spill"); err != nil {
			return spillError(err)
		}
		_ = os.Remove(p.file.Name()) // where the system does not let it go while it is open, drop does
	}
	if _, err := p.file.Write(p.mem); err != nil {
		return spillError(err)
	}
	p.size, h.spilled = p.size+int64(len(p.mem)), h.spilled+int64(len(p.mem))
	h.used -= len(p.mem)
	if p.mem = p.mem[:0]; cap(p.mem) > 2*spillFlush {
		p.mem = nil
	}
	return nil
}

func spillError(err error) error {
	return failed(pipeline.Environment, "Make room in the state directory, raise spill, or end the prepared transactions "+
		"(XA RECOVER FORMAT='SQL')", "keep the rows of an XA transaction: %w", err)
}

// replay calls f with the events of a transaction, in order. The body is valid during the call only.
func (p *prepared) replay(f func(e *binlog.Header, body []byte) error) error {
	if p.file != nil {
		if err := p.replayFile(f); err != nil {
			return err
		}
	}
	for mem := p.mem; len(mem) > 0; {
		e, n := spilledHeader(mem)
		if err := f(&e, mem[spillHeader:spillHeader+n]); err != nil {
			return err
		}
		mem = mem[spillHeader+n:]
	}
	return nil
}

func (p *prepared) replayFile(f func(e *binlog.Header, body []byte) error) error {
	if _, err := p.file.Seek(0, io.SeekStart); err != nil {
		return spillError(err)
	}
	in := bufio.NewReaderSize(p.file, spillFlush)
	var header [spillHeader]byte
	var body []byte
	for {
		_, err := io.ReadFull(in, header[:])
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return spillError(err)
		}
		e, n := spilledHeader(header[:])
		if cap(body) < n {
			body = make([]byte, n)
		}
		if _, err := io.ReadFull(in, body[:n]); err != nil {
			return spillError(err)
		}
		if err := f(&e, body[:n]); err != nil {
			return err
		}
	}
}

// spilledHeader reads what add wrote before a body of n bytes.
func spilledHeader(b []byte) (e binlog.Header, n int) {
	e.Time = binary.LittleEndian.Uint32(b[4:])
	e.Type = binlog.EventType(b[8])
	e.Server = binary.LittleEndian.Uint32(b[9:])
	e.End = binary.LittleEndian.Uint32(b[13:])
	e.Flags = binary.LittleEndian.Uint16(b[17:])
	return e, int(binary.LittleEndian.Uint32(b))
}

// drop forgets a transaction.
func (h *held) drop(x binlog.XID) {
	p := h.byXID[x]
	if p == nil {
		return
	}
	h.used, h.spilled = h.used-len(p.mem), h.spilled-p.size
	delete(h.byXID, x)
	if p.file != nil {
		_ = p.file.Close()
		_ = os.Remove(p.file.Name())
	}
}

// close forgets every transaction.
func (h *held) close() {
	for x := range h.byXID {
		h.drop(x)
	}
}

// from returns from where to read so that all of them are seen again; nil where there are none.
func (h *held) from() binlog.Set {
	var first binlog.Set
	for _, p := range h.byXID {
		if !p.lost && (first == nil || first.Covers(p.before)) {
			first = p.before
		}
	}
	return first
}

// xaNames renders transactions for a message, at most so many.
func xaNames(names []string, most int) string {
	if len(names) <= most {
		return fmt.Sprintf("%q", names)
	}
	return fmt.Sprintf("%q and %d more", names[:most], len(names)-most)
}
