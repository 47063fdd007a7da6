package engine

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
)

// world is what survives a crash: the logs of the sources, what the sinks and the store hold.
type world struct {
	t    *testing.T
	seed uint64

	mu      sync.Mutex // guards the following
	rng     *rand.Rand
	bad     string // the first violation
	life    int    // the present one; parts of an older life have no effect any more
	lives   int
	final   bool // nothing is made to fail any more
	sources []*simLog
	sinks   []*simTable
	steps   []simStep
	store   bool
	saved   pipeline.Checkpoint // by the store
	told    pipeline.Checkpoint // by Commit; what it lacks was told as finished
	emitted pipeline.Checkpoint // last marks emitted in this life
	running map[string]bool
}

// simLog is one source: streams of transactions. Transaction i has the position i; a mark n includes
// the transactions before n.
type simLog struct {
	address string
	streams map[pipeline.Stream][][]simEvent
	forgot  pipeline.Position // upstream has nothing of the wal before it
	from    pipeline.Checkpoint
}

type simEvent struct {
	key  int
	text string
}

// simTable is one sink's durable state: how many of the rows that it should get it has.
type simTable struct {
	address string
	from    []string
	keeper  bool
	lanes   int
	want    map[pipeline.Stream][]simRow // by qualified stream
	durable map[pipeline.Stream]int
	kept    pipeline.Checkpoint
	epoch   int
}

// simRow is a row that a sink must get: the number of its transaction, and its text.
type simRow struct {
	tx   int
	text string
}

// simStep is a transform: it drops keys and changes texts.
type simStep struct {
	address string
	from    []string
	mod     int // drops keys divisible by it; 0: none
	table   int // drops the table of that number; -1: none
	suffix  string
	delay   time.Duration
}

func (s simStep) apply(ev simEvent) (simEvent, bool) {
	if s.mod > 0 && ev.key%s.mod == 0 || ev.key%2 == s.table {
		return ev, false
	}
	ev.text += s.suffix
	return ev, true
}

func pos(n int) pipeline.Position { return pipeline.Position(fmt.Sprintf("%06d", n)) }

// number returns how many transactions a position includes.
func number(p pipeline.Position) int {
	n := 0
	fmt.Sscanf(string(p), "%d", &n)
	return n
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 1)),
		saved: pipeline.Checkpoint{}, told: pipeline.Checkpoint{}}
	for i := range 1 + w.rng.IntN(2) {
		w.sources = append(w.sources, w.newLog(fmt.Sprintf("source.s%d", i)))
	}
	w.shape()
	for _, k := range w.sinks {
		w.expect(k)
		w.store = w.store || !k.keeper
	}
	return w
}

func (w *world) newLog(address string) *simLog {
	l := &simLog{address: address, streams: map[pipeline.Stream][][]simEvent{}}
	version := 0
	txs := func(n, big int) (out [][]simEvent) {
		for range n {
			size := 1 + w.rng.IntN(4)
			if w.rng.IntN(12) == 0 {
				size = big
			}
			var tx []simEvent
			for range size {
				version++
				key := w.rng.IntN(20)
				tx = append(tx, simEvent{key, fmt.Sprintf("%s k%d v%d", address, key, version)})
			}
			out = append(out, tx)
		}
		return out
	}
	for i := range w.rng.IntN(4) {
		l.streams[pipeline.Stream(fmt.Sprintf("chunk/%d", i))] = txs(1+w.rng.IntN(8), 12)
	}
	l.streams["wal"] = txs(80, 30)
	return l
}

// shape chooses a graph.
func (w *world) shape() {
	var all []string
	for _, s := range w.sources {
		all = append(all, s.address)
	}
	delay := time.Duration(w.rng.IntN(3)) * time.Millisecond
	if len(all) > 1 {
		delay = 0 // a transform of two sources is locked, and fake time stands still before a lock
	}
	sink := func(from ...string) {
		w.sinks = append(w.sinks, &simTable{address: fmt.Sprintf("sink.k%d", len(w.sinks)), from: from,
			keeper: w.rng.IntN(2) == 0, lanes: w.rng.IntN(4), want: map[pipeline.Stream][]simRow{},
			durable: map[pipeline.Stream]int{}, kept: pipeline.Checkpoint{}})
	}
	step := func(address string, s simStep, from ...string) {
		s.address, s.from, s.delay = address, from, delay
		w.steps = append(w.steps, s)
	}
	switch w.rng.IntN(5) {
	case 0:
		sink(all...)
	case 1:
		sink(all...)
		sink(all...)
	case 2: // filtered in place
		step("transform.a", simStep{mod: 3, table: -1, suffix: "+a"}, all...)
		step("transform.b", simStep{table: 1, suffix: "+b"}, "transform.a")
		sink("transform.b")
	case 3: // a branch and the whole
		step("transform.a", simStep{mod: 3, table: -1, suffix: "+a"}, all...)
		step("transform.c", simStep{mod: 5, table: -1, suffix: "+c"}, all...)
		sink("transform.a")
		sink(all[0])
		sink("transform.c")
	case 4: // a common prefix, and a sink reached by two paths
		step("transform.a", simStep{mod: 7, table: -1, suffix: "+a"}, all...)
		step("transform.b", simStep{table: 0, suffix: "+b"}, "transform.a")
		step("transform.c", simStep{mod: 2, table: -1, suffix: "+c"}, "transform.a")
		sink("transform.b", "transform.c")
		sink("transform.b")
	}
}

// expect works out what a sink must get: of each event the results of all paths, in order.
func (w *world) expect(k *simTable) {
	for _, l := range w.sources {
		for s, txs := range l.streams {
			for i, tx := range txs {
				for _, ev := range tx {
					w.paths(k, l.address, ev, func(text string) {
						q := s.In(l.address)
						k.want[q] = append(k.want[q], simRow{i, text})
					})
				}
			}
		}
	}
}

func (w *world) paths(k *simTable, at string, ev simEvent, found func(string)) {
	if contains(k.from, at) {
		found(ev.text)
	}
	for _, s := range w.steps {
		if !contains(s.from, at) {
			continue
		}
		if next, keep := s.apply(ev); keep {
			w.paths(k, s.address, next, found)
		}
	}
}

// reaches reports whether a source leads to a sink.
func (w *world) reaches(address string, k *simTable) bool {
	from := append([]string(nil), k.from...)
	for i := 0; i < len(from); i++ {
		if from[i] == address {
			return true
		}
		for _, s := range w.steps {
			if s.address == from[i] {
				from = append(from, s.from...)
			}
		}
	}
	return false
}

// upTo returns how many of the rows that a sink must get of a stream are included in a position.
func (k *simTable) upTo(q pipeline.Stream, p pipeline.Position) int {
	rows := k.want[q]
	for i, r := range rows {
		if r.tx >= number(p) {
			return i
		}
	}
	return len(rows)
}

// violate records that an invariant does not hold; called with mu held.
func (w *world) violate(invariant int, what string, args ...any) {
	if w.bad == "" {
		w.bad = fmt.Sprintf("invariant %d: ", invariant) + fmt.Sprintf(what, args...)
	}
}

// durable checks invariant 1 for positions about to be saved (or told, where Keepers save them): every
// sink has every row before them, and all rows of a stream that is forgotten. Called with mu held.
func (w *world) checkDurable(before, cp pipeline.Checkpoint) {
	for q, p := range cp {
		if p == "" {
			w.violate(1, "%s is finished and still saved", q)
		}
	}
	for _, l := range w.sources {
		for _, k := range w.sinks {
			if !w.reaches(l.address, k) {
				continue
			}
			for local := range l.streams {
				q := local.In(l.address)
				need := k.upTo(q, cp[q])
				if cp[q] == "" && before[q] != "" {
					need = len(k.want[q])
				}
				if k.durable[q] < need {
					w.violate(1, "%s saved at %q, where %s has %d of %d rows", q, cp[q], k.address, k.durable[q], need)
				}
			}
		}
	}
}

// checkDrained checks what Drain promises; called with mu held.
func (w *world) checkDrained(l *simLog, streams []pipeline.Stream) {
	for _, local := range streams {
		q := local.In(l.address)
		p, any := w.emitted[q]
		if !any {
			continue
		}
		for _, k := range w.sinks {
			if w.reaches(l.address, k) && k.durable[q] < k.upTo(q, p) {
				w.violate(1, "drained %s at %q, where %s has %d of %d rows",
					q, p, k.address, k.durable[q], k.upTo(q, p))
			}
		}
		if w.store && w.saved[q] != p {
			w.violate(1, "drained %s at %q, where %q is saved", q, p, w.saved[q])
		}
		if w.told[q] != p {
			w.violate(2, "drained %s at %q, where %q is told", q, p, w.told[q])
		}
	}
}

// chance is true once in n times; called with mu held.
func (w *world) chance(n int) bool { return !w.final && w.rng.IntN(n) == 0 }
