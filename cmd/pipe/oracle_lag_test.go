package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// How often a beat is committed, and the target is looked at.
const (
	beatEvery = 100 * time.Millisecond
	lookEvery = 25 * time.Millisecond
)

// lagObjective is what a snapshot may hold another table up at most.
const lagObjective = 2 * time.Second

// caughtUp is the lag at which a process that was begun again counts as caught up.
const caughtUp = 300 * time.Millisecond

// lagWatch measures how long the beats of a table that is not read again are on their way.
type lagWatch struct {
	reading   atomic.Bool  // a snapshot was asked for, and not all were seen to be over
	last      atomic.Int64 // the beat that was there at the last look
	striking  atomic.Bool  // a process is being ended, or begun
	disturbed atomic.Bool  // a process ended, and the next has not caught up
	stop      context.CancelFunc
	done      sync.WaitGroup

	mu      sync.Mutex  // guards the following
	beats   []time.Time // when each was committed
	samples map[string][]time.Duration
}

// watchLag begins to commit beats and to look for them.
func watchLag(t *testing.T, db oracleDB, sink oracleSink) *lagWatch {
	ctx, cancel := context.WithCancel(context.Background())
	l := &lagWatch{stop: cancel, samples: map[string][]time.Duration{}, beats: []time.Time{{}}}
	l.reading.Store(true)
	l.disturbed.Store(true)
	session := db.open(t, 0)
	l.done.Go(func() {
		defer session.close()
		for ; ctx.Err() == nil; time.Sleep(beatEvery) {
			if err := session.exec([]string{fmt.Sprintf("UPDATE beat SET n = %d WHERE id = 1", len(l.beats))}); err != nil {
				t.Errorf("beat: %v", err)
				return
			}
			l.mu.Lock()
			l.beats = append(l.beats, time.Now())
			l.mu.Unlock()
		}
	})
	l.done.Go(func() {
		for ; ctx.Err() == nil; time.Sleep(lookEvery) {
			l.look(sink.beat())
		}
	})
	t.Cleanup(l.end)
	return l
}

func (l *lagWatch) end() {
	l.stop()
	l.done.Wait()
}

// disturb says that a process is about to end.
func (l *lagWatch) disturb() {
	l.striking.Store(true)
	l.disturbed.Store(true)
}

// undisturbed says that one runs again.
func (l *lagWatch) undisturbed() { l.striking.Store(false) }

// look notes how long the beat after the one that is there has been on its way.
func (l *lagWatch) look(n int64) {
	l.last.Store(n)
	l.mu.Lock()
	defer l.mu.Unlock()
	lag := time.Duration(0)
	if int(n)+1 < len(l.beats) {
		lag = time.Since(l.beats[n+1])
	}
	kind := "quiet"
	switch {
	case l.disturbed.Load():
		kind = "after an end"
		if n > 0 && lag < caughtUp && !l.striking.Load() {
			l.disturbed.Store(false)
		}
	case l.reading.Load():
		kind = "reading"
	}
	l.samples[kind] = append(l.samples[kind], lag)
}

// String tells of the lags: the 99th percentile and the greatest.
func (l *lagWatch) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := "lag"
	for _, kind := range []string{"quiet", "reading", "after an end"} {
		s := slices.Sorted(slices.Values(l.samples[kind]))
		if len(s) > 0 {
			text += fmt.Sprintf(" %s: 99%% below %v, at most %v;", kind, s[len(s)*99/100].Round(time.Millisecond),
				s[len(s)-1].Round(time.Millisecond))
		}
	}
	return text
}

// lagBeside is what is asked where other tests use the machine at the same time.
const lagBeside = 20 * time.Second

// check holds the lag while tables were read to the objective where the oracle runs by itself, by
// PIPE_ORACLE. Where the machine stands still without any snapshot too, it is held to that.
func (l *lagWatch) check(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	alone := os.Getenv("PIPE_ORACLE") != ""
	if len(l.samples["reading"]) == 0 {
		if alone { // elsewhere a machine that is slow enough never catches up between two ends
			t.Error("nothing was measured while tables were read")
		}
		return
	}
	limit := lagBeside
	if alone {
		limit = lagObjective
	}
	if s := l.samples["quiet"]; len(s) > 0 {
		limit = max(limit, 2*slices.Max(s))
	}
	if lag := slices.Max(l.samples["reading"]); lag > limit {
		t.Errorf("another table lagged by %v while tables were read, want at most %v", lag, limit)
	}
}
