package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/pipeline/pipetest/registry"
)

// toBothTopics writes events as JSON and rows as Avro.
const toBothTopics = `
sink "kafka" "events" {
  from     = source.shop
  brokers  = split(",", env("BROKERS"))
  topic    = table.name
  envelope = "debezium"
  create_topics {
    partitions = 2
    config     = { "cleanup.policy" = "compact" }
  }
  format "json" {}
}
sink "kafka" "rows" {
  from     = source.shop
  brokers  = split(",", env("BROKERS"))
  topic    = "rows.${table.schema}.${table.name}"
  envelope = "flat"
  create_topics {
    partitions = 2
  }
  format "avro" {
    registry = env("REGISTRY")
  }
}
`

// topicScene is a pipeline from PostgreSQL to topics.
type topicScene struct {
	*scene
	brokers string
	text    string
}

func newTopicScene(t *testing.T) *topicScene {
	t.Helper()
	s := &topicScene{scene: newScene(t, pipetest.Postgres(t, "log_min_messages=fatal"))}
	s.brokers = strings.Join(pipetest.Kafka(t, kfake.NumBrokers(1)).Addrs, ",")
	s.env = append(s.env, "BROKERS="+s.brokers, "REGISTRY="+pipetest.Registry(t, registry.Config{}).URL)
	from := strings.Replace(fromItems, "status_interval", "snapshot = \"when_needed\"\n  status_interval", 1)
	s.text = strings.Replace(stateInFile, `env("STATE")`, fmt.Sprintf("%q", s.state), 1) + from + toBothTopics
	pipetest.Exec(t, s.source,
		"CREATE TABLE pairs (a text, b timestamptz, c numeric(12,2), v text, PRIMARY KEY (a, b, c))",
		`INSERT INTO pairs SELECT 'k "' || i, '2026-01-01 00:00:00.5+00'::timestamptz + i * interval '1 hour 1 us', -i / 100.0, i
			FROM generate_series(1, 500) i`)
	return s
}

// hide deletes rows so that the stream does not tell of it.
func (s *topicScene) hide(t *testing.T, where string) {
	t.Helper()
	pipetest.Exec(t, s.source, "ALTER PUBLICATION fault SET (publish = 'insert, update')")
	pipetest.Exec(t, s.source, "DELETE FROM items WHERE id < 1000000 AND id % "+where, "DELETE FROM pairs WHERE v::int % "+where)
	pipetest.Exec(t, s.source, "ALTER PUBLICATION fault SET (publish = 'insert, update, delete, truncate')")
}

// events are the rows that a topic of events holds, as v of each.
func (s *topicScene) events(t *testing.T, topic string) []string {
	t.Helper()
	held := map[string]string{}
	consumeEach(t, s.brokers, topic, func(r *kgo.Record) {
		var e debeziumEvent
		if r.Value != nil {
			if err := json.Unmarshal(r.Value, &e); err != nil {
				t.Fatal(err)
			}
		}
		if delete(held, string(r.Key)); e.After != nil {
			held[string(r.Key)] = fmt.Sprint(e.After["v"])
		}
	})
	var out []string
	for _, v := range held {
		out = append(out, v)
	}
	slices.Sort(out)
	return out
}

// rows counts the keys that a topic of rows holds.
func (s *topicScene) rows(t *testing.T, topic string) int {
	t.Helper()
	held := map[string]bool{}
	consumeEach(t, s.brokers, topic, func(r *kgo.Record) {
		if delete(held, string(r.Key)); r.Value != nil {
			held[string(r.Key)] = true
		}
	})
	return len(held)
}

// settles waits until the topics hold what the tables do.
func (s *topicScene) settles(t *testing.T, p *process) {
	t.Helper()
	for _, table := range []string{"items", "pairs"} {
		p.until(t, "the topics of "+table+" hold what the table does", func() bool {
			want := lines(t, s.source, "SELECT v FROM "+table)
			slices.Sort(want)
			missing, extra := diffSorted(want, s.events(t, table))
			return len(missing)+len(extra) == 0 && s.rows(t, "rows.public."+table) == len(want)
		})
	}
}

// TestReplaceKafka reads tables again whose rows vanished without a word, in a running pipeline that
// writers keep busy, in one that is killed meanwhile, and where the slot is lost.
func TestReplaceKafka(t *testing.T) {
	t.Parallel()
	s := newTopicScene(t)
	file := s.file(t, "shop.hcl", s.text)
	s.insert(t, 1, 20_000)
	p := s.start(t, "run", file)
	s.settles(t, p)

	s.hide(t, "7 = 0")
	w := s.write(t, 20_000)
	s.runs(t, "snapshot", "--table", "items", "--table", "pairs", "--replace", "--wait", file)
	w.end()
	s.settles(t, p)

	s.hide(t, "11 = 3")
	s.runs(t, "snapshot", "--table", "items", "--table", "pairs", "--replace", file)
	p.kill(t)
	p = s.start(t, "run", file)
	s.settles(t, p)

	p.signal(t, syscall.SIGTERM)
	p.ends(t, faultPatience)
	pipetest.Exec(t, s.source, "SELECT pg_drop_replication_slot('fault')",
		"DELETE FROM items WHERE id < 1000000 AND id % 13 = 1", "DELETE FROM pairs WHERE v::int % 13 = 1")
	p = s.start(t, "run", file)
	s.settles(t, p)
}

// TestReplaceKafkaRefusals: what a topic cannot tell is refused before anything is read.
func TestReplaceKafkaRefusals(t *testing.T) {
	t.Parallel()
	s := newTopicScene(t)
	shared := strings.Replace(s.text, "rows.${table.schema}.${table.name}", "rows.${table.name}", 1)
	file := s.file(t, "shop.hcl", shared)
	p := s.start(t, "run", file)
	p.logs(t, "created a replication slot")
	said := []string{"sink.rows cannot delete", "may hold other tables", "${table.schema}", "leave --replace out"}
	s.refused(t, exitInput, said, "snapshot", "--table", "items", "--replace", file)
	p.signal(t, syscall.SIGTERM)
	p.ends(t, faultPatience)
	s.refused(t, exitInput, said, "snapshot", "--table", "items", "--replace", file)

	two := strings.Replace(s.text, "from     = source.shop", "from     = [source.shop, source.other]", 1) +
		strings.NewReplacer(`"shop"`, `"other"`, `"fault"`, `"other"`).Replace(fromItems)
	file = s.file(t, "two.hcl", two)
	s.refused(t, exitInput, []string{"source.other, source.shop", "a sink of its own"},
		"snapshot", "--table", "items", "--source", "source.shop", "--replace", file)
}
