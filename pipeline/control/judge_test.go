package control

import (
	"strings"
	"testing"
	"time"
)

func TestJudge(t *testing.T) {
	const stall = time.Minute
	failed := &Failure{Message: "connection lost", At: time.Unix(5, 0)}
	cases := []struct {
		name   string
		change func(second int, s *Status)
		ready  int    // the seconds for which it is ready from the start; -1: all 600
		why    string // after that
	}{
		{"idle", func(int, *Status) {}, -1, ""},
		{"moving", func(n int, s *Status) { s.Sources[0].LagBytes, s.Sources[0].Rows = 100, int64(n) }, -1, ""},
		{"stalled source", func(n int, s *Status) { s.Sources[0].LagBytes = 1 << 20 }, 61, "source.shop[\"eu\"] stalled"},
		{"stalled source, slightly", func(n int, s *Status) { s.Sources[0].LagBytes = 320 }, 601, "stalled"},
		{"stalled source that tells no bytes", func(_ int, s *Status) {
			s.Sources[0].LagBytes, s.Sources[0].LagSeconds = -1, 3
		}, 61, "stalled"},
		{"unknown lag", func(_ int, s *Status) { s.Sources[0].LagBytes, s.Sources[0].LagSeconds = -1, -1 }, -1, ""},
		{"a step each 50 s", func(n int, s *Status) { s.Sources[0].LagBytes, s.Sources[0].Batches = 100, int64(n/50) }, -1, ""},
		{"stalled sink", func(n int, s *Status) { s.InFlightBatches = 3 }, 61, "nothing was written for 1m1s"},
		{"busy sink", func(n int, s *Status) { s.InFlightBatches, s.Sinks[0].Rows = 3, int64(n) }, -1, ""},
		{"snapshot that stands still", func(n int, s *Status) {
			s.Sources[0].Phase, s.Sources[0].LagBytes = "snapshot", -1
		}, 601, "stalled"},
		{"late, slightly", func(n int, s *Status) {
			if n >= 10 {
				s.Sources[0].LagBytes, s.Sources[0].LagSeconds, s.Sources[0].Rows = 320, 31, int64(n)
			}
		}, 70, "behind"},
		{"late", func(n int, s *Status) {
			if n >= 10 {
				s.Sources[0].LagBytes, s.Sources[0].LagSeconds, s.Sources[0].Rows = 1<<20, 31, int64(n)
			}
		}, 13, "is 31s behind, more than the objective of 30s"},
		{"late for a moment", func(n int, s *Status) {
			s.Sources[0].Rows = int64(n)
			if n%10 < 2 {
				s.Sources[0].LagSeconds = 3600
			}
		}, -1, ""},
		{"connecting", func(_ int, s *Status) { s.Sources[0].Phase = "connecting" }, 0, "connects"},
		{"starting", func(_ int, s *Status) { s.Phase = Starting }, 0, "starting"},
		{"standby", func(_ int, s *Status) { s.Phase, s.Leader = Standby, &Leader{Process: "db1:1"} }, 0, "standby: db1:1 has the pipeline"},
		{"standby that helps", func(_ int, s *Status) { s.Leader = &Leader{Process: "db1:1"} }, 0, "standby: db1:1 has the pipeline"},
		{"stopping", func(_ int, s *Status) { s.Phase = Stopping }, 0, "stopping"},
		{"retrying", func(n int, s *Status) {
			if n >= 5 {
				s.Phase, s.Failure = Retrying, failed
			}
		}, 5, "connection lost"},
		{"begun again, without progress", func(n int, s *Status) {
			if n >= 5 {
				s.Failure = failed
			}
		}, 5, "without progress yet"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			j := Judge{StalledAfter: stall, LagObjective: 30 * time.Second}
			for n := range 610 {
				s := working()
				c.change(n, &s)
				why := strings.Join(j.Judge(&s, time.Unix(int64(n), 0)), "\n")
				if c.ready < 0 || n < c.ready {
					if why != "" {
						t.Fatalf("second %d: %s", n, why)
					}
					continue
				}
				if !strings.Contains(why, c.why) || why == "" {
					t.Fatalf("second %d: %q, want %q", n, why, c.why)
				}
				return
			}
		})
	}
}

// A failure is forgiven once something was saved, or after a while.
func TestJudgeForgives(t *testing.T) {
	for saves, ready := range map[int64]bool{3: false, 4: true} {
		j := Judge{}
		s := working()
		s.Failure = &Failure{Message: "lost", At: time.Unix(5, 0)}
		j.Judge(&s, time.Unix(6, 0))
		s.Saves = saves
		if got := len(j.Judge(&s, time.Unix(7, 0))) == 0; got != ready {
			t.Errorf("%d saves: ready %v", saves, got)
		}
		if len(j.Judge(&s, time.Unix(5, 0).Add(settled))) > 0 {
			t.Error("not forgiven after a while")
		}
	}
}
