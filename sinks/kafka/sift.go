package kafka

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
)

// followIdle is how long a topic is followed although no snapshot writes to it: one that was cancelled
// leaves no word of it.
const followIdle = time.Minute

// sift is a snapshot at whose end the rows that vanished are deleted from a table's topic.
//
// What the topic holds is all that is needed to find them: a key that was in it before the snapshot began,
// whose row was not deleted, and that was not written since. So nothing is remembered of what is written,
// only where the topic ended when the snapshot began (mark), and that is kept in the cluster: a sink that
// starts again finds it and reads the topic anew. The topic is read from its beginning while the snapshot
// runs; what is left to be read at its end is little.
type sift struct {
	reader *reader
	judge  *judge
	begun  mark
	keys   *keys
	read   atomic.Int64 // when a row of a snapshot came last, nanoseconds since 1970

	foreign, others int64
	err             error         // valid once over is closed
	over            chan struct{} // the goroutine has ended
	life, follow    context.Context
	end             context.CancelFunc // ends life
	enough          context.CancelFunc // ends follow: the topic is read up to the mark, but followed no more
	asked           chan *catchUp
}

// stays begins what is said where rows are not deleted.
const stays = "rows that vanished at the source stay in the topic"

// siftKey names a sift: the source and the table.
type siftKey struct{ source, table string }

// sifts are those of a sink.
type sifts struct {
	sink    *Sink
	limit   int             // of keys in memory; 0: siftKeys
	ctx     context.Context // of the readers
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu     sync.Mutex
	open   map[siftKey]*sift // nil: there is none
	looked map[siftKey]bool  // reads has asked the cluster
}

func (s *sifts) start(sink *Sink) {
	s.sink, s.open, s.looked = sink, map[siftKey]*sift{}, map[siftKey]bool{}
	s.ctx, s.cancel = context.WithCancel(context.Background())
}

// close ends the readers and waits for them.
func (s *sifts) close() {
	s.cancel()
	s.running.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.open {
		if f != nil {
			f.keys.close()
		}
	}
	clear(s.open)
}

func (l *lane) siftKey() siftKey { return siftKey{l.stream.Address(), l.schema.Name()} }

// reads is called when a batch brings a row of the lane's table that a snapshot read. Where a sink that
// ran before this one was sifting the table, the reading of its topic begins here.
func (s *sifts) reads(ctx context.Context, l *lane) {
	key := l.siftKey()
	s.mu.Lock()
	f, looked := s.open[key], s.looked[key]
	s.looked[key] = true
	s.mu.Unlock()
	if f == nil && !looked {
		var err error
		if f, err = s.find(ctx, key); err != nil { // the end of the snapshot asks again
			s.sink.log.log.Debug("look for a sift", "table", l.schema.Name(), "error", err)
		}
	}
	if f != nil {
		f.read.Store(time.Now().UnixNano())
	}
}

// find returns the sift of a lane's table, also one that an earlier sink began; nil where there is none.
func (s *sifts) find(ctx context.Context, key siftKey) (*sift, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f, ok := s.open[key]; ok {
		return f, nil
	}
	m, err := s.recall(ctx, key)
	if err != nil {
		return nil, err
	}
	if m.ends == nil {
		s.open[key] = nil
		return nil, nil
	}
	b, err := look(ctx, s.sink.client, m.topic)
	if err != nil {
		return nil, err
	}
	if m.ID != b.id.String() {
		s.open[key] = nil // the topic was made anew: it holds nothing from before
		return nil, nil
	}
	f := s.make(b, m)
	s.open[key] = f
	s.running.Go(f.run)
	return f, nil
}

// begin is the word that a snapshot of a lane's table begins, whose end is a sweep. Everything before it is
// acknowledged. What cannot be found out is no reason to stop: the snapshot goes on as one that does not
// replace, and the log says why.
func (s *sifts) begin(ctx context.Context, l *lane) error {
	key, start := l.siftKey(), time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(key)
	s.open[key] = nil
	log := s.sink.log.log.With("table", l.schema.Name(), "topic", l.table.topic)
	if why := s.refuses(l.table); why != "" {
		log.Warn(stays, "why", why)
		return nil
	}
	var b bounds
	var old mark
	err := together(func() (err error) {
		b, err = look(ctx, s.sink.client, l.table.topic)
		return err
	}, func() (err error) {
		old, err = s.recall(ctx, key)
		return err
	})
	if err != nil {
		return err
	}
	m := s.sink.config.newMark(l.table, b)
	f := s.make(b, m)
	if err = f.reader.probe(ctx); pipeline.ClassOf(err) == pipeline.Environment {
		f.end()
		log.Warn(stays, "why", err)
		return nil
	}
	if err == nil {
		err = s.replaceMark(ctx, key, old, m)
	}
	if pipeline.ClassOf(err) == pipeline.Environment {
		log.Warn("a restart during the snapshot will leave rows in the topic that vanished at the source", "why", err)
		err = nil
	}
	if err != nil {
		f.end()
		return err
	}
	log.Info("rows that vanished at the source will be deleted", "left", f.reader.left(m.ends), "took", time.Since(start))
	s.open[key] = f
	s.running.Go(f.run)
	return nil
}

// replaceMark keeps a mark in the place of one of an earlier snapshot, which may be in another topic.
func (s *sifts) replaceMark(ctx context.Context, key siftKey, old, m mark) error {
	if old.ends != nil && old.topic != m.topic {
		old.Pipe = markSwept
		if err := s.keep(ctx, key, old); err != nil {
			return err
		}
	}
	return s.keep(ctx, key, m)
}

// make returns a sift whose goroutine is still to be started.
func (s *sifts) make(b bounds, m mark) *sift {
	f := &sift{reader: newReader(s.sink, m.topic, b), judge: newJudge(s.sink, m.topic, m), begun: m, keys: newKeys(s.sink.env.Dir, s.limit),
		over: make(chan struct{}), asked: make(chan *catchUp)}
	f.life, f.end = context.WithCancel(s.ctx)
	f.follow, f.enough = context.WithCancel(f.life)
	f.read.Store(time.Now().UnixNano())
	return f
}

// forget ends a sift. mu is held.
func (s *sifts) forget(key siftKey) {
	f := s.open[key]
	delete(s.open, key)
	if f == nil {
		return
	}
	f.end()
	<-f.over
	f.keys.close()
}

// done forgets a sift whose sweep is acknowledged, here and in the cluster.
func (s *sifts) done(ctx context.Context, key siftKey, m mark) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(key)
	s.open[key] = nil
	m.Pipe = markSwept
	err := s.keep(ctx, key, m)
	if pipeline.ClassOf(err) == pipeline.Environment {
		return nil // it was not kept in the first place
	}
	return err
}

// Sifted implements pipeline.Sifter: it waits until the topics of a source's sifts are read up to where they
// end now.
func (s *Sink) Sifted(ctx context.Context, source, table string) error {
	if _, err := s.sifts.find(ctx, siftKey{source, table}); err != nil {
		return at(s.env.Address, err)
	}
	s.sifts.mu.Lock()
	var all []*sift // under what names transforms let the tables pass is not known here
	for key, f := range s.sifts.open {
		if f != nil && key.source == source {
			all = append(all, f)
		}
	}
	s.sifts.mu.Unlock()
	for _, f := range all {
		if err := f.catchUp(ctx); err != nil {
			return at(s.env.Address, err)
		}
	}
	return nil
}
