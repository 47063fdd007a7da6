package checkpoint

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

const heldPatience = time.Minute

// TestHeld: who was cut off for longer than the lease must ask before it writes, and learns of its successor.
func TestHeld(t *testing.T) {
	dsn := server.Database(t)
	s := testServer(dsn)
	s.Lease = time.Second
	at, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	proxy := pipetest.NewProxy(t, at.Host)
	cut := s
	cut.DSN = strings.Replace(dsn, at.Host, proxy.Addr(), 1)
	old := openPostgres(t, cut)
	if err := old.Held(t.Context()); err != nil {
		t.Fatal(err)
	}
	proxy.Blackhole()
	s.Wait, s.Owner = true, "there:2"
	next := openPostgres(t, s) // takes it after the lease
	if err := old.Held(t.Context()); err == nil {
		t.Error("who was cut off for longer than the lease may write")
	} else if pipeline.ClassOf(err) != pipeline.Retryable {
		t.Error(err)
	}
	proxy.Resume()
	select {
	case <-old.Lost():
	case <-time.After(heldPatience):
		t.Fatal("the old owner never learns of the new one")
	}
	if err := old.Held(t.Context()); !errors.Is(err, pipeline.ErrFenced) || pipeline.ClassOf(err) != pipeline.Retryable {
		t.Error(err)
	}
	if err := next.Held(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestHeldAgain: signs of life that are overdue are given by who wants to write, where nobody took over.
func TestHeldAgain(t *testing.T) {
	p := openPostgres(t, testServer(server.Database(t)))
	p.stop() // no more signs of life; it also leaves
	p.beats.Wait()
	p.held.opened = p.held.opened.Add(-heldPatience)
	if !p.held.overdue(p.server.Lease) {
		t.Fatal("it is not overdue")
	}
	if err := p.Held(t.Context()); err != nil {
		t.Error(err)
	}
	if p.held.overdue(p.server.Lease) {
		t.Error("it is overdue after a sign of life")
	}
}

// TestPeekHolder: the owner is known to who looks, and to who waits, until it has left or hangs.
func TestPeekHolder(t *testing.T) {
	dsn := server.Database(t)
	s := testServer(dsn)
	look := func() string {
		t.Helper()
		h, ok, err := PeekHolder(t.Context(), s)
		if err != nil || ok != (h.Owner != "") {
			t.Fatalf("%v, %v, %v", h, ok, err)
		}
		if ok && time.Since(h.Since).Abs() > heldPatience {
			t.Errorf("it has the pipeline since %v", h.Since)
		}
		return h.Owner
	}
	if who := look(); who != "" {
		t.Errorf("%s has a pipeline that never ran", who)
	}
	p := openPostgres(t, s)
	if who := look(); who != s.Owner {
		t.Errorf("%q has it", who)
	}
	waiting, ended := context.WithCancel(t.Context())
	defer ended()
	second, told := s, Holding{}
	second.Owner, second.Wait = "there:2", true
	second.Standing = func(h Holding) {
		told = h
		ended()
	}
	if _, err := OpenPostgres(waiting, second); !errors.Is(err, context.Canceled) || told.Owner != s.Owner {
		t.Errorf("%v, %v", told, err)
	}
	p.Close()
	if who := look(); who != "" {
		t.Errorf("%s has a pipeline that it left", who)
	}
}
