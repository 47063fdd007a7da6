package postgres

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// image is what a target would hold of the rows emitted: by table and key, the values.
type image struct {
	mu   sync.Mutex
	rows map[string]map[string][]string
	old  map[string]map[string]bool // by table: what was not written since its snapshot began
	read int                        // rows read, of all tables
}

func newImage() *image {
	return &image{rows: map[string]map[string][]string{}, old: map[string]map[string]bool{}}
}

// output returns an Output that applies what is emitted.
func (m *image) output() *pipetest.Collect {
	return &pipetest.Collect{OnEmit: func(b *pipeline.Batch) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		for i := range b.Rows {
			m.apply(&b.Rows[i])
		}
		return nil
	}}
}

func (m *image) apply(r *pipeline.Row) {
	name := r.Schema.Name()
	if r.Note() {
		m.note(name, r.Flags)
		return
	}
	rows := m.rows[name]
	if rows == nil || r.Op == pipeline.Truncate {
		rows = map[string][]string{}
		m.rows[name] = rows
	}
	if r.Op == pipeline.Truncate {
		return
	}
	key := func(v []pipeline.Value) string { return strings.Join(keyTexts(r.Schema, v), "|") }
	var old []string
	if r.Before != nil {
		old = rows[key(r.Before)]
		delete(rows, key(r.Before))
	}
	if r.Op == pipeline.Read {
		m.read++
	}
	if r.Values == nil {
		return
	}
	if old == nil {
		old = rows[key(r.Values)]
	}
	text := make([]string, len(r.Values))
	for i, v := range r.Values {
		if text[i] = v.String(); v.IsAbsent() && i < len(old) {
			text[i] = old[i]
		}
	}
	rows[key(r.Values)] = text
	delete(m.old[name], key(r.Values))
}

// note does what a sink does that remembers what it wrote.
func (m *image) note(table string, flags pipeline.Flags) {
	if flags&pipeline.Sift != 0 {
		m.old[table] = map[string]bool{}
		for key := range m.rows[table] {
			m.old[table][key] = true
		}
	}
	if flags&pipeline.Sweep != 0 {
		for key := range m.old[table] {
			delete(m.rows[table], key)
		}
	}
}

// lines returns a table's rows, sorted.
func (m *image) lines(table string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for _, row := range m.rows[table] {
		out = append(out, strings.Join(row, "|"))
	}
	slices.Sort(out)
	return out
}

func (m *image) readRows() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.read
}

// sourceLines returns a table's rows as image.lines does.
func sourceLines(t testing.TB, dsn, query string) []string {
	t.Helper()
	var out []string
	for _, row := range pipetest.QueryText(t, dsn, query) {
		for i := range row {
			if row[i] == "NULL" {
				row[i] = "null"
			}
		}
		out = append(out, strings.Join(row, "|"))
	}
	slices.Sort(out)
	return out
}

// sameSoon waits until the image of a table is what the query returns.
func (m *image) sameSoon(t testing.TB, dsn, table, query string) {
	t.Helper()
	var diff string
	for until := time.Now().Add(most); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		if diff = cmp.Diff(sourceLines(t, dsn, query), m.lines(table)); diff == "" {
			return
		}
	}
	t.Errorf("%s (-source +target):\n%.2000s", table, diff)
}

func askerOf(t testing.TB, r *pipetest.Running) snapshot.Asker {
	t.Helper()
	a, ok := r.Source.(snapshot.Asker)
	if !ok {
		t.Fatal("the source takes no requests")
	}
	return a
}

func ask(t testing.TB, r *pipetest.Running, tables ...string) {
	t.Helper()
	var list []snapshot.Request
	for _, table := range tables {
		list = append(list, snapshot.Request{Table: table, Reason: snapshot.ForRequest, Asked: time.Now().UTC()})
	}
	askFor(t, r, list...)
}

func askFor(t testing.TB, r *pipetest.Running, list ...snapshot.Request) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), most)
	defer cancel()
	if err := askerOf(t, r).Ask(ctx, list...); err != nil {
		t.Fatal(err)
	}
}

// entry waits until a table's entry has the status and returns it.
func entry(t testing.TB, r *pipetest.Running, table string, want snapshot.Status) snapshot.Entry {
	t.Helper()
	var last snapshot.Entry
	for until := time.Now().Add(most); time.Now().Before(until); time.Sleep(5 * time.Millisecond) {
		for _, e := range askerOf(t, r).Entries() {
			if e.Table == table {
				last = e
			}
		}
		if last.Status == want && len(last.Queue) == 0 {
			return last
		}
	}
	t.Fatalf("the entry of %s is %+v, want it %s", table, last, want)
	return last
}

// TestLiveReadsTables reads tables of all sorts again while the stream runs.
func TestLiveReadsTables(t *testing.T) {
	dsn := pg.Database(t)
	tables := map[string]string{
		"public.ints":   `SELECT id, v FROM ints`,
		"public.sparse": `SELECT id, v FROM sparse`,
		"public.texts":  `SELECT id, n FROM texts`,
		"public.uuids":  `SELECT id, n FROM uuids`,
		"public.pairs":  `SELECT a, b, v FROM pairs`,
		"public.empty":  `SELECT id FROM empty`,
		"public.huge":   `SELECT id, length(v) FROM huge`,
		"public.parted": `SELECT id, v FROM parted`,
		"public.Odd \"": `SELECT "Id x" FROM "Odd """`,
	}
	pipetest.Exec(t, dsn, `CREATE TABLE ints (id int PRIMARY KEY, v text);
		INSERT INTO ints SELECT i, repeat('v', i % 300) FROM generate_series(1, 30000) i;
		DELETE FROM ints WHERE id BETWEEN 5000 AND 20000`, `VACUUM ints`)
	pipetest.Exec(t, dsn, `CREATE TABLE sparse (id bigint PRIMARY KEY, v text); INSERT INTO sparse VALUES (1, 'a'), (9000000000000000000, 'b'), (-5, NULL);
		CREATE TABLE texts (id text PRIMARY KEY, n int); INSERT INTO texts SELECT chr(65 + i % 50) || ' ''x' || i, i FROM generate_series(1, 3000) i;
		CREATE TABLE uuids (id uuid PRIMARY KEY, n int); INSERT INTO uuids SELECT gen_random_uuid(), i FROM generate_series(1, 3000) i;
		CREATE TABLE pairs (a int, b text, v text, PRIMARY KEY (b, a)); INSERT INTO pairs SELECT i % 7, 'b' || i, NULL FROM generate_series(1, 2000) i;
		CREATE TABLE empty (id int PRIMARY KEY);
		CREATE TABLE huge (id int PRIMARY KEY, v text); ALTER TABLE huge ALTER v SET STORAGE EXTERNAL;
		INSERT INTO huge SELECT i, repeat('x', 1500000) FROM generate_series(1, 20) i; INSERT INTO huge VALUES (99, repeat('y', 9000000));
		CREATE TABLE parted (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
		CREATE TABLE p1 (v text, id int NOT NULL); ALTER TABLE parted ATTACH PARTITION p1 FOR VALUES FROM (0) TO (100);
		CREATE TABLE p2 PARTITION OF parted FOR VALUES FROM (100) TO (1000);
		INSERT INTO parted SELECT i, 'p' || i FROM generate_series(1, 900) i;
		CREATE TABLE "Odd """ ("Id x" int PRIMARY KEY); INSERT INTO "Odd """ VALUES (1), (2)`)
	t.Run("by place", func(t *testing.T) { readsAll(t, dsn, tables, configOf(dsn, func(c *Config) { c.Workers = 3 })) })
	t.Run("by key", func(t *testing.T) {
		readsAll(t, dsn, tables, configOf(dsn, func(c *Config) { c.liveByKey, c.Publication = true, "pub2" }))
	})
}

// readsAll asks for all of the tables and holds what comes against them.
func readsAll(t *testing.T, dsn string, tables map[string]string, c *Config) {
	m := newImage()
	r := start(t, c, nil, m.output())
	names := slices.Sorted(maps.Keys(tables))
	ask(t, r, names...)
	for _, name := range names {
		e := entry(t, r, name, snapshot.Done)
		want := sourceLines(t, dsn, tables[name])
		if e.Rows != int64(len(want)) || e.Fence == "" && len(want) > 0 {
			t.Errorf("%s: entry %+v, %d rows", name, e, len(want))
		}
		if name == "public.huge" {
			if n := len(m.lines(name)); n != len(want) {
				t.Errorf("%d huge rows, want %d", n, len(want))
			}
			continue
		}
		if diff := cmp.Diff(want, m.lines(name)); diff != "" {
			t.Errorf("%s (-source +target):\n%.1000s", name, diff)
		}
	}
	r.Stop()
}
