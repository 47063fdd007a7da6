package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/control"
)

// oracleKind is a kind of pipeline.
type oracleKind struct{ source, sink, keeps string }

func (k oracleKind) String() string {
	return fmt.Sprintf("%s to %s, state %s", k.source, k.sink, k.keeps)
}

// oracleKinds returns the kinds, those with the same source and sink together.
func oracleKinds() [][]oracleKind {
	var out [][]oracleKind
	for _, source := range []string{"postgres", "mariadb"} {
		out = append(out,
			[]oracleKind{{source, "postgres", "file"}, {source, "postgres", "postgres"}, {source, "postgres", "sink"}},
			[]oracleKind{{source, "kafka", "file"}, {source, "kafka", "postgres"}})
	}
	return out
}

// oracleSome returns one kind for each source and sink, and one more; one at least has several processes.
func oracleSome(seed int64) []oracleKind {
	var out []oracleKind
	pairs := oracleKinds()
	for i, pair := range pairs {
		out = append(out, pair[(int(seed)+i)%len(pair)])
	}
	more := pairs[int(seed/6)%len(pairs)]
	if slices.Contains(out, more[1]) {
		return append(out, more[0])
	}
	return append(out, more[1])
}

// several reports whether more than one process runs the pipeline.
func (k oracleKind) several() bool { return k.keeps == "postgres" }

// hangs reports whether processes are stopped for longer than the lease. What a Kafka sink was sending then is
// sent when it goes on: nothing fences it.
func (k oracleKind) hangs() bool { return k.several() && k.sink == "postgres" }

// config is the configuration, whose source and sink blocks vary.
func (k oracleKind) config(source, sink string) string {
	state := map[string]string{
		"file": `state "file" {
    path = env("STATE")
  }`,
		"sink": `state "sink" {
    sink = sink.copy
  }`,
		"postgres": `state "postgres" {
    dsn   = env("STATE")
    lease = "15s"
  }`,
	}[k.keeps]
	if k.hangs() {
		state = `state "postgres" {
    dsn   = env("STATE")
    lease = "2s"
  }`
	}
	return `
pipeline "oracle" {
  ` + state + `
  retry {
    wait     = "100ms"
    max_wait = "500ms"
  }
}
` + source + "\n" + sink + "\n"
}

// oracleProcess is one that runs the pipeline, in a directory and at a socket of its own.
type oracleProcess struct {
	*process
	client *control.Client
	socket string
	hangs  bool // it is stopped
}

// file writes the configuration as it is to be now into the n-th process's directory and returns its path.
func (o *oracleRun) file(n int) string {
	o.Helper()
	tables := []string{"beat", "t0", "t1", "t2", "t3", "t4"}
	if !o.last {
		tables = tables[:len(tables)-1]
	}
	dir := fmt.Sprint(n)
	if err := os.MkdirAll(filepath.Join(o.dir, dir), 0o700); err != nil {
		o.Fatal(err)
	}
	return o.scene.file(o.T, filepath.Join(dir, "oracle.hcl"), o.config(o.db.block(tables), o.out.block()))
}

// begin starts processes until there are enough, and waits until one is ready.
func (o *oracleRun) begin() {
	o.Helper()
	want := 1
	if o.several() {
		want = 2 + o.rng.Intn(2)
	}
	for n := 0; len(o.fleet) < want; n++ {
		socket := filepath.Join(o.dir, fmt.Sprint(n), ".pipe", "oracle.sock")
		if o.keeps == "file" {
			socket = o.state + ".sock"
		}
		if slices.ContainsFunc(o.fleet, func(p *oracleProcess) bool { return p.socket == socket }) {
			continue
		}
		o.fleet = append(o.fleet, &oracleProcess{o.start(o.T, "run", o.file(n)), control.Dial(socket), socket, false})
	}
	o.led("it is ready", nil)
	o.lag.undisturbed()
}

// led waits until a process other than one runs the pipeline.
func (o *oracleRun) led(what string, other *oracleProcess) {
	o.Helper()
	o.await(what, func() bool {
		s := o.status()
		return s != nil && o.lead != other && s.Phase == control.Running && len(s.Sources) == 1 &&
			!slices.Contains([]string{"connecting", "standby", "stopped"}, s.Sources[0].Phase)
	})
}

// status returns that of the process that has the pipeline, nil where none says so.
func (o *oracleRun) status() *control.Status {
	if s := o.lead.leads(o.Context()); s != nil {
		return s
	}
	for _, p := range o.fleet {
		if s := p.leads(o.Context()); s != nil {
			o.lead = p
			return s
		}
	}
	return nil
}

// leads returns the status of a process that has the pipeline.
func (p *oracleProcess) leads(ctx context.Context) *control.Status {
	s := p.says(ctx)
	if s == nil || s.Leader != nil || s.Phase == control.Starting {
		return nil
	}
	return s
}

// says returns the status of a process that is not stopped.
func (p *oracleProcess) says(ctx context.Context) *control.Status {
	if p == nil || p.hangs {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, statusWithin)
	defer cancel()
	s, err := p.client.Status(ctx)
	if err != nil || s.PID != p.cmd.Process.Pid {
		return nil
	}
	return &s
}

// await waits while the processes run.
func (o *oracleRun) await(what string, ok func() bool) {
	o.Helper()
	for end := time.Now().Add(oraclePatience); !ok(); time.Sleep(faultPoll) {
		for _, p := range o.fleet {
			select {
			case <-p.done:
				o.Fatalf("seed %d: pipe ended by itself with exit code %d before %s", o.seed, p.cmd.ProcessState.ExitCode(), what)
			default:
			}
		}
		if time.Now().After(end) {
			o.Fatalf("seed %d: not within %v: %s: %+v", o.seed, oraclePatience, what, o.tables())
		}
	}
}

// heard reports whether a request was taken. Where several processes run the one that was asked may just have
// lost the pipeline.
func (o *oracleRun) heard(_ control.Accepted, err error) bool {
	o.Helper()
	class := pipeline.ClassOf(err)
	switch {
	case err == nil:
		return true
	case o.several() && (class == pipeline.Retryable || class == pipeline.Environment):
		o.asks["not heard"]++
	default:
		o.Errorf("seed %d: %v", o.seed, err)
	}
	return false
}

// signalled ends processes and waits for that. A graceful end is a good one.
func (o *oracleRun) signalled(sig syscall.Signal, all ...*oracleProcess) {
	o.Helper()
	for _, p := range all {
		p.signal(o.T, sig)
		if code := p.ends(o.T, oraclePatience); sig == syscall.SIGTERM && code != exitOK {
			o.Errorf("seed %d: exit code %d", o.seed, code)
		}
		o.fleet = slices.DeleteFunc(o.fleet, func(q *oracleProcess) bool { return q == p })
	}
}

// endAll ends all processes, those that stand by first.
func (o *oracleRun) endAll(sig syscall.Signal) {
	o.Helper()
	o.led("one leads", nil)
	o.lag.disturb()
	if sig == syscall.SIGKILL {
		o.asks["killed"]++
	}
	o.signalled(sig, o.standbys()...)
	o.signalled(sig, o.fleet...)
	o.out.lifeEnds()
}

// standbys are the processes that do not have the pipeline.
func (o *oracleRun) standbys() []*oracleProcess {
	return slices.DeleteFunc(slices.Clone(o.fleet), func(p *oracleProcess) bool { return p == o.lead })
}
