package kafka

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/avro"
	"github.com/pipe-cdc/pipe/pipeline/codec/avro/registry"
	"github.com/pipe-cdc/pipe/pipeline/codec/envelope"
	"github.com/pipe-cdc/pipe/pipeline/codec/json"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// encoder is what the codecs have in common.
type encoder interface {
	AppendKey(dst []byte, e *envelope.Event, row []pipeline.Value) ([]byte, error)
	AppendValue(dst []byte, e *envelope.Event) ([]byte, error)
}

// table is what is compiled for one Schema. Immutable.
type table struct {
	plan       *envelope.Plan
	encode     encoder
	room       int // bytes that encoding needs beyond those that a key and a value take
	topic      string
	partitions int32
	keyless    int32 // the partition of records without key
	headers    []kgo.RecordHeader
	keySchema  string // Avro: of the keys; "" where records have none
	keyID      int    // Avro: its id in the registry
}

// compile works out how the rows of s are written, apart from what the cluster and the registry say.
func (c *Config) compile(s *pipeline.Schema, pipelineName string) (*table, *avro.Program, error) {
	topic, err := c.Topic.Text(s)
	if err != nil {
		return nil, nil, &pipeline.Error{Table: s.Name(), Class: pipeline.Input, Err: fmt.Errorf("topic: %w", err)}
	}
	if err := checkTopic(topic); err != nil {
		return nil, nil, &pipeline.Error{
			Table: s.Name(), Class: pipeline.Input, Err: err,
			Hint: "Change the topic template: replace() makes a name valid.",
		}
	}
	o := c.shape()
	if o.Name == "" {
		o.Name = serverName(topic, s, pipelineName)
	}
	plan, err := o.Plan(s)
	if err != nil {
		return nil, nil, err
	}
	t := &table{plan: plan, topic: topic}
	if t.headers, err = c.headers(s); err != nil {
		return nil, nil, err
	}
	if c.Format.Type == jsonFormat {
		t.encode = json.Compile(plan, json.Options{Schemas: c.Format.Schemas, Name: topic})
		return t, nil, nil
	}
	program, err := avro.Compile(plan, topic)
	if err != nil {
		return nil, nil, err
	}
	t.encode, t.room, t.keySchema = program, program.Room(), program.KeySchema
	return t, program, nil
}

// serverName is the topic's name without .schema.table, as Debezium composes it.
func serverName(topic string, s *pipeline.Schema, otherwise string) string {
	namespace := s.Namespace
	if namespace == "" {
		namespace = s.Database
	}
	if name, ok := strings.CutSuffix(topic, "."+namespace+"."+s.Table); ok && name != "" {
		return name
	}
	return otherwise
}

func (c *Config) headers(s *pipeline.Schema) ([]kgo.RecordHeader, error) {
	var out []kgo.RecordHeader
	for _, name := range slices.Sorted(maps.Keys(c.Headers)) {
		text, err := spec.Template(c.Headers[name]).Text(s)
		if err != nil {
			return nil, &pipeline.Error{Table: s.Name(), Class: pipeline.Input, Err: fmt.Errorf("headers: %s: %w", name, err)}
		}
		out = append(out, kgo.RecordHeader{Key: name, Value: []byte(text)})
	}
	return out, nil
}

// register finds the ids of a program's schemas, and returns that of the keys.
func (f *Format) register(ctx context.Context, r *registry.Client, topic string, p *avro.Program) (key int, err error) {
	if p.KeySchema != "" {
		if key, err = r.ID(ctx, f.subject(topic, "Key", "key"), p.KeySchema); err != nil {
			return 0, err
		}
	}
	record := "Envelope"
	if p.Plan.Shape == envelope.Flat {
		record = "Value"
	}
	value, err := r.ID(ctx, f.subject(topic, record, "value"), p.ValueSchema)
	if err != nil {
		return 0, err
	}
	p.SetIDs(key, value)
	return key, nil
}

// subject names the subject of a schema.
func (f *Format) subject(topic, record, role string) string {
	full := avro.ValidNamespace(topic) + "." + record
	switch f.Subject {
	case "record":
		return full
	case "topic_record":
		return topic + "-" + full
	}
	return topic + "-" + role
}
