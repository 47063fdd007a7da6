package snapshot

import (
	"flag"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var (
	simSeed  = flag.Uint64("sim.seed", 0, "run only this seed of the simulation")
	simSeeds = flag.Int("sim.seeds", 150, "seeds of the simulation")
)

// TestSimulation reads tables of a database while others write to it and transactions become visible
// late, asks and cancels, and crashes the pipeline again and again; one or two sinks that are not equally
// far hold the positions. At each row that is merged, each entry that says done, each crash and at the
// end the targets are compared with the history of the source.
//
// Live was broken on purpose in each of these ways, and each time a seed failed:
//
//   - stale rows are merged; the fence is ignored; a chunk that a TRUNCATE voided is merged; the window is
//     watched late, or not before a resumed table is read; it is forgotten too early; the old key of a
//     change is not touched
//   - nothing waits for visibility before the first chunk, or before the rows that More tells of
//   - the ledger tells of chunks before they are durable; Ask returns before its request is; two saves at
//     once; what is in flight, or left of a segment, or to be read again, is not in the ledger
//   - a row that was left out for a partial update counts as there; a key changed by one is forgotten in a
//     crash; a snapshot that was given up counts as one that filled the table
//   - chunks are read before the sinks know of the beginning; a note is sent before what sinks hold already;
//     a snapshot begins before the end of the last one is saved; a run's entries do not come after those
//     of the last; what is cancelled says done
func TestSimulation(t *testing.T) {
	if *simSeed != 0 {
		simulate(t, *simSeed)
		return
	}
	reads, merged := 0, 0
	for seed := uint64(1); seed <= uint64(*simSeeds) && !t.Failed(); seed++ {
		w := simulate(t, seed)
		reads, merged = reads+w.reads, merged+w.merged
	}
	t.Logf("%d chunks read, %d merged", reads, merged)
}

func simulate(t *testing.T, seed uint64) *simWorld {
	var w *simWorld
	synctest.Test(t, func(t *testing.T) {
		w = newSimWorld(t, seed)
		var writers sync.WaitGroup
		rng := rand.New(rand.NewPCG(seed, 9))
		for range 1 + rng.IntN(5) {
			pause := time.Duration(1 + rng.Int64N(int64(400*time.Millisecond)))
			writers.Go(func() { w.db.write(pause) })
		}
		for range 2 + rng.IntN(4) {
			w.life()
			w.check()
		}
		w.last = true
		stop := time.AfterFunc(5*time.Second, func() {
			w.db.mu.Lock()
			w.db.stopped = true
			w.db.mu.Unlock()
		})
		defer stop.Stop()
		w.life()
		writers.Wait()
		w.check()
		w.checkEnd()
	})
	return w
}

// check compares every table that is whole at a target.
func (w *simWorld) check() {
	for _, target := range w.targets {
		target.held = nil
		for n := range simTables {
			if target.whole[n] {
				w.checkTable(target, n)
			}
		}
	}
}

// checkEnd: everything is whole, and nothing is there that the source does not have.
func (w *simWorld) checkEnd() {
	end := simPos(w.db.end())
	for i, target := range w.targets {
		if target.cp[simWAL] != end {
			w.errorf("target %d ends at %s, the log at %s", i, target.cp[simWAL], end)
		}
		for n := range simTables {
			if _, ghost := target.tables[n][simGhost]; ghost || !target.whole[n] {
				w.errorf("target %d, table %d: whole %v, a row from nowhere %v", i, n, target.whole[n], ghost)
			}
		}
	}
}
