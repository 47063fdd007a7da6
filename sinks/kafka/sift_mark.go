package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/pipe-cdc/pipe/pipeline"
)

// mark is where a topic ended when a snapshot began, and what of the topic is the table's.
type mark struct {
	Pipe      string `json:"pipe"` // markBegun, or markSwept once the snapshot has ended
	ID        string `json:"id"`   // of the topic: one of the same name that was made since is another
	Database  string `json:"db,omitempty"`
	Namespace string `json:"schema,omitempty"`
	Table     string `json:"table"`
	KeyID     int    `json:"key,omitempty"`   // Avro: of the keys' schema
	Apart     bool   `json:"apart,omitempty"` // the topic's name shows whose it is

	topic string
	ends  offsets // nil: there is no mark
}

// The states of a mark.
const (
	markBegun = "sift"
	markSwept = "swept"
)

func (c *Config) newMark(t *table, b bounds) mark {
	s := t.plan.Schema
	return mark{Pipe: markBegun, ID: b.id.String(), Database: s.Database, Namespace: s.Namespace, Table: s.Table,
		KeyID: t.keyID, Apart: c.apart(s), topic: t.topic, ends: b.ends}
}

// group is the consumer group, without members, as whose offsets a mark is kept: nothing else that every
// cluster has outlives a process and needs no topic of its own. Brokers forget it by themselves.
func (s *sifts) group(key siftKey) string {
	return "pipe." + s.sink.env.Pipeline + "." + s.sink.env.Address + "." + key.source + "." + key.table + ".sift"
}

// keep makes a mark durable, as the offsets of its group and their metadata. The error is an Environment
// where the sink's user may not.
func (s *sifts) keep(ctx context.Context, key siftKey, m mark) error {
	ctx, cancel := context.WithTimeout(ctx, offsetsTimeout)
	defer cancel()
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	all := kadm.Offsets{}
	for p, o := range m.ends {
		all.Add(kadm.Offset{Topic: m.topic, Partition: p, At: o, LeaderEpoch: -1, Metadata: string(text)})
	}
	group := s.group(key)
	answer, err := kadm.NewClient(s.sink.client).CommitOffsets(ctx, group, all)
	if err == nil {
		err = answer.Error()
	}
	return groupError(group, err)
}

// recall returns the mark that is kept; without ends where there is none. Of several topics, which a table
// had one after the other, it is that of a snapshot that has not ended.
func (s *sifts) recall(ctx context.Context, key siftKey) (mark, error) {
	ctx, cancel := context.WithTimeout(ctx, offsetsTimeout)
	defer cancel()
	group := s.group(key)
	answer, err := kadm.NewClient(s.sink.client).FetchOffsets(ctx, group)
	if err = groupError(group, err); err != nil {
		if pipeline.ClassOf(err) == pipeline.Environment {
			err = nil // nor could it be kept
		}
		return mark{}, err
	}
	for topic, parts := range answer {
		found := mark{topic: topic, ends: offsets{}}
		for p, o := range parts {
			if o.Err != nil {
				return mark{}, groupError(group, o.Err)
			}
			if o.At < 0 || json.Unmarshal([]byte(o.Metadata), &found) != nil {
				continue
			}
			found.ends[p] = o.At
		}
		if found.Pipe == markBegun {
			return found, nil
		}
	}
	return mark{}, nil
}

func groupError(group string, err error) error {
	if err == nil {
		return nil
	}
	out := &pipeline.Error{Class: pipeline.Retryable, Err: fmt.Errorf("consumer group %s: %w", group, err)}
	if _, said := errors.AsType[*kerr.Error](err); said && !kerr.IsRetriable(err) {
		out.Class = pipeline.Environment
		out.Hint = "Allow the sink's user to READ the groups pipe.*: where a snapshot began is kept there."
	}
	return out
}
