package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// debeziumEvent is what the test reads of an event.
type debeziumEvent struct {
	Before map[string]any `json:"before"`
	After  map[string]any `json:"after"`
	Op     string         `json:"op"`
	Source struct {
		LSN      uint64 `json:"lsn"`
		Snapshot string `json:"snapshot"`
	} `json:"source"`
}

// TestCrashKafka kills a pipeline from PostgreSQL to Kafka at random moments under a mixed load.
// Delivery is at least once: nothing may be missing from the topics, no saved position may be ahead
// of what the broker held at that moment, and what a key's events say may only go forward, apart
// from repetitions of what was already said, which are counted.
func TestCrashKafka(t *testing.T) {
	seed := crashSeed(t)
	pg := pipetest.Postgres(t, "fsync=on", "wal_sender_timeout=5s", "log_min_messages=fatal")
	source := pg.Database(t)
	pipetest.Exec(t, source, loadSchema,
		"CREATE PUBLICATION recorder FOR TABLE ledger",
		"SELECT pg_create_logical_replication_slot('recorder', 'pgoutput')")
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	brokers := strings.Join(cluster.ListenAddrs(), ",")
	state := filepath.Join(t.TempDir(), "state")
	file := writeConfig(t, `
pipeline "crash" {
  state "file" {
    path = env("STATE")
  }
}
source "postgres" "load" {
  dsn         = env("SOURCE")
  slot        = "crash"
  publication = "crash"
  create      = ["slot", "publication"]
  tables      = ["public.*"]
  exclude     = ["public.Odd Names"]
  workers     = 2
  chunk_rows  = 20000
}
sink "kafka" "topics" {
  from       = source.load
  brokers    = split(",", env("BROKERS"))
  topic      = table.name
  envelope   = "debezium"
  tombstones = true
  create_topics {
    partitions = 2
  }
  format "json" {}
}
`)
	env := []string{"SOURCE=" + source, "BROKERS=" + brokers, "STATE=" + state}
	l := startLoad(t, source, 4, seed)
	r := rand.New(rand.NewSource(seed))

	type look struct {
		position uint64
		ends     kadm.ListedOffsets
	}
	var looks []look
	for life := range crashLives {
		killAfter(t, r, life, file, env)
		if pos, ok := savedPosition(t, state); ok {
			looks = append(looks, look{pos, endOffsets(t, brokers)})
		}
	}
	l.end()
	runUntilCaughtUp(t, file, env)

	committed := recordedLedger(t, source)
	ledger := consume(t, brokers, "ledger")
	place := map[ledgerRow]*kgo.Record{}
	for _, rec := range ledger {
		var e debeziumEvent
		if rec.Value == nil || json.Unmarshal(rec.Value, &e) != nil || e.After == nil {
			continue
		}
		row := ledgerRow{int(e.After["w"].(float64)), int(e.After["n"].(float64))}
		if place[row] == nil {
			place[row] = rec
		}
	}
	for row, end := range committed {
		rec := place[row]
		if rec == nil {
			t.Fatalf("transaction %v, which ends at %X, is missing from the topic", row, end)
		}
		for i, k := range looks {
			o, ok := k.ends.Lookup("ledger", rec.Partition)
			if end <= k.position && (!ok || rec.Offset >= o.Offset) {
				t.Errorf("look %d: position %X was saved before transaction %v, which ends at %X, was held", i, k.position, row, end)
			}
		}
	}
	duplicates := len(ledger) - len(committed)
	t.Logf("seed %d: %d transactions, %d kills, %d duplicates in the ledger's topic", seed, len(committed), crashLives, duplicates)
	checkKeyOrder(t, consume(t, brokers, "accounts"))
	checkFold(t, source, consume(t, brokers, "accounts"))
}

// checkKeyOrder checks that the events of a key go forward in the log, apart from repetitions.
func checkKeyOrder(t *testing.T, records []*kgo.Record) {
	t.Helper()
	newest := map[string]uint64{}
	seen := map[string]bool{}
	repeated := 0
	for _, rec := range records {
		if rec.Value == nil {
			continue
		}
		var e debeziumEvent
		if err := json.Unmarshal(rec.Value, &e); err != nil {
			t.Fatalf("%s: %v", rec.Value, err)
		}
		key := string(rec.Key)
		id := fmt.Sprint(key, e.Source.LSN, e.Op, e.Source.Snapshot)
		if e.Source.LSN < newest[key] && !seen[id] {
			t.Errorf("key %s: event %s at %X comes after one at %X and was not there before", key, e.Op, e.Source.LSN, newest[key])
		}
		if seen[id] {
			repeated++
		}
		seen[id] = true
		newest[key] = max(newest[key], e.Source.LSN)
	}
	t.Logf("accounts: %d events, %d of them repeated", len(records), repeated)
}

// checkFold replays the topic of accounts and compares what is left with the table. A row that an
// abandoned snapshot read and that was deleted before the next one began stays in the topic: only
// such rows may be extra.
func checkFold(t *testing.T, source string, records []*kgo.Record) {
	t.Helper()
	state := map[string]debeziumEvent{}
	for _, rec := range records {
		if rec.Value == nil {
			delete(state, string(rec.Key))
			continue
		}
		var e debeziumEvent
		if err := json.Unmarshal(rec.Value, &e); err != nil {
			t.Fatal(err)
		}
		if e.Op == "d" {
			delete(state, string(rec.Key))
			continue
		}
		state[string(rec.Key)] = e
	}
	got := map[string]bool{}
	for _, e := range state {
		got[fmt.Sprintf("(%.0f,%.0f,%v)", e.After["id"], e.After["ver"], e.After["email"])] = e.Op == "r"
	}
	for _, row := range lines(t, source, "SELECT ROW(id, ver, email)::text FROM accounts") {
		if _, ok := got[row]; !ok {
			t.Errorf("%s is in the table and not in the topic", row)
		}
		delete(got, row)
	}
	for row, read := range got {
		if !read {
			t.Errorf("%s is in the topic and not in the table", row)
		}
	}
}

// savedPosition reads the position of the WAL from the state file; ok is false before there is one.
func savedPosition(t *testing.T, state string) (uint64, bool) {
	t.Helper()
	for _, path := range []string{state, filepath.Join(state, "checkpoint")} {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			stream, position, ok := strings.Cut(strings.TrimSpace(line), "\t")
			if ok && strings.HasSuffix(stream, "/wal") {
				return lsnOf(t, position), true
			}
		}
	}
	return 0, false
}

func endOffsets(t *testing.T, brokers string) kadm.ListedOffsets {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(brokers, ",")...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return ends
}

// consume reads a topic from its beginning to its end; within a partition in order.
func consume(t *testing.T, brokers, topic string) []*kgo.Record {
	t.Helper()
	ends := endOffsets(t, brokers)
	left := 0
	for _, o := range ends[topic] {
		left += int(o.Offset)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(brokers, ",")...), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var out []*kgo.Record
	for len(out) < left {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatalf("consume %s: %d of %d records: %v", topic, len(out), left, err)
		}
		out = append(out, fetches.Records()...)
	}
	return out
}
