package kafka

import (
	"time"

	"github.com/pipe-cdc/pipe/pipeline/codec/envelope"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// Config is the block sink "kafka".
type Config struct {
	Connection
	From            []spec.Ref
	Topic           spec.Template
	Name            string
	Version         string
	Key             []string
	Envelope        string
	Format          *Format
	Tombstones      bool
	Deletes         string
	Truncates       string
	Unavailable     string
	Headers         map[string]spec.Expr
	PositionHeaders bool
	CreateTopics    *CreateTopics
	Compression     string
	Linger          time.Duration
	BatchBytes      spec.Bytes
	DeliveryTimeout time.Duration
	Delivery        string
}

// Format is the block format "avro" or format "json".
type Format struct {
	Type         string
	Registry     string
	Subject      string
	Level        string
	AutoRegister bool
	Types        string
	Decimal      string
	Time         string
	Interval     string
	Unsigned     string
	Arrays       string
	Optional     string
	Schemas      bool
}

// CreateTopics is the block create_topics.
type CreateTopics struct {
	Partitions  int
	Replication int
	Config      map[string]string
}

// The names of formats and envelopes.
const (
	avroFormat = "avro"
	jsonFormat = "json"
	debezium   = "debezium"
	flat       = "flat"
)

// defaultBatchBytes is the producer's bound on a batch, and so on a record, and Kafka's own default.
const defaultBatchBytes = 1_000_012

// Spec describes the block.
func (c *Config) Spec(b *spec.Block) {
	b.Doc("Writes rows to Kafka topics, as Avro with a schema registry or as JSON. Logical messages are not written.")
	b.Connection("kafka", &c.Connection)
	spec.Attr(b, "from", &c.From).Required().To("source", "transform").Doc("Where the rows come from.")
	spec.Attr(b, "topic", &c.Topic).Required().Doc("Name of the topic, for each table.").
		Example(`"shop.${table.schema}.${table.name}"`)
	spec.Default(spec.Attr(b, "envelope", &c.Envelope).OneOf(debezium, flat).
		Doc("Shape of the values: Debezium's envelope, or the row's columns."), &c.Envelope, debezium)
	spec.Sub(b, "format", []string{"type"}, &c.Format, describeFormat).Required().OneOf(avroFormat, jsonFormat)
	spec.Attr(b, "name", &c.Name).
		Doc("Logical name of the server in Debezium's source.name. Default: the topic's name without .schema.table, or the pipeline's name.")
	spec.Default(spec.Attr(b, "version", &c.Version).Doc("What Debezium's source.version says."), &c.Version, envelope.DefaultVersion)
	spec.Attr(b, "key", &c.Key).Doc("Columns of the records' key. Default: the table's key. " +
		"With other columns, updates and deletes need REPLICA IDENTITY FULL.")
	c.events(b)
	c.producing(b)
	b.Check(c.check)
}

// events describes what rows become.
func (c *Config) events(b *spec.Block) {
	spec.Default(spec.Attr(b, "tombstones", &c.Tombstones).
		Doc("A record without value after each delete, so that compaction forgets the key."), &c.Tombstones, true)
	spec.Default(spec.Attr(b, "deletes", &c.Deletes).OneOf("tombstone", envelope.Rewrite).
		Doc("What a delete becomes in the flat envelope: a tombstone, or the old row with __deleted = \"true\"."), &c.Deletes, "tombstone")
	spec.Attr(b, "truncates", &c.Truncates).OneOf(envelope.Emit, envelope.Ignore, envelope.Fail).
		Doc("What a TRUNCATE becomes. Default: an event in the debezium envelope, an error in the flat one.")
	spec.Default(spec.Attr(b, "unavailable", &c.Unavailable).OneOf("placeholder", envelope.AsNull, envelope.Fail).
		Doc("What is written for a column that the source did not send (unchanged TOAST): "+
			"Debezium's placeholder, or NULL with the names of the columns in the header pipe.unavailable, or an error."),
		&c.Unavailable, "placeholder")
	spec.Attr(b, "headers", &c.Headers).Doc("Headers of each record: texts that may use table.")
	spec.Attr(b, "position_headers", &c.PositionHeaders).
		Doc("Headers pipe.pos and pipe.seq, by which a consumer can recognise a row sent twice.")
}

// producing describes how records are sent.
func (c *Config) producing(b *spec.Block) {
	spec.Sub(b, "create_topics", nil, &c.CreateTopics, func(b *spec.Block, t *CreateTopics, _ []string) {
		b.Doc("Create topics that do not exist. Without this block a missing topic is an error.")
		spec.Default(spec.Attr(b, "partitions", &t.Partitions).Range(1, 10_000).Doc("Partitions."), &t.Partitions, 1)
		spec.Default(spec.Attr(b, "replication", &t.Replication).Range(-1, 100).
			Doc("Replicas of each partition; -1: the brokers' default."), &t.Replication, -1)
		spec.Attr(b, "config", &t.Config).Doc("The topics' configuration.").Example(`{ "cleanup.policy" = "compact" }`)
	})
	spec.Default(spec.Attr(b, "compression", &c.Compression).OneOf("none", "gzip", "snappy", "lz4", "zstd").
		Doc("Compression of batches. snappy costs the least CPU time, lz4 about twice that, zstd compresses best."), &c.Compression, "snappy")
	spec.Default(spec.Attr(b, "linger", &c.Linger).Range(0, int64(time.Minute)).
		Doc("How long the producer waits for more records before it sends a batch that is not full. "+
			"The sink waits for each batch's acknowledgements, so waiting rarely pays."), &c.Linger, 0)
	spec.Default(spec.Attr(b, "batch_bytes", &c.BatchBytes).Range(1024, 1<<30).
		Doc("Largest batch, and so largest record, that is sent. The topic's max.message.bytes must allow it."),
		&c.BatchBytes, defaultBatchBytes)
	spec.Default(spec.Attr(b, "delivery_timeout", &c.DeliveryTimeout).Range(int64(time.Second), int64(24*time.Hour)).
		Doc("How long no record may be acknowledged before the pipeline starts again from its position."),
		&c.DeliveryTimeout, 2*time.Minute)
	spec.Default(spec.Attr(b, "delivery", &c.Delivery).OneOf("at_least_once", "exactly_once").
		Doc("Delivery guarantee. exactly_once is not available yet."), &c.Delivery, "at_least_once")
}

func describeFormat(b *spec.Block, f *Format, labels []string) {
	b.Doc("How records are encoded: format \"avro\" or format \"json\".")
	f.Type = labels[0]
	spec.Default(spec.Attr(b, "decimal", &f.Decimal).OneOf("precise", "logical", envelope.Text, envelope.Approx).
		Doc("Decimals: exact (logical means the same), text, or floating point."), &f.Decimal, "precise")
	spec.Default(spec.Attr(b, "time_precision", &f.Time).OneOf("adaptive", envelope.InMicros, envelope.InISO).
		Doc("Times: milliseconds up to three decimals and else microseconds, always microseconds, or ISO 8601 text."), &f.Time, "adaptive")
	spec.Default(spec.Attr(b, "interval", &f.Interval).OneOf("micros", envelope.Text).
		Doc("Intervals: a number of microseconds, a month being 30.4375 days, or ISO 8601 text."), &f.Interval, "micros")
	spec.Default(spec.Attr(b, "bigint_unsigned", &f.Unsigned).OneOf("long", "decimal").
		Doc("bigint unsigned: a long, an error beyond its range, or a decimal."), &f.Unsigned, "long")
	spec.Default(spec.Attr(b, "arrays", &f.Arrays).OneOf("array", "text").
		Doc("Arrays: as arrays of one dimension, or as PostgreSQL's text."), &f.Arrays, "array")
	if f.Type == jsonFormat {
		spec.Attr(b, "schemas", &f.Schemas).Doc("Wrap keys and values as {\"schema\", \"payload\"}, as Connect's JsonConverter does.")
		return
	}
	spec.Attr(b, "registry", &f.Registry).Doc("URL of the schema registry. Default: that of the registry block.").
		Example(`"http://localhost:8081"`)
	spec.Default(spec.Attr(b, "subject", &f.Subject).OneOf("topic", "topic_name", "record", "topic_record").
		Doc("Naming of subjects: TOPIC-key and TOPIC-value, the record's full name, or TOPIC-RECORD."), &f.Subject, "topic")
	spec.Attr(b, "compatibility", &f.Level).OneOf("none", "backward", "backward_transitive", "forward",
		"forward_transitive", "full", "full_transitive").Doc("Compatibility level to set for each subject. Default: left as it is.")
	spec.Default(spec.Attr(b, "auto_register", &f.AutoRegister).
		Doc("Register schemas that the registry does not have."), &f.AutoRegister, true)
	spec.Attr(b, "types", &f.Types).OneOf("connect", "logical").
		Doc("Types: Connect's with Debezium's names, or Avro's logical types (flat envelope only, its default).")
	spec.Attr(b, "optional", &f.Optional).OneOf("nullable", "all").
		Doc("Which columns may be null: those that may be NULL, or all but the key's (default of the flat envelope), " +
			"so that a new NOT NULL column stays compatible.")
}

func (c *Config) check(p *spec.Problems) {
	if c.Delivery == "exactly_once" {
		p.Error("delivery", "Not available yet", `Delivery "exactly_once" to Kafka is not available yet: use "at_least_once".`)
	}
	if c.Format == nil {
		return
	}
	switch f := c.Format; {
	case f.Type == avroFormat && f.Registry == "" && c.Registry == nil:
		p.Error("", "Missing schema registry", `Avro needs a registry: set registry = "URL" in the format block, or give a registry block.`)
	case f.Types == "logical" && c.Envelope == debezium:
		p.Error("envelope", "Types do not fit the envelope",
			`types = "logical" needs envelope = "flat"; Debezium's envelope has Connect's types.`)
	}
	if c.Envelope == debezium && c.Deletes == envelope.Rewrite {
		p.Error("deletes", "Deletes cannot be rewritten", `deletes = "rewrite" needs envelope = "flat".`)
	}
	if c.Envelope == flat && c.Truncates == envelope.Emit {
		p.Error("truncates", "TRUNCATE has no form", `truncates = "emit" needs envelope = "debezium".`)
	}
}

// shape returns the options of the events.
func (c *Config) shape() envelope.Options {
	f := c.Format
	o := envelope.Options{
		Name: c.Name, Version: c.Version, Truncates: c.Truncates, Tombstones: c.Tombstones, Key: c.Key,
		Mapping: envelope.Mapping{
			Decimal: unless(f.Decimal, "precise", "logical"), Time: unless(f.Time, "adaptive"),
			Interval: unless(f.Interval, "micros"), Unsigned: unless(f.Unsigned, "long"), ArrayText: f.Arrays == "text",
		},
		Unavailable: unless(c.Unavailable, "placeholder"), Deletes: unless(c.Deletes, "tombstone"),
	}
	o.Mapping.AllOptional = f.Optional == "all"
	if c.Envelope != flat {
		return o
	}
	o.Shape = envelope.Flat
	o.Mapping.AllOptional = f.Optional != "nullable"
	switch {
	case f.Type == jsonFormat:
		o.Mapping.Types = envelope.Plain
	case f.Types != "connect":
		o.Mapping.Types = envelope.Logical
	}
	return o
}

// unless returns s, or "" where it is one of the names of the default.
func unless(s string, defaults ...string) string {
	for _, d := range defaults {
		if s == d {
			return ""
		}
	}
	return s
}
