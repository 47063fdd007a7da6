package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/avro/registry"
	"github.com/pipe-cdc/pipe/pipeline/codec/envelope"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// checker collects what Check finds.
type checker struct {
	config   *Config
	env      spec.Env
	topics   *topics
	admin    *kadm.Client
	registry *registry.Client
	found    []spec.Finding
}

// Check looks for brokers, topics, the registry and the schemas' compatibility, and changes nothing.
func (c *Config) Check(ctx context.Context, env spec.Env, tables []*pipeline.Schema) []spec.Finding {
	k := &checker{config: c, env: env}
	var err error
	if k.registry, err = c.registry(); err != nil {
		return append(k.found, finding("KAFKA-003", "registry", err))
	}
	client, err := c.client(newLogger(env.Log))
	if err != nil {
		return append(k.found, finding("KAFKA-001", "brokers", err))
	}
	defer client.Close()
	dial, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if err := client.Ping(dial); err != nil {
		return append(k.found, finding("KAFKA-001", "brokers", connectError(err)))
	}
	if k.registry != nil {
		if err := k.registry.Ping(ctx); err != nil {
			k.found = append(k.found, finding("KAFKA-003", "", err))
			k.registry = nil
		}
	}
	k.admin = kadm.NewClient(client)
	k.topics = &topics{client: client, counts: map[string]int32{}, dotted: map[string]string{}}
	for _, s := range tables {
		k.table(ctx, s)
	}
	return k.found
}

// finding renders an error.
func finding(code, attr string, err error) spec.Finding {
	f := spec.Finding{Severity: spec.Error, Code: code, Summary: err.Error(), Attr: attr, Fix: pipeline.HintOf(err)}
	var e *pipeline.Error
	if errors.As(err, &e) {
		f.Unreachable = e.Class == pipeline.Retryable || e.Class == pipeline.Environment
		short := *e
		short.Hint = ""
		f.Summary = short.Error()
	}
	return f
}

func (k *checker) table(ctx context.Context, s *pipeline.Schema) {
	t, program, err := k.config.compile(s, k.env.Pipeline)
	if err != nil {
		k.found = append(k.found, finding("KAFKA-002", "topic", err))
		return
	}
	k.topic(ctx, s, t)
	if len(t.plan.Keys) == 0 {
		k.found = append(k.found, spec.Finding{
			Severity: spec.Warning, Code: "KAFKA-006", Summary: s.Name() + ": no key, so all its records go to one partition",
			Fix: `Give the table a primary key, or set key = ["column"].`, Attr: "key",
		})
	}
	if program == nil || k.registry == nil {
		return
	}
	record := "Envelope"
	if t.plan.Shape == envelope.Flat {
		record = "Value"
	}
	k.schema(ctx, s, k.config.Format.subject(t.topic, record, "value"), program.ValueSchema)
	if program.KeySchema != "" {
		k.schema(ctx, s, k.config.Format.subject(t.topic, "Key", "key"), program.KeySchema)
	}
}

func (k *checker) topic(ctx context.Context, s *pipeline.Schema, t *table) {
	n, err := k.topics.look(ctx, t.topic)
	if errors.Is(err, kerr.UnknownTopicOrPartition) && k.config.CreateTopics != nil {
		k.found = append(k.found, spec.Finding{
			Severity: spec.Info, Code: "KAFKA-004", Summary: fmt.Sprintf("%s: topic %s will be created", s.Name(), t.topic),
		})
		return
	}
	if err != nil {
		k.found = append(k.found, finding("KAFKA-004", "topic", inTable(s, topicError(t.topic, err))))
		return
	}
	if other := k.topics.clash(t.topic); other != "" {
		k.found = append(k.found, spec.Finding{
			Severity: spec.Warning, Code: "KAFKA-005", Attr: "topic",
			Summary: fmt.Sprintf("topics %s and %s differ only in . and _: brokers mix up their metrics", t.topic, other),
		})
	}
	k.limits(ctx, t.topic, n)
}

// limits compares the topic's configuration with the sink's.
func (k *checker) limits(ctx context.Context, topic string, partitions int32) {
	configs, err := k.admin.DescribeTopicConfigs(ctx, topic)
	if err != nil {
		return // not allowed to look: the write itself will tell
	}
	for _, rc := range configs {
		for _, c := range rc.Configs {
			if c.Value == nil {
				continue
			}
			n, _ := strconv.ParseInt(*c.Value, 10, 64)
			switch {
			case c.Key == "max.message.bytes" && n > 0 && n < int64(k.config.BatchBytes):
				k.found = append(k.found, spec.Finding{
					Severity: spec.Warning, Code: "KAFKA-007", Attr: "batch_bytes",
					Summary: fmt.Sprintf("topic %s (%d partitions) takes batches of %d bytes, the sink sends up to %d",
						topic, partitions, n, int64(k.config.BatchBytes)),
					Fix: "Raise the topic's max.message.bytes or lower batch_bytes.",
				})
			case c.Key == "min.insync.replicas" && n == 1:
				k.found = append(k.found, spec.Finding{
					Severity: spec.Info, Code: "KAFKA-008",
					Summary: "topic " + topic + " has min.insync.replicas = 1: one broker's loss may lose acknowledged records",
				})
			}
		}
	}
}

func (k *checker) schema(ctx context.Context, s *pipeline.Schema, subject, text string) {
	reasons, err := k.registry.Compatible(ctx, subject, text)
	if err != nil {
		k.found = append(k.found, finding("KAFKA-009", "", inTable(s, err)))
		return
	}
	if reasons == nil {
		return
	}
	k.found = append(k.found, spec.Finding{
		Severity: spec.Error, Code: "KAFKA-009", Attr: "",
		Summary: fmt.Sprintf("%s: schema is incompatible with subject %s", s.Name(), subject),
		Detail:  strings.Join(reasons, "\n"),
		Fix:     `Change the table compatibly, write to a new topic or subject, or set compatibility = "none".`,
	})
}
