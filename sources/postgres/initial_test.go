package postgres

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// broken is an Output that fails once so many rows were emitted; what it has may be gone on with.
func broken(m *image, rows int) *pipetest.Collect {
	seen := 0
	return &pipetest.Collect{OnEmit: func(b *pipeline.Batch) error {
		if len(b.Rows) > 0 {
			time.Sleep(40 * time.Millisecond)
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		if seen += len(b.Rows); seen > rows {
			return fmt.Errorf("the sink failed")
		}
		for i := range b.Rows {
			m.apply(&b.Rows[i])
		}
		return nil
	}}
}

// TestInitialResumes crashes a source in the middle of its snapshot: the next one goes on with the stream
// from where the snapshot was taken and reads what is left beside it, and not much more.
func TestInitialResumes(t *testing.T) {
	const rows = 100_000
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY, v text, big text); ALTER TABLE a ALTER big SET STORAGE EXTERNAL`,
		fmt.Sprintf(`INSERT INTO a SELECT i, 'v' || i, CASE WHEN i %% 10000 = 0 THEN repeat('b', 3000) END FROM generate_series(1, %d) i`, rows),
		`CREATE TABLE b (id int PRIMARY KEY)`, `INSERT INTO b VALUES (1), (2)`,
		`CREATE TABLE nokey (id int); ALTER TABLE nokey REPLICA IDENTITY FULL`, `INSERT INTO nokey VALUES (1), (1)`, `ANALYZE`)
	c := configOf(dsn, func(c *Config) { c.Snapshot, c.ChunkRows = policyInitial, 1000 })
	m := newImage()
	out := broken(m, rows/2)
	if err := open(t, c).Run(t.Context(), nil, out); err == nil || !strings.Contains(err.Error(), "the sink failed") {
		t.Fatalf("it ended with %v", err)
	}
	first := m.readRows()
	pipetest.Exec(t, dsn, `DELETE FROM a WHERE id % 100 = 1`, `UPDATE a SET v = 'w' WHERE id % 100 = 2 OR big IS NOT NULL`,
		`UPDATE a SET id = -id, v = 'moved' WHERE id % 20000 = 0`, `INSERT INTO a SELECT i, 'new' FROM generate_series(200001, 200100) i`)
	r := pipetest.Run(t, open(t, c), out.Checkpoint(), m.output())
	m.sameSoon(t, dsn, "public.a", `SELECT * FROM a`)
	e := entry(t, r, "public.a", snapshot.Done)
	m.sameSoon(t, dsn, "public.a", `SELECT * FROM a`)
	m.sameSoon(t, dsn, "public.b", `SELECT * FROM b`)
	again := first + m.readRows() - first - rows
	t.Logf("%d rows read before the crash, %d in all: %.1f %% again; entry %d rows in %d chunks", first, m.readRows(),
		100*float64(again)/rows, e.Rows, e.ChunksDone)
	if first < rows/4 || again > rows/10 { // what was read in the last moments, which are much of so short a run
		t.Errorf("%d rows were read again", again)
	}
	pipetest.Exec(t, dsn, `UPDATE a SET v = 'last' WHERE id = 50`)
	m.sameSoon(t, dsn, "public.a", `SELECT * FROM a`)
	r.Stop()
	for s := range r.Out.Checkpoint() {
		if s != walStream && !strings.HasPrefix(string(s), "table/") {
			t.Errorf("the stream %s was left", s)
		}
	}
}
