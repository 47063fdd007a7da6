package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/pipe-cdc/pipe/pipeline"
)

// The bounds of reading a topic.
const (
	fetchWait      = 50 * time.Millisecond  // for new records
	fetchPause     = 100 * time.Millisecond // before brokers are asked again
	fetchRest      = 100 * time.Millisecond // at most between two fetches in the background
	fetchBytes     = 4 << 20
	fetchEach      = 1 << 20 // of one partition
	fetchSaid      = 5 * time.Second
	offsetsTimeout = 30 * time.Second
)

// offsets are places in a topic, by partition.
type offsets map[int32]int64

// bounds are where a topic begins and ends.
type bounds struct {
	id          kadm.TopicID
	leaders     map[int32]int32
	first, ends offsets
}

// look asks where a topic begins and ends: what is acknowledged lies before its end.
func look(ctx context.Context, client *kgo.Client, topic string) (bounds, error) {
	ctx, cancel := context.WithTimeout(ctx, offsetsTimeout)
	defer cancel()
	admin := kadm.NewClient(client)
	var details kadm.TopicDetails
	var first, ends kadm.ListedOffsets
	err := together(
		func() (err error) {
			if details, err = admin.ListTopics(ctx, topic); err == nil {
				err = details.Error()
			}
			return err
		},
		func() (err error) {
			if first, err = admin.ListStartOffsets(ctx, topic); err == nil {
				err = first.Error()
			}
			return err
		},
		func() (err error) {
			if ends, err = admin.ListEndOffsets(ctx, topic); err == nil {
				err = ends.Error()
			}
			return err
		})
	b := bounds{leaders: map[int32]int32{}, first: offsets{}, ends: offsets{}}
	if err != nil {
		return b, topicError(topic, err)
	}
	b.id = details[topic].ID
	for p, d := range details[topic].Partitions {
		b.leaders[p] = d.Leader
	}
	first.Each(func(o kadm.ListedOffset) { b.first[o.Partition] = o.Offset })
	ends.Each(func(o kadm.ListedOffset) { b.ends[o.Partition] = o.Offset })
	return b, nil
}

// together does several things at once and returns the first error in their order: each waits for brokers,
// and the stream waits for all.
func together(all ...func() error) error {
	errs := make([]error, len(all))
	var running sync.WaitGroup
	for i, f := range all {
		running.Go(func() { errs[i] = f() })
	}
	running.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// reader reads a topic from its beginning, what transactions left aside. It asks the leaders itself: so
// it knows exactly how far it is, also where a topic ends in what compaction or a transaction removed.
type reader struct {
	client   *kgo.Client
	log      *slog.Logger
	topic    string
	bounds   bounds
	next     offsets
	unzip    kgo.Decompressor
	patience time.Duration // without progress
	wait     time.Duration // for new records
	rests    bool          // in the background: half of the time, so that the stream does not slow down
	stale    error         // why brokers must be asked for the leaders again; nil: they need not
	records  int64
}

func newReader(s *Sink, topic string, b bounds) *reader {
	r := &reader{client: s.client, log: s.log.log, topic: topic, bounds: b, unzip: kgo.DefaultDecompressor(),
		wait: fetchWait, patience: s.config.DeliveryTimeout}
	r.rewind()
	return r
}

// rewind goes back to the beginning.
func (r *reader) rewind() {
	r.next = offsets{}
	for p, o := range r.bounds.first {
		r.next[p] = o
	}
}

// probe finds out whether the topic may be read.
func (r *reader) probe(ctx context.Context) error {
	ends := *r
	ends.next, ends.wait = maps.Clone(r.bounds.ends), 0
	return ends.round(ctx, ends.endless(), func(*kgo.Record) error { return nil })
}

// left returns how many offsets are before a limit.
func (r *reader) left(limit offsets) int64 {
	n := int64(0)
	for p, end := range limit {
		n += max(0, end-r.next[p])
	}
	return n
}

// to reads on up to a limit and calls each with every record before it.
func (r *reader) to(ctx context.Context, limit offsets, each func(*kgo.Record) error) error {
	moved := time.Now()
	said := moved
	for {
		left := r.left(limit)
		if left == 0 {
			return nil
		}
		began := time.Now()
		if err := r.round(ctx, limit, each); err != nil {
			return err
		}
		if r.rests {
			r.rest(ctx, began)
		}
		now := time.Now()
		if r.left(limit) < left {
			moved = now
		}
		if now.Sub(said) > fetchSaid {
			said = now
			r.log.Info("reading a topic for rows that vanished at the source", "topic", r.topic, "records", r.records, "left", left)
		}
		if now.Sub(moved) > r.patience {
			return &pipeline.Error{Class: pipeline.Retryable,
				Err:  fmt.Errorf("topic %s cannot be read on for %s, %d offsets are left: %w", r.topic, r.patience, left, r.why()),
				Hint: "Check that the brokers are running, and that no transaction on the topic hangs."}
		}
	}
}

func (r *reader) why() error {
	if r.stale != nil {
		return r.stale
	}
	return errors.New("the brokers have nothing that is committed")
}

// endless is a limit that is never reached, of the partitions that are known and those of others.
func (r *reader) endless(others ...*catchUp) offsets {
	out := offsets{}
	for _, o := range others {
		for p := range o.limit {
			out[p] = math.MaxInt64
		}
	}
	for p := range r.bounds.ends {
		out[p] = math.MaxInt64
	}
	return out
}

// round asks each leader once for what is before the limit.
func (r *reader) round(ctx context.Context, limit offsets, each func(*kgo.Record) error) error {
	if r.stale != nil {
		if err := r.refresh(ctx); err != nil {
			return err
		}
	}
	by := map[int32][]int32{}
	for p, end := range limit {
		leader, known := r.bounds.leaders[p]
		switch {
		case r.next[p] >= end:
		case !known: // it was added since
			r.stale = fmt.Errorf("the leader of partition %d is not known", p)
		default:
			by[leader] = append(by[leader], p)
		}
	}
	for leader, parts := range by {
		if err := r.fetch(ctx, leader, parts, limit, each); err != nil {
			return err
		}
	}
	return nil
}

// rest waits as long as the work since began has taken.
func (r *reader) rest(ctx context.Context, began time.Time) {
	timer := time.NewTimer(min(time.Since(began), fetchRest))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// refresh finds out, after a pause, who leads the partitions, and where they begin now.
func (r *reader) refresh(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(fetchPause):
	}
	b, err := look(ctx, r.client, r.topic)
	if err != nil {
		r.stale = err
		return ctx.Err()
	}
	if b.id != r.bounds.id {
		return &pipeline.Error{Class: pipeline.Environment, Err: fmt.Errorf("topic %s was recreated while it was read", r.topic),
			Hint: "Take the snapshot again."}
	}
	r.bounds, r.stale = b, nil
	for p, o := range b.first {
		r.next[p] = max(r.next[p], o)
	}
	return nil
}

func (r *reader) fetch(ctx context.Context, leader int32, parts []int32, limit offsets, each func(*kgo.Record) error) error {
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = int32(r.wait.Milliseconds()), 1, fetchBytes
	req.IsolationLevel, req.SessionEpoch = 1, -1
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic, topic.TopicID = r.topic, r.bounds.id
	for _, p := range parts {
		part := kmsg.NewFetchRequestTopicPartition()
		part.Partition, part.FetchOffset, part.PartitionMaxBytes = p, r.next[p], fetchEach
		topic.Partitions = append(topic.Partitions, part)
	}
	req.Topics = append(req.Topics, topic)
	answer, err := r.client.Broker(int(leader)).RetriableRequest(ctx, req)
	if err != nil {
		r.stale = err
		return ctx.Err()
	}
	resp := answer.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return r.refused(err)
	}
	for i := range resp.Topics {
		for n := range resp.Topics[i].Partitions {
			if err := r.partition(&resp.Topics[i].Partitions[n], limit, each); err != nil {
				return err
			}
		}
	}
	return nil
}

// partition hands on what came of one.
func (r *reader) partition(rp *kmsg.FetchResponseTopicPartition, limit offsets, each func(*kgo.Record) error) error {
	p := rp.Partition
	if err := kerr.ErrorForCode(rp.ErrorCode); err != nil {
		return r.refused(err)
	}
	o := kgo.ProcessFetchPartitionOpts{Offset: r.next[p], IsolationLevel: kgo.ReadCommitted(), Topic: r.topic, Partition: p}
	fp, next := kgo.ProcessFetchPartition(o, rp, r.unzip, nil)
	for _, rec := range fp.Records {
		if rec.Offset >= limit[p] {
			next = limit[p]
			break
		}
		r.records++
		if err := each(rec); err != nil {
			return err
		}
	}
	r.next[p] = min(max(next, r.next[p]), limit[p])
	if fp.Err != nil && len(fp.Records) == 0 {
		return &pipeline.Error{Class: pipeline.Environment, Err: fmt.Errorf("topic %s, partition %d at %d: %w", r.topic, p, next, fp.Err),
			Hint: "The records there are damaged: see the brokers' logs."}
	}
	return nil
}

// refused says whether to ask again.
func (r *reader) refused(err error) error {
	if kerr.IsRetriable(err) || errors.Is(err, kerr.OffsetOutOfRange) {
		r.stale = err
		return nil
	}
	return &pipeline.Error{Class: pipeline.Environment, Err: fmt.Errorf("topic %s: %w", r.topic, err),
		Hint: "Allow the sink's user to read the topic: deleting what vanished needs to know what it holds."}
}
