package main

import (
	"bytes"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// TestDelay sends more than is on its way at once there and back, and holds that it comes whole and late.
func TestDelay(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, _ = io.Copy(c, c)
			c.Close()
		}
	}()
	const later = 20 * time.Millisecond
	d, err := newDelay(l.Addr().String(), later)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	c, err := net.Dial("tcp", d.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	began := time.Now()
	sent := bytes.Repeat([]byte("some words "), 400_000)
	go func() {
		_, _ = c.Write(sent)
		_ = c.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("%d bytes came back, want %d: %v", len(got), len(sent), err)
	}
	if took := time.Since(began); took < 2*later {
		t.Errorf("there and back in %v", took)
	}
}

// TestUsage reads this process's own line.
func TestUsage(t *testing.T) {
	for until := time.Now().Add(time.Minute); cpuOf(os.Getpid()) == 0; {
		if time.Now().After(until) {
			t.Fatal("this process has used nothing in a minute")
		}
	}
	if s := statOf(os.Getpid()); s.parent != os.Getppid() {
		t.Errorf("parent %d, want %d", s.parent, os.Getppid())
	}
	if s := statOf(0); s != (stat{}) {
		t.Errorf("%+v of no process", s)
	}
}

// TestBorder finds a word that comes in two pieces, once.
func TestBorder(t *testing.T) {
	met := 0
	b := &border{word: "finishing", at: func(int) { met++ }}
	for _, s := range []string{"a line\nfin", "ishing one\n", "finishing two\n"} {
		if _, err := io.WriteString(b, s); err != nil {
			t.Fatal(err)
		}
	}
	if met != 1 {
		t.Errorf("met %d times", met)
	}
}
