package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/pipeline/pipetest/registry"
	"github.com/pipe-cdc/pipe/pipeline/pipetest/server"
)

// TestFaultServerAway takes both servers away from a running pipeline, in every way a server goes,
// while there is a load. It must come back by itself and lose nothing.
func TestFaultServerAway(t *testing.T) {
	source := pipetest.Postgres(t, "fsync=on", "log_min_messages=panic")
	target := pipetest.Postgres(t, "fsync=on", "log_min_messages=panic")
	s := newScene(t, source)
	s.target = target.Database(t)
	s.env = append(s.env, "TARGET="+secretDSN(t, s.target))
	s.insert(t, 1, 100)
	p := s.start(t, "run", s.file(t, "run.hcl", stateInSink+fromItems+toCopy))
	s.holds(t, p, 100)
	rows := 100
	for _, pg := range []*pipetest.PG{source, target} {
		for _, way := range []string{"fast", "immediate", "kill"} {
			s.insert(t, rows+1, rows+100)
			if way == "kill" {
				pg.Kill(t)
				pg.StartAgain(t)
			} else {
				pg.Restart(t, way)
			}
			s.insert(t, rows+101, rows+200)
			rows += 200
			s.holds(t, p, rows)
		}
	}
	s.equal(t)
	if n := strings.Count(p.err.String(), "begins again"); n < 6 {
		t.Errorf("%d interruptions were noticed, want 6 at least", n)
	}
}

const toTopics = `
sink "kafka" "events" {
  from             = source.shop
  brokers          = split(",", env("BROKERS"))
  topic            = "shop.${table.name}"
  envelope         = "debezium"
  delivery_timeout = "2s"
  create_topics {
    partitions = 1
  }
  sasl {
    mechanism = "PLAIN"
    user      = "app"
    password  = env("PASSWORD")
  }
  registry {
    url      = env("REGISTRY")
    user     = "app"
    password = env("PASSWORD")
  }
  format "avro" {}
}
`

// bus is a broker and a registry that want the canary as a password, and come back where they were.
type bus struct {
	broker   *server.Kafka
	registry *registry.Registry
	http     *server.HTTP
	dir      string
	ports    [2]int
}

func (s *scene) openBus(t *testing.T) *bus {
	t.Helper()
	b := &bus{dir: t.TempDir()}
	for i := range b.ports {
		port, err := server.FreePort()
		if err != nil {
			t.Fatal(err)
		}
		b.ports[i] = port
	}
	var err error
	if b.registry, err = registry.New(registry.Config{User: "app", Password: canary}); err != nil {
		t.Fatal(err)
	}
	b.openBroker(t)
	b.openRegistry(t)
	t.Cleanup(func() { b.broker.Close(); b.closeRegistry(t) })
	s.env = append(s.env, "BROKERS="+b.broker.Addrs[0], "REGISTRY="+b.http.URL, "PASSWORD="+canary)
	return b
}

func (b *bus) openBroker(t *testing.T, more ...kfake.Opt) {
	t.Helper()
	var err error
	opts := append([]kfake.Opt{kfake.Ports(b.ports[0]), kfake.DataDir(b.dir), kfake.EnableSASL(), kfake.Superuser("PLAIN", "app", canary)}, more...)
	if b.broker, err = server.StartKafka(opts...); err != nil {
		t.Fatal(err)
	}
}

func (b *bus) openRegistry(t *testing.T) {
	t.Helper()
	var err error
	if b.http, err = server.StartHTTP(b.ports[1], b.registry); err != nil {
		t.Fatal(err)
	}
}

// closeRegistry closes the registry's server, which may be done once only, if it is open.
func (b *bus) closeRegistry(t *testing.T) {
	t.Helper()
	if b.http == nil {
		return
	}
	if err := b.http.Close(); err != nil {
		t.Error(err)
	}
	b.http = nil
}

// TestFaultBusAway takes broker and registry away from a running pipeline and gives them back.
func TestFaultBusAway(t *testing.T) {
	pg := pipetest.Postgres(t, "log_min_messages=panic")
	s := newScene(t, pg)
	b := s.openBus(t)
	s.insert(t, 1, 50)
	p := s.start(t, "run", s.file(t, "run.hcl", stateInFile+fromItems+toTopics))
	p.until(t, "the slot moves", func() bool { _, ok := savedPosition(t, s.state); return ok })

	b.broker.Close()
	s.insert(t, 51, 100)
	p.logs(t, "begins again")
	before := s.confirmed(t)
	time.Sleep(200 * time.Millisecond) // whatever would be acknowledged wrongly has the time to be
	if after := s.confirmed(t); after != before {
		t.Errorf("the slot moved from %s to %s without a broker", before, after)
	}
	b.openBroker(t)
	s.acknowledged(t, p)

	b.closeRegistry(t)
	pipetest.Exec(t, s.source, "ALTER TABLE items ADD COLUMN extra int") // a schema to be registered
	pipetest.Exec(t, s.source, "INSERT INTO items SELECT i, 'v' || i, i FROM generate_series(101, 150) i")
	p.logs(t, "registry")
	b.openRegistry(t)
	s.acknowledged(t, p)
	s.delivered(t, b, 150)
}

// acknowledged waits until the slot has everything that is committed now.
func (s *scene) acknowledged(t *testing.T, p *process) {
	t.Helper()
	end := pipetest.QueryText(t, s.source, "SELECT pg_current_wal_lsn()")[0][0]
	p.until(t, "everything up to "+end+" is acknowledged", func() bool {
		return pipetest.QueryText(t, s.source, fmt.Sprintf(`SELECT count(*) FROM pg_replication_slots
			WHERE slot_name = 'fault' AND confirmed_flush_lsn >= '%s'`, end))[0][0] == "1"
	})
}

// delivered reads the topic of items: every id up to last must be in it, and nothing else.
func (s *scene) delivered(t *testing.T, b *bus, last int) {
	t.Helper()
	keys := map[string]bool{}
	for _, r := range b.records(t, "shop.items") {
		keys[string(r.Key)] = true
	}
	if len(keys) != last {
		t.Errorf("%d keys are in the topic, want %d", len(keys), last)
	}
}

// records reads a topic of one partition up to where it ends now.
func (b *bus) records(t *testing.T, topic string) []*kgo.Record {
	t.Helper()
	auth := plain.Auth{User: "app", Pass: canary}.AsMechanism()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.broker.Addrs...), kgo.SASL(auth), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), faultPatience)
	defer cancel()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	end, _ := ends.Lookup(topic, 0)
	var out []*kgo.Record
	for at := int64(0); at < end.Offset; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatalf("read %s: %v", topic, err)
		}
		for _, r := range fetches.Records() {
			out, at = append(out, r), r.Offset+1
		}
	}
	return out
}
