package control

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
)

// overSocket serves everything: who can open the socket is the pipeline's user.
func (s *Server) overSocket() http.Handler {
	mux := http.NewServeMux()
	s.reads(mux)
	s.probes(mux, true)
	s.asks(mux)
	mux.HandleFunc("POST /yield", s.yield)
	return s.bounded(mux)
}

// overTCP serves everything to who has the token; without one, reading to this machine.
func (s *Server) overTCP() http.Handler {
	mux := http.NewServeMux()
	s.reads(mux)
	if s.options.Token == "" {
		s.probes(mux, true)
		return s.bounded(local(mux))
	}
	s.asks(mux)
	open := http.NewServeMux()
	s.probes(open, false)
	open.Handle("/", s.authorised(mux))
	return s.bounded(open)
}

func (s *Server) reads(mux *http.ServeMux) {
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { answer(w, s.status()) })
	mux.HandleFunc("GET /snapshots", func(w http.ResponseWriter, _ *http.Request) { answer(w, s.status().Sources) })
	mux.Handle("GET /metrics", s.metrics)
}

// probes serves what an orchestrator asks; reasons are for those who may see everything. A standby is healthy
// and not ready, so that who looks for the process that works finds one.
func (s *Server) probes(mux *http.ServeMux, reasons bool) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		status := s.status()
		switch {
		case status.Ready:
			_, _ = io.WriteString(w, "ok\n")
		case reasons:
			http.Error(w, strings.Join(status.Reasons, "\n"), http.StatusServiceUnavailable)
		case status.Leader != nil:
			http.Error(w, string(Standby), http.StatusServiceUnavailable)
		default:
			http.Error(w, "not ready", http.StatusServiceUnavailable)
		}
	})
}

func (s *Server) asks(mux *http.ServeMux) {
	mux.HandleFunc("POST /snapshot", func(w http.ResponseWriter, r *http.Request) {
		ask(w, r, s.pipeline.Snapshot)
	})
	mux.HandleFunc("POST /cancel", func(w http.ResponseWriter, r *http.Request) {
		ask(w, r, s.pipeline.Cancel)
	})
}

// ask reads a request, does it, and answers.
func ask[Q any](w http.ResponseWriter, r *http.Request, do func(context.Context, Q) (Accepted, error)) {
	var q Q
	if err := decode(w, r, &q); err != nil {
		refuse(w, http.StatusBadRequest, &pipeline.Error{Class: pipeline.Input, Err: err})
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), askWithin)
	defer cancel()
	accepted, err := do(ctx, q)
	if err != nil {
		refuse(w, codeOf(err), err)
		return
	}
	answer(w, accepted)
}

// decode reads a body of one JSON value. The content type keeps web pages of others out: a browser
// asks before it sends this one.
func decode(w http.ResponseWriter, r *http.Request, into any) error {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/json" {
		return errors.New("the body must be application/json")
	}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("body: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("body: something follows the JSON value")
	}
	return nil
}

func codeOf(err error) int {
	switch pipeline.ClassOf(err) {
	case pipeline.Input:
		return http.StatusBadRequest
	case pipeline.Environment:
		return http.StatusBadGateway
	case pipeline.Retryable:
		return http.StatusServiceUnavailable
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return http.StatusGatewayTimeout
	}
	return http.StatusInternalServerError
}

// refusal is the body of an answer that is an error.
type refusal struct {
	Error Failure `json:"error"`
}

func refuse(w http.ResponseWriter, code int, err error) { send(w, code, refusal{FailureOf(err)}) }

func answer(w http.ResponseWriter, value any) { send(w, http.StatusOK, value) }

func send(w http.ResponseWriter, code int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	_ = enc.Encode(value) // the client may be gone
}

// authorised lets through who sends the token.
func (s *Server) authorised(next http.Handler) http.Handler {
	want := sha256.Sum256([]byte(s.options.Token.Reveal()))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		have := sha256.Sum256([]byte(token))
		if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(have[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			refuse(w, http.StatusUnauthorized, &pipeline.Error{Class: pipeline.Input,
				Err:  errors.New("the token is missing or wrong"),
				Hint: "Send \"Authorization: Bearer TOKEN\" with the token of the control block."})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// local lets through what is addressed to this machine by a name of its own: a name that somebody else
// has pointed here, for a browser to follow, is refused.
func local(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		ip := net.ParseIP(strings.Trim(host, "[]"))
		if host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			refuse(w, http.StatusForbidden, &pipeline.Error{Class: pipeline.Input,
				Err: errors.New("without a token only requests to localhost are served")})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// bounded refuses more than maxAtOnce requests at once.
func (s *Server) bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case s.atOnce <- struct{}{}:
		default:
			refuse(w, http.StatusServiceUnavailable, &pipeline.Error{Class: pipeline.Retryable,
				Err: errors.New("too many requests at once")})
			return
		}
		defer func() { <-s.atOnce }()
		next.ServeHTTP(w, r)
	})
}
