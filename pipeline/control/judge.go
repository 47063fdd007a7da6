package control

import (
	"fmt"
	"time"
)

// The bounds of a Judge that a configuration does not set. A lag of a few bytes is mostly the server's
// own records, which a source hears of only once in a while: it is judged more slowly.
const (
	lateFor       = 3 * time.Second  // a lag may be beyond its objective: the first change after a quiet hour is
	lateForSlight = time.Minute      // a slight lag may
	slight        = 64 << 10         // bytes
	settled       = 15 * time.Second // after a failure without another one, or earlier with progress
	patience      = 10               // times as long a snapshot, or a slight lag, may stand still
)

// Judge says whether a pipeline is ready. It is not safe for concurrent use.
type Judge struct {
	StalledAfter time.Duration // 0: never
	LagObjective time.Duration // 0: none

	sources map[string]*pace
	sinks   pace
	failed  time.Time // the failure that is remembered
	saves   int64     // when it was seen first
}

// pace is how something moves.
type pace struct {
	count int64
	moved time.Time // when count changed
	late  time.Time // since when it is behind its objective; zero: it is not
}

func (p *pace) see(count int64, idle bool, now time.Time) {
	if p.moved.IsZero() || idle || count != p.count {
		p.count, p.moved = count, now
	}
}

// Judge returns why the pipeline is not ready now; nothing where it is. It must be called once a
// second or so to see what stands still.
func (j *Judge) Judge(s *Status, now time.Time) []string {
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if why := j.process(s, now); why != "" {
		add("%s", why)
	}
	for i := range s.Sources {
		if why := j.source(&s.Sources[i], now); why != "" {
			add("%s %s", s.Sources[i].Address, why)
		}
	}
	var written int64
	for i := range s.Sinks {
		written += s.Sinks[i].Batches + s.Sinks[i].Rows
	}
	j.sinks.see(written, s.InFlightBatches == 0 || s.Phase != Running, now)
	bound := j.StalledAfter
	for i := range s.Sources {
		if s.Sources[i].Phase == "snapshot" { // indexes may be built behind it
			bound = patience * j.StalledAfter
		}
	}
	if still := now.Sub(j.sinks.moved); bound > 0 && still > bound {
		add("stalled: nothing was written for %s although batches wait", still.Round(time.Second))
	}
	return out
}

func (j *Judge) process(s *Status, now time.Time) string {
	if s.Failure != nil && !s.Failure.At.Equal(j.failed) {
		j.failed, j.saves = s.Failure.At, s.Saves
	}
	switch {
	case s.Leader != nil && s.Phase != Stopping:
		return "standby: " + s.Leader.String()
	case s.Phase == Retrying && s.Failure != nil:
		return "failed and is begun again: " + s.Failure.Message
	case s.Phase != Running:
		return string(s.Phase)
	case s.Failure != nil && s.Saves == j.saves && now.Sub(j.failed) < settled:
		return "begun again after a failure and without progress yet: " + s.Failure.Message
	}
	return ""
}

func (j *Judge) source(s *Source, now time.Time) string {
	if j.sources == nil {
		j.sources = map[string]*pace{}
	}
	p := j.sources[s.Address]
	if p == nil {
		p = &pace{}
		j.sources[s.Address] = p
	}
	idle := s.LagBytes <= 0 && s.LagSeconds <= 0 && s.Phase != "snapshot"
	p.see(s.Batches+s.Rows, idle, now)
	lag := time.Duration(s.LagSeconds * float64(time.Second))
	switch {
	case j.LagObjective == 0 || lag <= j.LagObjective:
		p.late = time.Time{}
	case p.late.IsZero():
		p.late = now
	}
	bound, long := j.StalledAfter, lateFor
	little := s.LagBytes >= 0 && s.LagBytes < slight
	if s.Phase == "snapshot" || little {
		bound *= patience
	}
	if little {
		long = lateForSlight
	}
	switch {
	case s.Phase == "connecting":
		return "connects"
	case bound > 0 && now.Sub(p.moved) > bound:
		return fmt.Sprintf("stalled: nothing was read for %s although there is something to read",
			now.Sub(p.moved).Round(time.Second))
	case !p.late.IsZero() && now.Sub(p.late) >= long:
		return fmt.Sprintf("is %s behind, more than the objective of %s", lag.Round(time.Second), j.LagObjective)
	}
	return ""
}
