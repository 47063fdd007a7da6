package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/avro"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// TestSink holds the sink to what must be at any broker and registry: those of this process, and in
// the full suite a real Apache Kafka and a real Apicurio Registry too.
func TestSink(t *testing.T) {
	pipetest.EachKafka(t, func(t *testing.T, addrs []string) {
		pipetest.EachRegistry(t, func(t *testing.T, url string) { suite(t, &cluster{brokers: addrs, registry: url}) })
	})
}

func suite(t *testing.T, c *cluster) {
	t.Run("debezium as avro", func(t *testing.T) { debeziumAvro(t, c) })
	t.Run("key change, delete, tombstones", func(t *testing.T) { keyChange(t, c) })
	t.Run("flat as json", func(t *testing.T) { flatJSON(t, c) })
	t.Run("order and partitions", func(t *testing.T) { order(t, c) })
	t.Run("missing topic", func(t *testing.T) { missingTopic(t, c) })
	t.Run("message too large", func(t *testing.T) { tooLarge(t, c) })
	t.Run("incompatible schema", func(t *testing.T) { incompatible(t, c) })
	t.Run("check", func(t *testing.T) { check(t, c) })
}

// topicFor names a topic of this run.
func topicFor(t *testing.T) string {
	return strings.NewReplacer("/", ".", ",", "", " ", "_").Replace(t.Name()) + fmt.Sprint(time.Now().UnixNano())
}

func write(t testing.TB, s *Sink, rows ...pipeline.Row) {
	t.Helper()
	if err := s.Write(context.Background(), batch(rows...)); err != nil {
		t.Fatal(err)
	}
}

// text decodes an Avro record's bytes by the schema that the registry has for their id.
func (c *cluster) text(t *testing.T, s *Sink, data []byte, schema string) string {
	t.Helper()
	if len(data) < 5 || data[0] != 0 || binary.BigEndian.Uint32(data[1:]) == 0 {
		t.Fatalf("no header: %x", data)
	}
	d, err := avro.NewDecoder(schema)
	if err != nil {
		t.Fatal(err)
	}
	out, rest, err := d.AppendJSON(nil, data[5:])
	if err != nil || len(rest) > 0 {
		t.Fatalf("%v, %d bytes left", err, len(rest))
	}
	return string(out)
}

func debeziumAvro(t *testing.T, c *cluster) {
	topic := topicFor(t)
	config := c.config(t, `
topic = "`+topic+`.${table.schema}.${table.name}"
create_topics { partitions = 3 }
headers = { origin = table.name }
position_headers = true
format "avro" {
  REGISTRY
  compatibility = "backward"
}`)
	s := openSink(t, config)
	write(t, s, insert(items(), 7, "x"))
	r := c.consume(t, topic+".public.items", 1)[0]
	tab, program, err := config.compile(items(), "p")
	if err != nil {
		t.Fatal(err)
	}
	if got := c.text(t, s, r.Key, program.KeySchema); got != `{"id":7}` {
		t.Errorf("key %s", got)
	}
	got := c.text(t, s, r.Value, program.ValueSchema)
	for _, want := range []string{`{"before":null,"after":{"id":7,"name":"x"}`, `"name":"` + topic + `"`, `"op":"c"`, `"lsn":50`} {
		if !strings.Contains(got, want) {
			t.Errorf("value %s lacks %s", got, want)
		}
	}
	want := map[string]string{"origin": "items", "pipe.pos": "0001", "pipe.seq": "0"}
	if diff := cmp.Diff(want, headers(r)); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if tab.topic != r.Topic || r.Partition != partition(r.Key, 3) {
		t.Errorf("in partition %d", r.Partition)
	}
}

func headers(r *kgo.Record) map[string]string {
	out := map[string]string{}
	for _, h := range r.Headers {
		out[h.Key] = string(h.Value)
	}
	return out
}

func keyChange(t *testing.T, c *cluster) {
	topic := topicFor(t)
	s := openSink(t, c.config(t, `
topic = "`+topic+`"
create_topics {}
format "json" {}`))
	a := pipeline.AbsentValue
	sch := items()
	write(t, s,
		pipeline.Row{Schema: sch, Op: pipeline.Update, Before: []pipeline.Value{pipeline.IntValue(1), a}, Values: values(2, "n")},
		pipeline.Row{Schema: sch, Op: pipeline.Delete, Before: []pipeline.Value{pipeline.IntValue(2), a}},
		pipeline.Row{Schema: sch, Op: pipeline.Truncate})
	var got []string
	for _, r := range c.consume(t, topic, 6) {
		op := "tombstone"
		if i := strings.Index(string(r.Value), `"op":"`); i > 0 {
			op = string(r.Value[i+6 : i+7])
		}
		got = append(got, fmt.Sprint(string(r.Key), " ", op, " ", headers(r)))
	}
	want := []string{
		`{"id":1} d map[__debezium.newkey:{"id":2}]`, `{"id":1} tombstone map[]`, `{"id":2} c map[__debezium.oldkey:{"id":1}]`,
		`{"id":2} d map[]`, `{"id":2} tombstone map[]`, ` t map[]`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func flatJSON(t *testing.T, c *cluster) {
	topic := topicFor(t)
	s := openSink(t, c.config(t, `
topic = "`+topic+`"
envelope = "flat"
unavailable = "null"
create_topics {}
format "json" {}`))
	sch := items()
	write(t, s, insert(sch, 1, "a"),
		pipeline.Row{Schema: sch, Op: pipeline.Update, Values: []pipeline.Value{pipeline.IntValue(1), pipeline.AbsentValue}},
		pipeline.Row{Schema: sch, Op: pipeline.Delete, Before: values(1, "a")})
	rs := c.consume(t, topic, 3)
	if string(rs[0].Value) != `{"id":1,"name":"a"}` || rs[2].Value != nil {
		t.Errorf("values %s, %q", rs[0].Value, rs[2].Value)
	}
	if string(rs[1].Value) != `{"id":1,"name":null}` || headers(rs[1])["pipe.unavailable"] != "name" {
		t.Errorf("unavailable: %s %v", rs[1].Value, headers(rs[1]))
	}
	err := s.Write(context.Background(), batch(pipeline.Row{Schema: sch, Op: pipeline.Truncate}))
	if pipeline.ClassOf(err) != pipeline.Input || !strings.Contains(err.Error(), "truncates") {
		t.Errorf("truncate: %v", err)
	}
}

func order(t *testing.T, c *cluster) {
	topic := topicFor(t)
	s := openSink(t, c.config(t, `
topic = "`+topic+`"
envelope = "flat"
create_topics { partitions = 7 }
format "json" {}`))
	const keys, times = 50, 40
	sch := items()
	for n := range times {
		var rows []pipeline.Row
		for k := range int64(keys) {
			rows = append(rows, insert(sch, k, fmt.Sprint(n)))
		}
		write(t, s, rows...)
	}
	next := map[string]int{}
	for _, r := range c.consume(t, topic, keys*times) {
		if want := fmt.Sprintf(`"name":"%d"}`, next[string(r.Key)]); !strings.HasSuffix(string(r.Value), want) {
			t.Fatalf("key %s: %s, want %s", r.Key, r.Value, want)
		}
		next[string(r.Key)]++
		if want := partition(r.Key, 7); r.Partition != want {
			t.Fatalf("key %s in partition %d, want %d", r.Key, r.Partition, want)
		}
	}
	if len(next) != keys {
		t.Errorf("%d keys", len(next))
	}
}

func missingTopic(t *testing.T, c *cluster) {
	s := openSink(t, c.config(t, `
topic = "`+topicFor(t)+`"
format "json" {}`))
	err := s.Write(context.Background(), batch(insert(items(), 1, "a")))
	var e *pipeline.Error
	if !errors.As(err, &e) || e.Class != pipeline.Environment || e.Table != "public.items" || e.Node != "sink.k" ||
		!strings.Contains(e.Hint, "create_topics") {
		t.Errorf("%v", err)
	}
}

func tooLarge(t *testing.T, c *cluster) {
	s := openSink(t, c.config(t, `
topic = "`+topicFor(t)+`"
create_topics {}
format "json" {}`))
	err := s.Write(context.Background(), batch(insert(items(), 1, "a"), insert(items(), 42, strings.Repeat("0a1b", 1<<20))))
	if !errors.Is(err, kerr.MessageTooLarge) || pipeline.ClassOf(err) != pipeline.Input ||
		!strings.Contains(err.Error(), "(id=42)") || !strings.Contains(err.Error(), "batch_bytes") {
		t.Errorf("%.300v", err)
	}
}

func incompatible(t *testing.T, c *cluster) {
	body := `
topic = "` + topicFor(t) + `"
create_topics {}
format "avro" {
  REGISTRY
  compatibility = "backward"
}`
	s := openSink(t, c.config(t, body))
	write(t, s, insert(items(), 1, "a"))
	changed := items()
	changed.Columns[1].Kind, changed.Columns[1].Type = pipeline.Int, "integer"
	row := pipeline.Row{Schema: changed, Op: pipeline.Insert, Values: []pipeline.Value{pipeline.IntValue(1), pipeline.IntValue(2)}}
	err := s.Write(context.Background(), batch(row))
	if pipeline.ClassOf(err) != pipeline.Input || !strings.Contains(err.Error(), "incompatible") ||
		!strings.Contains(err.Error(), `compatibility = "none"`) {
		t.Errorf("%v", err)
	}
	var found bool
	for _, f := range c.config(t, body).Check(context.Background(), spec.Env{}, []*pipeline.Schema{changed}) {
		found = found || f.Code == "KAFKA-009" && f.Severity == spec.Error
	}
	if !found {
		t.Error("Check did not find the incompatible schema")
	}
}

func check(t *testing.T, c *cluster) {
	body := "topic = \"" + topicFor(t) + "\"\nformat \"avro\" {\nREGISTRY\n}"
	findings := c.config(t, body).Check(context.Background(), spec.Env{}, []*pipeline.Schema{items()})
	if len(findings) != 1 || findings[0].Code != "KAFKA-004" || !strings.Contains(findings[0].Fix, "create_topics") {
		t.Errorf("%+v", findings)
	}
	config := c.config(t, body)
	config.Brokers = []string{"127.0.0.1:1"}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if f := config.Check(ctx, spec.Env{}, nil); len(f) != 1 || !f[0].Unreachable {
		t.Errorf("no broker: %+v", f)
	}
}

// TestNotEnoughReplicas: nothing is acknowledged while replicas are missing; they come back in time,
// or they do not.
func TestNotEnoughReplicas(t *testing.T) {
	for _, recovers := range []bool{true, false} {
		t.Run(fmt.Sprint("recovers ", recovers), func(t *testing.T) {
			c := newCluster(t, kfake.SeedTopics(1, "t"))
			left := 3
			c.fake.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
				c.fake.KeepControl()
				if left--; left < 0 && recovers {
					return nil, nil, false
				}
				return refuse(req.(*kmsg.ProduceRequest), kerr.NotEnoughReplicas.Code), nil, true
			})
			config := c.config(t, "topic = \"t\"\nformat \"json\" {}")
			config.DeliveryTimeout = 10 * time.Second
			if !recovers {
				config.DeliveryTimeout = 3 * time.Second
			}
			err := openSink(t, config).Write(context.Background(), batch(insert(items(), 1, "a")))
			if recovers && err != nil {
				t.Error(err)
			}
			if !recovers && (pipeline.ClassOf(err) != pipeline.Retryable || !strings.Contains(err.Error(), "NOT_ENOUGH_REPLICAS")) {
				t.Errorf("%v", err)
			}
		})
	}
}

// refuse answers a produce request with an error for each partition.
func refuse(req *kmsg.ProduceRequest, code int16) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ProduceResponse)
	for _, rt := range req.Topics {
		st := kmsg.NewProduceResponseTopic()
		st.Topic, st.TopicID = rt.Topic, rt.TopicID
		for _, rp := range rt.Partitions {
			sp := kmsg.NewProduceResponseTopicPartition()
			sp.Partition, sp.ErrorCode = rp.Partition, code
			st.Partitions = append(st.Partitions, sp)
		}
		resp.Topics = append(resp.Topics, st)
	}
	return resp
}

func TestBrokerClosesConnections(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(2, "t"))
	n := 0
	c.fake.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		if n++; n%3 == 0 {
			return nil, errors.New("cut"), true
		}
		return nil, nil, false
	})
	s := openSink(t, c.config(t, "topic = \"t\"\nenvelope = \"flat\"\nformat \"json\" {}"))
	for i := range int64(10) {
		write(t, s, insert(items(), i, "a"))
	}
	if got := len(c.consume(t, "t", 10)); got != 10 {
		t.Errorf("%d records, want 10: the producer is idempotent", got)
	}
}

func TestCancelledWrite(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(1, "t"))
	c.fake.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		return refuse(req.(*kmsg.ProduceRequest), kerr.NotEnoughReplicas.Code), nil, true
	})
	s := openSink(t, c.config(t, "topic = \"t\"\nformat \"json\" {}"))
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if err := s.Write(ctx, batch(insert(items(), 1, "a"))); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

func TestBadConfigs(t *testing.T) {
	for text, want := range map[string]string{
		`format "avro" {}`: "schema registry",
		"delivery = \"exactly_once\"\nformat \"json\" {}": "not available yet",
		`format "xml" {}`: "avro",
		"deletes = \"rewrite\"\nformat \"json\" {}":                          "flat",
		"format \"avro\" {\nregistry = \"http://x\"\ntypes = \"logical\"\n}": "logical",
		"sasl {\nmechanism = \"PLAIN\"\n}\nformat \"json\" {}":               "user and password",
		"": "format",
	} {
		_, diags := decode(t, "from = source.x\nbrokers = [\"b:1\"]\ntopic = table.name\n"+text)
		if !diags.HasErrors() || !strings.Contains(diags.Error()+fmt.Sprint(diags), want) {
			t.Errorf("%s: %v, want %q", text, diags, want)
		}
	}
}
