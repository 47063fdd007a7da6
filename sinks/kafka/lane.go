package kafka

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/envelope"
)

// roomMin is the least room that is kept for one record's bytes before it is encoded.
const roomMin = 512

// roomMax is the most: larger records are rare, and may cost an allocation.
const roomMax = 64 << 10

// lane is what one Write works with: memory for encoded records, reused once they are acknowledged.
type lane struct {
	sink    *Sink
	arena   pipeline.Arena
	records []*kgo.Record // in use: used
	rows    []*pipeline.Row
	used    int
	bytes   int
	room    int
	events  []envelope.Event
	memo    envelope.Memo
	schema  *pipeline.Schema // of table
	table   *table
	stream  pipeline.Stream // of the batch
	read    *table          // the last one of which a row that was read came in the batch

	pending atomic.Int64  // records not acknowledged, and one while more may come
	done    chan struct{} // pending reached 0
	promise func(*kgo.Record, error)

	mu     sync.Mutex
	failed *kgo.Record // the first record that failed
	err    error
}

func newLane(s *Sink) *lane {
	l := &lane{sink: s, done: make(chan struct{}, 1), room: roomMin}
	l.promise = func(r *kgo.Record, err error) {
		if err != nil {
			l.fail(r, err)
		}
		l.release()
	}
	return l
}

func (l *lane) fail(r *kgo.Record, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.failed, l.err = r, err
	}
}

func (l *lane) release() {
	if l.pending.Add(-1) == 0 {
		l.done <- struct{}{}
	}
}

// write sends the rows of a batch in flights that end acknowledged.
func (l *lane) write(ctx context.Context, b *pipeline.Batch) error {
	start := time.Now()
	l.memo.Forget()
	l.stream, l.read = b.Stream, nil
	l.begin()
	for i := range b.Rows {
		if err := l.row(ctx, &b.Rows[i], start); err != nil {
			l.release()
			return err
		}
		if err := l.cut(ctx); err != nil {
			return err
		}
	}
	return l.end(ctx)
}

// cut ends a flight that is full, and begins the next.
func (l *lane) cut(ctx context.Context) error {
	if l.bytes < flightBytes && l.used < flightRecords {
		return nil
	}
	return l.flush(ctx)
}

func (l *lane) begin() {
	l.arena.Reset()
	l.used, l.bytes = 0, 0
	l.rows = l.rows[:0]
	l.pending.Store(1)
}

// end waits until everything produced is acknowledged. No record is cancelled: where ctx ends or
// nothing moves for too long, the records are left to the client, and the sink fails.
func (l *lane) end(ctx context.Context) error {
	l.release()
	timeout := l.sink.config.DeliveryTimeout
	timer := time.NewTimer(timeout / 2)
	defer timer.Stop()
	last := l.pending.Load()
	warned := false
	for {
		select {
		case <-l.done:
			return l.result()
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			left := l.pending.Load()
			still := left == last
			if still && warned {
				return l.stalled(left, timeout)
			}
			last = left
			warned = still
			l.sink.log.curious.Store(still)
			timer.Reset(timeout / 2)
		}
	}
}

// row encodes and produces the records of one row.
func (l *lane) row(ctx context.Context, r *pipeline.Row, now time.Time) error {
	if r.Schema != l.schema {
		t, err := l.sink.table(ctx, r.Schema)
		if err != nil {
			return err
		}
		l.schema, l.table = r.Schema, t
	}
	switch {
	case r.Op == pipeline.Read && l.read != l.table:
		l.read = l.table
		l.sink.sifts.reads(ctx, l)
	case r.Note():
		return l.note(ctx, r)
	}
	var err error
	if l.events, err = l.table.plan.Events(l.events[:0], r, now.UnixNano()); err != nil {
		return err
	}
	for i := range l.events {
		l.events[i].Memo = &l.memo
		rec, err := l.encode(&l.events[i], now)
		if err != nil {
			return err
		}
		l.send(rec)
	}
	return nil
}

// send produces a record of the flight.
func (l *lane) send(rec *kgo.Record) {
	l.pending.Add(1)
	l.sink.client.Produce(context.Background(), rec, l.promise)
}

// encode makes the record of an event, one of the flight.
func (l *lane) encode(e *envelope.Event, now time.Time) (*kgo.Record, error) {
	t := l.table
	rec := l.record(e.Row)
	rec.Topic, rec.Timestamp, rec.Partition = t.topic, now, t.keyless
	buf := l.arena.Grow(l.room + t.room)
	buf, err := l.key(buf, e, e.Key)
	if err != nil {
		return nil, err
	}
	key := len(buf)
	if e.Op != 0 {
		if buf, err = t.encode.AppendValue(buf, e); err != nil {
			return nil, err
		}
	}
	buf = l.arena.Keep(buf)
	l.bytes += len(buf)
	l.room = max(roomMin, min(2*len(buf), roomMax))
	if key > 0 {
		rec.Key = buf[:key:key]
		rec.Partition = partition(rec.Key, t.partitions)
	}
	if e.Op != 0 {
		rec.Value = buf[key:]
	}
	if rec.Headers, err = l.headers(rec.Headers, e); err != nil {
		return nil, err
	}
	return rec, nil
}

func (l *lane) key(buf []byte, e *envelope.Event, row []pipeline.Value) ([]byte, error) {
	if row == nil {
		return buf, nil
	}
	return l.table.encode.AppendKey(buf, e, row)
}

// record returns a record to fill, one of an earlier flight where there is one.
func (l *lane) record(r *pipeline.Row) *kgo.Record {
	if l.used == len(l.records) {
		l.records = append(l.records, new(kgo.Record))
	}
	rec := l.records[l.used]
	*rec = kgo.Record{Headers: rec.Headers[:0]}
	l.used++
	l.rows = append(l.rows, r)
	return rec
}

// headers appends the record's headers.
func (l *lane) headers(h []kgo.RecordHeader, e *envelope.Event) ([]kgo.RecordHeader, error) {
	h = append(h, l.table.headers...)
	if e.Header != "" {
		key, err := l.key(l.arena.Grow(roomMin), e, e.Other)
		if err != nil {
			return h, err
		}
		h = append(h, kgo.RecordHeader{Key: e.Header, Value: l.arena.Keep(key)})
	}
	if names := l.table.plan.AppendUnavailable(l.arena.Grow(roomMin), e); len(names) > 0 {
		h = append(h, kgo.RecordHeader{Key: "pipe.unavailable", Value: l.arena.Keep(names)})
	}
	if !l.sink.config.PositionHeaders {
		return h, nil
	}
	pos := l.arena.Keep(append(l.arena.Grow(len(e.Row.Tx.Pos)), e.Row.Tx.Pos...))
	seq := l.arena.Keep(strconv.AppendUint(l.arena.Grow(16), uint64(e.Row.Seq), 10))
	return append(h, kgo.RecordHeader{Key: "pipe.pos", Value: pos}, kgo.RecordHeader{Key: "pipe.seq", Value: seq}), nil
}
