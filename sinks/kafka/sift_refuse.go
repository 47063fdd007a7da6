package kafka

import (
	"errors"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/envelope"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// Sweeps implements spec.Sweeper: it says why rows of a table that vanished cannot be deleted.
func (c *Config) Sweeps(env spec.Env, s *pipeline.Schema) error {
	t, _, err := c.compile(s, env.Pipeline)
	if err != nil {
		return at(env.Address, err)
	}
	why, hint := c.unsiftable(env, t)
	if why == "" {
		return nil
	}
	return &pipeline.Error{Node: env.Address, Table: s.Name(), Class: pipeline.Input, Err: errors.New(why), Hint: hint}
}

// unsiftable says why rows that vanished cannot be told in a table's topic, and what to do; "" where they
// can.
func (c *Config) unsiftable(env spec.Env, t *table) (why, hint string) {
	plan := t.plan
	switch {
	case len(plan.Keys) == 0:
		return "the table has no key, so its records have none", "Give the table a primary key."
	case len(env.Sources) > 1:
		return "several sources (" + strings.Join(env.Sources, ", ") + ") are written to the sink, " +
			"and a record does not say which it is from", "Give each source a sink of its own, with topics of its own."
	case plan.Shape == envelope.Flat && !c.apart(plan.Schema):
		return "its topic may hold other tables too, and a record does not say which it is from",
			`Write topic = "...${table.schema}.${table.name}", or set envelope = "debezium".`
	case t.unreadable() != "" && !t.bare():
		return "a delete would be an event with the key's columns, and column " + t.unreadable() + " cannot be read from a key",
			`Set tombstones = true, or in the flat envelope deletes = "tombstone".`
	}
	return "", ""
}

// apart reports whether the topic's name depends on both the schema's and the table's.
func (c *Config) apart(s *pipeline.Schema) bool {
	topic, err := c.Topic.Text(s)
	if err != nil {
		return false
	}
	table, schema, letters := *s, *s, *s
	table.Table += "x"
	if schema.Namespace != "" {
		schema.Namespace += "x"
	} else {
		schema.Database += "x"
	}
	if letters.Table = strings.ToUpper(s.Table); letters.Table == s.Table {
		letters.Table = strings.ToLower(s.Table)
	}
	for _, other := range []*pipeline.Schema{&table, &schema, &letters} {
		if other.Table == s.Table && other.Namespace == s.Namespace && other.Database == s.Database {
			continue
		}
		name, err := c.Topic.Text(other)
		if err != nil || name == topic {
			return false
		}
	}
	return true
}

// refuses says why a table's topic cannot be sifted, "" where it can.
func (s *sifts) refuses(t *table) string {
	why, _ := s.sink.config.unsiftable(s.sink.env, t)
	if why != "" || t.plan.Shape == envelope.Debezium {
		return why
	}
	s.sink.mu.RLock()
	defer s.sink.mu.RUnlock()
	for _, o := range s.sink.tables {
		if o.topic == t.topic && o.plan.Schema.Name() != t.plan.Schema.Name() {
			return "table " + o.plan.Schema.Name() + " is written to the topic too"
		}
	}
	return ""
}
