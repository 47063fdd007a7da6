package mariadb

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/sources/mariadb/binlog"
)

// coord is a place in this server's binary log: the number of the file, then the place in it. What a
// snapshot sees is a stretch of the log from its begin, so coords tell what it sees, and cost no look
// into the log as GTIDs do.
type coord uint64

// coordBits are those of the place in the file; headers of events have 32 of them.
const (
	coordBits  = 40
	headerBits = 32
)

// coordOf makes a coord of what the server says: "mariadb-bin.000042", 4711.
func coordOf(file string, at uint64) (coord, error) {
	_, number, _ := lastCut(file, ".")
	n, err := strconv.ParseUint(number, 10, 64-coordBits)
	if err != nil || at >= 1<<coordBits {
		return 0, fmt.Errorf("the server says that its log is at %q:%d", file, at)
	}
	return coord(n<<coordBits | at), nil
}

func lastCut(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// fence renders a coord so that later ones sort after earlier ones.
func (c coord) fence() pipeline.Position {
	return pipeline.Position(appendHex(nil, uint64(c), 16))
}

// within is the place in the file.
func (c coord) within() uint64 { return uint64(c) & (1<<coordBits - 1) }

// pointer follows where in the log a stream is.
type pointer struct {
	base  coord  // the begin of the file
	wraps uint64 // how often the places in headers, which have 32 bits, began anew
	last  uint32
	begin coord // of the open group: the end of its first event
	done  coord // everything before was read
}

// rotate begins a file.
func (p *pointer) rotate(file string) {
	if base, err := coordOf(file, 0); err == nil && base != p.base {
		p.base, p.wraps, p.last = base, 0, 0
		p.done = max(p.done, base)
	}
}

// pass moves the pointer behind an event.
func (p *pointer) pass(h *binlog.Header, open bool) {
	if h.End == 0 || h.Flags&binlog.FlagArtificial != 0 || h.Type == binlog.RotateEvent {
		return
	}
	if h.End < p.last && p.last-h.End > 1<<(headerBits-1) {
		p.wraps++
	}
	p.last = h.End
	at := p.base | coord(p.wraps<<headerBits|uint64(h.End))
	switch {
	case !open:
		p.done = max(p.done, at)
	case h.Type == binlog.GTIDEvent:
		p.begin = at
	}
}
