package mariadb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/sources/mariadb/binlog"
	"github.com/pipe-cdc/pipe/sources/mariadb/wire"
)

// The times of the reading loop: how long a part-filled batch waits for company while others are in
// flight, how often the loop looks around, how often an idle stream is marked, and after how many
// heartbeats a silent server is given up.
const (
	linger      = 20 * time.Millisecond
	lookAround  = 200 * time.Millisecond
	lookClosely = 2 * time.Millisecond
	idleEvery   = 2 * time.Second
	silentBeats = 6
)

// stream reads the binary log and cuts it into batches. One goroutine does everything.
type stream struct {
	*runner
	ctx    context.Context
	out    pipeline.Output
	conn   *wire.Conn
	target binlog.Set // end once this is reached; nil: never

	format    binlog.Format
	z         binlog.Inflater
	fragments binlog.Fragments
	mapped    map[uint64]*streamed
	named     map[string]*streamed // by tableKey
	tables    map[string]*table    // by tableKey
	loaded    map[string]uint64    // the count of statements when the catalogue was read last
	last      *streamed            // the table of the last rows event
	lastID    uint64
	ddl       uint64 // statements seen that may have changed a table
	versions  uint64

	batch *pipeline.Batch // nil: none in hand
	since time.Time       // when it was begun
	group group
	tx    *pipeline.Tx  // the open group's; nil: none
	txs   []pipeline.Tx // room for the next ones
	texts texts
	text  []byte // scratch
	file  string
	at    int64 // what of it was read
	seq   uint32

	place place             // the end of the last group
	pos   pipeline.Position // its text
	read  binlog.Set        // the end of the last group read: before place while groups are passed over
	done  binlog.Set        // groups up to here were delivered before; nil: that is behind us
	held  held

	recovered *recovered // nil: nothing of it is left to be looked at

	voided  func(*table)   // told of tables that a statement may have altered; may be nil
	merging merging        // of chunks that are read meanwhile
	asks    sync.WaitGroup // what was asked for and is not saved
	asking  context.Context

	unmarked bool      // pos is not marked yet
	markedAt time.Time // when an idle stream was marked last
	heard    time.Time // when something was read last
	reached  bool
}

// newStream returns a stream that begins at start and is not connected.
func (r *runner) newStream(ctx context.Context, start place, out pipeline.Output) (*stream, error) {
	s := &stream{runner: r, ctx: ctx, out: out, mapped: map[uint64]*streamed{}, named: map[string]*streamed{},
		tables: map[string]*table{}, loaded: map[string]uint64{}, place: start, heard: time.Now(), versions: 1,
		merging: newMerging(r.live)}
	for _, t := range r.picked {
		s.tables[tableKey(t.Database, t.Name)] = t
	}
	s.held = newHeld(r.env.Dir, int(r.config.Spill))
	s.place.set = append(binlog.Set{}, start.set...)
	s.read = append(binlog.Set{}, start.set...)
	if start.held != nil {
		s.read, s.done = append(binlog.Set{}, start.held...), append(binlog.Set{}, start.set...)
	}
	if r.env.UntilCaughtUp {
		s.target = append(binlog.Set{}, r.server.Position...)
		if r.through != nil { // later
			s.target = append(binlog.Set{}, r.through...)
		}
		s.reached = start.set.Covers(s.target)
	}
	var err error
	s.pos, err = start.position()
	return s, err
}

// stream follows changes from start until ctx ends or the target is reached.
func (r *runner) stream(ctx context.Context, start place, out pipeline.Output) error {
	s, err := r.newStream(ctx, start, out)
	if err != nil {
		return err
	}
	defer s.held.close()
	if start.held != nil {
		if s.recovered, err = r.recoverXA(ctx); err != nil {
			return err
		}
	}
	if s.conn, err = s.dump(); err != nil {
		return err
	}
	defer s.conn.Close()
	r.source.behind.Store(true)
	r.source.enter(phaseStreaming)
	watching, done := context.WithCancel(ctx)
	var watcher sync.WaitGroup
	watcher.Go(func() { r.source.lag.watch(watching, &r.config.Connection) })
	s.asking = watching
	defer watcher.Wait()
	defer s.asks.Wait()
	defer done()
	stop := context.AfterFunc(ctx, s.conn.Interrupt)
	defer stop()
	err = s.run()
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	return err
}

// dump connects as a replica and asks for everything after the position (MariaDB Knowledge Base,
// "Replica Registration", "COM_BINLOG_DUMP").
func (s *stream) dump() (*wire.Conn, error) {
	conn, err := s.config.connect(s.ctx)
	if err != nil {
		return nil, err
	}
	id := s.config.serverID()
	err = s.ask(conn, id)
	if err != nil {
		conn.Close()
		return nil, errDump(err)
	}
	return conn, nil
}

// errDump says what failed. Once logged in, access denied means that a privilege is missing.
func errDump(err error) error {
	err = fmt.Errorf("read the binary log: %w", err)
	var server *wire.ServerError
	if errors.As(err, &server) && server.Code == erAccess {
		return &pipeline.Error{Class: pipeline.Environment, Err: err, Hint: hintGrants}
	}
	return err
}

func (s *stream) ask(conn *wire.Conn, id uint32) error {
	sql := fmt.Sprintf("SET @mariadb_slave_capability = 4, @master_binlog_checksum = @@global.binlog_checksum, "+
		"@master_heartbeat_period = %d, @slave_connect_state = %s, @slave_gtid_strict_mode = 1, @slave_gtid_ignore_duplicates = 0",
		s.config.Heartbeat.Nanoseconds(), quoteText(s.read.String()))
	if err := conn.Exec(s.ctx, sql); err != nil {
		return err
	}
	if err := conn.Register(id, programName); err != nil {
		return err
	}
	return conn.Dump(id)
}

// run reads until the target is reached or something fails.
func (s *stream) run() error {
	for !s.finished() {
		if !s.conn.Buffered() {
			if err := s.wait(); err != nil {
				return err
			}
			if s.finished() {
				break
			}
		}
		event, err := s.conn.Event()
		if err != nil {
			return errDump(err)
		}
		if err := s.event(event); err != nil {
			return err
		}
	}
	if err := s.mark(); err != nil {
		return err
	}
	if err := s.emit(); err != nil {
		return err
	}
	s.source.enter(phaseCaughtUp)
	return s.out.Drain(s.ctx, binlogStream)
}

// finished reports whether everything that was asked for is done; a stream without end never is. Tables that
// were read meanwhile may be done inside of a group, which then is read to its end.
func (s *stream) finished() bool {
	return s.reached && !s.group.open && (s.merging.live == nil || !s.merging.Busy())
}

// wait returns when an event can be read, or nothing is left to do; meanwhile it hands over what is in
// hand.
func (s *stream) wait() error {
	for {
		wait, err := s.dry()
		if err != nil || s.finished() {
			return err
		}
		if err := s.conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
			return err
		}
		err = s.conn.Peek()
		if err == nil {
			s.heard = time.Now()
			return s.conn.SetReadDeadline(s.heard.Add(s.silence()))
		}
		if cause := context.Cause(s.ctx); cause != nil {
			return cause
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return errDump(err)
		}
		if silent := time.Since(s.heard); silent > s.silence() {
			return failed(pipeline.Retryable, "", "the server has been silent for %v", silent.Round(time.Second))
		}
	}
}

func (s *stream) silence() time.Duration { return silentBeats * max(s.config.Heartbeat, time.Second) }

// dry is called when everything that had come was read: the moment to hand over what is in hand. It
// returns how long to wait for more.
func (s *stream) dry() (time.Duration, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	if err := s.merge(); err != nil {
		return 0, err
	}
	now, look := time.Now(), lookAround
	if s.merging.active {
		look = lookClosely
	}
	if b := s.batch; b != nil && len(b.Marks) > 0 {
		if s.out.Idle() || now.Sub(s.since) >= linger {
			return look, s.emit()
		}
		return lookClosely, nil
	}
	return look, s.idle(now)
}

// idle marks a stream that moves without bringing rows, not too often.
func (s *stream) idle(now time.Time) error {
	if s.tx == nil && s.batch == nil {
		s.source.lag.emitted(s.file, s.at)
		if now.Sub(s.heard) >= lookAround {
			s.source.behind.Store(false) // the server sends at once what it has
		}
	}
	if s.tx != nil || s.batch != nil || !s.unmarked || now.Sub(s.markedAt) < idleEvery {
		return nil
	}
	s.markedAt = now
	if err := s.mark(); err != nil {
		return err
	}
	return s.emit()
}

// mark records that everything up to the last group's end was read.
func (s *stream) mark() error {
	if !s.unmarked {
		return nil
	}
	b, err := s.room()
	if err != nil {
		return err
	}
	if n := len(b.Marks); n > 0 && b.Marks[n-1].End == len(b.Rows) {
		b.Marks = b.Marks[:n-1]
	}
	s.unmarked = false
	b.Mark(s.pos)
	return nil
}

// room returns the batch in hand, waiting for a new one where there is none. The time that this takes
// is ours, not the server's silence.
func (s *stream) room() (*pipeline.Batch, error) {
	if s.batch != nil {
		return s.batch, nil
	}
	b, err := s.out.New(s.ctx, binlogStream)
	if err != nil {
		return nil, err
	}
	s.batch, s.since = b, time.Now()
	if s.since.Sub(s.heard) > lookAround {
		s.heard = s.since
		err = s.conn.SetReadDeadline(s.heard.Add(s.silence()))
	}
	return b, err
}

// emit hands the batch over.
func (s *stream) emit() error {
	b := s.batch
	if b == nil {
		return nil
	}
	s.batch = nil
	s.source.lag.emitted(s.file, s.at)
	return s.out.Emit(b)
}
