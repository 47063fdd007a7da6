package kafka

import (
	"context"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/avro/registry"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

const (
	lanes         = 4         // Writes at once
	flightBytes   = 32 << 20  // encoded and not acknowledged, of one lane
	flightRecords = 128 << 10 // likewise
	maxTables     = 10_000    // compiled schemas kept
)

// Sink writes to Kafka. Up to Lanes Writes may run at once.
type Sink struct {
	config   *Config
	env      spec.Env
	client   *kgo.Client
	registry *registry.Client
	topics   *topics
	log      *logger
	places   chan struct{} // one for each lane in use
	sifts    sifts

	mu     sync.RWMutex
	tables map[*pipeline.Schema]*table
	free   []*lane // lanes not in use; the last used comes first, so that few hold memory
}

// Lanes returns how many Writes may run at once.
func (s *Sink) Lanes() int { return lanes }

// Write produces the rows and waits until every record is acknowledged by all in-sync replicas.
func (s *Sink) Write(ctx context.Context, b *pipeline.Batch) error {
	if len(b.Rows) == 0 {
		return nil
	}
	select {
	case s.places <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	l := s.take()
	if err := l.write(ctx, b); err != nil {
		// The lane's memory may still be in the client's hands: it is not used again.
		return at(s.env.Address, err)
	}
	s.mu.Lock()
	s.free = append(s.free, l)
	s.mu.Unlock()
	<-s.places
	return nil
}

func (s *Sink) take() *lane {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.free)
	if n == 0 {
		return newLane(s)
	}
	l := s.free[n-1]
	s.free = s.free[:n-1]
	return l
}

// Close gives up what is not acknowledged and closes the connections.
func (s *Sink) Close() error {
	s.sifts.close()
	s.client.Close()
	return nil
}

// table returns what is compiled for a schema; at its first row topic and registry are asked.
func (s *Sink) table(ctx context.Context, schema *pipeline.Schema) (*table, error) {
	s.mu.RLock()
	t := s.tables[schema]
	s.mu.RUnlock()
	if t != nil {
		return t, nil
	}
	t, err := s.prepare(ctx, schema)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.tables) >= maxTables {
		clear(s.tables)
	}
	s.tables[schema] = t
	return t, nil
}

func (s *Sink) prepare(ctx context.Context, schema *pipeline.Schema) (*table, error) {
	t, program, err := s.config.compile(schema, s.env.Pipeline)
	if err != nil {
		return nil, err
	}
	var clash string
	if t.partitions, clash, err = s.topics.partitions(ctx, t.topic); err != nil {
		return nil, inTable(schema, err)
	}
	if clash != "" {
		s.log.log.Warn("two topics differ only in . and _: brokers mix up their metrics", "topic", t.topic, "other", clash)
	}
	t.keyless = partition([]byte(schema.Name()), t.partitions)
	if program == nil {
		return t, nil
	}
	if t.keyID, err = s.config.Format.register(ctx, s.registry, t.topic, program); err != nil {
		return nil, inTable(schema, err)
	}
	return t, nil
}
