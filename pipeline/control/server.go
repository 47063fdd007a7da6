package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// The bounds of a server.
const (
	judgeEvery   = time.Second
	socketAgain  = 500 * time.Millisecond // after the socket could not be had
	maxHeader    = 16 << 10
	maxBody      = 1 << 20
	maxAtOnce    = 32               // requests; more are refused with 503
	headerWithin = 5 * time.Second  // to send the header
	readWithin   = 10 * time.Second // to send everything
	askWithin    = 30 * time.Second // for a source to take what was asked
	writeWithin  = askWithin + 15*time.Second
	idleWithin   = 2 * time.Minute
	leaveWithin  = 2 * time.Second // for answers under way at the end
)

// Options say where a Server listens and when a pipeline is ready.
type Options struct {
	Socket       string // path of the socket; "": none
	Listen       string // host:port; "": no TCP
	Token        spec.Secret
	Cert, Key    string // files, PEM: TCP is encrypted; "" for none
	StalledAfter time.Duration
	LagObjective time.Duration
	Log          *slog.Logger
}

// Server serves one pipeline, over all engines that run it.
type Server struct {
	pipeline Pipeline
	options  Options
	tcp      net.Listener
	metrics  http.Handler
	atOnce   chan struct{} // holds one element for each request
	yields   chan struct{} // has a token when the socket is to be given up

	mu      sync.Mutex // guards the following
	judge   Judge
	reasons []string
}

// Listen makes a server, and its TCP listener where one is asked for: an address that cannot be had
// is an error of class Environment. Run serves it.
func Listen(p Pipeline, o Options) (*Server, error) {
	s := &Server{pipeline: p, options: o, atOnce: make(chan struct{}, maxAtOnce),
		yields: make(chan struct{}, 1)}
	s.judge = Judge{StalledAfter: o.StalledAfter, LagObjective: o.LagObjective}
	if s.options.Log == nil {
		s.options.Log = slog.New(slog.DiscardHandler)
	}
	s.reasons = []string{string(Starting)}
	registry, err := Metrics(s.status, time.Now)
	if err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	s.metrics = promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	if o.Listen == "" {
		return s, nil
	}
	l, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, &pipeline.Error{Node: "control", Class: pipeline.Environment, Err: fmt.Errorf("listen: %w", err),
			Hint: "Set another address in control { listen = ... }."}
	}
	s.tcp = l
	if o.Cert == "" {
		return s, nil
	}
	if s.tcp, err = encrypted(l, o.Cert, o.Key, s.options.Log); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return s, nil
}

// Addr returns the TCP address, nil where there is none.
func (s *Server) Addr() net.Addr {
	if s.tcp == nil {
		return nil
	}
	return s.tcp.Addr()
}

// Run serves until ctx ends. That there is no socket does not stop a pipeline: it is logged, and tried
// again.
func (s *Server) Run(ctx context.Context) {
	var all sync.WaitGroup
	all.Go(func() { s.judgeAll(ctx) })
	if s.tcp != nil {
		s.options.Log.Info("control listens", "address", s.tcp.Addr().String(), "tls", s.options.Cert != "")
		all.Go(func() { s.serve(ctx, s.tcp, s.overTCP()) })
	}
	if s.options.Socket != "" {
		all.Go(func() { s.serveSocket(ctx) })
	}
	all.Wait()
}

func (s *Server) serveSocket(ctx context.Context) {
	said := ""
	for ctx.Err() == nil {
		l, err := listen(s.options.Socket)
		if err == nil {
			if l.pointer {
				s.options.Log.Info("control socket lies elsewhere: its path is too long", "path", l.path, "socket", l.placed)
			}
			s.serveUntilYield(ctx, l)
			continue
		}
		if text := err.Error(); text != said {
			level := slog.LevelWarn
			if errors.Is(err, errTaken) {
				level = slog.LevelInfo // a standby, or a second process that is about to be refused
			}
			s.options.Log.Log(ctx, level, "no control socket: pipe snapshot and pipe status cannot reach this process",
				"socket", s.options.Socket, "error", text)
			said = text
		}
		if errors.Is(err, errTaken) {
			s.askFor(ctx)
		}
		if !sleep(ctx, socketAgain) {
			return
		}
	}
}

// serve serves one listener until ctx ends, and closes it.
func (s *Server) serve(ctx context.Context, l net.Listener, h http.Handler) {
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: headerWithin, ReadTimeout: readWithin, WriteTimeout: writeWithin,
		IdleTimeout: idleWithin, MaxHeaderBytes: maxHeader,
		ErrorLog:    slog.NewLogLogger(s.options.Log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		<-ctx.Done()
		leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveWithin)
		defer cancel()
		if server.Shutdown(leaving) != nil {
			_ = server.Close() // it is given up
		}
	}()
	if err := server.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
		s.options.Log.Error("control stopped listening", "address", l.Addr().String(), "error", err)
		<-ctx.Done()
	}
	<-done
	_ = l.Close() // a socket's lock; the listener is closed
}

// judgeAll looks at the pipeline once in a while, so that what stands still is seen.
func (s *Server) judgeAll(ctx context.Context) {
	ticker := time.NewTicker(judgeEvery)
	defer ticker.Stop()
	for {
		s.status()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// status returns the pipeline's figures with the verdict over them.
func (s *Server) status() Status {
	out := s.pipeline.Status()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reasons = s.judge.Judge(&out, time.Now())
	out.Reasons, out.Ready = s.reasons, len(s.reasons) == 0
	return out
}

// background is the context of making a socket, which does not wait.
func background() context.Context { return context.Background() }

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
