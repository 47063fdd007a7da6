package postgres

import (
	"slices"
	"sync"
)

// The bounds of what is remembered of transactions that were emitted: from how many on the server is
// asked which of them are visible, and how many there may be at all.
const (
	pruneFrom  = 1 << 16
	mostUnseen = 1 << 22
)

// emitted remembers the transactions that were emitted and are not known to be visible: the server sends
// a commit once it is flushed, and makes it visible afterwards, which takes for ever where it waits for a
// synchronous standby.
type emitted struct {
	mu    sync.Mutex // guards the following
	txs   []uint64
	asked bool // the server is being asked
}

// add remembers a transaction; prune asks the caller to have the others looked at, full says that there
// are too many.
func (e *emitted) add(tx uint64) (prune, full bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.txs = append(e.txs, tx)
	if len(e.txs) < pruneFrom || e.asked {
		return false, len(e.txs) > mostUnseen
	}
	e.asked = true
	return true, false
}

// all returns a copy.
func (e *emitted) all() []uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.txs)
}

// prune forgets those that a snapshot sees.
func (e *emitted) prune(v *visibility) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.txs = v.unseen(e.txs)
}

// answered says that the server was asked, with or without success.
func (e *emitted) answered() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked = false
}
