package control

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestStandbyIsNotReady: it is healthy, and says whom to ask.
func TestStandbyIsNotReady(t *testing.T) {
	f := &fake{status: working()}
	f.status.Leader = &Leader{Process: "db1:4711", Since: time.Date(2026, 11, 21, 9, 5, 0, 0, time.UTC)}
	s, _ := serve(t, f, Options{Listen: "127.0.0.1:0", Token: token})
	status := s.status()
	want := "standby: db1:4711 has the pipeline since 2026-11-21 09:05:00 UTC"
	if status.Ready || len(status.Reasons) == 0 || status.Reasons[0] != want {
		t.Errorf("%q", status.Reasons)
	}
	for probe, code := range map[string]int{"/healthz": http.StatusOK, "/readyz": http.StatusServiceUnavailable} {
		r, err := http.Get("http://" + s.Addr().String() + probe)
		if err != nil {
			t.Fatal(err)
		}
		text := make([]byte, 100)
		n, _ := r.Body.Read(text)
		r.Body.Close()
		if r.StatusCode != code || code != http.StatusOK && strings.TrimSpace(string(text[:n])) != "standby" {
			t.Errorf("%s: %d %s", probe, r.StatusCode, text[:n])
		}
	}
}

// TestSocketFollowsLeader: of two processes with one path the one that leads has the socket, whoever had it.
func TestSocketFollowsLeader(t *testing.T) {
	const patience = time.Minute
	path := filepath.Join(t.TempDir(), "s")
	var all [2]*fake
	for i := range all {
		all[i] = &fake{status: working()}
		all[i].status.PID = i
	}
	leads := func(n int, since int64) {
		l := &Leader{Process: "here", Since: time.Unix(since, 0)}
		all[n].change(func(s *Status) { s.Leader = nil })
		all[1-n].change(func(s *Status) { s.Leader = l })
	}
	leads(0, 1)
	serve(t, all[0], Options{Socket: path})
	c := dial(t, path)
	_, leave := serve(t, all[1], Options{Socket: path})
	answers := func(n int) {
		t.Helper()
		for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
			status, err := c.Status(t.Context())
			if err == nil && status.PID == n {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("process %d does not answer: %d, %v", n, status.PID, err)
			}
		}
	}
	answers(0)
	leads(1, 2)
	answers(1)
	leads(0, 3)
	answers(0)
	leads(1, 4)
	answers(1)
	leave() // the leader is gone, and the standby is the only one
	answers(0)
}
