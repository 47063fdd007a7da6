package kafka

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pipe-cdc/pipe/pipeline"
	fake "github.com/pipe-cdc/pipe/pipeline/pipetest/registry"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// cluster is where a suite runs: private brokers and registry, or real ones.
type cluster struct {
	brokers  []string
	registry string
	fake     *kfake.Cluster // nil where real
}

func newCluster(t testing.TB, opts ...kfake.Opt) *cluster {
	t.Helper()
	k, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	r, err := fake.New(fake.Config{})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(http.Handler(r))
	t.Cleanup(srv.Close)
	return &cluster{brokers: k.ListenAddrs(), registry: srv.URL, fake: k}
}

// config decodes the body of a sink block; brokers and registry are given.
func (c *cluster) config(t testing.TB, body string) *Config {
	t.Helper()
	text := "from = source.x\nbrokers = [\"" + strings.Join(c.brokers, `","`) + "\"]\n" +
		strings.ReplaceAll(body, "REGISTRY", `registry = "`+c.registry+`"`)
	config, diags := decode(t, text)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return config
}

func decode(t testing.TB, text string) (*Config, hcl.Diagnostics) {
	t.Helper()
	file, diags := hclsyntax.ParseConfig([]byte(text), "test.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	config := new(Config)
	return config, spec.Decode(spec.Describe("kafka", config), file.Body, nil)
}

func openSink(t testing.TB, c *Config) *Sink {
	t.Helper()
	s, err := c.Open(context.Background(), spec.Env{Address: "sink.k", Pipeline: "p"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s.(*Sink)
}

// consume reads every record that is in a topic now, by partition in order.
func (c *cluster) consume(t testing.TB, topic string, want int) []*kgo.Record {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.brokers...), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	var out []*kgo.Record
	for len(out) < want {
		f := client.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			t.Fatalf("%d of %d records: %v", len(out), want, err)
		}
		out = append(out, f.Records()...)
	}
	return out
}

// batch builds a batch of one transaction.
func batch(rows ...pipeline.Row) *pipeline.Batch {
	b := &pipeline.Batch{Stream: "source.x/wal"}
	tx := &pipeline.Tx{ID: 5, LSN: 100, Pos: "0001", Time: 848_484_672_123_456}
	for i, r := range rows {
		r.Tx, r.Seq, r.At = tx, uint32(i), uint64(50+i)
		*b.Add() = r
	}
	b.Mark("0002")
	return b
}

func items() *pipeline.Schema {
	return &pipeline.Schema{
		System: pipeline.PostgreSQL, Database: "shop", Namespace: "public", Table: "items", Key: []int{0},
		Columns: []pipeline.Column{
			{Name: "id", Kind: pipeline.Int, Type: "bigint"},
			{Name: "name", Kind: pipeline.Text, Type: "text", Nullable: true},
		},
	}
}

func values(id int64, name string) []pipeline.Value {
	return []pipeline.Value{pipeline.IntValue(id), pipeline.StringValue(pipeline.Text, name)}
}

func insert(s *pipeline.Schema, id int64, name string) pipeline.Row {
	return pipeline.Row{Schema: s, Op: pipeline.Insert, Values: values(id, name)}
}

func TestMain(m *testing.M) { os.Exit(m.Run()) }
