package main

import (
	"net"
	"sync"
	"time"
)

// What a delayed connection holds of each direction at most: more than it passes on in a round trip.
const (
	delayPiece  = 64 << 10
	delayPieces = 256
)

// delay passes connections on to a server as a long way would: whatever is sent arrives later, and what
// is sent meanwhile is on its way too.
type delay struct {
	target   string
	later    time.Duration // of each direction
	listener net.Listener
	wg       sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]bool
	closed bool
}

// newDelay listens on a free port in front of target, host:port. A round trip takes at least twice later.
func newDelay(target string, later time.Duration) (*delay, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	d := &delay{target: target, later: later, listener: l, conns: map[net.Conn]bool{}}
	d.wg.Go(d.accept)
	return d, nil
}

// addr is where to connect to instead of the server.
func (d *delay) addr() string { return d.listener.Addr().String() }

// close ends all connections and waits for them.
func (d *delay) close() {
	d.listener.Close()
	d.mu.Lock()
	d.closed = true
	for c := range d.conns {
		c.Close()
	}
	d.mu.Unlock()
	d.wg.Wait()
}

func (d *delay) accept() {
	for {
		client, err := d.listener.Accept()
		if err != nil {
			return
		}
		d.wg.Go(func() { d.serve(client) })
	}
}

func (d *delay) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", d.target)
	if err != nil {
		return
	}
	defer server.Close()
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return
	}
	d.conns[client], d.conns[server] = true, true
	d.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { d.pass(server, client) })
	both.Go(func() { d.pass(client, server) })
	both.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.conns, client)
	delete(d.conns, server)
}

// piece is what was read at once, and when it arrives.
type piece struct {
	data []byte
	at   time.Time
}

// pass carries one direction. When the receiver is gone the sender hears of it.
func (d *delay) pass(dst, src net.Conn) {
	way, free := make(chan piece, delayPieces), make(chan []byte, delayPieces)
	var arriving sync.WaitGroup
	arriving.Go(func() {
		var err error
		for p := range way {
			if err == nil {
				time.Sleep(time.Until(p.at))
				_, err = dst.Write(p.data)
			}
			if err != nil {
				src.Close()
			}
			select {
			case free <- p.data[:cap(p.data)]:
			default:
			}
		}
		if tcp, ok := dst.(*net.TCPConn); ok && err == nil {
			_ = tcp.CloseWrite() // the other side may be gone
		}
	})
	d.depart(way, free, src)
	close(way)
	arriving.Wait()
}

// depart reads until the sender has ended.
func (d *delay) depart(way chan<- piece, free <-chan []byte, src net.Conn) {
	for {
		var buf []byte
		select {
		case buf = <-free:
		default:
			buf = make([]byte, delayPiece)
		}
		n, err := src.Read(buf)
		if n > 0 {
			way <- piece{buf[:n], time.Now().Add(d.later)}
		}
		if err != nil {
			return
		}
	}
}
