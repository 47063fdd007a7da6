package postgres

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/pgtext"
	"github.com/pipe-cdc/pipe/sources/postgres/pgoutput"
)

// The times of the reading loop: how long a part-filled batch waits for company while others are in
// flight, how often the loop looks around, when a silent server is asked where it is, how often and
// after how much WAL an idle stream is marked, and when a silent server is given up: without a wal_sender_timeout, and at the least.
const (
	linger      = 20 * time.Millisecond
	lookAround  = 200 * time.Millisecond
	lookClosely = 2 * time.Millisecond
	lookWaiting = 20 * time.Millisecond
	askEvery    = time.Second
	idleEvery   = 2 * time.Second
	idleBytes   = 16 << 20
	silentFor   = time.Minute
	silentLeast = 10 * time.Second
)

// xlogHeader is the size of an XLogData message's header: 'w', start, end, time.
const xlogHeader = 25

// stream reads the replication stream and cuts it into batches. One goroutine, the caller of run,
// does everything but sending statuses.
type stream struct {
	*runner
	liveStream
	ctx    context.Context
	out    pipeline.Output
	sender *sender
	spool  *spool
	target uint64 // end once this LSN is reached; 0: never

	dec       pgoutput.Decoder
	replayed  pgoutput.Decoder // of spooled changes
	relations map[uint32]*streamed
	last      *streamed // the relation of the last change

	batch    *pipeline.Batch // nil: none in hand
	since    time.Time       // when it was begun
	tx       *pipeline.Tx    // the open transaction; nil: none
	txs      []pipeline.Tx   // room for the next ones
	seq      uint32
	endLSN   uint64 // of the last transaction seen, or the idle end
	skip     bool   // the open transaction was delivered before
	start    uint64
	holding  uint32 // the transaction whose stream block is open
	messages *pipeline.Schema

	marked   uint64    // LSN of the last mark
	markedAt time.Time // when an idle stream was marked last
	got      bool      // something was read since the last look around
	heard    time.Time // when something was read last
	caught   bool      // the target was reached
	reached  bool      // and nothing else is to be done
}

// stream follows changes from start until ctx ends or the target is reached.
func (r *runner) stream(ctx context.Context, start uint64, out pipeline.Output) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	sp, err := newSpool(r.env.Dir, int(r.config.Spill))
	if err != nil {
		return err
	}
	defer sp.close()
	s := &stream{runner: r, ctx: ctx, out: out, spool: sp, start: start, marked: start, endLSN: start,
		relations: map[uint32]*streamed{}, messages: messageSchema(r.server.Database), heard: time.Now()}
	if r.env.UntilCaughtUp {
		s.target = r.server.Flushed
	}
	if err := r.startReplication(ctx, start); err != nil {
		return err
	}
	if err := unlockSlot(ctx, r.admin); err != nil {
		return err
	}
	r.begun(start)
	stopHeart := r.heartbeat(ctx)
	defer stopHeart()
	stopLive, err := s.startLive(ctx, cancel)
	if err != nil {
		return err
	}
	s.sender = newSender(r, cancel)
	stop := context.AfterFunc(ctx, func() { _ = r.repl.Conn().SetReadDeadline(time.Unix(1, 0)) })
	err = s.run()
	stop()
	stopLive()
	s.sender.end(err == nil || ctx.Err() != nil)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	return err
}

// begun resets what is reported. The start was saved, or is where the slot stands anyway.
func (r *runner) begun(start uint64) {
	p := &r.source.progress
	if old := p.committed.Load(); start > old {
		p.committed.CompareAndSwap(old, start)
	}
	p.emitted.Store(start)
	p.advance(max(start, r.server.Flushed))
	p.enter("streaming")
}

// startReplication begins the stream (PostgreSQL documentation, "Logical Streaming Replication
// Parameters").
func (r *runner) startReplication(ctx context.Context, start uint64) error {
	sql := fmt.Sprintf("START_REPLICATION SLOT %s LOGICAL %s (%s)", quoteName(r.slot), formatLSN(start),
		strings.Join(r.options(), ", "))
	stop := context.AfterFunc(ctx, func() { _ = r.repl.Conn().SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	front := r.repl.Frontend()
	front.SendQuery(&pgproto3.Query{String: sql})
	if err := front.Flush(); err != nil {
		return errQuery("start replication", err)
	}
	for {
		msg, err := r.repl.ReceiveMessage(context.Background())
		if err != nil {
			return errQuery("start replication", err)
		}
		switch msg := msg.(type) {
		case *pgproto3.CopyBothResponse:
			r.socket.streaming = true
			return nil
		case *pgproto3.ErrorResponse:
			return errQuery("start replication", pgconn.ErrorResponseToPgError(msg))
		}
	}
}

// options returns pgoutput's options, by what server and configuration allow.
func (r *runner) options() []string {
	proto := 1
	var out []string
	if r.server.Version >= version14 && r.config.Streaming != "off" {
		proto = 2
		out = append(out, "streaming 'on'")
	}
	if r.binary() {
		out = append(out, "binary 'true'")
	}
	if r.server.Version >= version14 && len(r.config.Messages) > 0 {
		out = append(out, "messages 'true'")
	}
	return append([]string{fmt.Sprintf("proto_version '%d'", proto),
		"publication_names " + quoteLiteral(quoteName(r.config.Publication))}, out...)
}

// binary reports whether values come in binary form: where every column's type allows it.
func (r *runner) binary() bool {
	if r.server.Version < version14 || r.config.Binary == "off" {
		return false
	}
	for _, t := range r.tables {
		ok := !slices.ContainsFunc(t.Schema.Columns, func(c pipeline.Column) bool { return !pgtext.BinaryOK(&c) })
		if !ok {
			return false
		}
	}
	return true
}

// run reads until the target is reached or something fails.
func (s *stream) run() error {
	front := s.repl.Frontend()
	for !s.reached {
		if s.socket.Dry() && front.ReadBufferLen() == 0 {
			if err := s.dry(); err != nil {
				return err
			}
		}
		msg, err := s.repl.ReceiveMessage(context.Background())
		if err != nil {
			if err := s.interrupted(err); err != nil {
				return err
			}
			continue
		}
		switch msg := msg.(type) {
		case *pgproto3.CopyData:
			err = s.data(msg.Data)
		case *pgproto3.ErrorResponse:
			err = pgconn.ErrorResponseToPgError(msg)
		case *pgproto3.CopyDone:
			err = failed(pipeline.Retryable, "", "the server ended the stream")
		}
		if err != nil {
			return err
		}
	}
	return s.finish()
}

// finish delivers what is in hand and waits until it is saved, so that the last status can say so.
func (s *stream) finish() error {
	if err := s.mark(s.endLSN); err != nil {
		return err
	}
	if err := s.emit(); err != nil {
		return err
	}
	s.source.enter("caught up")
	return s.out.Drain(s.ctx, walStream)
}

// dry is called when everything that had come was read: the moment to hand over what is in hand.
func (s *stream) dry() error {
	now := time.Now()
	if s.got {
		s.got, s.heard = false, now
	}
	wait := lookAround
	if b := s.batch; b != nil && len(b.Marks) > 0 {
		if s.out.Idle() || now.Sub(s.since) >= linger {
			if err := s.emit(); err != nil {
				return err
			}
		} else {
			wait = lookClosely
		}
	}
	if err := s.merge(true); err != nil {
		return err
	}
	s.arrive(s.endLSN)
	if !s.settled() {
		wait = min(wait, lookWaiting)
	}
	s.source.received.Store(s.endLSN)
	_ = s.repl.Conn().SetReadDeadline(now.Add(wait))
	return s.ctx.Err()
}

// interrupted tells an expired read deadline, which is a moment to look around, from a lost connection.
func (s *stream) interrupted(err error) error {
	if cause := context.Cause(s.ctx); cause != nil {
		return cause
	}
	if !pgconn.Timeout(err) {
		return errQuery("read the replication stream", err)
	}
	if err := s.dry(); err != nil {
		return err
	}
	if err := s.idle(); err != nil {
		return err
	}
	silent := time.Since(s.heard)
	if silent > s.patience() {
		return failed(pipeline.Retryable, "", "the server has been silent for %v", silent.Round(time.Second))
	}
	if silent > min(s.sender.interval, askEvery) || s.target != 0 || !s.settled() {
		s.sender.wake(true)
	}
	return nil
}

// arrive ends the run where it was to end at a place that is reached, and no table is being read.
func (s *stream) arrive(end uint64) {
	s.caught = s.caught || s.target != 0 && end >= s.target
	if s.caught && s.tx == nil && !s.dec.InStream() && s.settled() {
		s.reached = true
	}
}

// patience is how long a server may be silent that was asked to answer: longer than its own.
func (s *stream) patience() time.Duration {
	if s.server.SenderTimeout == 0 {
		return silentFor
	}
	return max(silentLeast, 2*s.server.SenderTimeout)
}

// data handles the content of a CopyData message.
func (s *stream) data(data []byte) error {
	s.got = true
	if len(data) >= xlogHeader && data[0] == 'w' {
		return s.change(binary.BigEndian.Uint64(data[1:]), data[xlogHeader:])
	}
	if len(data) == 18 && data[0] == 'k' {
		return s.keepalive(binary.BigEndian.Uint64(data[1:]), data[17] == 1)
	}
	return failed(pipeline.Internal, "", "replication message of type %q and %d bytes", data[:min(1,
		len(data))], len(data))
}

// keepalive hears that the server has sent everything before end. Only with no transaction open is
// that a place to resume, and as a mark it goes through the pipeline like any other: so the slot of
// a quiet database moves, and never past a row in flight.
func (s *stream) keepalive(end uint64, reply bool) error {
	s.source.advance(end)
	if reply {
		s.sender.wake(false)
	}
	if s.tx != nil || s.dec.InStream() {
		return nil
	}
	s.endLSN = max(s.endLSN, end)
	if s.arrive(end); s.reached {
		return nil
	}
	if err := s.merge(true); err != nil {
		return err
	}
	if b := s.batch; b != nil && (len(b.Marks) == 0 || b.Marks[len(b.Marks)-1].End < len(b.Rows)) {
		return s.mark(end) // a logical message outside of any transaction
	}
	return s.idle()
}

// idle marks a stream that moves without bringing rows, not too often.
func (s *stream) idle() error {
	if s.tx != nil || s.dec.InStream() || s.batch != nil || s.endLSN <= s.marked {
		return nil
	}
	now := time.Now()
	if now.Sub(s.markedAt) < idleEvery && s.endLSN-s.marked < idleBytes {
		return nil
	}
	s.markedAt = now
	if err := s.mark(s.endLSN); err != nil {
		return err
	}
	return s.emit()
}

// mark records that everything before lsn was read.
func (s *stream) mark(lsn uint64) error {
	if lsn <= s.marked && s.batch == nil {
		return nil
	}
	b, err := s.room()
	if err != nil {
		return err
	}
	if n := len(b.Marks); n > 0 && b.Marks[n-1].End == len(b.Rows) {
		b.Marks = b.Marks[:n-1]
	}
	s.marked = max(s.marked, lsn)
	b.Mark(s.identity.position(s.marked))
	return nil
}

// room returns the batch in hand, waiting for a new one where there is none.
func (s *stream) room() (*pipeline.Batch, error) {
	if s.batch != nil {
		return s.batch, nil
	}
	b, err := s.out.New(s.ctx, walStream)
	if err != nil {
		return nil, err
	}
	s.batch, s.since = b, time.Now()
	return b, nil
}

// emit hands the batch over.
func (s *stream) emit() error {
	b := s.batch
	if b == nil {
		return nil
	}
	s.batch = nil
	if len(b.Marks) > 0 {
		s.source.emitted.Store(s.marked)
	}
	return s.out.Emit(b)
}
