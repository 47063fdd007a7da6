package server

import (
	"errors"
	"net"
	"net/http"
	"time"
)

// headerWithin bounds the wait for a request's header.
const headerWithin = 10 * time.Second

// HTTP is an HTTP server in this process.
type HTTP struct {
	URL string

	srv  *http.Server
	done chan error
}

// StartHTTP serves h on a port of the loopback; 0 takes a free one.
func StartHTTP(port int, h http.Handler) (*HTTP, error) {
	l, err := net.Listen("tcp", loopback(port))
	if err != nil {
		return nil, err
	}
	s := &HTTP{
		URL:  "http://" + l.Addr().String(),
		srv:  &http.Server{Handler: h, ReadHeaderTimeout: headerWithin},
		done: make(chan error, 1),
	}
	go func() { s.done <- s.srv.Serve(l) }()
	return s, nil
}

// Close ends the server and its connections. Called once.
func (s *HTTP) Close() error {
	err := s.srv.Close()
	if served := <-s.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
