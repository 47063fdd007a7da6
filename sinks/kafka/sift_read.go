package kafka

import (
	"context"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// followPause is the pause between two looks whether a topic must be followed again.
const followPause = time.Second

// catchUp asks the goroutine of a sift to say when the topic is read up to a limit.
type catchUp struct {
	limit offsets
	done  chan struct{}
}

// run reads what was in the topic when the snapshot began, and follows the topic until it is enough.
func (f *sift) run() {
	defer close(f.over)
	defer func() { f.reader.rests = false }()
	f.reader.rests = true
	if f.err = f.reader.to(f.life, f.begun.ends, f.before(f.life)); f.err != nil {
		return
	}
	var wanted []*catchUp
	for f.follow.Err() == nil {
		if wanted = f.reached(wanted); len(wanted) == 0 && time.Since(time.Unix(0, f.read.Load())) > followIdle {
			wanted = f.wait()
			continue
		}
		began := time.Now()
		if err := f.reader.round(f.follow, f.reader.endless(wanted...), f.since); err != nil && f.follow.Err() == nil {
			f.err = err
			return
		}
		f.reader.rest(f.follow, began)
	}
}

// reached answers those who wait for what is read by now, and returns the others, with who asks meanwhile.
func (f *sift) reached(wanted []*catchUp) []*catchUp {
	select {
	case w := <-f.asked:
		wanted = append(wanted, w)
	default:
	}
	return slices.DeleteFunc(wanted, func(w *catchUp) bool {
		there := f.reader.left(w.limit) == 0
		if there {
			close(w.done)
		}
		return there
	})
}

// wait waits until the topic must be looked at again.
func (f *sift) wait() []*catchUp {
	timer := time.NewTimer(followPause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-f.follow.Done():
	case w := <-f.asked:
		return []*catchUp{w}
	}
	return nil
}

// catchUp waits until the topic is read up to where it ends now, or the reading has failed.
func (f *sift) catchUp(ctx context.Context) error {
	b, err := look(ctx, f.reader.client, f.reader.topic)
	if err != nil {
		return err
	}
	w := &catchUp{limit: b.ends, done: make(chan struct{})}
	select {
	case f.asked <- w:
	case <-f.over:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-w.done:
	case <-f.over:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
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
