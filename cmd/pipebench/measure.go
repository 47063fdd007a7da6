package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"syscall"
	"time"
)

// sample is what one run of one reader took.
type sample struct {
	wall time.Duration
	cpu  time.Duration // user and system, of the reader alone
	rss  int64         // bytes, at the peak
}

// timed runs a command to its end.
func timed(ctx context.Context, env []string, name string, args ...string) (sample, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(cmd.Environ(), env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	start := time.Now()
	err := cmd.Run()
	s := sample{wall: time.Since(start)}
	if state := cmd.ProcessState; state != nil {
		s.cpu = state.UserTime() + state.SystemTime()
		if usage, ok := state.SysUsage().(*syscall.Rusage); ok {
			s.rss = usage.Maxrss << 10
		}
	}
	if err != nil {
		return s, fmt.Errorf("%s %v: %w\n%s", name, args, err, lastLines(out.Bytes(), 20))
	}
	return s, nil
}

// plus joins two processes that ran at the same time as one reader.
func (s sample) plus(o sample) sample {
	return sample{wall: max(s.wall, o.wall), cpu: s.cpu + o.cpu, rss: max(s.rss, o.rss)}
}

func lastLines(b []byte, n int) []byte {
	lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-n):], []byte("\n"))
}
