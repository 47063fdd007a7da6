package postgres

import (
	"io"
	"time"
)

// The walsender makes one send per message, so a reader that keeps up pays one system call for
// each. Reading late costs nothing and saves most of them: after a short read the next one waits
// for a nap, in which messages pile up. A longer nap begins to cost throughput.
const (
	socketBuffer = 256 << 10
	socketShort  = 32 << 10
	socketNap    = 200 * time.Microsecond
)

// socketReader is a large read buffer that lets messages pile up in the socket once streaming.
type socketReader struct {
	r         io.Reader
	buf       []byte
	pos, end  int
	streaming bool // nap between short reads
	short     bool // the last read brought little: the socket ran dry
}

func newSocketReader(r io.Reader) *socketReader {
	return &socketReader{r: r, buf: make([]byte, socketBuffer)}
}

// Read returns buffered bytes; only with none it reads from the socket.
func (s *socketReader) Read(p []byte) (int, error) {
	if s.pos == s.end {
		if err := s.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.buf[s.pos:s.end])
	s.pos += n
	return n, nil
}

func (s *socketReader) fill() error {
	if s.streaming && s.short {
		nap(socketNap)
	}
	n, err := s.r.Read(s.buf)
	s.pos, s.end = 0, n
	s.short = n < socketShort
	if n > 0 {
		return nil
	}
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}

// Dry reports whether everything read from the socket was consumed and the last read brought little.
func (s *socketReader) Dry() bool { return s.pos == s.end && s.short }
