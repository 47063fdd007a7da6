package control

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// maxTables bounds the tables that the metrics tell of, those being read first.
const maxTables = 500

// Metrics returns a registry whose metrics tell of a Status at a moment, and of the process. Their names
// are stable.
func Metrics(status func() Status, now func() time.Time) (*prometheus.Registry, error) {
	r := prometheus.NewRegistry()
	for _, c := range [...]prometheus.Collector{&metrics{status, now}, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// metrics reads a Status at each scrape.
type metrics struct {
	status func() Status
	now    func() time.Time
}

// Describe implements prometheus.Collector: the metrics depend on the pipeline, so none is told beforehand.
func (*metrics) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(out chan<- prometheus.Metric) {
	s, now := m.status(), m.now()
	x := &exposition{out: out, common: prometheus.Labels{"pipeline": valid(s.Pipeline)}}
	x.pipeline(&s, now)
	x.sources(&s)
	x.transforms(&s)
	x.sinks(&s)
	x.snapshots(&s, now)
}

// exposition hands out the samples of one family after another.
type exposition struct {
	out        chan<- prometheus.Metric
	common     prometheus.Labels
	name, help string
	kind       prometheus.ValueType
}

// The types of families.
const (
	counter = prometheus.CounterValue
	gauge   = prometheus.GaugeValue
)

func (x *exposition) family(name string, kind prometheus.ValueType, help string) {
	x.name, x.kind, x.help = name, kind, help
}

// sample adds a value with its labels: names and values in turn.
func (x *exposition) sample(value float64, labels ...string) {
	var names, values []string
	for i := 0; i+1 < len(labels); i += 2 {
		names, values = append(names, labels[i]), append(values, valid(labels[i+1]))
	}
	desc := prometheus.NewDesc(x.name, x.help, names, x.common)
	metric, err := prometheus.NewConstMetric(desc, x.kind, value, values...)
	if err != nil {
		metric = prometheus.NewInvalidMetric(desc, err)
	}
	x.out <- metric
}

// flag adds 1 or 0.
func (x *exposition) flag(value bool, labels ...string) {
	v := 0.0
	if value {
		v = 1
	}
	x.sample(v, labels...)
}

// valid makes a label's value UTF-8: a name with another byte must not take all metrics away.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func (x *exposition) pipeline(s *Status, now time.Time) {
	x.family("pipe_info", gauge, "The version of pipe that runs the pipeline.")
	x.sample(1, "version", s.Version)
	x.family("pipe_ready", gauge, "Whether the pipeline works, makes progress and is within its lag objective.")
	x.flag(s.Ready)
	x.family("pipe_phase", gauge, "What the process is at: 1 for the phase that it is in.")
	for _, p := range [...]Phase{Starting, Standby, Running, Retrying, Stopping} {
		x.flag(p == s.Phase, "phase", string(p))
	}
	x.family("pipe_start_time_seconds", gauge, "When the pipeline was started, in seconds since 1970.")
	x.sample(seconds(s.Started))
	x.family("pipe_restarts_total", counter, "How often the pipeline was begun again after a failure.")
	x.sample(float64(s.Restarts))
	x.family("pipe_saves_total", counter, "How often positions were saved.")
	x.sample(float64(s.Saves))
	if !s.LastSave.IsZero() {
		x.family("pipe_last_save_timestamp_seconds", gauge, "When positions were saved last, in seconds since 1970.")
		x.sample(seconds(s.LastSave))
		x.family("pipe_last_save_age_seconds", gauge,
			"How long ago positions were saved; it grows while nothing changes upstream.")
		x.sample(max(0, now.Sub(s.LastSave).Seconds()))
	}
	x.family("pipe_in_flight_batches", gauge, "Batches between a source and the last sink to write them.")
	x.sample(float64(s.InFlightBatches))
	x.family("pipe_in_flight_bytes", gauge, "Memory of the batches in flight.")
	x.sample(float64(s.InFlightBytes))
}

// nodes writes one family with a sample for each node.
func (x *exposition) nodes(name string, kind prometheus.ValueType, help string, nodes []Node, value func(*Node) float64) {
	if len(nodes) == 0 {
		return
	}
	x.family(name, kind, help)
	for i := range nodes {
		x.sample(value(&nodes[i]), "node", nodes[i].Address)
	}
}

func (x *exposition) sources(s *Status) {
	nodes := make([]Node, len(s.Sources))
	for i := range s.Sources {
		nodes[i] = s.Sources[i].Node
	}
	x.nodes("pipe_source_rows_total", counter, "Rows read.", nodes, rows)
	x.nodes("pipe_source_bytes_total", counter, "Bytes of the batches read.", nodes, size)
	x.nodes("pipe_source_batches_total", counter, "Batches read.", nodes, batches)
	x.nodes("pipe_source_errors_total", counter, "Failures of the source.", nodes, failures)
	known := func(name, help string, value func(*Source) float64) {
		begun := false
		for i := range s.Sources {
			v := value(&s.Sources[i])
			if v < 0 {
				continue
			}
			if !begun {
				x.family(name, gauge, help)
				begun = true
			}
			x.sample(v, "node", s.Sources[i].Address)
		}
	}
	known("pipe_source_lag_bytes", "Bytes written upstream and not read yet; absent while unknown.",
		func(s *Source) float64 { return float64(s.LagBytes) })
	known("pipe_source_lag_seconds", "Age of the last transaction read, 0 when caught up; absent while unknown.",
		func(s *Source) float64 { return s.LagSeconds })
	known("pipe_source_retained_bytes", "Bytes that upstream keeps for the pipeline (PostgreSQL: WAL behind the slot).",
		func(s *Source) float64 { return float64(s.RetainedBytes) })
	if len(s.Sources) == 0 {
		return
	}
	x.family("pipe_source_phase", gauge, "What the source is at: 1 for the phase that it is in.")
	for i := range s.Sources {
		x.sample(1, "node", s.Sources[i].Address, "phase", s.Sources[i].Phase)
	}
}

func (x *exposition) transforms(s *Status) {
	x.nodes("pipe_transform_input_rows_total", counter, "Rows that came in.", s.Transforms,
		func(n *Node) float64 { return float64(n.RowsIn) })
	x.nodes("pipe_transform_rows_total", counter, "Rows that went out.", s.Transforms, rows)
	x.nodes("pipe_transform_errors_total", counter, "Failures of the transform.", s.Transforms, failures)
}

func (x *exposition) sinks(s *Status) {
	x.nodes("pipe_sink_rows_total", counter, "Rows written.", s.Sinks, rows)
	x.nodes("pipe_sink_bytes_total", counter, "Bytes of the batches written.", s.Sinks, size)
	x.nodes("pipe_sink_batches_total", counter, "Batches written.", s.Sinks, batches)
	x.nodes("pipe_sink_errors_total", counter, "Failures of the sink.", s.Sinks, failures)
	x.nodes("pipe_sink_busy_seconds_total", counter, "Time spent writing, over all lanes.", s.Sinks,
		func(n *Node) float64 { return n.BusySeconds })
}

// of is a table with its source.
type of struct {
	source string
	*Table
}

func (x *exposition) snapshots(s *Status, now time.Time) {
	var all []of
	for i := range s.Sources {
		for n := range s.Sources[i].Tables {
			all = append(all, of{s.Sources[i].Address, &s.Sources[i].Tables[n]})
		}
	}
	slices.SortStableFunc(all, func(a, b of) int { return cmp.Compare(rank(a), rank(b)) })
	x.family("pipe_snapshot_tables_omitted", gauge, "Tables that the metrics below leave out to stay small.")
	x.sample(float64(max(0, len(all)-maxTables)))
	all = all[:min(len(all), maxTables)]
	if len(all) == 0 {
		return
	}
	each := func(name, help string, value func(of) (float64, bool)) {
		begun := false
		for _, t := range all {
			v, ok := value(t)
			if !ok {
				continue
			}
			if !begun {
				x.family(name, gauge, help)
				begun = true
			}
			x.sample(v, "node", t.source, "table", t.Table.Table)
		}
	}
	x.family("pipe_snapshot_status", gauge, "Where the table's snapshot stands: 1 for its status.")
	for _, t := range all {
		x.sample(1, "node", t.source, "table", t.Table.Table, "status", string(t.Status))
	}
	each("pipe_snapshot_rows", "Rows of the table's last snapshot so far.",
		func(t of) (float64, bool) { return float64(t.Rows), true })
	each("pipe_snapshot_expected_rows", "Rows that the table's last snapshot was expected to have.",
		func(t of) (float64, bool) { return float64(t.Estimate), t.Estimate >= 0 })
	each("pipe_snapshot_chunks_done", "Chunks of the table's last snapshot that are in every sink.",
		func(t of) (float64, bool) { return float64(t.ChunksDone), true })
	each("pipe_snapshot_duration_seconds", "How long the table's last snapshot took, or takes so far.",
		func(t of) (float64, bool) { return t.took(now).Seconds(), !t.Started.IsZero() })
	each("pipe_snapshot_waiting_requests", "Requests for the table that wait for the one that runs.",
		func(t of) (float64, bool) { return float64(len(t.Queue)), true })
}

// rank orders tables: those being read, those that failed, the others.
func rank(t of) int {
	switch {
	case t.Status.Open():
		return 0
	case t.Status == snapshot.Failed:
		return 1
	}
	return 2
}

func (t of) took(now time.Time) time.Duration {
	end := t.Ended
	if end.IsZero() {
		end = now
	}
	return max(0, end.Sub(t.Started))
}

func rows(n *Node) float64     { return float64(n.Rows) }
func size(n *Node) float64     { return float64(n.Bytes) }
func batches(n *Node) float64  { return float64(n.Batches) }
func failures(n *Node) float64 { return float64(n.Errors) }

func seconds(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }
