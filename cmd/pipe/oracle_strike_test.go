package main

import (
	"syscall"
	"time"

	"github.com/pipe-cdc/pipe/pipeline/control"
)

// oracleStrikes is how many ways there are to disturb the processes of a pipeline.
const oracleStrikes = 5

// strike ends or stops a process, and starts others in its place.
func (o *oracleRun) strike() {
	o.Helper()
	o.led("one leads", nil)
	o.lag.disturb()
	if !o.several() {
		o.endAll(syscall.SIGKILL)
		o.begin()
		return
	}
	if len(o.strikes) == 0 {
		o.strikes = o.rng.Perm(oracleStrikes)
	}
	n := o.strikes[0]
	o.strikes = o.strikes[1:]
	switch {
	case n <= 1:
		o.endLeader("leader killed", syscall.SIGKILL)
	case n == 2:
		o.endLeader("leader ended", syscall.SIGTERM)
	case n == 3:
		o.asks["standby killed"]++
		o.signalled(syscall.SIGKILL, o.standbys()[0])
	case o.hangs():
		o.hang()
	default:
		o.asks["leader paused"]++
		o.pause(o.lead, true)
		time.Sleep(time.Duration(o.rng.Intn(1000)) * time.Millisecond)
		o.pause(o.lead, false)
	}
	o.begin()
}

// succeeded waits until another process works, and notes how long that took.
func (o *oracleRun) succeeded(what string, old *oracleProcess) {
	o.Helper()
	began := time.Now()
	o.asks[what]++
	o.led("another one takes over: "+what, old)
	o.took[what] = max(o.took[what], time.Since(began).Round(time.Millisecond))
}

// pause stops a process or lets it go on.
func (o *oracleRun) pause(p *oracleProcess, stop bool) {
	o.Helper()
	p.hangs = stop
	if stop {
		p.signal(o.T, syscall.SIGSTOP)
	} else {
		p.signal(o.T, syscall.SIGCONT)
	}
}

// endLeader ends the process that has the pipeline. For a target that wants to know how far that one wrote,
// the others do not take over before it was asked.
func (o *oracleRun) endLeader(what string, sig syscall.Signal) {
	o.Helper()
	old, others := o.lead, o.standbys()
	waits := o.sink == "kafka"
	for _, p := range others {
		if waits {
			o.pause(p, true)
		}
	}
	o.signalled(sig, old)
	o.out.lifeEnds()
	for _, p := range others {
		if waits {
			o.pause(p, false)
		}
	}
	o.succeeded(what, old)
}

// hang stops the process that has the pipeline until another one has taken over and its changes arrive. When it
// goes on it must become one that stands by.
func (o *oracleRun) hang() {
	o.Helper()
	old := o.lead
	o.pause(old, true)
	o.succeeded("leader hung", old)
	beat := o.lag.last.Load()
	o.await("changes arrive while the other one hangs", func() bool { return o.lag.last.Load() > beat })
	o.pause(old, false)
	o.await("the one that hung stands by", func() bool {
		s := old.says(o.Context())
		return s != nil && (s.Leader != nil || s.Phase == control.Running && o.status() != nil && o.lead == old)
	})
}
