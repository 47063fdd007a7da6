package mariadb

import (
	"fmt"
	"strconv"
	"strings"
	"unsafe"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/sources/mariadb/binlog"
)

// binlogStream is the local name of the stream of changes.
const binlogStream pipeline.Stream = "binlog"

// place is what a position of the stream says: the last GTID of each domain and, while XA
// transactions are prepared and without an outcome, from where they are read again.
//
// Its text begins with the sum of the sequence numbers, in 16 hexadecimal digits. A transaction
// raises the number of its domain, so the sum orders the positions of one history whatever domains
// it has, and is the same whoever computes it: a restart or another server of the same history gives
// a transaction the same position. "000000000000002A/0-1-40,3-2-2", "000000000000002B/0-1-43/0-1-39".
//
// Where several domains are written at once, two servers may have their transactions in another
// order; both orders lead to the same positions wherever the domains meet.
type place struct {
	set  binlog.Set
	held binlog.Set // from where to read, where XA transactions are open; nil: from set
}

const ordinalDigits = 16

func (p place) append(dst []byte) ([]byte, error) {
	n, ok := p.set.Ordinal()
	if !ok {
		return nil, fmt.Errorf("the sequence numbers of %s are too large to be added", p.set)
	}
	dst = appendHex(dst, n, ordinalDigits)
	dst = p.set.Append(append(dst, '/'))
	if p.held != nil {
		dst = p.held.Append(append(dst, '/'))
	}
	return dst, nil
}

// position renders the place.
func (p place) position() (pipeline.Position, error) {
	text, err := p.append(nil)
	return pipeline.Position(text), err
}

// parsePlace is the inverse of place.position.
func parsePlace(pos pipeline.Position) (p place, err error) {
	wrong := func() (place, error) {
		return place{}, fmt.Errorf("position %q is not one of a mariadb source", pos)
	}
	parts := strings.Split(string(pos), "/")
	if len(parts) < 2 || len(parts) > 3 || len(parts[0]) != ordinalDigits {
		return wrong()
	}
	n, err := strconv.ParseUint(parts[0], 16, 64)
	if err != nil {
		return wrong()
	}
	if p.set, err = binlog.ParseSet(parts[1]); err != nil {
		return wrong()
	}
	if sum, ok := p.set.Ordinal(); !ok || sum != n {
		return wrong()
	}
	if len(parts) == 3 {
		if p.held, err = binlog.ParseSet(parts[2]); err != nil {
			return wrong()
		}
		if p.held == nil {
			p.held = binlog.Set{}
		}
	}
	return p, nil
}

func appendHex(dst []byte, n uint64, width int) []byte {
	const digits = "0123456789ABCDEF"
	for shift := 4 * (width - 1); shift >= 0; shift -= 4 {
		dst = append(dst, digits[n>>shift&15])
	}
	return dst
}

// texts makes strings of which many lie in one piece of memory.
type texts struct {
	free []byte
}

// textsChunk is the size of such a piece.
const textsChunk = 8 << 10

// keep returns b's content as a string.
func (t *texts) keep(b []byte) string {
	if len(t.free) < len(b) {
		t.free = make([]byte, max(textsChunk, len(b)))
	}
	n := copy(t.free, b)
	out := unsafe.String(unsafe.SliceData(t.free), n)
	t.free = t.free[n:]
	return out
}
