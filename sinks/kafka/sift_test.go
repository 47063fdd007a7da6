package kafka

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// siftModel is a source's table, and the sink that its changes go to.
type siftModel struct {
	*testing.T
	c      *cluster
	config *Config
	schema *pipeline.Schema
	env    spec.Env
	log    bytes.Buffer
	sink   *Sink
	rng    *rand.Rand
	rows   map[int64]string
	pos    int
	limit  int // of keys in memory; 0: the usual one
}

// siftKeysUsed is how many different keys the model has.
const siftKeysUsed = 40

func (m *siftModel) open() {
	m.Helper()
	m.env.Address, m.env.Pipeline = "sink.k", "p"
	m.env.Dir = m.TempDir()
	m.env.Log = slog.New(slog.NewTextHandler(&m.log, nil))
	s, err := m.config.Open(context.Background(), m.env)
	if err != nil {
		m.Fatal(err)
	}
	m.sink = s.(*Sink)
	m.sink.sifts.limit = m.limit
}

func (m *siftModel) write(rows ...pipeline.Row) {
	m.Helper()
	m.pos++
	b := &pipeline.Batch{Stream: "source.x/wal"}
	tx := &pipeline.Tx{ID: uint64(m.pos), LSN: uint64(100 * m.pos), Pos: pipeline.Position(fmt.Sprintf("%08d", m.pos))}
	for i, r := range rows {
		r.Tx, r.Seq, r.At = tx, uint32(i), uint64(i)
		*b.Add() = r
	}
	b.Mark(pipeline.Position(fmt.Sprintf("%08d", m.pos+1)))
	if err := m.sink.Write(m.Context(), b); err != nil {
		m.Fatal(err)
	}
	if m.rng.IntN(8) == 0 { // a restart
		m.restart()
	}
}

func (m *siftModel) restart() {
	if err := m.sink.Close(); err != nil {
		m.Fatal(err)
	}
	m.open()
}

// step is one change of the source.
func (m *siftModel) step() pipeline.Row {
	id, name := m.rng.Int64N(siftKeysUsed), fmt.Sprint("n", m.rng.IntN(1000))
	old, there := m.rows[id]
	before := values(id, old)
	if m.config.Envelope == debezium || m.config.Deletes == "tombstone" {
		before = []pipeline.Value{pipeline.IntValue(id), pipeline.AbsentValue}
	}
	switch {
	case !there:
		m.rows[id] = name
		return insert(m.schema, id, name)
	case m.rng.IntN(3) == 0:
		delete(m.rows, id)
		return pipeline.Row{Schema: m.schema, Op: pipeline.Delete, Before: before}
	case m.rng.IntN(3) == 0:
		to := m.rng.Int64N(siftKeysUsed)
		if _, taken := m.rows[to]; !taken {
			delete(m.rows, id)
			m.rows[to] = name
			return pipeline.Row{Schema: m.schema, Op: pipeline.Update, Before: before, Values: values(to, name)}
		}
	}
	m.rows[id] = name
	return pipeline.Row{Schema: m.schema, Op: pipeline.Update, Values: values(id, name)}
}

func (m *siftModel) steps() {
	var rows []pipeline.Row
	for range 1 + m.rng.IntN(6) {
		rows = append(rows, m.step())
	}
	m.write(rows...)
}

// vanish takes rows out of the source without a word.
func (m *siftModel) vanish() {
	for _, id := range slices.Sorted(maps.Keys(m.rows)) {
		if m.rng.IntN(4) == 0 {
			delete(m.rows, id)
		}
	}
}

// chunk reads a range of the table.
func (m *siftModel) chunk(low, high int64) {
	var rows []pipeline.Row
	for id := low; id < high; id++ {
		if name, ok := m.rows[id]; ok {
			rows = append(rows, pipeline.Row{Schema: m.schema, Op: pipeline.Read, Values: values(id, name)})
		}
	}
	m.write(rows...)
}

func (m *siftModel) note(flags pipeline.Flags) {
	m.write(pipeline.Row{Schema: m.schema, Op: pipeline.Truncate, Flags: flags})
}

// replace is a snapshot that replaces, among changes.
func (m *siftModel) replace() {
	m.note(pipeline.Sift)
	for low := int64(0); low < siftKeysUsed; low += 8 {
		if m.rng.IntN(2) == 0 {
			m.steps()
		}
		m.chunk(low, low+8)
	}
	if m.rng.IntN(2) == 0 {
		m.steps()
	}
	if m.rng.IntN(2) == 0 {
		if err := m.sink.Sifted(m.Context(), "source.x", m.schema.Name()); err != nil {
			m.Fatal(err)
		}
	}
	m.note(pipeline.Sweep)
	if m.rng.IntN(3) == 0 { // as after a crash before the ledger was saved
		m.note(pipeline.Sweep)
	}
}

// latest folds a topic: the last record of each key, without those that say that the row is gone.
func (c *cluster) latest(t testing.TB, config *Config, topic string) map[string]string {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	b, err := look(t.Context(), client, topic)
	if err != nil {
		t.Fatal(err)
	}
	s := &Sink{client: client, config: config, log: newLogger(nil)}
	out := map[string]string{}
	err = newReader(s, topic, b).to(t.Context(), b.ends, func(rec *kgo.Record) error {
		key := string(rec.Key)
		value := string(rec.Value)
		dead := rec.Value == nil || strings.Contains(value, `"op":"d"`) || strings.Contains(value, `"__deleted":"true"`) ||
			config.Format.Type == avroFormat && (bytes.Contains(rec.Value, []byte("\x00\x02d\x02")) || strings.HasSuffix(value, "\x02\x08true"))
		if delete(out, key); !dead {
			out[key] = value
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// holds compares the topic with the table.
func (m *siftModel) holds(what string) {
	m.Helper()
	topic, err := m.config.Topic.Text(m.schema)
	if err != nil {
		m.Fatal(err)
	}
	t, err := m.sink.table(m.Context(), m.schema)
	if err != nil {
		m.Fatal(err)
	}
	read, err := newRows(m.sink, t)
	if err != nil {
		m.Fatal(err)
	}
	var got []int64
	for key := range m.c.latest(m, m.config, topic) {
		row, ok := read.old([]byte(key))
		if !ok {
			m.Fatalf("key %q", key)
		}
		got = append(got, row[0].Int())
	}
	slices.Sort(got)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(m.rows)), got); diff != "" {
		m.Fatalf("%s: %s\n%s", what, diff, m.log.String())
	}
}

// TestSiftModel takes tables again while they change at random, with rows that vanished without a word and
// sinks that start anew at random, and compares what the topic says last of each key with the table.
func TestSiftModel(t *testing.T) {
	shapes := map[string]string{
		"json":            `format "json" {}`,
		"json, wrapped":   `format "json" { schemas = true }`,
		"json, no tombs":  "tombstones = false\nformat \"json\" {}",
		"json, flat":      "envelope = \"flat\"\nformat \"json\" {}",
		"json, rewritten": "envelope = \"flat\"\ndeletes = \"rewrite\"\nformat \"json\" {}",
		"avro":            `format "avro" { REGISTRY }`,
		"avro, no tombs":  "tombstones = false\nformat \"avro\" { REGISTRY }",
		"avro, flat":      "envelope = \"flat\"\nformat \"avro\" { REGISTRY }",
		"avro, rewritten": "envelope = \"flat\"\ndeletes = \"rewrite\"\nformat \"avro\" { REGISTRY }",
		"few keys":        `format "json" {}`,
		"json, not apart": `format "json" {}`,
		"avro, not apart": `format "avro" { REGISTRY }`,
	}
	for name, shape := range shapes {
		for seed := range uint64(2) {
			t.Run(fmt.Sprint(name, " ", seed), func(t *testing.T) {
				t.Parallel()
				c := newCluster(t)
				m := &siftModel{T: t, c: c, schema: items(), rng: rand.New(rand.NewPCG(seed, 5)), rows: map[int64]string{}}
				if name == "few keys" {
					m.limit = 7
				}
				topic := "${table.schema}.${table.name}"
				if strings.HasSuffix(name, "not apart") {
					topic = "${table.name}"
				}
				m.config = c.config(t, "topic = \""+topic+"\"\ncreate_topics { partitions = 3 }\n"+shape)
				m.open()
				t.Cleanup(func() { _ = m.sink.Close() })
				for round := range 4 {
					for range 4 {
						m.steps()
					}
					m.vanish()
					m.replace()
					m.holds(fmt.Sprint("round ", round))
				}
			})
		}
	}
}
