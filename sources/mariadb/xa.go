package mariadb

import (
	"bytes"
	"fmt"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/sources/mariadb/binlog"
)

// held are the XA transactions that are prepared and have no outcome yet. The log has their rows at
// XA PREPARE; XA COMMIT or XA ROLLBACK comes later, under another GTID, without them. Nothing is
// stored: the position says from where their rows are read again after a restart.
type held struct {
	most  int64 // bytes
	size  int64
	byXID map[binlog.XID]*prepared
	last  *prepared // the one whose rows are being read
}

// prepared is one of them.
type prepared struct {
	before binlog.Set // the end of the group before it
	events []heldEvent
	size   int64
}

// heldEvent is a table map or rows event.
type heldEvent struct {
	header binlog.Header
	body   []byte
}

func newHeld(most int64) held { return held{most: most, byXID: map[binlog.XID]*prepared{}} }

func (h *held) begin(x binlog.XID, before binlog.Set) {
	h.drop(x)
	h.last = &prepared{before: append(binlog.Set{}, before...)}
	h.byXID[x] = h.last
}

// add keeps a copy of an event.
func (h *held) add(header *binlog.Header, body []byte) error {
	const overhead = 64
	n := int64(len(body)) + overhead
	if h.size+n > h.most {
		return failed(pipeline.Environment, "Raise spill, or end the prepared transactions (XA RECOVER)",
			"prepared XA transactions hold more than %d bytes", h.most)
	}
	h.last.events = append(h.last.events, heldEvent{header: *header, body: bytes.Clone(body)})
	h.last.size, h.size = h.last.size+n, h.size+n
	return nil
}

func (h *held) drop(x binlog.XID) {
	if p := h.byXID[x]; p != nil {
		h.size -= p.size
		delete(h.byXID, x)
	}
}

// from returns from where to read so that all of them are seen again; nil where there are none.
func (h *held) from() binlog.Set {
	var first binlog.Set
	for _, p := range h.byXID {
		if first == nil || first.Covers(p.before) {
			first = p.before
		}
	}
	return first
}

// prepared handles the event that ends the rows of XA PREPARE.
func (s *stream) prepared(h *binlog.Header, body []byte) error {
	x, onePhase, err := binlog.ParseXAPrepare(body)
	if err != nil {
		return err
	}
	if onePhase && s.group.holds() {
		if err := s.outcome(x, true); err != nil {
			return err
		}
	}
	return s.end(h)
}

// outcome delivers or drops what was prepared.
func (s *stream) outcome(x binlog.XID, commit bool) error {
	p := s.held.byXID[x]
	defer s.held.drop(x)
	if !commit || s.group.skip {
		return nil
	}
	if p == nil {
		return failed(pipeline.Environment, "Remove this source's saved position and start again with a snapshot",
			"XA transaction %s is committed, but its rows were prepared before this source began", x)
	}
	for i := range p.events {
		e := &p.events[i]
		if err := s.data(&e.header, e.body); err != nil {
			return fmt.Errorf("XA transaction %s: %w", x, err)
		}
	}
	return nil
}
