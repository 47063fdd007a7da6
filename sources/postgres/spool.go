package postgres

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/sources/postgres/pgoutput"
)

// The names of spill files, what a spilled transaction keeps in memory before it is appended to its
// file, and the bytes before each change.
const (
	spillPrefix = "stream-"
	spillSuffix = ".spill"
	spillFlush  = 1 << 20
	spillHeader = 12 // uint32 length, uint64 LSN
)

// spool holds the changes of transactions that the server streams before they commit, up to a bound
// in memory and past it in one file each.
type spool struct {
	dir   string
	limit int
	used  int // bytes in memory, of all transactions
	held  map[uint32]*heldTx
}

// heldTx is one transaction: its changes in order, those on file before those in memory.
type heldTx struct {
	mem     []byte
	file    *os.File
	aborted map[uint32]bool // subtransactions rolled back
}

// newSpool removes what an earlier process left behind.
func newSpool(dir string, limit int) (*spool, error) {
	if dir == "" {
		dir = os.TempDir()
	}
	left, err := filepath.Glob(filepath.Join(dir, spillPrefix+"*"+spillSuffix))
	if err != nil {
		return nil, fmt.Errorf("spill directory: %w", err)
	}
	for _, name := range left {
		if err := os.Remove(name); err != nil {
			return nil, spillError(err)
		}
	}
	return &spool{dir: dir, limit: limit, held: map[uint32]*heldTx{}}, nil
}

// begin makes sure that the transaction is known.
func (s *spool) begin(xid uint32) {
	if s.held[xid] == nil {
		s.held[xid] = &heldTx{}
	}
}

// add appends a change of the transaction.
func (s *spool) add(xid uint32, lsn uint64, change []byte) error {
	t := s.held[xid]
	if t == nil {
		return failed(pipeline.Internal, "", "a change of transaction %d, which was not begun, is streamed", xid)
	}
	t.mem = binary.BigEndian.AppendUint32(t.mem, uint32(len(change)))
	t.mem = binary.BigEndian.AppendUint64(t.mem, lsn)
	t.mem = append(t.mem, change...)
	s.used += spillHeader + len(change)
	if t.file != nil && len(t.mem) >= spillFlush {
		return s.spill(xid, t)
	}
	if s.used <= s.limit {
		return nil
	}
	xid, t = s.largest()
	return s.spill(xid, t)
}

func (s *spool) largest() (xid uint32, best *heldTx) {
	for id, t := range s.held {
		if best == nil || len(t.mem) > len(best.mem) {
			xid, best = id, t
		}
	}
	return xid, best
}

// spill moves what the transaction has in memory to its file.
func (s *spool) spill(xid uint32, t *heldTx) error {
	if t.file == nil {
		name := filepath.Join(s.dir, spillPrefix+strconv.FormatUint(uint64(xid), 10)+spillSuffix)
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return spillError(err)
		}
		t.file = f
	}
	if _, err := t.file.Write(t.mem); err != nil {
		return spillError(err)
	}
	s.used -= len(t.mem)
	t.mem = t.mem[:0]
	if cap(t.mem) > 2*spillFlush {
		t.mem = nil
	}
	return nil
}

func spillError(err error) error {
	return &pipeline.Error{Class: pipeline.Environment, Err: fmt.Errorf("spill a streamed transaction: %w", err),
		Hint: `Make room in the state directory, or set streaming = "off"`}
}

// abort forgets the changes of a subtransaction, or the whole transaction.
func (s *spool) abort(xid, sub uint32) {
	t := s.held[xid]
	if t == nil {
		return
	}
	if xid == sub {
		s.drop(xid)
		return
	}
	if t.aborted == nil {
		t.aborted = map[uint32]bool{}
	}
	t.aborted[sub] = true
}

// replay calls f with the changes of the transaction that were not rolled back, in order, and
// forgets it. The bytes are valid during the call only.
func (s *spool) replay(xid uint32, f func(lsn uint64, change []byte) error) error {
	t := s.held[xid]
	if t == nil {
		return failed(pipeline.Internal, "", "transaction %d commits but was not streamed", xid)
	}
	defer s.drop(xid)
	if t.file != nil {
		if err := t.replayFile(f); err != nil {
			return err
		}
	}
	for mem := t.mem; len(mem) > 0; {
		n := int(binary.BigEndian.Uint32(mem))
		if err := t.give(binary.BigEndian.Uint64(mem[4:]), mem[spillHeader:spillHeader+n], f); err != nil {
			return err
		}
		mem = mem[spillHeader+n:]
	}
	return nil
}

func (t *heldTx) replayFile(f func(lsn uint64, change []byte) error) error {
	if _, err := t.file.Seek(0, io.SeekStart); err != nil {
		return spillError(err)
	}
	in := bufio.NewReaderSize(t.file, socketBuffer)
	var header [spillHeader]byte
	var change []byte
	for {
		_, err := io.ReadFull(in, header[:])
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return spillError(err)
		}
		n := int(binary.BigEndian.Uint32(header[:]))
		if cap(change) < n {
			change = make([]byte, n)
		}
		if _, err := io.ReadFull(in, change[:n]); err != nil {
			return spillError(err)
		}
		if err := t.give(binary.BigEndian.Uint64(header[4:]), change[:n], f); err != nil {
			return err
		}
	}
}

// give passes a change on unless its subtransaction was rolled back. A description of a table is
// never dropped: the server sends it once, and later changes may rely on it.
func (t *heldTx) give(lsn uint64, change []byte, f func(uint64, []byte) error) error {
	if len(t.aborted) == 0 || len(change) < 5 {
		return f(lsn, change)
	}
	switch pgoutput.Kind(change[0]) {
	case pgoutput.Relation, pgoutput.Type, pgoutput.Origin: // an Origin has no transaction id
		return f(lsn, change)
	}
	if t.aborted[binary.BigEndian.Uint32(change[1:])] {
		return nil
	}
	return f(lsn, change)
}

func (s *spool) drop(xid uint32) {
	t := s.held[xid]
	if t == nil {
		return
	}
	s.used -= len(t.mem)
	delete(s.held, xid)
	if t.file != nil {
		_ = t.file.Close()
		_ = os.Remove(t.file.Name())
	}
}

// close forgets every transaction.
func (s *spool) close() {
	for xid := range s.held {
		s.drop(xid)
	}
}
