package snapshot

import (
	"context"
	"slices"
	"sync"

	"github.com/pipe-cdc/pipe/pipeline"
)

// Asker is implemented by sources whose tables can be read again while they run.
type Asker interface {
	// Ask asks for snapshots, all or none, and returns once the requests are saved: from then on a
	// crash does not lose them. A table that the source does not read is an error of class Input. It
	// waits while the source is not running yet.
	Ask(ctx context.Context, requests ...Request) error
	// Cancel gives up the snapshots of the tables, the one that runs and those that wait.
	Cancel(ctx context.Context, tables ...string) error
	// Entries returns what is known of each table, sorted by name.
	Entries() []Entry
}

// Desk takes requests for a source, for which it implements Asker.
type Desk struct {
	mu     sync.Mutex // guards the following
	asks   []*ask
	ledger *Ledger // of the run; nil before it
	closed bool
	wake   chan struct{} // something was asked; buffered by one
}

// ask is one call of Ask or Cancel.
type ask struct {
	requests []Request
	cancel   []string
	answer   chan error // buffered by one
}

// NewDesk returns a desk that nobody serves yet.
func NewDesk() *Desk { return &Desk{wake: make(chan struct{}, 1)} }

// Ask implements Asker.
func (d *Desk) Ask(ctx context.Context, requests ...Request) error {
	return d.put(ctx, &ask{requests: requests, answer: make(chan error, 1)})
}

// Cancel implements Asker.
func (d *Desk) Cancel(ctx context.Context, tables ...string) error {
	return d.put(ctx, &ask{cancel: tables, answer: make(chan error, 1)})
}

// Entries implements Asker.
func (d *Desk) Entries() []Entry {
	d.mu.Lock()
	l := d.ledger
	d.mu.Unlock()
	if l == nil {
		return nil
	}
	return l.Entries()
}

// Serve says what Entries reads from: call it once the ledger is loaded.
func (d *Desk) Serve(l *Ledger) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ledger = l
}

// Close answers everything that is asked from here on, or was and is not answered: the run is over.
func (d *Desk) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	for _, a := range d.asks {
		a.answer <- errOver()
	}
	d.asks = nil
}

// Waiting reports whether something was asked that nobody took yet.
func (d *Desk) Waiting() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.asks) > 0
}

func errOver() error {
	return &pipeline.Error{Class: pipeline.Retryable, Err: errRunOver}
}

func (d *Desk) put(ctx context.Context, a *ask) error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return errOver()
	}
	d.asks = append(d.asks, a)
	d.mu.Unlock()
	select {
	case d.wake <- struct{}{}:
	default:
	}
	select {
	case err := <-a.answer:
		return err
	case <-ctx.Done():
		d.withdraw(a)
		return ctx.Err()
	}
}

// withdraw takes back what nobody took yet.
func (d *Desk) withdraw(a *ask) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asks = slices.DeleteFunc(d.asks, func(o *ask) bool { return o == a })
}

// take returns what was asked since the last call.
func (d *Desk) take() []*ask {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := d.asks
	d.asks = nil
	return out
}
