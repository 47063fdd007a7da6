package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// TestKcatReadsAvro has consumers that are not ours read what the example wrote: kcat and Python's
// avro, both of Debian. Each decodes every event by the schema that the registry holds.
func TestKcatReadsAvro(t *testing.T) {
	if !pipetest.Full() {
		return
	}
	kcat, err := exec.LookPath("kcat")
	if err != nil {
		t.Fatal("kcat is not installed: run make deps")
	}
	if out, err := exec.Command("/usr/bin/python3", "-c", "import avro.io, avro.schema").CombinedOutput(); err != nil {
		t.Fatalf("python3-avro is not installed: run make deps\n%s", out)
	}
	s := openShop(t)
	s.runTwice(t, "pg_to_kafka_avro.hcl")
	for _, table := range []string{"countries", "customers", "products", "orders", "order_items", "audit_log"} {
		topic := "shop.shop." + table
		events, rows := s.readByPython(t, kcat, topic)
		wantEvents, wantRows := len(consume(t, s.brokers, topic)), len(s.fold(t, topic))
		if events != wantEvents || rows != wantRows || events == 0 {
			t.Errorf("%s: Python decodes %d events and is left with %d rows, want %d and %d", topic, events, rows, wantEvents, wantRows)
		}
		s.readByKcat(t, kcat, topic, wantEvents)
	}
}

// readByPython pipes a topic through examples/read_avro.py and returns what it counted.
func (s *shop) readByPython(t *testing.T, kcat, topic string) (events, rows int) {
	t.Helper()
	from := exec.Command(kcat, "-b", s.brokers, "-C", "-t", topic, "-o", "beginning", "-e", "-q", "-f", "%K %k%R%s")
	to := exec.Command("/usr/bin/python3", example(t, "read_avro.py"), s.registry)
	var framed, kcatSaid, said bytes.Buffer
	from.Stdout, from.Stderr = &framed, &kcatSaid
	if err := from.Run(); err != nil {
		t.Fatalf("kcat %s: %v\n%s", topic, err, kcatSaid.String())
	}
	to.Stdin, to.Stderr = &framed, &said
	if err := to.Run(); err != nil {
		t.Fatalf("read_avro.py %s: %v\n%s", topic, err, said.String())
	}
	if _, err := fmt.Sscanf(said.String(), "%d events decoded, %d rows are left", &events, &rows); err != nil {
		t.Fatalf("read_avro.py %s says %q: %v", topic, said.String(), err)
	}
	return events, rows
}

// readByKcat has kcat itself decode keys and values, by its own Avro library, where it was built with one.
func (s *shop) readByKcat(t *testing.T, kcat, topic string, want int) {
	t.Helper()
	version, err := exec.Command(kcat, "-V").CombinedOutput()
	if err != nil {
		t.Fatalf("kcat -V: %v\n%s", err, version)
	}
	if !strings.Contains(string(version), "Avro") {
		return
	}
	var said bytes.Buffer
	cmd := exec.Command(kcat, "-b", s.brokers, "-C", "-t", topic, "-o", "beginning", "-e", "-q", "-s", "avro", "-r", s.registry, "-f", "%k %s\n")
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil || bytes.Count(out, []byte("\n")) != want {
		t.Errorf("kcat -s avro %s: %v, %d lines, want %d\n%s", topic, err, bytes.Count(out, []byte("\n")), want, said.String())
	}
}
