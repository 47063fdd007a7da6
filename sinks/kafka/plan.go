package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/avro/registry"
	"github.com/pipe-cdc/pipe/pipeline/codec/envelope"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// planner finds out which topics and subjects a start would make.
type planner struct {
	config   *Config
	env      spec.Env
	topics   *topics
	registry *registry.Client
	seen     map[string]bool // topics and subjects
	steps    []spec.Step
}

// Plan says which topics and subjects a start would make; see spec.Planner. Topics and subjects are made
// when their first row comes, so a table that stays empty leaves none.
func (c *Config) Plan(ctx context.Context, env spec.Env, in spec.PlanInput) ([]spec.Step, error) {
	p := &planner{config: c, env: env, seen: map[string]bool{}}
	var err error
	if p.registry, err = c.registry(); err != nil {
		return nil, at(env.Address, err)
	}
	client, err := c.client(newLogger(env.Log))
	if err != nil {
		return nil, at(env.Address, err)
	}
	defer client.Close()
	if err := reach(ctx, client, p.registry); err != nil {
		return nil, at(env.Address, err)
	}
	p.topics = &topics{client: client, counts: map[string]int32{}, dotted: map[string]string{}}
	for _, s := range in.Tables {
		if err := p.table(ctx, s); err != nil {
			return nil, at(env.Address, inTable(s, err))
		}
	}
	return p.steps, nil
}

func (p *planner) add(s spec.Step) { p.steps = append(p.steps, s) }

func (p *planner) refuse(what, name string, err error) {
	s := spec.Step{Verb: spec.Refuse, What: what, Name: name, Why: err.Error(), SQL: pipeline.HintOf(err)}
	var e *pipeline.Error
	if errors.As(err, &e) && e.Err != nil {
		s.Why = e.Err.Error()
	}
	p.add(s)
}

func (p *planner) table(ctx context.Context, s *pipeline.Schema) error {
	t, program, err := p.config.compile(s, p.env.Pipeline)
	if err != nil {
		p.refuse("table", s.Name(), err)
		return nil
	}
	if err := p.topic(ctx, s, t.topic); err != nil {
		return err
	}
	if program == nil {
		return nil
	}
	if program.KeySchema != "" {
		if err := p.subject(ctx, s, p.config.Format.subject(t.topic, "Key", "key"), program.KeySchema); err != nil {
			return err
		}
	}
	record := "Envelope"
	if t.plan.Shape == envelope.Flat {
		record = "Value"
	}
	return p.subject(ctx, s, p.config.Format.subject(t.topic, record, "value"), program.ValueSchema)
}

// topic plans a topic where it is missing.
func (p *planner) topic(ctx context.Context, s *pipeline.Schema, name string) error {
	if p.seen["topic "+name] {
		return nil
	}
	p.seen["topic "+name] = true
	n, err := p.topics.look(ctx, name)
	create := p.config.CreateTopics
	switch {
	case err == nil:
		p.add(spec.Step{Verb: spec.Keep, What: "topic", Name: name, Why: fmt.Sprintf("it has %d partitions", n)})
	case errors.Is(err, kerr.UnknownTopicOrPartition) && create != nil:
		why := fmt.Sprintf("for %s, with %d partitions, replication %d", s.Name(), create.Partitions, create.Replication)
		for _, k := range slices.Sorted(maps.Keys(create.Config)) {
			why += ", " + k + "=" + create.Config[k]
		}
		p.add(spec.Step{Verb: spec.Create, What: "topic", Name: name, Why: why, For: s.Name()})
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		p.refuse("topic", name, topicError(name, err))
	default:
		return topicError(name, err)
	}
	return nil
}

// subject plans the registration of a schema.
func (p *planner) subject(ctx context.Context, s *pipeline.Schema, subject, schema string) error {
	if p.registry == nil || p.seen["subject "+subject] {
		return nil
	}
	p.seen["subject "+subject] = true
	known, err := p.registry.Has(ctx, subject, schema)
	if err != nil {
		return err
	}
	if known {
		p.add(spec.Step{Verb: spec.Keep, What: "subject", Name: subject, Why: "it has the schema"})
		return nil
	}
	reasons, err := p.registry.Compatible(ctx, subject, schema)
	switch {
	case err != nil:
		return err
	case reasons != nil:
		p.refuse("subject", subject, &pipeline.Error{Err: errors.New("the schema is incompatible: " + strings.Join(reasons, "; ")),
			Hint: `Change the table compatibly, write to a new topic or subject, or set compatibility = "none".`})
	case !p.config.Format.AutoRegister:
		p.refuse("subject", subject, &pipeline.Error{Err: errors.New("it does not have the schema"),
			Hint: "Register the schema, or set auto_register = true."})
	default:
		p.add(spec.Step{Verb: spec.Create, What: "subject", Name: subject, For: s.Name(),
			Why: "a version with the table's schema is registered"})
	}
	return nil
}
