package postgres

import (
	"context"
	"errors"
	"sync"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// maxLanes bounds the sessions: a stream that has a transaction open needs one to itself.
const maxLanes = 256

// Sink writes batches. It is a pipeline.Keeper and pipeline.Parallel.
type Sink struct {
	cfg    *Config
	node   string
	state  *state
	binder *binder
	// assists says that the fence is another instance's, whose shared snapshot is written (share.go).
	assists bool
	term    int64 // of this process among those that take turns; 0: they do not

	mu    sync.Mutex // guards what follows
	kept  pipeline.Checkpoint
	open  map[pipeline.Stream]*lane // in the middle of a transaction
	idle  []*lane
	lanes int

	// volatile has the streams with rows in UNLOGGED tables, by one of these: their positions stay there,
	// where a crash of the server takes them too, whatever else is written to the stream.
	volatile map[pipeline.Stream]string
	failed   error
	entries  entries
}

// Open connects and returns the sink.
func (c *Config) Open(ctx context.Context, env spec.Env) (pipeline.Sink, error) {
	session := "pipe " + env.Pipeline
	admin, err := c.connect(ctx, session)
	if err != nil {
		return nil, explain(env.Address, err)
	}
	if !admin.replica {
		env.Log.Warn("the role may not set session_replication_role: triggers and foreign keys of the target are" +
			" checked, and rows are written in the order of the source where there are foreign keys." +
			" To change it: GRANT SET ON PARAMETER session_replication_role TO the role of dsn")
	}
	s := &Sink{cfg: c, node: env.Address, state: newState(c.StateSchema, env),
		kept: pipeline.Checkpoint{}, volatile: map[pipeline.Stream]string{}, open: map[pipeline.Stream]*lane{}}
	s.binder = &binder{cfg: c, log: env.Log, state: s.state, admin: admin, name: session,
		targets: map[name]*target{}, settlements: map[string]*settlement{},
		plans: map[*pipeline.Schema]*plan{}, latest: map[*target]*pipeline.Schema{}}
	s.binder.filling = s.entries.loading
	return s, nil
}

// Checkpoint claims the fence and returns the positions that are stored with the rows.
func (s *Sink) Checkpoint(ctx context.Context) (pipeline.Checkpoint, error) {
	if s.assists {
		return pipeline.Checkpoint{}, explain(s.node, s.state.borrow(ctx, s.binder.admin))
	}
	if err := s.expel(ctx); err != nil {
		return nil, explain(s.node, err)
	}
	kept, err := s.state.claim(ctx, s.binder.admin)
	if err != nil {
		return nil, explain(s.node, err)
	}
	volatile, err := s.state.volatile(ctx, s.binder.admin)
	if err != nil {
		return nil, explain(s.node, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept, s.volatile = kept, volatile
	for stream, pos := range kept {
		if isEntry(stream) {
			s.entries.note(stream, pos)
		}
	}
	return kept.Clone(), nil
}

// unloggedOf returns the UNLOGGED target that a stream's positions depend on, "" for none. now is the one
// that the open transaction has rows in.
//
// What an entry says of its source's chunks is as volatile as they are: it must not outlive their rows.
func (s *Sink) unloggedOf(stream pipeline.Stream, now string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if isEntry(stream) {
		return s.volatileOf(stream.Address())
	}
	if !isChunk(stream) {
		return ""
	}
	if now != "" {
		s.volatile[stream] = now
	}
	return s.volatile[stream]
}

// volatileOf returns an UNLOGGED target that has rows of a source's chunks, "" for none. mu is held.
func (s *Sink) volatileOf(source string) string {
	for stream, target := range s.volatile {
		if isChunk(stream) && stream.Address() == source {
			return target
		}
	}
	return ""
}

// durable says that all of a source's targets are LOGGED, and the positions of its chunks with them.
func (s *Sink) durable(source string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for stream := range s.volatile {
		if stream.Address() == source {
			delete(s.volatile, stream)
		}
	}
}

// Lanes returns how many streams may be written at once.
func (s *Sink) Lanes() int { return s.cfg.Workers }

// Write writes a batch in the transaction of its stream; see pipeline.Sink.
func (s *Sink) Write(ctx context.Context, b *pipeline.Batch) error {
	if err := s.settle(ctx, b); err != nil {
		return s.fail(err)
	}
	l, kept, err := s.take(ctx, b.Stream)
	if err != nil {
		return explain(s.node, err)
	}
	if kept, err = l.recall(ctx, b, kept); err == nil {
		err = l.write(ctx, b, kept)
	}
	if err != nil {
		err = explain(s.node, err)
	}
	s.put(l, b, err)
	return err
}

// settle finishes the loads of a batch's source where the batch ends them.
func (s *Sink) settle(ctx context.Context, b *pipeline.Batch) error {
	if isChunk(b.Stream) {
		return nil
	}
	if isEntry(b.Stream) {
		if !s.entries.take(b) {
			return nil
		}
		s.binder.unsettle(b.Stream)
		return s.settled(ctx, b.Stream, true, true)
	}
	changes, whole := len(b.Rows) > 0, !s.entries.loading(b.Stream)
	if !changes && !whole {
		return nil
	}
	return s.settled(ctx, b.Stream, changes, whole)
}

func (s *Sink) settled(ctx context.Context, stream pipeline.Stream, changes, whole bool) error {
	now, err := s.binder.settle(ctx, stream, changes, whole)
	if now {
		s.durable(stream.Address())
	}
	return err
}

// fail remembers that a write failed, after which there is no other.
func (s *Sink) fail(err error) error {
	err = explain(s.node, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = firstError(s.failed, err)
	return err
}

// take returns the lane of the stream's open transaction, or a free one.
func (s *Sink) take(ctx context.Context, stream pipeline.Stream) (*lane, pipeline.Position, error) {
	s.mu.Lock()
	kept := s.kept[stream]
	if s.failed != nil {
		defer s.mu.Unlock()
		return nil, "", s.failed
	}
	if l := s.open[stream]; l != nil {
		delete(s.open, stream)
		s.mu.Unlock()
		return l, kept, nil
	}
	if n := len(s.idle); n > 0 {
		l := s.idle[n-1]
		s.idle = s.idle[:n-1]
		s.mu.Unlock()
		return l, kept, nil
	}
	if s.lanes == maxLanes {
		defer s.mu.Unlock()
		return nil, "", &pipeline.Error{Class: pipeline.Environment,
			Err:  errors.New("too many transactions are open at once"),
			Hint: "Lower the workers of the sources"}
	}
	s.lanes++
	s.mu.Unlock()
	l, err := s.newLane(ctx)
	if err != nil {
		s.mu.Lock()
		s.lanes--
		s.mu.Unlock()
	}
	return l, kept, err
}

// put takes a lane back after a write, and remembers what it committed.
func (s *Sink) put(l *lane, b *pipeline.Batch, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.failed = firstError(s.failed, err)
		s.lanes--
		l.conn.close()
		return
	}
	if pos, ok := b.Last(); ok && (pos == "" || pos > s.kept[b.Stream]) {
		s.kept.Apply(b.Stream, pos)
	}
	switch {
	case l.open:
		s.open[b.Stream] = l
	case len(s.idle) < s.cfg.Workers:
		s.idle = append(s.idle, l)
	default:
		s.lanes--
		l.conn.close()
	}
}

// Close gives up open transactions and ends the sessions.
func (s *Sink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.open {
		l.conn.close()
	}
	for _, l := range s.idle {
		l.conn.close()
	}
	s.open, s.idle, s.lanes = nil, nil, 0
	s.failed = firstError(s.failed, errClosed)
	s.binder.close()
	return nil
}

var errClosed = errors.New("the sink is closed")
