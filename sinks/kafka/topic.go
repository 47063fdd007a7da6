package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/pipe-cdc/pipe/pipeline"
)

const (
	maxTopicName    = 249
	metadataTries   = 40
	metadataPause   = 100 * time.Millisecond
	metadataTimeout = 30 * time.Second
)

// checkTopic says what is wrong with a topic's name (Kafka's Topic.validate).
func checkTopic(name string) error {
	switch {
	case name == "":
		return errors.New("the topic's name is empty")
	case name == "." || name == "..":
		return fmt.Errorf("a topic cannot be named %q", name)
	case len(name) > maxTopicName:
		return fmt.Errorf("the topic's name has %d characters, %d are allowed", len(name), maxTopicName)
	}
	for _, r := range name {
		ok := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-'
		if !ok {
			return fmt.Errorf("the topic's name %q has %q; allowed are letters, digits, . _ -", name, r)
		}
	}
	return nil
}

// topics knows the topics in use and their counts of partitions, which it never reads again.
type topics struct {
	client *kgo.Client
	create *CreateTopics

	mu     sync.Mutex
	counts map[string]int32
	dotted map[string]string // by name with . as _
}

// clash returns another topic whose name differs only in . and _, which brokers' metrics mix up.
func (t *topics) clash(name string) string {
	flat := strings.ReplaceAll(name, ".", "_")
	other := t.dotted[flat]
	if other == "" || other == name {
		t.dotted[flat] = name
		return ""
	}
	return other
}

// partitions returns the topic's count of partitions, creating the topic where it is missing.
func (t *topics) partitions(ctx context.Context, name string) (count int32, clash string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n, ok := t.counts[name]; ok {
		return n, "", nil
	}
	ctx, cancel := context.WithTimeout(ctx, metadataTimeout)
	defer cancel()
	n, err := t.look(ctx, name)
	if errors.Is(err, kerr.UnknownTopicOrPartition) && t.create != nil {
		if err = t.make(ctx, name); err == nil {
			n, err = t.settle(ctx, name)
		}
	}
	if err != nil {
		return 0, "", topicError(name, err)
	}
	t.counts[name] = n
	return n, t.clash(name), nil
}

// look asks a broker, not the client's cache, which would remember that a topic was missing.
func (t *topics) look(ctx context.Context, name string) (int32, error) {
	req := kmsg.NewMetadataRequest()
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = &name
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(ctx, t.client)
	if err != nil {
		return 0, err
	}
	if len(resp.Topics) != 1 {
		return 0, kerr.UnknownTopicOrPartition
	}
	d := &resp.Topics[0]
	if err := kerr.ErrorForCode(d.ErrorCode); err != nil {
		return 0, err
	}
	for _, p := range d.Partitions {
		if p.Leader < 0 {
			return 0, kerr.LeaderNotAvailable
		}
	}
	if len(d.Partitions) == 0 {
		return 0, kerr.LeaderNotAvailable
	}
	return int32(len(d.Partitions)), nil
}

func (t *topics) make(ctx context.Context, name string) error {
	config := map[string]*string{}
	for k, v := range t.create.Config {
		config[k] = &v
	}
	_, err := kadm.NewClient(t.client).CreateTopic(ctx, int32(t.create.Partitions), int16(t.create.Replication), config, name)
	if errors.Is(err, kerr.TopicAlreadyExists) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("creating it: %w", err)
	}
	return nil
}

// settle waits until a new topic has leaders.
func (t *topics) settle(ctx context.Context, name string) (n int32, err error) {
	for range metadataTries {
		if n, err = t.look(ctx, name); err == nil || !kerr.IsRetriable(err) {
			return n, err
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(metadataPause):
		}
	}
	return 0, err
}

func topicError(name string, err error) error {
	out := &pipeline.Error{Class: pipeline.Environment, Err: fmt.Errorf("topic %s: %w", name, err)}
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		out.Hint = "Create the topic, or add a create_topics block to the sink."
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
		out.Hint = "Allow the sink's user to describe, write and, with create_topics, create the topic."
	case errors.Is(err, kerr.InvalidReplicationFactor), errors.Is(err, kerr.InvalidPartitions),
		errors.Is(err, kerr.InvalidConfig), errors.Is(err, kerr.PolicyViolation):
		out.Class = pipeline.Input
		out.Hint = "Change the create_topics block to what the cluster allows."
	default:
		out.Class = pipeline.Retryable
		out.Hint = "Check that the brokers are running and reachable."
	}
	return out
}
