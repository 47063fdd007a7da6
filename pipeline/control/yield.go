package control

import (
	"context"
	"net"
	"sync"
	"time"
)

// Processes of one pipeline that share a directory share the path of their socket, which is to be the
// leader's. A standby takes it only where it lies unused for a while, and gives it up whenever the leader is
// another one, who tries to have it several times in that while.
const standbyAfter = 6 * socketAgain

// leader returns who has the pipeline instead of this process, "" where this one does.
func (s *Server) leader() string {
	if l := s.pipeline.Status().Leader; l != nil {
		return l.Process + l.Since.String()
	}
	return ""
}

// mayListen waits until the process may take the socket and reports whether ctx goes on.
func (s *Server) mayListen(ctx context.Context) bool {
	unused := time.Now()
	for s.leader() != "" && time.Since(unused) < standbyAfter {
		if s.answered(ctx) {
			unused = time.Now()
		}
		if !sleep(ctx, socketAgain) {
			return false
		}
	}
	return ctx.Err() == nil
}

// answered reports whether somebody listens at the socket.
func (s *Server) answered(ctx context.Context) bool {
	placed, err := follow(s.options.Socket)
	if err != nil {
		return false
	}
	var d net.Dialer
	ctx, cancel := context.WithTimeout(ctx, socketAgain)
	defer cancel()
	conn, err := d.DialContext(ctx, "unix", placed)
	if err != nil {
		return false
	}
	_ = conn.Close() // nothing was said
	return true
}

// serveUntilYield serves the socket until ctx ends or another process begins to lead.
func (s *Server) serveUntilYield(ctx context.Context, l *socket) {
	ctx, yield := context.WithCancel(ctx)
	defer yield()
	var watching sync.WaitGroup
	first := s.leader()
	watching.Go(func() {
		for sleep(ctx, socketAgain) {
			now := s.leader()
			if now != "" && now != first {
				yield()
				return
			}
			first = now
		}
	})
	s.serve(ctx, l, s.overSocket())
	yield()
	watching.Wait()
}
