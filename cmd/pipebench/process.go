package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"time"
)

// process is a pipe that runs beside the measurement.
type process struct {
	cmd  *exec.Cmd
	log  bytes.Buffer
	done chan struct{}
	peak chan int64
	rss  int64 // once it ended
	err  error // likewise
}

func (b *bench) env() []string {
	dir := filepath.Join(b.dir, fmt.Sprintf("run%d", b.runs))
	return []string{"SOURCE=" + b.dsn("source"), "TARGET=" + b.dsn("target"), "STATE=" + filepath.Join(dir, "state")}
}

// start starts pipe with a configuration, which is the last argument.
func (b *bench) start(ctx context.Context, config string, args ...string) (*process, error) {
	return b.startIn(ctx, nil, config, args...)
}

// startIn is start, in an environment in which env counts before the usual.
func (b *bench) startIn(ctx context.Context, env []string, config string, args ...string) (*process, error) {
	dir := filepath.Join(b.dir, fmt.Sprintf("run%d", b.runs))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "bench.hcl")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	p := &process{done: make(chan struct{}), peak: make(chan int64, 1)}
	p.cmd = exec.CommandContext(ctx, b.options.pipe, append(args, file)...)
	p.cmd.Env = append(append(p.cmd.Environ(), b.env()...), env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { p.peak <- watchMemory(p.cmd.Process.Pid, p.done) }()
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// wait waits for the end.
func (p *process) wait() error {
	<-p.done
	p.rss = <-p.peak
	if p.err != nil {
		return fmt.Errorf("%w\n%s", p.err, lastLines(p.log.Bytes(), 20))
	}
	return nil
}

// kill ends it by SIGKILL.
func (p *process) kill() error {
	if err := p.cmd.Process.Kill(); err != nil {
		return err
	}
	_ = p.wait() // the error is that it was killed
	return nil
}

// stop ends it by SIGTERM.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return p.wait()
}

func (p *process) cpu() time.Duration {
	return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
}

var readCount = regexp.MustCompile(`pipeline stopped.* read=(\d+)`)

// rowsRead finds in the log how many rows its sources delivered.
func (p *process) rowsRead() (int, error) {
	m := readCount.FindSubmatch(p.log.Bytes())
	if m == nil {
		return 0, fmt.Errorf("the log does not say what was read:\n%s", lastLines(p.log.Bytes(), 20))
	}
	return strconv.Atoi(string(m[1]))
}
