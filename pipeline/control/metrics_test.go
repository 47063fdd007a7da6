package control

import (
	"fmt"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// scrape returns the samples of a Status as they are served, and fails the test for what promlint finds.
func scrape(t *testing.T, s Status, now time.Time) map[string]string {
	t.Helper()
	registry, err := Metrics(func() Status { return s }, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	w := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	out := map[string]string{}
	for line := range strings.Lines(w.Body.String()) {
		line = strings.TrimSuffix(line, "\n")
		if at := strings.LastIndexByte(line, ' '); at > 0 && line[0] != '#' {
			out[line[:at]] = line[at+1:]
		}
	}
	return out
}

func TestMetrics(t *testing.T) {
	s := working()
	s.Ready = true
	s.Sources = append(s.Sources, Source{Node: Node{Address: "source.b\\\n"}, LagBytes: -1, LagSeconds: -1, RetainedBytes: -1})
	got := scrape(t, s, s.LastSave.Add(5*time.Second))
	const eu = `node="source.shop[\"eu\"]",pipeline="shop \"eu\""`
	for name, want := range map[string]string{
		`pipe_ready{pipeline="shop \"eu\""}`:                                             "1",
		`pipe_last_save_age_seconds{pipeline="shop \"eu\""}`:                             "5",
		`pipe_source_rows_total{` + eu + `}`:                                             "10",
		`pipe_source_lag_bytes{` + eu + `}`:                                              "0",
		`pipe_source_retained_bytes{` + eu + `}`:                                         "4096",
		`pipe_source_rows_total{node="source.b\\\n",pipeline="shop \"eu\""}`:             "0",
		`pipe_source_lag_bytes{node="source.b\\\n",pipeline="shop \"eu\""}`:              "",
		`pipe_transform_input_rows_total{node="transform.types",pipeline="shop \"eu\""}`: "10",
		`pipe_sink_busy_seconds_total{node="sink.copy",pipeline="shop \"eu\""}`:          "0.5",
		`pipe_snapshot_status{` + eu + `,status="running",table="public.big"}`:           "1",
		`pipe_snapshot_rows{` + eu + `,table="public.big"}`:                              "5",
		`pipe_snapshot_expected_rows{` + eu + `,table="public.big"}`:                     "20",
		`pipe_snapshot_expected_rows{` + eu + `,table="public.orders"}`:                  "",
		`pipe_snapshot_duration_seconds{` + eu + `,table="public.orders"}`:               "1",
		`pipe_snapshot_duration_seconds{` + eu + `,table="public.big"}`:                  "65",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	if t.Failed() {
		t.Log(slices.Sorted(maps.Keys(got)))
	}
}

// Many tables do not make the metrics large, and those being read are never left out.
func TestMetricsBound(t *testing.T) {
	s := working()
	s.Sources[0].Tables = nil
	for i := range 3 * maxTables {
		s.Sources[0].Tables = append(s.Sources[0].Tables, Table{Table: fmt.Sprint("t", i), Status: snapshot.Done})
	}
	s.Sources[0].Tables[3*maxTables-1].Status = snapshot.Running
	got := scrape(t, s, time.Now())
	tables := 0
	for name := range got {
		if strings.HasPrefix(name, "pipe_snapshot_status{") {
			tables++
		}
	}
	last := fmt.Sprintf(`pipe_snapshot_status{node="source.shop[\"eu\"]",pipeline="shop \"eu\"",status="running",table="t%d"}`, 3*maxTables-1)
	if tables != maxTables || got[last] != "1" || got[`pipe_snapshot_tables_omitted{pipeline="shop \"eu\""}`] != fmt.Sprint(2*maxTables) {
		t.Errorf("%d tables, %q, %q", tables, got[last], got[`pipe_snapshot_tables_omitted{pipeline="shop \"eu\""}`])
	}
}

// Without sources, sinks or a save there are no families without samples.
func TestMetricsOfNothing(t *testing.T) {
	got := scrape(t, Status{Phase: Starting}, time.Now())
	if got[`pipe_phase{phase="starting",pipeline=""}`] != "1" || got[`pipe_saves_total{pipeline=""}`] != "0" {
		t.Errorf("%v", got)
	}
}
