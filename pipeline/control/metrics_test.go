package control

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// The grammar of the text format, as far as it is used.
var (
	helpLine   = regexp.MustCompile(`^# HELP ([a-z_]+) [A-Z].*\.$`)
	typeLine   = regexp.MustCompile(`^# TYPE ([a-z_]+) (counter|gauge)$`)
	sampleLine = regexp.MustCompile(`^([a-z_]+)(\{[a-z]+="(?:[^"\\]|\\.)*"(?:,[a-z]+="(?:[^"\\]|\\.)*")*\})? (-?[0-9.e+]+)$`)
)

// checkExposition checks what promlint would: each family once, with help and type before its samples,
// counters and only those named _total, base units, no sample twice.
func checkExposition(t *testing.T, text string) map[string]string {
	t.Helper()
	out, families, family, kind := map[string]string{}, map[string]int{}, "", ""
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if m := helpLine.FindStringSubmatch(line); m != nil {
			if _, twice := families[m[1]]; twice {
				t.Errorf("family %s comes twice", m[1])
			}
			families[m[1]], family, kind = 0, m[1], ""
			continue
		}
		if m := typeLine.FindStringSubmatch(line); m != nil && m[1] == family {
			if kind = m[2]; (kind == counter) != strings.HasSuffix(family, "_total") {
				t.Errorf("%s is a %s", family, kind)
			}
			continue
		}
		m := sampleLine.FindStringSubmatch(line)
		if m == nil || m[1] != family || kind == "" {
			t.Errorf("in family %s: %q", family, line)
			continue
		}
		if _, twice := out[m[1]+m[2]]; twice {
			t.Errorf("%s%s comes twice", m[1], m[2])
		}
		out[m[1]+m[2]] = m[3]
		families[family]++
	}
	for name, samples := range families {
		if samples == 0 {
			t.Errorf("family %s has no sample", name)
		}
		if regexp.MustCompile(`_(ms|milliseconds|minutes|kib|mb|percent)(_|$)`).MatchString(name) {
			t.Errorf("%s is not in a base unit", name)
		}
	}
	return out
}

func TestMetrics(t *testing.T) {
	s := working()
	s.Ready = true
	s.Sources = append(s.Sources, Source{Node: Node{Address: "source.b\\\n"}, LagBytes: -1, LagSeconds: -1, RetainedBytes: -1})
	text := string(AppendMetrics(nil, &s, s.LastSave.Add(5*time.Second)))
	got := checkExposition(t, text)
	const eu = `pipeline="shop \"eu\"",node="source.shop[\"eu\"]"`
	for name, want := range map[string]string{
		`pipe_ready{pipeline="shop \"eu\""}`:                                             "1",
		`pipe_last_save_age_seconds{pipeline="shop \"eu\""}`:                             "5",
		`pipe_source_rows_total{` + eu + `}`:                                             "10",
		`pipe_source_lag_bytes{` + eu + `}`:                                              "0",
		`pipe_source_retained_bytes{` + eu + `}`:                                         "4096",
		`pipe_source_rows_total{pipeline="shop \"eu\"",node="source.b\\\n"}`:             "0",
		`pipe_source_lag_bytes{pipeline="shop \"eu\"",node="source.b\\\n"}`:              "",
		`pipe_transform_input_rows_total{pipeline="shop \"eu\"",node="transform.types"}`: "10",
		`pipe_sink_busy_seconds_total{pipeline="shop \"eu\"",node="sink.copy"}`:          "0.5",
		`pipe_snapshot_status{` + eu + `,table="public.big",status="running"}`:           "1",
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
		t.Log(text)
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
	got := checkExposition(t, string(AppendMetrics(nil, &s, time.Now())))
	tables := 0
	for name := range got {
		if strings.HasPrefix(name, "pipe_snapshot_status{") {
			tables++
		}
	}
	last := fmt.Sprintf(`pipe_snapshot_status{pipeline="shop \"eu\"",node="source.shop[\"eu\"]",table="t%d",status="running"}`, 3*maxTables-1)
	if tables != maxTables || got[last] != "1" || got[`pipe_snapshot_tables_omitted{pipeline="shop \"eu\""}`] != fmt.Sprint(2*maxTables) {
		t.Errorf("%d tables, %q, %q", tables, got[last], got[`pipe_snapshot_tables_omitted{pipeline="shop \"eu\""}`])
	}
}

// Without sources, sinks or a save there are no families without samples.
func TestMetricsOfNothing(t *testing.T) {
	got := checkExposition(t, string(AppendMetrics(nil, &Status{Phase: Starting}, time.Now())))
	if got[`pipe_phase{pipeline="",phase="starting"}`] != "1" || got[`pipe_saves_total{pipeline=""}`] != "0" {
		t.Errorf("%v", got)
	}
}
