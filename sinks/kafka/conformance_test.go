package kafka

import (
	"bytes"
	stdjson "encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// TestConformance holds the sink to its contract; topics are folded by key, as a consumer does.
func TestConformance(t *testing.T) {
	pipetest.EachKafka(t, func(t *testing.T, addrs []string) { conformance(t, &cluster{brokers: addrs}) })
}

func conformance(t *testing.T, c *cluster) {
	n := 0
	pipetest.TestSink(t, pipetest.SinkHarness{NoAbsent: true, NoTruncate: true, New: func(t testing.TB) pipetest.SinkTarget {
		n++
		topic := fmt.Sprintf("conformance-%d", n)
		config := c.config(t, `
topic = "`+topic+`"
envelope = "flat"
batch_bytes = "16MiB"
create_topics {
  partitions = 3
  config = { "max.message.bytes" = "20000000" }
}
format "json" {}`)
		return pipetest.SinkTarget{
			Open: func(t testing.TB) pipeline.Sink { return openSink(t, config) },
			Rows: func(t testing.TB) []string { return c.fold(t, topic) },
		}
	}})
}

// fold returns the last value of each key of a topic.
func (c *cluster) fold(t testing.TB, topic string) []string {
	client, err := kgo.NewClient(kgo.SeedBrokers(c.brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	ends.Each(func(o kadm.ListedOffset) { total += int(max(o.Offset, 0)) })
	rows := map[string]string{}
	for _, r := range c.consume(t, topic, total) {
		delete(rows, string(r.Key))
		if r.Value != nil {
			rows[string(r.Key)] = fields(t, r.Value)
		}
	}
	wide := 0
	for _, text := range rows {
		wide = max(wide, strings.Count(text, "|"))
	}
	var out []string
	for _, text := range rows {
		out = append(out, text+strings.Repeat("|null", wide-strings.Count(text, "|")))
	}
	return out
}

// fields renders an object's values in their order, joined by "|".
func fields(t testing.TB, object []byte) string {
	d := stdjson.NewDecoder(bytes.NewReader(object))
	d.UseNumber()
	var out []string
	for i := 0; d.More() || i == 0; i++ {
		token, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case i == 0 || i%2 == 1: // the brace, then names
		case token == nil:
			out = append(out, "null")
		default:
			out = append(out, fmt.Sprint(token))
		}
	}
	return strings.Join(out, "|")
}
