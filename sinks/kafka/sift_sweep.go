package kafka

import (
	"cmp"
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/envelope"
)

// note handles a word about a snapshot. What came before it is acknowledged first.
func (l *lane) note(ctx context.Context, r *pipeline.Row) error {
	if r.Flags&(pipeline.Sift|pipeline.Sweep) == 0 {
		return nil
	}
	if err := l.flush(ctx); err != nil {
		return err
	}
	if r.Flags&pipeline.Sift != 0 {
		return l.sink.sifts.begin(ctx, l)
	}
	return l.sweep(ctx, r)
}

// flush ends the flight and begins the next.
func (l *lane) flush(ctx context.Context) error {
	if err := l.end(ctx); err != nil {
		return err
	}
	l.begin()
	return nil
}

// sweep deletes from the topic what its snapshot did not find.
func (l *lane) sweep(ctx context.Context, r *pipeline.Row) error {
	s, key := &l.sink.sifts, l.siftKey()
	log := l.sink.log.log.With("table", l.schema.Name(), "topic", l.table.topic)
	f, err := s.find(ctx, key)
	if err != nil {
		return err
	}
	if f == nil { // begin said why, or an earlier sink has swept already
		log.Info("nothing is deleted at the end of the snapshot")
		return nil
	}
	if why := s.refuses(l.table); why != "" || f.reader.topic != l.table.topic {
		log.Warn(stays, "why", cmp.Or(why, "the table's topic is another now"))
		return s.done(ctx, key, f.begun)
	}
	began := time.Now()
	read, err := newRows(l.sink, l.table)
	if err != nil {
		return err
	}
	d := deleter{lane: l, rows: read, row: *r, now: began}
	if err := f.finish(ctx, func(key []byte, at place) error { return d.delete(ctx, key, at) }); err != nil {
		return err
	}
	if err := l.flush(ctx); err != nil {
		return err
	}
	log.Info("rows that vanished at the source were deleted", "rows", d.deleted, "took", time.Since(began),
		"records", f.reader.records, "of_others", f.others, "foreign", f.foreign+d.foreign)
	return s.done(ctx, key, f.begun)
}

// deleter writes what a sweep deletes, as the deletes of a source that knows the old key only.
type deleter struct {
	lane             *lane
	rows             *rows
	row              pipeline.Row // the word of the sweep, whose transaction it is
	now              time.Time
	seq              uint32
	deleted, foreign int64
}

func (d *deleter) delete(ctx context.Context, key []byte, at place) error {
	l := d.lane
	old, ok := d.rows.old(key)
	row := &pipeline.Row{Schema: l.schema, Tx: d.row.Tx, Op: pipeline.Delete, Before: old, At: d.row.At, Seq: d.row.Seq + d.seq}
	if !ok && !(l.table.bare() && ownKey(key, l.table.keySchema != "", uint32(l.table.keyID))) {
		d.foreign++
		return nil
	}
	d.seq++
	d.deleted++
	parts := []int32{at.partition()}
	if at.spread() { // the topic got partitions since: any may hold the key
		parts = parts[:0]
		for p := range l.table.partitions {
			parts = append(parts, p)
		}
	}
	for _, p := range parts {
		if err := d.records(row, key, ok, p); err != nil {
			return err
		}
	}
	return l.cut(ctx)
}

// records sends the records of one delete.
func (d *deleter) records(row *pipeline.Row, key []byte, ok bool, partition int32) error {
	l := d.lane
	if !ok { // its key says all that a tombstone needs
		rec := l.record(row)
		rec.Topic, rec.Timestamp, rec.Key, rec.Partition = l.table.topic, d.now, key, partition
		rec.Headers = append(rec.Headers, l.table.headers...)
		l.bytes += len(key)
		l.send(rec)
		return nil
	}
	events, err := l.table.plan.Events(nil, row, d.now.UnixNano())
	if err != nil {
		return err
	}
	records := make([]*kgo.Record, 0, len(events))
	for i := range events {
		rec, err := l.encode(&events[i], d.now)
		if err != nil {
			return err
		}
		rec.Partition = partition
		records = append(records, rec)
	}
	for _, rec := range records {
		l.send(rec)
	}
	return nil
}

// bare reports whether a row whose key cannot be read back is deleted by a tombstone alone: its key is
// known to be one of the table's by the schema it names, or its type is one that is never read back.
func (t *table) bare() bool {
	p := t.plan
	if p.Shape == envelope.Debezium && !p.Tombstones || p.Shape == envelope.Flat && p.Deletes == envelope.Rewrite {
		return false
	}
	return t.keySchema != "" || t.unreadable() != ""
}

// unreadable names a column whose values in keys are not read back, "" where there is none.
func (t *table) unreadable() string {
	for i := range t.plan.Keys {
		if f := &t.plan.Keys[i]; !readable(f.Type.Form) {
			return f.Name
		}
	}
	return ""
}
