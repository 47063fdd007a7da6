package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// piped returns a connection whose server side is at hand.
func piped(t testing.TB) (*Conn, net.Conn) {
	t.Helper()
	client, server := net.Pipe()
	t.Cleanup(func() { client.Close(); server.Close() })
	return &Conn{packets: packets{Conn: client, buf: make([]byte, 64)}}, server
}

func packet(seq byte, payload []byte) []byte {
	n := len(payload)
	return append([]byte{byte(n), byte(n >> 8), byte(n >> 16), seq}, payload...)
}

// TestMessages holds that messages of any size arrive whole, in pieces of any size, also those of
// several packets and those after a deadline has passed in their midst.
func TestMessages(t *testing.T) {
	c, server := piped(t)
	sizes := []int{0, 1, 59, 60, 61, 1000, 300_000, maxPayload - 1, maxPayload, maxPayload + 5, 3}
	go func() {
		seq := byte(0)
		for i, n := range sizes {
			for body := bytes.Repeat([]byte{byte(i)}, n); ; seq++ {
				part := body[:min(len(body), maxPayload)]
				for p := packet(seq, part); len(p) > 0; {
					piece := min(len(p), 100_003)
					if _, err := server.Write(p[:piece]); err != nil {
						return
					}
					p = p[piece:]
					if i == 5 {
						time.Sleep(20 * time.Millisecond)
					}
				}
				if body = body[len(part):]; len(part) < maxPayload {
					break
				}
			}
			seq++
		}
	}()
	timeouts := 0
	for i, n := range sizes {
		for {
			_ = c.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
			err := c.Peek()
			if err == nil {
				break
			}
			if timeouts++; !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal(err)
			}
		}
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		p, err := c.next()
		if err != nil || len(p) != n || n > 0 && (p[0] != byte(i) || p[n-1] != byte(i)) {
			t.Fatalf("message %d of %d bytes came as %d, %v", i, n, len(p), err)
		}
	}
}

func TestSequence(t *testing.T) {
	c, server := piped(t)
	go server.Write(packet(7, []byte("x")))
	if _, err := c.next(); !errors.Is(err, ErrProtocol) {
		t.Errorf("a packet out of order: %v", err)
	}
	c, server = piped(t)
	go func() {
		server.Write(packet(0, []byte("xyz"))[:5])
		server.Close()
	}()
	if _, err := c.next(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a packet cut off: %v", err)
	}
}

// FuzzServer: no server crashes the client after its login.
func FuzzServer(f *testing.F) {
	greeting := append([]byte{10}, "5.5.5-10.11.0-MariaDB\x00"...)
	greeting = append(greeting, make([]byte, 8+8+1+2+1+2+2+1+10+13)...)
	f.Add(packet(0, greeting), packet(2, []byte{0, 0, 0, 2, 0, 0, 0}))
	f.Add(packet(0, []byte{0xff, 1, 2, '#', 'H', 'Y', '0', '0', '0', 'x'}), packet(1, []byte{3, 1, 'a', 0xfb, 0xfe}))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		for _, read := range []func(*Conn) error{
			func(c *Conn) error { _, err := c.Query(t.Context(), "SELECT 1"); return err },
			func(c *Conn) error { _, err := c.Event(); return err },
		} {
			c := &Conn{}
			c.packets = packets{Conn: &replay{Reader: bytes.NewReader(append(bytes.Clone(a), b...))}, buf: make([]byte, 64)}
			_ = read(c)
		}
	})
}

// replay is a connection that reads given bytes.
type replay struct {
	net.Conn
	io.Reader
}

func (r *replay) Read(p []byte) (int, error)       { return r.Reader.Read(p) }
func (r *replay) Write(p []byte) (int, error)      { return len(p), nil }
func (r *replay) SetDeadline(time.Time) error      { return nil }
func (r *replay) Close() error                     { return nil }
func (r *replay) SetReadDeadline(time.Time) error  { return nil }
func (r *replay) SetWriteDeadline(time.Time) error { return nil }

func TestLengths(t *testing.T) {
	for n, p := range map[int][]byte{250: {250}, 251: {0xfc, 251, 0}, 1 << 16: {0xfd, 0, 0, 1}, 1 << 24: append([]byte{0xfe}, binary.LittleEndian.AppendUint64(nil, 1<<24)...)} {
		if have, null, rest, ok := lengthOf(p); have != n || null || len(rest) > 0 || !ok {
			t.Errorf("%x is %d %v %v", p, have, null, ok)
		}
	}
	if _, null, _, ok := lengthOf([]byte{0xfb}); !null || !ok {
		t.Error("NULL")
	}
	for _, p := range [][]byte{{}, {0xff}, {0xfc, 1}, {0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, {5, 'a'}} {
		if _, _, _, ok := TextCell(p); ok {
			t.Errorf("%x was understood", p)
		}
	}
}
