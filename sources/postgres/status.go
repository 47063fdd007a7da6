package postgres

import (
	"context"
	"encoding/binary"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipe-cdc/pipe/pipeline"
)

// The bounds of the status sender: how soon after a save it tells the server at the earliest, how
// long a write may take, and what part of wal_sender_timeout may pass between two statuses.
const (
	statusGap     = 100 * time.Millisecond
	statusWrite   = 10 * time.Second
	statusPerWait = 3
)

// sender tells the server what was received and saved: from time to time, when it asks, and soon
// after a save. It is a goroutine of its own, so that the server keeps the connection however long
// the pipeline stalls. It is the connection's only writer while streaming.
type sender struct {
	conn     *pgconn.PgConn
	progress *progress
	interval time.Duration
	ask      chan bool // a status is due now; true: and the server shall answer
	stop     chan struct{}
	fail     context.CancelCauseFunc
	wg       sync.WaitGroup
	frame    [39]byte
}

// newSender starts the sender; fail is called with the error that ended it.
func newSender(r *runner, fail context.CancelCauseFunc) *sender {
	s := &sender{conn: r.repl, progress: &r.source.progress, interval: r.config.StatusInterval,
		ask: make(chan bool, 1), stop: make(chan struct{}), fail: fail}
	if t := r.server.SenderTimeout / statusPerWait; t > 0 && t < s.interval {
		s.interval = t
	}
	s.wg.Go(s.run)
	return s
}

func (s *sender) run() {
	tick := time.NewTicker(s.interval)
	defer tick.Stop()
	for {
		answer := false
		select {
		case <-s.stop:
			return
		case <-tick.C:
		case answer = <-s.ask:
		case <-s.progress.saved:
		}
		if err := s.send(answer); err != nil {
			s.fail(err)
			return
		}
		select { // saves that come fast share one status
		case <-s.stop:
			return
		case <-time.After(statusGap):
		}
	}
}

// wake asks for a status now; answer asks the server for a keepalive in return.
func (s *sender) wake(answer bool) {
	select {
	case s.ask <- answer:
	default:
	}
}

// end stops the sender, waits for it and, where the connection is still good, sends the last status.
func (s *sender) end(last bool) {
	close(s.stop)
	s.wg.Wait()
	if last {
		_ = s.send(false)
	}
}

// send writes a Standby status update (PostgreSQL documentation, "Streaming Replication Protocol").
// Flush is what was saved, 0 where nothing was: the server then leaves the slot where it is.
func (s *sender) send(answer bool) error {
	flushed := s.progress.committed.Load()
	b := append(s.frame[:0], 'd', 0, 0, 0, 38, 'r')
	b = binary.BigEndian.AppendUint64(b, max(flushed, s.progress.received.Load()))
	b = binary.BigEndian.AppendUint64(b, flushed)
	b = binary.BigEndian.AppendUint64(b, flushed)
	b = binary.BigEndian.AppendUint64(b, uint64(time.Now().UnixMicro()-pipeline.EpochMicros))
	reply := byte(0)
	if answer {
		reply = 1
	}
	b = append(b, reply)
	if err := s.conn.Conn().SetWriteDeadline(time.Now().Add(statusWrite)); err != nil {
		return errQuery("send status", err)
	}
	return errQuery("send status", s.conn.Frontend().SendUnbufferedEncodedCopyData(b))
}
