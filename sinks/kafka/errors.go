package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pipe-cdc/pipe/pipeline"
)

// at says at which node an error happened.
func at(address string, err error) error {
	var e *pipeline.Error
	if !errors.As(err, &e) || e.Node != "" {
		return err
	}
	out := *e
	out.Node = address
	return &out
}

// inTable says at which table an error happened.
func inTable(s *pipeline.Schema, err error) error {
	var e *pipeline.Error
	if !errors.As(err, &e) || e.Table != "" {
		return err
	}
	out := *e
	out.Table = s.Name()
	return &out
}

// result is the outcome of a flight whose records are all answered.
func (l *lane) result() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		return nil
	}
	out := &pipeline.Error{Err: fmt.Errorf("topic %s: %w", l.failed.Topic, l.err)}
	for i, r := range l.records[:l.used] {
		if r != l.failed {
			continue
		}
		row := l.rows[i]
		out.Table = row.Schema.Name()
		out.Key = row.Schema.KeyText(row.Key())
		if row.Tx != nil {
			out.Pos = row.Tx.Pos
		}
	}
	l.sink.classify(out, l.failed, l.err)
	return out
}

// classify says what can be done about a record that was refused.
func (s *Sink) classify(out *pipeline.Error, r *kgo.Record, err error) {
	out.Class = pipeline.Retryable
	switch {
	case errors.Is(err, kerr.MessageTooLarge), errors.Is(err, kerr.RecordListTooLarge):
		out.Class = pipeline.Input
		out.Err = fmt.Errorf("topic %s: record of %d bytes: %w", r.Topic, len(r.Key)+len(r.Value), err)
		out.Hint = fmt.Sprintf("Raise the sink's batch_bytes (now %d) and the topic's max.message.bytes, "+
			"or leave the column out with an omit transform.", s.config.BatchBytes)
	case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.UnknownTopicID):
		out.Class = pipeline.Environment
		out.Hint = "The topic was deleted or recreated while in use: create it again and restart, " +
			"and take a new snapshot if its records are gone."
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed),
		errors.Is(err, kerr.SaslAuthenticationFailed), errors.Is(err, kerr.TransactionalIDAuthorizationFailed):
		out.Class = pipeline.Environment
		out.Hint = "Allow the sink's user to write to the topic (and IDEMPOTENT_WRITE on the cluster before Kafka 3.0)."
	case errors.Is(err, kerr.InvalidProducerEpoch), errors.Is(err, kerr.ProducerFenced):
		out.Hint = "Another producer took this one's place; the pipeline starts again from its position."
	case errors.Is(err, kerr.NotEnoughReplicas), errors.Is(err, kerr.NotEnoughReplicasAfterAppend):
		out.Hint = "Bring brokers back until the topic has min.insync.replicas in sync."
	case errors.Is(err, kerr.InvalidRecord), errors.Is(err, kerr.InvalidTopicException), errors.Is(err, kerr.PolicyViolation):
		out.Class = pipeline.Input
		out.Hint = "The broker refuses the record: a compacted topic needs records with a key."
	}
}

// stalled is the error of a flight that nothing was acknowledged of for too long.
func (l *lane) stalled(left int64, timeout time.Duration) error {
	return &pipeline.Error{
		Class: pipeline.Retryable,
		Err: fmt.Errorf("no record was acknowledged for %s, %d are waiting; last: %s",
			timeout, left, l.sink.log.lastError()),
		Hint: "Check that the brokers are running and that the topics have min.insync.replicas in sync.",
	}
}

// connectError is the error of a first contact.
func connectError(err error) error {
	out := &pipeline.Error{Class: pipeline.Retryable, Err: fmt.Errorf("no broker answers: %w", err)}
	out.Hint = "Check brokers, and that the tls and sasl blocks are what the listener wants."
	switch {
	case errors.Is(err, kerr.SaslAuthenticationFailed), errors.Is(err, kerr.UnsupportedSaslMechanism),
		errors.Is(err, kerr.IllegalSaslState):
		out.Class = pipeline.Environment
		out.Err = fmt.Errorf("authentication: %w", err)
		out.Hint = "Check the sasl block: mechanism, user and password."
	case refusedByTLS(err):
		out.Class = pipeline.Environment
		out.Err = fmt.Errorf("encryption: %w", err)
		out.Hint = "Check the tls block: ca must be what signed the brokers' certificates, server_name what they name, " +
			"cert and key what the brokers trust, and the listener must be an encrypted one."
	case errors.Is(err, context.DeadlineExceeded):
		out.Err = fmt.Errorf("no broker answers within %s: %w", dialTimeout, err)
	}
	return out
}

// refusedByTLS reports whether one side did not accept the other's certificate, or spoke no TLS: that
// does not pass by itself.
func refusedByTLS(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return true
	}
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "remote error" // an alert of the other side
}
