package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
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
	return timedUntil(ctx, nil, env, name, args...)
}

// timedUntil is timed, with a border or none.
func timedUntil(ctx context.Context, b *border, env []string, name string, args ...string) (sample, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(cmd.Environ(), env...)
	if b == nil {
		b = &border{met: true}
	}
	cmd.Stdout, cmd.Stderr = b, b
	start := time.Now()
	err := b.started(func() (int, error) {
		if err := cmd.Start(); err != nil {
			return 0, err
		}
		return cmd.Process.Pid, nil
	})
	if err != nil {
		return sample{}, err
	}
	ended := make(chan struct{})
	peak := make(chan int64)
	go func() { peak <- watchMemory(cmd.Process.Pid, ended) }()
	err = cmd.Wait()
	s := sample{wall: time.Since(start)}
	close(ended)
	s.rss = <-peak
	s.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if err != nil {
		return s, fmt.Errorf("%s %v: %w\n%s", name, args, err, lastLines(b.log.Bytes(), 20))
	}
	return s, nil
}

// memoryEvery is how often a process's peak is read: what it reaches in its last moments may be missed.
const memoryEvery = 20 * time.Millisecond

// watchMemory returns the peak of a process's resident memory in bytes. The kernel's account of a
// finished child would count this process too, whose memory the child shared before it was itself.
func watchMemory(pid int, ended <-chan struct{}) (peak int64) {
	ticker := time.NewTicker(memoryEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ended:
			return peak
		case <-ticker.C:
			peak = max(peak, highWater(pid))
		}
	}
}

// highWater reads VmHWM of proc(5), 0 where it cannot be read.
func highWater(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kb << 10
		}
	}
	return 0
}

// plus joins two processes that ran at the same time as one reader.
func (s sample) plus(o sample) sample {
	return sample{wall: max(s.wall, o.wall), cpu: s.cpu + o.cpu, rss: max(s.rss, o.rss)}
}

func lastLines(b []byte, n int) []byte {
	lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-n):], []byte("\n"))
}
