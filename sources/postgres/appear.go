package postgres

import (
	"time"

	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// appeared deals with a table that the stream speaks of for the first time: the rows that it has are
// read, unless it takes the place of another one, about which something was decided already.
func (s *stream) appeared(t *table) error {
	if s.live == nil {
		s.env.Log.Warn("a table appeared in the stream: rows that it had before are not copied", "table", t.String())
		return nil
	}
	name := t.Schema.Name()
	s.set(t)
	s.void(name)
	if _, known := s.Ledger.Entry(name); known {
		return nil
	}
	if t.Policy == policyNever {
		s.env.Log.Info("a table appeared in the stream; by its policy the rows that it had before are not read",
			"table", name)
		s.Ledger.Change(name, recorded)
		_, err := s.Ledger.Save(s.ctx, s.out)
		return err
	}
	s.env.Log.Info("a table appeared in the stream: the rows that it had before are read", "table", name)
	s.fill(name)
	s.request(snapshot.Request{Table: name, Reason: snapshot.ForAdded, Asked: time.Now().UTC()})
	return nil
}

// changed deals with a table that is not what it was. Chunks that do not see the change are read again;
// under another name it keeps its entry, or is read from the beginning where that was being done: what was
// read of it left under the old name.
func (s *stream) changed(known, fresh *table) error {
	if s.live == nil {
		return nil
	}
	old, name := known.Schema.Name(), fresh.Schema.Name()
	s.void(name)
	if old == name {
		return nil
	}
	s.void(old)
	s.set(fresh)
	s.drop(old)
	e, ok := s.Ledger.Entry(old)
	if !ok {
		return nil
	}
	if e.Status.Open() {
		q := e.Request
		if q.Table, q.Asked = name, time.Now().UTC(); !q.Filled() {
			q.Reason = snapshot.ForAdded
			s.fill(name)
		}
		s.request(q)
		return nil
	}
	s.Ledger.Change(name, func(now *snapshot.Entry) {
		version := now.Version
		*now = e.Clone()
		now.Table, now.Version = name, version
	})
	s.Ledger.Forget(old)
	_, err := s.Ledger.Save(s.ctx, s.out)
	return err
}

// recorded takes a table for complete.
func recorded(e *snapshot.Entry) {
	now := time.Now().UTC()
	*e = snapshot.Entry{Table: e.Table, Version: e.Version, Status: snapshot.Recorded, Started: now, Ended: now,
		Estimate: -1, Queue: e.Queue}
}
