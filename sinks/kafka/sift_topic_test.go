package kafka

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/envelope"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// newModel opens a sink that writes a table of ten rows.
func newModel(t *testing.T, c *cluster, body string) *siftModel {
	t.Helper()
	m := &siftModel{T: t, c: c, schema: items(), rng: rand.New(rand.NewPCG(1, 1)), rows: map[int64]string{}}
	m.config = c.config(t, body)
	m.open()
	t.Cleanup(func() { _ = m.sink.Close() })
	for id := range int64(10) {
		m.rows[id] = "x"
	}
	m.chunk(0, 10)
	return m
}

// outsider is a client that is not the sink.
func (c *cluster) outsider(t *testing.T, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(c.brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner())}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// TestSiftOfSharedTopic: two tables whose keys look alike are written to one topic, and each is replaced
// alone.
func TestSiftOfSharedTopic(t *testing.T) {
	for _, format := range []string{`format "json" {}`, `format "avro" { REGISTRY }`} {
		c := newCluster(t)
		m := newModel(t, c, "topic = \"all\"\ncreate_topics { partitions = 2 }\n"+format)
		others := *items()
		others.Table = "others"
		m.write(insert(&others, 100, "other"), insert(&others, 3, "took the key of an item"), insert(&others, 101, "other"))
		delete(m.rows, 3) // for a reader of the topic, its record is the other table's now
		delete(m.rows, 7)
		m.note(pipeline.Sift)
		m.chunk(0, 10)
		m.note(pipeline.Sweep)
		m.rows[100], m.rows[101], m.rows[3] = "", "", ""
		m.holds(format)
		if !strings.Contains(m.log.String(), "rows=1 ") {
			t.Errorf("log: %s", m.log.String())
		}
	}
}

// TestSiftOfForeignRecords: what others wrote to the topic is left alone, however it looks.
func TestSiftOfForeignRecords(t *testing.T) {
	c := newCluster(t)
	m := newModel(t, c, "topic = \"${table.schema}.${table.name}\"\ncreate_topics { partitions = 1 }\nformat \"json\" {}")
	client := c.outsider(t)
	event := `{"before":null,"after":{"id":50},"source":{"db":"shop","schema":"public","table":"items"},"op":"c"}`
	foreign := []string{"", "x", "{", `{"id":50`, `{"id":"50"}`, `{"id":50.0}`, `{"id":1,"b":2}`, `{"ID":50}`, `{ "id":50}`, "\x00\x00\x00\x00\x01\x64"}
	for _, key := range foreign {
		for _, value := range []string{event, `{"a":1}`, "x", ""} {
			client.Produce(t.Context(), &kgo.Record{Topic: "public.items", Key: []byte(key), Value: []byte(value)}, nil)
		}
	}
	last := &kgo.Record{Topic: "public.items", Key: []byte(`{"id":51}`), Value: []byte("not an event")}
	if err := client.ProduceSync(t.Context(), last).FirstErr(); err != nil {
		t.Fatal(err)
	}
	before := c.latest(t, m.config, "public.items")
	m.note(pipeline.Sift)
	m.chunk(0, 10)
	m.note(pipeline.Sweep)
	after := c.latest(t, m.config, "public.items")
	for key, value := range before {
		if after[key] == "" && value != "" {
			t.Errorf("key %q was deleted", key)
		}
	}
	if len(after) != len(before) {
		t.Errorf("%d keys, had %d", len(after), len(before))
	}
}

// TestSiftOfTransactions: what transactions have left in a topic, committed, aborted and at its end, is
// read as its readers see it.
func TestSiftOfTransactions(t *testing.T) {
	c := newCluster(t)
	m := newModel(t, c, "topic = \"${table.schema}.${table.name}\"\ncreate_topics { partitions = 2 }\nformat \"json\" {}")
	recs := c.consume(t, "public.items", 10)
	client := c.outsider(t, kgo.TransactionalID("t"))
	for n, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort} {
		if err := client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		value := strings.ReplaceAll(string(recs[0].Value), string(recs[0].Key[:len(recs[0].Key)-1]), fmt.Sprintf(`{"id":%d`, 60+n))
		rec := &kgo.Record{Topic: "public.items", Key: fmt.Appendf(nil, `{"id":%d}`, 60+n), Value: []byte(value), Partition: 1}
		if err := client.ProduceSync(t.Context(), rec).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := client.EndTransaction(t.Context(), end); err != nil {
			t.Fatal(err)
		}
	}
	m.note(pipeline.Sift)
	m.chunk(0, 10)
	m.note(pipeline.Sweep)
	m.holds("after transactions")
	if !strings.Contains(m.log.String(), "rows=1 ") {
		t.Errorf("one of the two was committed: %s", m.log.String())
	}
}

// TestSiftOfCompactedTopic: a compacted topic has holes, also at its end.
func TestSiftOfCompactedTopic(t *testing.T) {
	c := newCluster(t)
	m := newModel(t, c, "topic = \"${table.schema}.${table.name}\"\nformat \"json\" {}\n"+
		`create_topics {
			partitions = 2
			config = { "cleanup.policy" = "compact", "min.cleanable.dirty.ratio" = "0", "segment.ms" = "1", "delete.retention.ms" = "0" }
		}`)
	for range 4 {
		for range 30 {
			m.steps()
		}
		c.fake.Compact()
		m.vanish()
		m.replace()
		m.holds("compacted")
	}
}

// TestSiftOfMorePartitions: a topic that got partitions while the sink was away holds keys where they are
// not written any more.
func TestSiftOfMorePartitions(t *testing.T) {
	c := newCluster(t)
	m := newModel(t, c, "topic = \"${table.schema}.${table.name}\"\ncreate_topics { partitions = 1 }\nformat \"json\" {}")
	if _, err := kadm.NewClient(c.outsider(t)).CreatePartitions(t.Context(), 3, "public.items"); err != nil {
		t.Fatal(err)
	}
	m.restart()
	m.chunk(0, 10) // in several partitions now
	delete(m.rows, 2)
	delete(m.rows, 5)
	m.note(pipeline.Sift)
	m.chunk(0, 10)
	m.note(pipeline.Sweep)
	m.holds("more partitions")
	last := map[string]map[int32]bool{} // by key and partition: the row is there
	for _, r := range c.consume(t, "public.items", 30) {
		if last[string(r.Key)] == nil {
			last[string(r.Key)] = map[int32]bool{}
		}
		last[string(r.Key)][r.Partition] = r.Value != nil
	}
	for _, key := range []string{`{"id":2}`, `{"id":5}`} {
		for p, there := range last[key] {
			if there {
				t.Errorf("key %s is still in partition %d", key, p)
			}
		}
	}
}

// TestSiftIsNotBegun: where a sift cannot be, the snapshot goes on without, and says why.
func TestSiftIsNotBegun(t *testing.T) {
	c := newCluster(t)
	keyless := *items()
	keyless.Key = nil
	odd := *items()
	odd.Columns = append([]pipeline.Column{{Name: "id", Kind: pipeline.Interval, Type: "interval"}}, odd.Columns[1:]...)
	cases := []struct {
		body    string
		schema  *pipeline.Schema
		sources []string
		says    string
	}{
		{"topic = \"${table.schema}.${table.name}\"\nformat \"json\" {}", &keyless, nil, "no key"},
		{"topic = \"${table.name}\"\nenvelope = \"flat\"\nformat \"json\" {}", items(), nil, "other tables"},
		{"topic = \"${table.schema}.all\"\nenvelope = \"flat\"\nformat \"avro\" { REGISTRY }", items(), nil, "other tables"},
		{"topic = \"${table.name}\"\ntombstones = false\nformat \"json\" {}", &odd, nil, "column id cannot be read"},
		{"topic = \"${table.name}\"\nformat \"json\" {}", items(), []string{"source.a", "source.b"}, "source.a, source.b"},
		{"topic = \"${table.name}\"\nformat \"json\" {}", items(), []string{"source.a"}, ""},
		{"topic = \"${table.name}\"\nformat \"json\" {}", &odd, nil, ""},
		{"topic = \"${table.schema}.${table.name}\"\nenvelope = \"flat\"\nformat \"json\" {}", items(), nil, ""},
		{"topic = \"${table.schema}.${table.target}\"\nenvelope = \"flat\"\nformat \"json\" {}", items(), nil, ""},
	}
	for _, k := range cases {
		config := c.config(t, k.body+"\ncreate_topics {}")
		err := config.Sweeps(spec.Env{Address: "sink.k", Sources: k.sources}, k.schema)
		switch {
		case k.says == "" && err != nil, k.says != "" && (err == nil || !strings.Contains(err.Error(), k.says) || pipeline.HintOf(err) == ""):
			t.Errorf("%s: %v, want %q", k.body, err, k.says)
		}
		if k.says == "" {
			continue
		}
		m := &siftModel{T: t, c: c, config: config, schema: k.schema, env: spec.Env{Sources: k.sources}, rng: rand.New(rand.NewPCG(2, 2))}
		m.open()
		m.note(pipeline.Sift)
		m.note(pipeline.Sweep)
		if !strings.Contains(m.log.String(), k.says) || !strings.Contains(m.log.String(), "stay in the topic") {
			t.Errorf("%s: log %s", k.body, m.log.String())
		}
		_ = m.sink.Close()
	}
}

// TestSiftWithoutGroups: a cluster that does not let the sink keep offsets still has rows deleted; a
// restart in between leaves them, and never deletes one that is there.
func TestSiftWithoutGroups(t *testing.T) {
	c := newCluster(t)
	c.fake.ControlKey(int16(kmsg.FindCoordinator), func(k kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		req := k.(*kmsg.FindCoordinatorRequest)
		resp := req.ResponseKind().(*kmsg.FindCoordinatorResponse)
		resp.ErrorCode = kerr.GroupAuthorizationFailed.Code
		for _, key := range req.CoordinatorKeys {
			one := kmsg.NewFindCoordinatorResponseCoordinator()
			one.Key, one.ErrorCode = key, kerr.GroupAuthorizationFailed.Code
			resp.Coordinators = append(resp.Coordinators, one)
		}
		return resp, nil, true
	})
	m := newModel(t, c, "topic = \"${table.schema}.${table.name}\"\ncreate_topics {}\nformat \"json\" {}")
	m.rng = rand.New(calm{})
	delete(m.rows, 4)
	m.note(pipeline.Sift)
	m.chunk(0, 10)
	m.note(pipeline.Sweep)
	m.holds("in one go")
	if !strings.Contains(m.log.String(), "READ the groups") {
		t.Errorf("log: %s", m.log.String())
	}
	delete(m.rows, 5)
	m.note(pipeline.Sift)
	m.chunk(0, 5)
	m.restart()
	m.chunk(5, 10)
	m.note(pipeline.Sweep)
	m.rows[5] = "it stays"
	m.holds("after a restart")
}

// TestSifted: once it is said that a sweep would be quick, the topic is read, also by a sink that began
// after everything else of the snapshot; and a topic that nothing is written to for long is read on again.
func TestSifted(t *testing.T) {
	c := newCluster(t)
	m := newModel(t, c, "topic = \"${table.schema}.${table.name}\"\ncreate_topics { partitions = 2 }\nformat \"json\" {}")
	m.rng = rand.New(calm{})
	delete(m.rows, 4)
	m.note(pipeline.Sift)
	m.chunk(0, 10)
	m.restart()
	for round := range 2 {
		if err := m.sink.Sifted(t.Context(), "source.x", "public.items"); err != nil {
			t.Fatal(err)
		}
		f := m.sink.sifts.open[siftKey{"source.x", "public.items"}]
		if f == nil {
			t.Fatal("the sift is not gone on with")
		}
		f.read.Store(0) // as if no snapshot had written for long
		if round == 0 {
			m.write(insert(m.schema, 30, "new"))
			m.rows[30] = "new"
			continue
		}
		f.enough()
		<-f.over
		if want := int64(10 + 9 + 1); f.reader.records != want {
			t.Errorf("%d records are read, want %d", f.reader.records, want)
		}
	}
	if err := m.sink.Sifted(t.Context(), "source.x", "public.others"); err != nil {
		t.Error(err)
	}
	m.note(pipeline.Sweep)
	m.holds("swept")
}

// TestSiftOfNewTopic: a topic that was made anew during the snapshot holds nothing that vanished.
func TestSiftOfNewTopic(t *testing.T) {
	c := newCluster(t)
	m := newModel(t, c, "topic = \"${table.schema}.${table.name}\"\ncreate_topics { partitions = 2 }\nformat \"json\" {}")
	m.rng = rand.New(calm{})
	m.note(pipeline.Sift)
	if _, err := kadm.NewClient(c.outsider(t)).DeleteTopic(t.Context(), "public.items"); err != nil {
		t.Fatal(err)
	}
	m.restart()
	m.chunk(0, 10)
	m.note(pipeline.Sweep)
	m.holds("a new topic")
}

// calm never restarts.
type calm struct{}

// Uint64 implements rand.Source.
func (calm) Uint64() uint64 { return 1<<64 - 1 }

// TestSiftKeysReadBack: what a key was made of is read back from its bytes, in all forms, or refused.
func TestSiftKeysReadBack(t *testing.T) {
	text := func(k pipeline.Kind, s string) pipeline.Value { return pipeline.StringValue(k, s) }
	keys := []struct {
		column pipeline.Column
		values []pipeline.Value
	}{
		{pipeline.Column{Kind: pipeline.Bool, Type: "boolean"}, []pipeline.Value{pipeline.BoolValue(true), pipeline.BoolValue(false)}},
		{pipeline.Column{Kind: pipeline.Int, Type: "smallint"}, []pipeline.Value{pipeline.IntValue(-7)}},
		{pipeline.Column{Kind: pipeline.Int, Type: "integer"}, []pipeline.Value{pipeline.IntValue(1 << 30)}},
		{pipeline.Column{Kind: pipeline.Int, Type: "bigint"}, []pipeline.Value{pipeline.IntValue(-1 << 63)}},
		{pipeline.Column{Kind: pipeline.Uint, Type: "bigint(20) unsigned"}, []pipeline.Value{pipeline.UintValue(1 << 62)}},
		{pipeline.Column{Kind: pipeline.Uint, Type: "int(10) unsigned"}, []pipeline.Value{pipeline.UintValue(4_000_000_000)}},
		{pipeline.Column{Kind: pipeline.Float64, Type: "double precision"}, []pipeline.Value{pipeline.Float64Value(-1.5e-7), pipeline.Float64Value(1e300)}},
		{pipeline.Column{Kind: pipeline.Float32, Type: "real"}, []pipeline.Value{pipeline.Float32Value(0.1)}},
		{pipeline.Column{Kind: pipeline.Text, Type: "text"}, []pipeline.Value{text(pipeline.Text, ""), text(pipeline.Text, "a\"\\\n\u2028é\u0085😀{,")}},
		{pipeline.Column{Kind: pipeline.UUID, Type: "uuid"}, []pipeline.Value{text(pipeline.UUID, "00000000-0000-0000-0000-00000000000a")}},
		{pipeline.Column{Kind: pipeline.Bytes, Type: "bytea"}, []pipeline.Value{text(pipeline.Bytes, "\x00\xff"), text(pipeline.Bytes, "")}},
		{pipeline.Column{Kind: pipeline.Decimal, Type: "numeric(12,3)", Precision: 12, Scale: 3},
			[]pipeline.Value{text(pipeline.Decimal, "-0.005"), text(pipeline.Decimal, "123.400"), text(pipeline.Decimal, "0.000")}},
		{pipeline.Column{Kind: pipeline.Decimal, Type: "numeric", Precision: -1, Scale: -1},
			[]pipeline.Value{text(pipeline.Decimal, "-12.5"), text(pipeline.Decimal, "7")}},
		{pipeline.Column{Kind: pipeline.Date, Type: "date"}, []pipeline.Value{pipeline.DateValue(-40000), pipeline.DateValue(9000)}},
		{pipeline.Column{Kind: pipeline.Time, Type: "time", Precision: 6}, []pipeline.Value{pipeline.TimeValue(86_399_999_999)}},
		{pipeline.Column{Kind: pipeline.Time, Type: "time(3)", Precision: 3}, []pipeline.Value{pipeline.TimeValue(1_002_000)}},
		{pipeline.Column{Kind: pipeline.Timestamp, Type: "timestamp", Precision: 6}, []pipeline.Value{pipeline.TimestampValue(-1), pipeline.TimestampValue(848_484_672_123_456)}},
		{pipeline.Column{Kind: pipeline.Timestamp, Type: "timestamp(3)", Precision: 3}, []pipeline.Value{pipeline.TimestampValue(-1_000_001_000)}},
		{pipeline.Column{Kind: pipeline.TimestampTZ, Type: "timestamptz", Precision: 6}, []pipeline.Value{pipeline.TimestampTZValue(848_484_672_123_456), pipeline.TimestampTZValue(-5)}},
	}
	c := newCluster(t)
	bodies := []string{
		`format "json" {}`, `format "avro" { REGISTRY }`, `format "json" { schemas = true }`,
		"envelope = \"flat\"\nformat \"json\" {}", "envelope = \"flat\"\nformat \"avro\" { REGISTRY }",
		"format \"avro\" {\n REGISTRY\n decimal = \"string\"\n time_precision = \"iso\"\n bigint_unsigned = \"decimal\"\n}",
		"format \"json\" {\n time_precision = \"micros\"\n bigint_unsigned = \"decimal\"\n}",
	}
	for n, body := range bodies {
		for i, k := range keys {
			k.column.Name = "id"
			if k.column.Precision == 0 && k.column.Kind != pipeline.Decimal {
				k.column.Precision = -1
			}
			s := &pipeline.Schema{System: pipeline.PostgreSQL, Database: "d", Namespace: "n", Table: "t", Key: []int{1, 0},
				Columns: []pipeline.Column{k.column, {Name: "more", Kind: pipeline.Int, Type: "bigint"}}}
			config := c.config(t, fmt.Sprintf("topic = \"t%d.%d\"\ncreate_topics {}\n", n, i)+body)
			sink := openSink(t, config)
			table, err := sink.table(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			read, err := newRows(sink, table)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range k.values {
				row := []pipeline.Value{v, pipeline.IntValue(5)}
				key, err := table.encode.AppendKey(nil, &envelope.Event{Row: &pipeline.Row{Schema: s, Before: row}}, row)
				if err != nil {
					t.Fatal(err)
				}
				got, ok := read.old(key)
				if !ok || !got[0].Equal(v) || got[1].Int() != 5 {
					t.Errorf("%s: %s %v: key %q is read as %v, %v", body, k.column.Type, v, key, got, ok)
				}
			}
		}
	}
}

// TestMembers: a JSON object is taken apart, and what is none is refused.
func TestMembers(t *testing.T) {
	got := map[string]string{}
	doc := ` { "a" : {"x":[1,{"b":"}"}]} ,"b":"\"}", "c":-1.5e7,"d":null , "e":[ "]" ] } `
	if !members([]byte(doc), func(n, v []byte) { got[string(n)] = string(v) }) {
		t.Error("refused")
	}
	want := map[string]string{`"a"`: `{"x":[1,{"b":"}"}]}`, `"b"`: `"\"}"`, `"c"`: `-1.5e7`, `"d"`: `null`, `"e"`: `[ "]" ]`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, doc := range []string{"", "x", "{", `{"a"`, `{"a":`, `{"a":}`, `{"a":1`, `{"a":1,`, `{"a":1}}`, `{"a":{}`, `{"a" 1}`, `{a:1}`, `["a"]`} {
		if members([]byte(doc), func(_, _ []byte) {}) {
			t.Errorf("%q is taken for an object", doc)
		}
	}
	if !members([]byte("{}"), func(_, _ []byte) { t.Error("{} has a member") }) {
		t.Error("{} is refused")
	}
}

func FuzzMembers(f *testing.F) {
	f.Add([]byte(`{"a":{"b":[1]},"c":"\\"}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		members(doc, func(name, value []byte) {
			if len(name) == 0 || len(value) == 0 {
				t.Errorf("%q: %q %q", doc, name, value)
			}
		})
	})
}
