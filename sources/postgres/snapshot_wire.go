package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pipe-cdc/pipe/pipeline"
)

// The types of the messages that matter (PostgreSQL documentation, "Message Formats").
const (
	msgCopyData  = 'd'
	msgDataRow   = 'D'
	msgError     = 'E'
	msgReady     = 'Z'
	msgQuery     = 'Q'
	msgTerminate = 'X'
)

const (
	wireBuffer = 256 << 10
	wireHeader = 5       // type and length
	maxMessage = 1 << 30 // a field is at most that long, so a message cannot be much longer
	maxSmall   = 1 << 20 // of any other message than CopyData
	byeWithin  = time.Second
)

// wire speaks the simple query protocol on a connection taken over from the driver: it copies what
// it reads once, from its buffer into the batch.
type wire struct {
	conn     net.Conn
	buf      []byte
	pos, end int
}

func newWire(conn net.Conn) *wire { return &wire{conn: conn, buf: make([]byte, wireBuffer)} }

// handOver takes a connection over from the driver, which must not be used any more. Where a write was slow
// the driver reads in the background, and would go on taking bytes that are the wire's: it is made to stop.
func handOver(ctx context.Context, conn *pgconn.PgConn) (*wire, error) {
	if err := conn.SyncConn(ctx); err != nil {
		return nil, err
	}
	raw, err := conn.Hijack()
	if err != nil {
		return nil, err
	}
	return newWire(raw.Conn), nil
}

// query sends a query.
func (w *wire) query(sql string) error {
	msg := make([]byte, 0, wireHeader+len(sql)+1)
	msg = binary.BigEndian.AppendUint32(append(msg, msgQuery), uint32(4+len(sql)+1))
	_, err := w.conn.Write(append(append(msg, sql...), 0))
	return err
}

// interrupt makes a read or write that waits fail.
func (w *wire) interrupt() { _ = w.conn.SetDeadline(time.Unix(1, 0)) }

// close says goodbye, so that the server does not log a lost connection, and closes. Whatever goes
// wrong then (the server may be gone, TLS may find nobody to take leave of) loses nothing.
func (w *wire) close() {
	_ = w.conn.SetDeadline(time.Now().Add(byeWithin))
	_, _ = w.conn.Write([]byte{msgTerminate, 0, 0, 0, 4})
	_ = w.conn.Close()
}

// next reads the head of a message: its type and the length of its body, which must be read next.
func (w *wire) next() (typ byte, n int, err error) {
	if w.end-w.pos < wireHeader {
		if err := w.fill(wireHeader); err != nil {
			return 0, 0, err
		}
	}
	head := w.buf[w.pos : w.pos+wireHeader]
	n = int(int32(binary.BigEndian.Uint32(head[1:]))) - 4
	if n < 0 || n > maxMessage+maxSmall {
		return 0, 0, fmt.Errorf("message %q of the server has length %d", head[0], n)
	}
	w.pos += wireHeader
	return head[0], n, nil
}

// body reads the body of a message into the arena.
func (w *wire) body(a *pipeline.Arena, n int) ([]byte, error) {
	out := a.Alloc(n)
	have := copy(out, w.buf[w.pos:w.end])
	w.pos += have
	if have == n {
		return out, nil
	}
	if n-have >= len(w.buf) { // not through the buffer
		_, err := io.ReadFull(w.conn, out[have:])
		return out, err
	}
	if err := w.fill(n - have); err != nil {
		return nil, err
	}
	w.pos += copy(out[have:], w.buf[w.pos:w.end])
	return out, nil
}

// small reads the body of a message, valid until the next call.
func (w *wire) small(n int) ([]byte, error) {
	if n > maxSmall {
		return nil, fmt.Errorf("a message of the server has length %d", n)
	}
	if n > len(w.buf) {
		grown := make([]byte, n)
		w.end = copy(grown, w.buf[w.pos:w.end])
		w.buf, w.pos = grown, 0
	}
	if w.end-w.pos < n {
		if err := w.fill(n); err != nil {
			return nil, err
		}
	}
	body := w.buf[w.pos : w.pos+n]
	w.pos += n
	return body, nil
}

// fill reads until the buffer holds n bytes.
func (w *wire) fill(n int) error {
	w.end = copy(w.buf, w.buf[w.pos:w.end])
	w.pos = 0
	read, err := io.ReadAtLeast(w.conn, w.buf[w.end:], n-w.end)
	w.end += read
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// serverError is what an ErrorResponse says.
func serverError(body []byte) error {
	var m pgproto3.ErrorResponse
	if err := m.Decode(body); err != nil {
		return err
	}
	return pgconn.ErrorResponseToPgError(&m)
}
