package pipetest

import (
	"io"
	"net"
	"testing"
	"time"
)

// echo starts a server that sends back what it gets.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(c, c)
				c.Close()
			}()
		}
	}()
	return l.Addr().String()
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// turn sends a word and reads it back within d.
func turn(c net.Conn, d time.Duration) error {
	c.SetDeadline(time.Now().Add(d))
	if _, err := c.Write([]byte("word")); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, 4))
	return err
}

func TestProxy(t *testing.T) {
	p := NewProxy(t, echo(t))
	c := dial(t, p.Addr())
	if err := turn(c, time.Minute); err != nil {
		t.Fatalf("through the proxy: %v", err)
	}

	p.Blackhole()
	if err := turn(c, 50*time.Millisecond); err == nil {
		t.Error("a black hole lets data pass")
	}
	p.Resume()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.ReadFull(c, make([]byte, 4)); err != nil {
		t.Errorf("what was held by the black hole did not arrive: %v", err)
	}

	p.Delay(40 * time.Millisecond)
	start := time.Now()
	if err := turn(c, time.Minute); err != nil || time.Since(start) < 80*time.Millisecond {
		t.Errorf("delayed twice by 40ms: %v, %v", time.Since(start), err)
	}
	p.Resume()

	p.Cut()
	if err := turn(c, time.Minute); err == nil {
		t.Error("a connection survived Cut")
	}
	if err := turn(dial(t, p.Addr()), time.Minute); err == nil {
		t.Error("a new connection passes after Cut")
	}
	p.Resume()
	c = dial(t, p.Addr())
	if err := turn(c, time.Minute); err != nil {
		t.Errorf("after Resume: %v", err)
	}

	p.CutAfter(10)
	if err := turn(c, time.Minute); err != nil {
		t.Errorf("8 of 10 bytes: %v", err)
	}
	if err := turn(c, time.Minute); err == nil {
		t.Error("CutAfter did not cut")
	}
	p.Resume()
	c = dial(t, p.Addr())
	if err := turn(c, time.Minute); err != nil {
		t.Error(err)
	}
	p.Drop()
	if err := turn(c, time.Minute); err == nil {
		t.Error("a connection survived Drop")
	}
	if err := turn(dial(t, p.Addr()), time.Minute); err != nil {
		t.Errorf("a new connection after Drop: %v", err)
	}
}

func TestProxyPassesTheEnd(t *testing.T) {
	p := NewProxy(t, echo(t))
	c := dial(t, p.Addr())
	c.Write([]byte("last words"))
	c.(*net.TCPConn).CloseWrite()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	got, err := io.ReadAll(c)
	if err != nil || string(got) != "last words" {
		t.Errorf("%q, %v", got, err)
	}
}
