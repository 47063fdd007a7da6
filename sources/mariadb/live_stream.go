package mariadb

import (
	"context"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
	"github.com/pipe-cdc/pipe/sources/mariadb/binlog"
)

// merging is the stream's side of reading tables while it goes on.
type merging struct {
	*live
	at     pointer
	names  map[*table]string
	made   map[string]bool // by tableKey: tables that were made while the stream went on, and have no rows yet
	active bool            // as reading says; looked at between groups, since it costs more than a row can pay
}

func newMerging(l *live) merging {
	m := merging{live: l, names: map[*table]string{}, made: map[string]bool{}}
	if l != nil {
		m.at.done = l.tip
		l.done.Store(uint64(l.tip))
	}
	m.active = m.reading()
	return m
}

// name returns the table's name without making it anew for each row.
func (m *merging) name(t *table) string {
	name, ok := m.names[t]
	if !ok {
		if len(m.names) > maxMapped {
			clear(m.names)
		}
		name = t.String()
		m.names[t] = name
	}
	return name
}

// touch records what a row did to a table that is being read, or is going to be. held says that it is not
// to be emitted; of a row whose key changed the deletion under the old one is left.
func (m *merging) touch(ctx context.Context, t *table, row *pipeline.Row) (held bool, err error) {
	if !m.active {
		return false, nil
	}
	name := m.name(t)
	m.Window.Touch(name, row, uint64(m.at.begin))
	if row.Op != pipeline.Update || row.Complete() {
		m.whole(name, row.Schema, row.Key())
		if row.KeyChanged() {
			m.whole(name, row.Schema, row.Before)
		}
		return false, nil
	}
	if !m.hold(name, row, uint64(m.at.begin)) {
		return false, nil
	}
	if err := m.Rekeyed(ctx, name); err != nil {
		return false, err
	}
	if !row.KeyChanged() {
		return true, nil
	}
	row.Op, row.Values = pipeline.Delete, nil
	return false, nil
}

// void records that chunks of a table which do not see the open group do not count.
func (m *merging) void(t *table) {
	if m.live != nil && m.Window.Watching() {
		m.Window.Void(m.name(t), uint64(m.at.begin))
	}
}

// reading reports whether there is anything to merge, to watch or to hold back.
func (m *merging) reading() bool {
	return m.live != nil && (m.Busy() || m.Window.Watching() || m.fillings.Load() > 0)
}

// passed is called behind each event, when it was handled.
func (s *stream) passed(h *binlog.Header) error {
	if h.Type == binlog.RotateEvent {
		s.merging.at.rotate(s.file)
	}
	s.merging.at.pass(h, s.group.open)
	if s.group.open || s.merging.live == nil {
		return nil
	}
	s.merging.done.Store(uint64(s.merging.at.done))
	return s.merge()
}

// merge puts one chunk between the last group and the next, where one is ready; more would keep other
// tables waiting.
func (s *stream) merge() error {
	m := &s.merging
	if s.group.open {
		return nil
	}
	if m.active = m.reading(); !m.active {
		return nil
	}
	p := m.Next(m.at.done.fence())
	if p == nil {
		return nil
	}
	tx := &pipeline.Tx{Snapshot: true, Pos: s.pos, GTID: s.place.set.String(), File: s.file,
		Time: time.Now().UnixMicro() - pipeline.EpochMicros}
	var err error
	if p.Flags != 0 {
		err = s.note(p, tx)
	} else {
		m.paying(p)
		err = m.Merge(p, tx, s.room, s.emit)
	}
	if err != nil {
		return err
	}
	s.unmarked = true
	if err := s.mark(); err != nil {
		return err
	}
	if err := s.emit(); err != nil {
		return err
	}
	m.Merged(p, s.pos)
	return nil
}

// note emits a word about a table's snapshot.
func (s *stream) note(p *snapshot.Piece, tx *pipeline.Tx) error {
	t := s.merging.known(p.Table)
	if t == nil {
		return nil
	}
	b, err := s.room()
	if err != nil {
		return err
	}
	row := b.Add()
	row.Schema, row.Op, row.Flags, row.Tx = t.Schema, pipeline.Truncate, p.Flags, tx
	return nil
}

// paying notes which rows of a chunk are whole downstream once it is merged.
func (m *merging) paying(p *snapshot.Piece) {
	if !m.owes(p.Table) {
		return
	}
	m.looked(p.Table, p.Segment.Keys, p.Sees)
	for i := range p.Rows {
		row := &p.Rows[i]
		if stale, _ := m.Window.Stale(p.Table, row, p.Sees); !stale {
			m.whole(p.Table, row.Schema, row.Values)
		}
	}
}

// appeared is called for a table that the stream sees for the first time since it began: rows may have
// come into it without being in the log under its name.
func (s *stream) appeared(t *table) {
	if s.merging.live == nil {
		return
	}
	name, key := t.String(), tableKey(t.Database, t.Name)
	switch made := s.merging.made[key]; {
	case s.merging.known(name) != nil:
	case made:
		delete(s.merging.made, key)
		s.record(t)
	default:
		s.merging.fill(name)
		s.merging.active = true
		s.asks.Go(func() { s.merging.adopt(s.asking, t) })
	}
	s.merging.know(t)
}

// reread asks for a table of which changes are lost, and returns once that is saved: the position may pass
// only then. A request that waits already is for a later time than now.
func (s *stream) reread(t *table) error {
	name := t.String()
	if e, _ := s.merging.Ledger.Entry(name); len(e.Queue) > 0 {
		return nil
	}
	if err := s.emit(); err != nil { // it would not come back while we wait
		return err
	}
	return s.merging.Desk.Ask(s.ctx, snapshot.Request{Table: name, Reason: snapshot.ForLost, Asked: time.Now().UTC(), Replace: true})
}
