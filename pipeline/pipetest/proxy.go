package pipetest

import (
	"net"
	"sync"
	"testing"
	"time"
)

// proxyChunk is the most that the proxy holds of one direction of one connection.
const proxyChunk = 32 << 10

// Proxy passes TCP connections on to a server and injects faults. Safe for concurrent use.
type Proxy struct {
	target   string
	listener net.Listener
	wg       sync.WaitGroup // the accepting goroutine and all pumps

	mu     sync.Mutex
	change *sync.Cond // of the following, guarded by mu
	conns  map[net.Conn]bool
	hole   bool // nothing passes
	cut    bool // new connections are reset
	closed bool
	delay  time.Duration
	budget int64 // bytes until a cut, counted from CutAfter; -1: no end
}

// NewProxy starts a proxy on a free port in front of target ("host:port"). It ends with the test.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{target: target, listener: l, conns: map[net.Conn]bool{}, budget: -1}
	p.change = sync.NewCond(&p.mu)
	p.wg.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// Addr returns the proxy's own "host:port".
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Port returns the proxy's own port; its host is 127.0.0.1.
func (p *Proxy) Port() int { return p.listener.Addr().(*net.TCPAddr).Port }

// Cut resets every connection, and each new one until Resume.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
	p.reset()
}

// Drop resets every connection; new ones pass.
func (p *Proxy) Drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reset()
}

// CutAfter does as Cut does once n more bytes have passed, both directions together: most likely
// in the middle of a message.
func (p *Proxy) CutAfter(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.budget = n
}

// Blackhole lets nothing pass until Resume. Connections stay open, new ones are accepted, as with a
// network that loses every packet; what was sent meanwhile arrives after Resume.
func (p *Proxy) Blackhole() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hole = true
}

// Delay holds every chunk of data for d before it passes.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// Resume ends Cut, CutAfter, Blackhole and Delay.
func (p *Proxy) Resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut, p.hole, p.delay, p.budget = false, false, 0, -1
	p.change.Broadcast()
}

// Conns returns the number of client connections that are open.
func (p *Proxy) Conns() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns) / 2
}

func (p *Proxy) close() {
	p.listener.Close()
	p.mu.Lock()
	p.closed = true
	p.reset()
	p.change.Broadcast()
	p.mu.Unlock()
	p.wg.Wait()
}

// reset ends every connection with RST. p.mu is held.
func (p *Proxy) reset() {
	for c := range p.conns {
		abort(c)
	}
	clear(p.conns)
}

func abort(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	c.Close()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(client) })
	}
}

// serve connects a client with the server and passes data until one of them ends.
func (p *Proxy) serve(client net.Conn) {
	if !p.pass(0) {
		abort(client)
		return
	}
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		abort(client)
		return
	}
	p.mu.Lock()
	if p.cut || p.closed {
		p.mu.Unlock()
		abort(client)
		abort(server)
		return
	}
	p.conns[client], p.conns[server] = true, true
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { p.pump(server, client) })
	both.Go(func() { p.pump(client, server) })
	both.Wait()
	p.mu.Lock()
	delete(p.conns, client)
	delete(p.conns, server)
	p.mu.Unlock()
	client.Close()
	server.Close()
}

// pump copies one direction, and passes its end on.
func (p *Proxy) pump(dst, src net.Conn) {
	buf := make([]byte, proxyChunk)
	for {
		n, err := src.Read(buf)
		if n > 0 {
			if !p.pass(int64(n)) {
				return
			}
			if _, err := dst.Write(buf[:n]); err != nil {
				abort(src)
				return
			}
		}
		if err != nil {
			dst.(*net.TCPConn).CloseWrite()
			return
		}
	}
}

// pass waits until n bytes may pass, and reports whether they may.
func (p *Proxy) pass(n int64) bool {
	p.mu.Lock()
	delay := p.delay
	p.mu.Unlock()
	time.Sleep(delay)
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.hole && !p.cut && !p.closed {
		p.change.Wait()
	}
	if p.cut || p.closed {
		return false
	}
	if p.budget < 0 {
		return true
	}
	if p.budget -= n; p.budget <= 0 {
		p.cut, p.budget = true, -1
		p.reset()
		return false
	}
	return true
}
