package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// TestFaultExamples shows the examples in every form there is, with nothing of them running.
func TestFaultExamples(t *testing.T) {
	s := &scene{dir: t.TempDir(), env: []string{"DATABASE_URL=postgres://app:" + canary + "@127.0.0.1:1/shop",
		"WAREHOUSE_URL=postgres://app:" + canary + "@127.0.0.1:1/warehouse", "KAFKA_BROKERS=127.0.0.1:1",
		"SCHEMA_REGISTRY_URL=http://127.0.0.1:1"}}
	files, err := filepath.Glob(filepath.Join(filepath.Dir(example(t, "x")), "*.hcl"))
	if err != nil || len(files) < 3 {
		t.Fatalf("%d examples: %v", len(files), err)
	}
	s.runs(t, append([]string{"fmt", "--check"}, files...)...)
	marks := map[string]string{"text": "source.shop", "mermaid": "flowchart", "dot": "digraph", "json": `"kind": "source"`}
	for _, name := range []string{"pg_to_kafka_avro.hcl", "pg_to_pg.hcl", "fan_out.hcl"} {
		file := example(t, name)
		s.runs(t, "validate", file)
		for format, mark := range marks {
			p := s.runs(t, "graph", "--format", format, file)
			if !strings.Contains(p.out.String(), mark) {
				t.Errorf("graph --format=%s of %s lacks %q:\n%s", format, filepath.Base(file), mark, p.out)
			}
		}
		s.refused(t, exitEnvironment, []string{"source.shop", "127.0.0.1:1", "Check host, port"}, "tables", file)
		s.refused(t, exitEnvironment, []string{"PG-001"}, "validate", "--connect", file)
	}
}

// TestFaultTables lists a shop's tables: what is taken and why.
func TestFaultTables(t *testing.T) {
	pg := pipetest.Postgres(t, "log_min_messages=panic")
	s := newScene(t, pg)
	pipetest.Exec(t, s.source, "CREATE TABLE secret (id int PRIMARY KEY)", "CREATE UNLOGGED TABLE scratch (id int PRIMARY KEY)",
		"CREATE VIEW seen AS SELECT * FROM items", "CREATE TABLE keyless (v text)")
	file := s.file(t, "run.hcl", stateInFile+replaced(t, fromItems, "  status_interval", "  exclude = [\"public.secret\"]\n  status_interval")+toCopy)
	p := s.runs(t, "tables", file)
	rows := map[string]string{}
	for line := range strings.Lines(p.out.String()) {
		fields := strings.Fields(line)
		for _, name := range []string{"public.items", "public.secret", "public.scratch", "public.seen", "public.keyless"} {
			if len(fields) > 0 && strings.Contains(line, name) {
				rows[name] += line
			}
		}
	}
	for name, why := range map[string]string{"public.items": "id", "public.secret": "exclude", "public.scratch": "unlogged",
		"public.seen": "view", "public.keyless": "public.keyless"} {
		if !strings.Contains(rows[name], why) {
			t.Errorf("the line of %s does not say %q:\n%s", name, why, p.out)
		}
	}
	var e struct {
		OK     bool
		Result json.RawMessage
	}
	p = s.runs(t, "tables", "--json", file)
	if err := json.Unmarshal([]byte(p.out.String()), &e); err != nil || !e.OK || !strings.Contains(string(e.Result), "public.items") &&
		!strings.Contains(string(e.Result), `"items"`) {
		t.Errorf("%v:\n%s", err, p.out)
	}
}

// Memory: the rows, half by a snapshot and half by the stream, and what a process may take with them.
const (
	memoryRows  = 600_000
	memoryLimit = 128 << 20
)

// TestFaultMemory: without any setting of the runtime, peak memory stays within its bound.
func TestFaultMemory(t *testing.T) {
	t.Setenv("GOMEMLIMIT", "")
	t.Setenv("GOGC", "")
	pg := pipetest.Postgres(t, "log_min_messages=panic", "max_wal_size=4GB")
	for name, sink := range map[string]string{"postgres": stateInSink + fromItems + toCopy, "kafka": stateInFile + fromItems + toTopics} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, pg)
			if name == "kafka" {
				s.openBus(t)
			}
			file := s.file(t, "run.hcl", sink)
			half := memoryRows / 2
			insert := "INSERT INTO items SELECT i, repeat(md5(i::text), 6) FROM generate_series($1::int, $2::int) i"
			fill := func(from, to int) {
				pipetest.QueryText(t, s.source, insert, from, to)
			}
			fill(1, half) // these come by the snapshot
			p := s.start(t, "run", "--until-caught-up", file)
			peak := watchPeak(p)
			if code := p.ends(t, 2*faultPatience); code != exitOK {
				t.Fatalf("exit code %d", code)
			}
			checkPeak(t, "snapshot", p, peak())
			fill(half+1, memoryRows) // and these by the stream, in one transaction
			p = s.start(t, "run", "--until-caught-up", file)
			peak = watchPeak(p)
			if code := p.ends(t, 2*faultPatience); code != exitOK {
				t.Fatalf("exit code %d", code)
			}
			checkPeak(t, "stream", p, peak())
		})
	}
}

// watchPeak reads a process's peak of resident memory while it runs. The kernel's account of a child
// that has ended would count this process too, whose memory the child shared before it was itself.
func watchPeak(p *process) (peak func() int64) {
	most := make(chan int64, 1)
	go func() {
		var high int64
		for {
			select {
			case <-p.done:
				most <- high
				return
			case <-time.After(5 * time.Millisecond):
				high = max(high, highWater(p.cmd.Process.Pid))
			}
		}
	}()
	return func() int64 { return <-most }
}

// highWater reads VmHWM of proc(5) in bytes, 0 where it cannot be read.
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

func checkPeak(t *testing.T, what string, p *process, peak int64) {
	t.Helper()
	t.Logf("%s: %d MB, %v of CPU", what, peak>>20, p.cmd.ProcessState.UserTime())
	if peak == 0 || peak > memoryLimit {
		t.Errorf("%s: the peak is %d MB, want %d at most", what, peak>>20, memoryLimit>>20)
	}
}
