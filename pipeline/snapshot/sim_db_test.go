package snapshot

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
)

// The size of a simulated database.
const (
	simTables = 3
	simKeys   = 40 // of each table
	simAbsent = -1 // a value that a change leaves out
	simLost   = -2 // one that nobody downstream knows
)

// simRow is a row's state; absent rows are not in maps.
type simRow struct{ v, big int }

// simChange is one change of a transaction: old and key are -1 where there is none.
type simChange struct {
	op       pipeline.Op
	table    int
	old, key int
	row      simRow
}

// simTx is a transaction in the log, in the order of commits.
type simTx struct {
	id      uint64
	changes []simChange
}

// simState is what a row, or all of a table, was from a place in the log on.
type simState struct {
	at   int
	row  simRow
	here bool
}

// simDB is a database in the manner of PostgreSQL: transactions become visible some time after they are
// in the log, in another order, and keep their locks until then.
type simDB struct {
	mu      sync.Mutex // guards the following
	rng     *rand.Rand
	log     []simTx
	lastID  uint64
	open    map[uint64]bool // begun and not visible
	locked  map[[2]int]bool
	visible [simTables]map[int]simRow
	history map[[2]int][]simState
	values  int
	stopped bool
	hot     int // keys that are changed most
}

func newSimDB(rng *rand.Rand) *simDB {
	d := &simDB{rng: rng, open: map[uint64]bool{}, locked: map[[2]int]bool{}, history: map[[2]int][]simState{},
		hot: 1 + rng.IntN(simKeys)}
	for t := range simTables {
		d.visible[t] = map[int]simRow{}
		for k := range simKeys {
			if rng.IntN(3) > 0 {
				d.values++
				d.visible[t][k] = simRow{v: d.values, big: d.values}
				d.history[[2]int{t, k}] = []simState{{row: d.visible[t][k], here: true}}
			}
		}
	}
	return d
}

// at returns a row's state after the first n transactions of the log.
func (d *simDB) at(table, key, n int) (simRow, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	states := d.history[[2]int{table, key}]
	for i := len(states) - 1; i >= 0; i-- {
		if states[i].at <= n {
			return states[i].row, states[i].here
		}
	}
	return simRow{}, false
}

// write is one writer's life.
func (d *simDB) write(pause time.Duration) {
	for {
		d.mu.Lock()
		stopped := d.stopped
		tx, locks := d.begin()
		wait, late := d.nap(pause), time.Duration(0)
		if d.rng.IntN(4) == 0 {
			late = d.nap(20 * pause)
		}
		d.mu.Unlock()
		time.Sleep(wait)
		if d.commit(tx, locks) {
			time.Sleep(late)
		}
		d.show(tx, locks)
		if stopped {
			return
		}
	}
}

func (d *simDB) nap(most time.Duration) time.Duration {
	return time.Duration(d.rng.Int64N(int64(most)))
}

// begin chooses changes of rows that nobody has locked. mu is held.
func (d *simDB) begin() (simTx, [][2]int) {
	d.lastID++
	tx := simTx{id: d.lastID}
	d.open[tx.id] = true
	var locks [][2]int
	table := d.rng.IntN(simTables)
	if d.rng.IntN(60) == 0 {
		return d.truncate(tx, table)
	}
	lock := func() int {
		k := d.rng.IntN(simKeys)
		if d.rng.IntN(2) == 0 {
			k = d.rng.IntN(d.hot)
		}
		at := [2]int{table, k}
		if d.locked[at] {
			return -1
		}
		d.locked[at] = true
		locks = append(locks, at)
		return k
	}
	for range 1 + d.rng.IntN(3) {
		if k := lock(); k >= 0 {
			tx.changes = append(tx.changes, d.change(table, k, lock))
		}
	}
	return tx, locks
}

// truncate empties a table of which nobody has locked a row. mu is held.
func (d *simDB) truncate(tx simTx, table int) (simTx, [][2]int) {
	var locks [][2]int
	for k := range simKeys {
		if d.locked[[2]int{table, k}] {
			return tx, nil
		}
		locks = append(locks, [2]int{table, k})
	}
	for _, at := range locks {
		d.locked[at] = true
	}
	tx.changes = []simChange{{op: pipeline.Truncate, table: table, old: -1, key: -1}}
	return tx, locks
}

// change chooses what happens to a locked row. mu is held.
func (d *simDB) change(table, k int, lock func() int) simChange {
	row, here := d.visible[table][k]
	d.values++
	fresh := simRow{v: d.values, big: d.values}
	c := simChange{table: table, old: -1, key: k, row: fresh}
	switch n := d.rng.IntN(10); {
	case !here:
		c.op = pipeline.Insert
	case n == 0:
		c.op, c.old, c.key = pipeline.Delete, k, -1
	case n < 3:
		c.op = pipeline.Update
	default:
		c.op, c.row.big = pipeline.Update, simAbsent
		if d.rng.IntN(4) > 0 {
			break
		}
		if to := lock(); to >= 0 && to != k {
			if _, there := d.visible[table][to]; !there {
				c.old, c.key = k, to
			}
		}
	}
	_ = row
	return c
}

// commit puts a transaction into the log, or gives it up.
func (d *simDB) commit(tx simTx, locks [][2]int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(tx.changes) == 0 || d.rng.IntN(12) == 0 {
		return false
	}
	d.log = append(d.log, tx)
	state := map[[2]int]*simRow{}
	for _, at := range locks {
		if r, ok := d.visible[at[0]][at[1]]; ok {
			state[at] = &r
		}
	}
	for _, c := range tx.changes {
		c.apply(state)
	}
	for _, at := range locks {
		s := simState{at: len(d.log)}
		if r := state[at]; r != nil {
			s.row, s.here = *r, true
		}
		d.history[at] = append(d.history[at], s)
	}
	return true
}

func (c *simChange) apply(state map[[2]int]*simRow) {
	was := simRow{big: simLost}
	from := c.key
	if c.old >= 0 {
		from = c.old
	}
	if r := state[[2]int{c.table, from}]; r != nil {
		was = *r
	}
	if c.op == pipeline.Truncate {
		for at := range state {
			if at[0] == c.table {
				delete(state, at)
			}
		}
		return
	}
	delete(state, [2]int{c.table, from})
	if c.key < 0 {
		return
	}
	row := c.row
	if row.big == simAbsent {
		row.big = was.big
	}
	state[[2]int{c.table, c.key}] = &row
}

// show makes a transaction visible, if it is in the log, and gives its locks back.
func (d *simDB) show(tx simTx, locks [][2]int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.open, tx.id)
	for _, at := range locks {
		delete(d.locked, at)
		states := d.history[at]
		if len(states) == 0 {
			continue
		}
		if s := states[len(states)-1]; s.here {
			d.visible[at[0]][at[1]] = s.row
		} else {
			delete(d.visible[at[0]], at[1])
		}
	}
}

// simView is what one snapshot sees.
type simView struct {
	next uint64
	open map[uint64]bool
	rows map[int]simRow
}

func (v *simView) sees(id uint64) bool { return id < v.next && !v.open[id] }

// view takes a snapshot and reads a table in it.
func (d *simDB) view(table int) *simView {
	d.mu.Lock()
	defer d.mu.Unlock()
	return &simView{next: d.lastID + 1, open: maps.Clone(d.open), rows: maps.Clone(d.visible[table])}
}

// settled reports whether the first n transactions of the log are visible.
func (d *simDB) settled(n int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.log[:n] {
		if d.open[d.log[i].id] {
			return false
		}
	}
	return true
}

func (d *simDB) end() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.log)
}

func simPos(n int) pipeline.Position { return pipeline.Position(fmt.Sprintf("%08d", n)) }
