package kafka

import (
	"context"
	"crypto/tls"
	"fmt"
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/avro/registry"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// dialTimeout bounds how long Open looks for a broker.
const dialTimeout = 20 * time.Second

// metadataAge is how long a retry may wait at the most for a look at where leaders are now.
const metadataAge = 250 * time.Millisecond

// Open connects to the brokers and the registry.
func (c *Config) Open(ctx context.Context, env spec.Env) (pipeline.Sink, error) {
	s, err := c.open(ctx, env)
	if err != nil {
		return nil, at(env.Address, err)
	}
	return s, nil
}

func (c *Config) open(ctx context.Context, env spec.Env) (*Sink, error) {
	if c.Delivery == "exactly_once" {
		return nil, &pipeline.Error{
			Class: pipeline.Input, Err: fmt.Errorf("delivery %q is not available yet", c.Delivery),
			Hint: `Set delivery = "at_least_once".`,
		}
	}
	reg, err := c.registry()
	if err != nil {
		return nil, err
	}
	log := newLogger(env.Log)
	client, err := c.client(log)
	if err != nil {
		return nil, err
	}
	if err := reach(ctx, client, reg); err != nil {
		client.Close()
		return nil, err
	}
	s := &Sink{
		config: c, env: env, client: client, registry: reg, log: log,
		topics: &topics{
			client: client, create: c.CreateTopics,
			counts: map[string]int32{}, dotted: map[string]string{},
		},
		tables: map[*pipeline.Schema]*table{}, places: make(chan struct{}, lanes),
	}
	s.sifts.start(s)
	return s, nil
}

// reach checks that brokers and registry answer.
func reach(ctx context.Context, client *kgo.Client, reg *registry.Client) error {
	dial, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if err := client.Ping(dial); err != nil {
		return connectError(err)
	}
	if reg == nil {
		return nil
	}
	return reg.Ping(ctx)
}

func (c *Config) client(log *logger) (*kgo.Client, error) {
	opts, err := c.options()
	if err != nil {
		return nil, &pipeline.Error{Class: pipeline.Input, Err: err}
	}
	opts = append(opts,
		kgo.WithLogger(log),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(codecs(c.Compression)...),
		kgo.ProducerBatchMaxBytes(int32(c.BatchBytes)),
		kgo.BrokerMaxWriteBytes(int32(max(2*c.BatchBytes, 100<<20))),
		kgo.ProducerLinger(c.Linger),
		kgo.MetadataMinAge(metadataAge),
		kgo.DisableClientMetrics(),
		// Bounded by flightBytes and flightRecords of each lane, so that Produce never waits.
		kgo.MaxBufferedRecords(math.MaxInt32),
	)
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, &pipeline.Error{Class: pipeline.Input, Err: fmt.Errorf("kafka client: %w", err)}
	}
	return client, nil
}

func codecs(name string) []kgo.CompressionCodec {
	switch name {
	case "gzip":
		return []kgo.CompressionCodec{kgo.GzipCompression(), kgo.NoCompression()}
	case "snappy":
		return []kgo.CompressionCodec{kgo.SnappyCompression(), kgo.NoCompression()}
	case "lz4":
		return []kgo.CompressionCodec{kgo.Lz4Compression(), kgo.NoCompression()}
	case "zstd":
		return []kgo.CompressionCodec{kgo.ZstdCompression(), kgo.NoCompression()}
	}
	return []kgo.CompressionCodec{kgo.NoCompression()}
}

// registry returns the client of the registry, nil where the format needs none.
func (c *Config) registry() (*registry.Client, error) {
	if c.Format.Type != avroFormat {
		return nil, nil
	}
	rc := registry.Config{URLs: urls(c.Format.Registry), AutoRegister: c.Format.AutoRegister, Level: c.Format.Level}
	if r := c.Registry; r != nil {
		if len(rc.URLs) == 0 {
			rc.URLs = urls(r.URL)
		}
		rc.User, rc.Password = r.User, r.Password.Reveal()
		var err error
		if rc.TLS, err = tlsConfig(r.TLS); err != nil {
			return nil, &pipeline.Error{Class: pipeline.Input, Err: fmt.Errorf("registry: %w", err)}
		}
	}
	return registry.New(rc)
}

func tlsConfig(t *TLS) (*tls.Config, error) {
	if t == nil {
		return nil, nil
	}
	return t.config()
}
