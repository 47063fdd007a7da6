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

	"github.com/pipe-cdc/pipe/pipeline/checkpoint"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
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
	t.Parallel()
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
		if life == crashLives/2 { // where the machine is slow, every life so far may have been too short
			l.slow.Store(true)
			killWhen(t, file, env, func() bool {
				_, ok := filledPosition(t, state)
				return ok
			})
			l.slow.Store(false)
		}
		if pos, ok := filledPosition(t, state); ok {
			looks = append(looks, look{pos, endOffsets(t, brokers)})
		}
	}
	l.end()
	runUntilCaughtUp(t, file, env)

	committed := recordedLedger(t, source)
	place, records := ledgerPlaces(t, brokers)
	for row := range place {
		if _, ok := committed[row]; !ok {
			t.Errorf("transaction %v is in the topic and was never committed", row)
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
	t.Logf("seed %d: %d transactions, %d kills, %d duplicates in the ledger's topic",
		seed, len(committed), crashLives, records-len(committed))
	checkEvents(t, source, brokers)
	history := readHistory(t, brokers, "accounts")
	history.checkOrder(t)
	history.checkFold(t, lines(t, source, "SELECT ROW(id, ver, email)::text FROM accounts"))
}

// ledgerPlaces returns the first record of each transaction of the ledger, and how many records there are.
func ledgerPlaces(t *testing.T, brokers string) (place map[ledgerRow]*kgo.Record, records int) {
	t.Helper()
	place = map[ledgerRow]*kgo.Record{}
	consumeEach(t, brokers, "ledger", func(rec *kgo.Record) {
		records++
		var e debeziumEvent
		if err := json.Unmarshal(rec.Value, &e); err != nil || e.After == nil {
			t.Fatalf("ledger: %s: %v", rec.Value, err)
		}
		row := ledgerRow{int(e.After["w"].(float64)), int(e.After["n"].(float64))}
		if place[row] == nil {
			place[row] = rec
		}
	})
	return place, records
}

// checkEvents checks that each row of the largest table is in its topic, and no other.
func checkEvents(t *testing.T, source, brokers string) {
	t.Helper()
	there := map[string]bool{}
	for _, id := range lines(t, source, "SELECT id::text FROM events") {
		there[`{"id":`+id+`}`] = true
	}
	held := map[string]bool{}
	records := 0
	consumeEach(t, brokers, "events", func(rec *kgo.Record) {
		records++
		held[string(rec.Key)] = true
	})
	for key := range there {
		if !held[key] {
			t.Fatalf("events: %s is missing from the topic", key)
		}
	}
	for key := range held {
		if !there[key] {
			t.Fatalf("events: %s is in the topic and not in the table", key)
		}
	}
	t.Logf("events: %d rows, %d of the records repeated", len(there), records-len(there))
}

// keyHistory is what a topic says of one key: its different events in the order of their first
// coming, with the place of the newest.
type keyHistory struct {
	events []debeziumEvent
	index  map[string]int
}

// history is what a topic says of each key.
type history struct {
	keys     map[string]*keyHistory
	skips    []skip
	repeated int
	snapshot uint64 // where the last row that was read was merged
}

// skip is a step of a key's events over some of those that were said of it before.
type skip struct {
	key      string
	from, to int // ordinals
}

// readHistory reads a topic. A repetition is a run: it goes back to what was said before and goes on
// from there, so after a key's event comes the one after it, or an earlier one, and nothing else.
func readHistory(t *testing.T, brokers, topic string) *history {
	t.Helper()
	h := &history{keys: map[string]*keyHistory{}}
	at := map[string]int{}
	consumeEach(t, brokers, topic, func(rec *kgo.Record) {
		if rec.Value == nil {
			return
		}
		var e debeziumEvent
		if err := json.Unmarshal(rec.Value, &e); err != nil {
			t.Fatalf("%s: %v", rec.Value, err)
		}
		if rec.Key == nil || e.Source.LSN == 0 || (e.Op == "d") != (e.After == nil) {
			t.Fatalf("%s: an event that the load has no cause for: %s", topic, rec.Value)
		}
		key := string(rec.Key)
		k := h.keys[key]
		if k == nil {
			k = &keyHistory{index: map[string]int{}}
			h.keys[key], at[key] = k, -1
		}
		if e.Op == "r" {
			h.snapshot = max(h.snapshot, e.Source.LSN)
		}
		id := fmt.Sprint(e.Source.LSN, e.Op)
		i, again := k.index[id]
		if !again {
			i = len(k.events)
			k.index[id], k.events = i, append(k.events, e)
		} else {
			h.repeated++
		}
		if i > at[key]+1 {
			h.skips = append(h.skips, skip{key, at[key], i})
		}
		at[key] = i
	})
	return h
}

// checkOrder checks that the events of each key go forward in the log, apart from repetitions. While the
// table is being filled an update that leaves values out is held back, and what is read brings the row: a
// repetition of that time may say it, or leave it out, after all.
func (h *history) checkOrder(t *testing.T) {
	t.Helper()
	total := 0
	for key, k := range h.keys {
		total += len(k.events)
		for i := 1; i < len(k.events); i++ {
			if a, b := k.events[i-1].Source.LSN, k.events[i].Source.LSN; b < a && b >= h.snapshot {
				t.Errorf("key %s: event at %X comes after one at %X and was not there before", key, b, a)
			}
		}
	}
	for _, s := range h.skips {
		for _, e := range h.keys[s.key].events[s.from+1 : s.to] {
			if e.Source.LSN >= h.snapshot {
				t.Errorf("key %s: event %d follows event %d, without %s at %X", s.key, s.to, s.from, e.Op, e.Source.LSN)
			}
		}
	}
	t.Logf("accounts: %d events of %d keys, and %d repetitions", total, len(h.keys), h.repeated)
}

// checkFold compares the last event of each key with the table. A row that an abandoned snapshot
// read, and that lost its key or its life before the next snapshot began, is in neither and stays in
// the topic. Only such a row may be extra: nothing is said of its key from the last snapshot on.
func (h *history) checkFold(t *testing.T, rows []string) {
	t.Helper()
	got := map[string]string{}
	for key, k := range h.keys {
		if e := k.events[len(k.events)-1]; e.Op != "d" {
			got[fmt.Sprintf("(%.0f,%.0f,%v)", e.After["id"], e.After["ver"], e.After["email"])] = key
		}
	}
	for _, row := range rows {
		if _, ok := got[row]; !ok {
			t.Errorf("%s is in the table and not in the topic", row)
		}
		delete(got, row)
	}
	for row, key := range got {
		k := h.keys[key]
		if e := k.events[len(k.events)-1]; e.Source.LSN >= h.snapshot {
			t.Errorf("%s is in the topic, by %s at %X, and not in the table", row, e.Op, e.Source.LSN)
		}
	}
	t.Logf("accounts: %d rows, and %d that an abandoned snapshot left", len(rows), len(got))
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

// filledPosition returns where the state says that the stream is; ok is false until it says that the
// ledger's rows were read: what is before the position may lie in chunks that are not yet.
func filledPosition(t *testing.T, state string) (lsn uint64, ok bool) {
	t.Helper()
	cp, err := checkpoint.PeekFile(t.Context(), state, "crash")
	if err != nil {
		t.Fatal(err)
	}
	position, there := cp["source.load/wal"]
	entry, err := snapshot.ParseEntry("public.ledger", cp["source.load/table/public.ledger"])
	if !there || err != nil || entry.Status != snapshot.Done {
		return 0, false
	}
	return lsnOf(t, string(position)), true
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

// consumeEach passes on a topic's records from its beginning to its end; within a partition in order.
func consumeEach(t *testing.T, brokers, topic string, each func(*kgo.Record)) {
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
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for left > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatalf("consume %s: %d records left: %v", topic, left, err)
		}
		fetches.EachRecord(each)
		left -= fetches.NumRecords()
	}
}

// consume returns a topic's records.
func consume(t *testing.T, brokers, topic string) []*kgo.Record {
	t.Helper()
	var out []*kgo.Record
	consumeEach(t, brokers, topic, func(r *kgo.Record) { out = append(out, r) })
	return out
}
