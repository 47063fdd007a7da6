package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/pipe-cdc/pipe/pipeline"
)

// mark is where a topic ended when a snapshot began.
type mark struct {
	topic string  // its id: one of the same name that was made since is another
	ends  offsets // nil: none is known
	swept bool    // the snapshot ended
}

// The words that a mark's metadata begins with; the topic's id follows.
const (
	markBegun = "begun "
	markSwept = "swept "
)

// group is the consumer group, without members, as whose offsets a mark is kept: nothing else that every
// cluster has outlives a process and needs no topic of its own. Brokers forget it by themselves.
func (s *sifts) group(key siftKey) string {
	return "pipe." + s.sink.env.Pipeline + "." + s.sink.env.Address + "." + key.source + "." + key.table + ".sift"
}

// keep makes a mark durable. The error is an Environment where the sink's user may not.
func (s *sifts) keep(ctx context.Context, key siftKey, topic string, m mark) error {
	ctx, cancel := context.WithTimeout(ctx, offsetsTimeout)
	defer cancel()
	word := markBegun
	if m.swept {
		word = markSwept
	}
	all := kadm.Offsets{}
	for p, o := range m.ends {
		all.Add(kadm.Offset{Topic: topic, Partition: p, At: o, LeaderEpoch: -1, Metadata: word + m.topic})
	}
	group := s.group(key)
	answer, err := kadm.NewClient(s.sink.client).CommitOffsets(ctx, group, all)
	if err == nil {
		err = answer.Error()
	}
	return groupError(group, err)
}

// recall returns the mark that is kept; without ends where there is none.
func (s *sifts) recall(ctx context.Context, key siftKey, topic string) (mark, error) {
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
	var m mark
	for p, o := range answer[topic] {
		if o.Err != nil {
			return mark{}, groupError(group, o.Err)
		}
		begun, isBegun := strings.CutPrefix(o.Metadata, markBegun)
		swept, isSwept := strings.CutPrefix(o.Metadata, markSwept)
		if o.At < 0 || !isBegun && !isSwept {
			continue
		}
		if m.ends == nil {
			m.ends = offsets{}
		}
		m.ends[p], m.topic, m.swept = o.At, begun, isSwept
		if isSwept {
			m.topic = swept
		}
	}
	return m, nil
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
