package control

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
)

// Processes of one pipeline that share a directory share the path of their socket, which is to be the
// leader's. Who leads and finds that another one listens there asks for it; a standby gives it up and stays
// away for a while, in which the leader tries to have it several times.
const (
	yieldFor    = 6 * socketAgain
	yieldWithin = 2 * time.Second // to answer who asks
)

// stands reports whether another process has the pipeline.
func (s *Server) stands() bool { return s.pipeline.Status().Leader != nil }

// serveUntilYield serves the socket until ctx ends or a standby has given it up and stayed away.
func (s *Server) serveUntilYield(ctx context.Context, l *socket) {
	serving, yield := context.WithCancel(ctx)
	defer yield()
	select {
	case <-s.yields: // that was for an earlier one
	default:
	}
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-s.yields:
			yield()
		case <-serving.Done():
		}
	})
	s.serve(serving, l, s.overSocket())
	yield()
	watching.Wait()
	for away := time.Now(); s.stands() && time.Since(away) < yieldFor; {
		if !sleep(ctx, socketAgain) {
			return
		}
	}
}

// yield serves POST /yield.
func (s *Server) yield(w http.ResponseWriter, _ *http.Request) {
	if !s.stands() {
		refuse(w, http.StatusConflict, &pipeline.Error{Class: pipeline.Environment, Err: errors.New("this process has the pipeline")})
		return
	}
	select {
	case s.yields <- struct{}{}:
	default: // it was asked already
	}
	answer(w, struct{}{})
}

// askFor asks who listens at the socket for it, where this process has the pipeline. Who is no standby of it
// refuses; who hangs does not answer.
func (s *Server) askFor(ctx context.Context) {
	if status := s.pipeline.Status(); status.Leader != nil || status.Phase != Running {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, yieldWithin)
	defer cancel()
	_ = Dial(s.options.Socket).do(ctx, http.MethodPost, "/yield", struct{}{}, &struct{}{}) // it is asked again
}
