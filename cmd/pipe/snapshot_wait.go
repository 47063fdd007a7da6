package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pipe-cdc/pipe/pipeline/control"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// How snapshots are waited for.
const (
	waitEvery = 500 * time.Millisecond
	waitAway  = 15 * time.Second // for a process that is begun again
	waitSeen  = 10 * time.Second // for a request to be seen, and after it was seen no more
)

// follower waits for what was asked for.
type follower struct {
	accepted control.Accepted
	seen     time.Time             // when every request was known last
	last     []control.Source      // as of the last status
	ended    map[int]control.Table // by index into accepted
}

// followSnapshots waits until a running pipeline has done what was asked.
func followSnapshots(cmd *cobra.Command, t *target, a control.Accepted) error {
	o := outputOf(cmd)
	if !o.json {
		printLeft(o.err, a)
	}
	f := &follower{accepted: a, seen: time.Now(), ended: map[int]control.Table{}}
	line := newWaitLine(o)
	answered := time.Now()
	ctx, stop := untilSignal(cmd.Context(), discardLog())
	defer stop()
	for {
		status, err := t.client.Status(ctx)
		switch {
		case ctx.Err() != nil:
			line.clear()
			fmt.Fprintln(o.err, "The snapshot goes on; pipe snapshot --cancel gives it up.")
			return &exit{code: exitRuntime}
		case errors.Is(err, control.ErrNotRunning) && time.Since(answered) < waitAway:
		case errors.Is(err, control.ErrNotRunning):
			line.clear()
			return gone()
		case err != nil:
			return err
		default:
			answered = time.Now()
			if f.look(status.Sources, answered) {
				line.clear()
				return finished(cmd, f.result())
			}
			line.show(f.text(), answered)
		}
		if !pauseFor(ctx, waitEvery) {
			continue // which says so
		}
	}
}

// look takes the tables' figures and reports whether everything that was asked for has ended.
func (f *follower) look(sources []control.Source, now time.Time) bool {
	f.last = sources
	known := true
	for i, a := range f.accepted.Tables {
		if _, ended := f.ended[i]; ended {
			continue
		}
		t, ok := tableIn(sources, a)
		switch {
		case ok && t.Status == snapshot.Cancelled && t.Ended.After(a.Asked) && !waits(&t, a):
			f.ended[i] = t // and what waited behind it
		case !ok || t.Asked.Before(a.Asked) && !waits(&t, a):
			known = false
			if now.Sub(f.seen) > waitSeen {
				t.Table, t.Status = a.Table, snapshot.Cancelled // it was taken out of the queue
				f.ended[i] = t
			}
		case t.Asked.Equal(a.Asked) && !t.Status.Open():
			f.ended[i] = t
		case t.Asked.After(a.Asked) && !waits(&t, a):
			t.Status = snapshot.Done // and a later request has begun: it waited for this one
			f.ended[i] = t
		}
	}
	if known {
		f.seen = now
	}
	return len(f.ended) == len(f.accepted.Tables)
}

func waits(t *control.Table, a control.AcceptedTable) bool {
	return slices.ContainsFunc(t.Queue, func(asked time.Time) bool { return asked.Equal(a.Asked) })
}

func tableIn(sources []control.Source, a control.AcceptedTable) (control.Table, bool) {
	for i := range sources {
		if sources[i].Address != a.Source {
			continue
		}
		for _, t := range sources[i].Tables {
			if t.Table == a.Table {
				return t, true
			}
		}
	}
	return control.Table{}, false
}

// result lists what became of each request.
func (f *follower) result() []listedSnapshot {
	out := []listedSnapshot{}
	for i, a := range f.accepted.Tables {
		t, ok := f.ended[i]
		if !ok {
			if t, ok = tableIn(f.last, a); !ok || !t.Asked.Equal(a.Asked) {
				t = control.Table{Table: a.Table, Status: snapshot.Pending, Asked: a.Asked, Estimate: -1}
			}
		}
		out = append(out, listedSnapshot{a.Source, t})
	}
	return out
}

// text says in one line how far it is: "public.orders 43%, 12,300 rows · 2 tables wait · 1 of 4 done".
func (f *follower) text() string {
	var parts []string
	waiting := 0
	for i, a := range f.accepted.Tables {
		if _, ended := f.ended[i]; ended {
			continue
		}
		t, ok := tableIn(f.last, a)
		if !ok || !t.Asked.Equal(a.Asked) || t.Status != snapshot.Running {
			waiting++
			continue
		}
		part := fmt.Sprintf("%s, %s rows", a.Table, grouped(t.Rows))
		if share := t.Share(); share >= 0 {
			part = fmt.Sprintf("%s %.0f%%, %s rows", a.Table, 100*share, grouped(t.Rows))
		}
		parts = append(parts, part)
	}
	if waiting > 0 {
		parts = append(parts, plural(waiting, "table")+" waiting")
	}
	if len(f.accepted.Tables) > 1 {
		parts = append(parts, fmt.Sprintf("%d of %d done", len(f.ended), len(f.accepted.Tables)))
	}
	return strings.Join(parts, " · ")
}

// waitLine shows progress: in place on a terminal, else a line after a moment and then once in a while.
type waitLine struct {
	out           io.Writer
	colour, quiet bool
	next          time.Time // when it is due
}

func newWaitLine(o output) waitLine {
	l := waitLine{out: o.err, colour: o.colour, quiet: o.json}
	if !l.colour {
		l.next = time.Now().Add(progressFirst)
	}
	return l
}

func (l *waitLine) show(text string, now time.Time) {
	switch {
	case l.quiet || now.Before(l.next):
	case l.colour:
		l.next = now.Add(progressEvery / 2)
		fmt.Fprint(l.out, "\r\x1b[K"+printable(text))
	default:
		l.next = now.Add(progressLog)
		fmt.Fprintln(l.out, printable(text))
	}
}

// asks says on a terminal, after a moment, that servers are being asked; stop ends that.
func (o output) asks() (stop func()) {
	if !o.colour || o.json {
		return func() {}
	}
	t := time.AfterFunc(progressFirst, func() {
		fmt.Fprintln(o.err, "asking the servers; one that does not answer is given up after a while ...")
	})
	return func() { t.Stop() }
}

func (l *waitLine) clear() {
	if l.colour && !l.quiet {
		fmt.Fprint(l.out, "\r\x1b[K")
	}
}

func pauseFor(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
