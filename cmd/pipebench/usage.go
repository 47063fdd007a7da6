package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// tick is the unit of the times in proc(5), which is the same on every Linux machine that Go runs on.
const tick = 10 * time.Millisecond

// usage is what the parties to a measurement have used of the processors until a moment.
type usage struct {
	at                     time.Time
	source, target, client time.Duration
}

// usage reads the clock and what the servers have used; source is the source's main process.
func (b *bench) usage(source int) usage {
	return usage{at: time.Now(), source: cpuOf(source), target: cpuOf(b.target.Pid())}
}

// since returns what was used since an earlier moment, and how long that is. client is the reader's own.
func (u usage) since(earlier usage, client time.Duration) part {
	return part{wall: u.at.Sub(earlier.at), source: u.source - earlier.source, target: u.target - earlier.target, client: client}
}

// cpuOf returns the processor time of a process, of those that it has waited for, and of its children.
func cpuOf(pid int) time.Duration {
	own := statOf(pid)
	sum := own.self + own.waited
	names, _ := filepath.Glob("/proc/[0-9]*") // the pattern is well-formed
	for _, name := range names {
		id, err := strconv.Atoi(filepath.Base(name))
		if err != nil {
			continue
		}
		if child := statOf(id); child.parent == pid {
			sum += child.self + child.waited
		}
	}
	return sum
}

// stat is what is used here of a line of proc(5).
type stat struct {
	parent       int
	self, waited time.Duration
}

// statOf reads /proc/PID/stat; a process that is gone has used nothing.
func statOf(pid int) (s stat) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return s
	}
	// The second field is the command in parentheses, which may have any byte in it.
	const parent, user, last = 1, 11, 14 // counted from the state, which follows it
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) <= last {
		return s
	}
	number := func(i int) time.Duration {
		n, _ := strconv.ParseInt(string(fields[i]), 10, 64)
		return time.Duration(n)
	}
	return stat{int(number(parent)), (number(user) + number(user+1)) * tick, (number(user+2) + number(user+3)) * tick}
}
