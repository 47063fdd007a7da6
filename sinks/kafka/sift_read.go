package kafka

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// followPause is the pause between two looks whether a topic must be followed again.
const followPause = time.Second

// run reads what was in the topic when the snapshot began, and follows the topic until it is enough.
func (f *sift) run() {
	defer close(f.over)
	if f.err = f.reader.to(f.life, f.begun.ends, f.before(f.life)); f.err != nil {
		return
	}
	for f.follow.Err() == nil {
		if time.Since(time.Unix(0, f.read.Load())) > followIdle {
			f.wait()
			continue
		}
		if err := f.reader.round(f.follow, f.reader.endless(), f.since); err != nil && f.follow.Err() == nil {
			f.err = err
			return
		}
	}
}

func (f *sift) wait() {
	timer := time.NewTimer(followPause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-f.follow.Done():
	}
}

// before returns what is done with a record that was there when the snapshot began.
func (f *sift) before(ctx context.Context) func(*kgo.Record) error {
	return func(rec *kgo.Record) error {
		if len(rec.Key) == 0 {
			return nil
		}
		v, err := f.judge.of(ctx, rec)
		switch {
		case err != nil:
			return err
		case v == alive:
			return f.keys.add(rec.Key, rec.Partition)
		case v == foreign:
			f.foreign++
			return nil
		case v == other:
			f.others++
		}
		f.keys.remove(rec.Key)
		return nil
	}
}

// since is what is done with a record that came later: its row is there, or was deleted by its source.
func (f *sift) since(rec *kgo.Record) error {
	f.keys.remove(rec.Key)
	return nil
}

// finish reads the rest of the topic, and calls each with the keys of rows that vanished.
func (f *sift) finish(ctx context.Context, each func(key []byte, at place) error) error {
	f.enough()
	select {
	case <-f.over:
	case <-ctx.Done():
		return ctx.Err()
	}
	if f.err != nil {
		return f.err
	}
	b, err := look(ctx, f.reader.client, f.reader.topic)
	if err != nil {
		return err
	}
	for {
		if err := f.reader.to(ctx, b.ends, f.since); err != nil {
			return err
		}
		if err := f.keys.each(each); err != nil {
			return err
		}
		more, err := f.keys.next()
		if err != nil || !more {
			return err
		}
		f.reader.log.Info("a topic has more keys than are held at once: it is read again for the others", "topic", f.reader.topic)
		f.reader.rewind()
		if err := f.reader.to(ctx, f.begun.ends, f.before(ctx)); err != nil {
			return err
		}
	}
}
