package postgres

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// oracle holds every row that a chunk brings against what the stream has brought so far, which is all that
// there is at that point: it must be the same row. At the end of a snapshot no row may be left out.
type oracle struct {
	mu     sync.Mutex
	rows   map[string]map[string]string // by table and key: the row
	unseen map[string]map[string]bool   // since the beginning of the snapshot that runs
	reads  int
	chunks int
	wrong  []string
}

func newOracle() *oracle {
	return &oracle{rows: map[string]map[string]string{}, unseen: map[string]map[string]bool{}}
}

func (o *oracle) output() *pipetest.Collect {
	var last *pipeline.Tx
	return &pipetest.Collect{OnEmit: func(b *pipeline.Batch) error {
		o.mu.Lock()
		defer o.mu.Unlock()
		for i := range b.Rows {
			r := &b.Rows[i]
			if r.Op == pipeline.Read && r.Tx != last {
				o.chunks++
				last = r.Tx
			}
			o.apply(r)
		}
		b.Rows, b.Arena = nil, pipeline.Arena{} // it is kept for good
		return nil
	}}
}

func (o *oracle) apply(r *pipeline.Row) {
	name := r.Schema.Name()
	rows := o.rows[name]
	if rows == nil {
		rows = map[string]string{}
		o.rows[name] = rows
	}
	key := func(v []pipeline.Value) string { return fmt.Sprint(keyTexts(r.Schema, v)) }
	switch {
	case r.Flags&pipeline.Sift != 0:
		o.unseen[name] = map[string]bool{}
		for k := range rows {
			o.unseen[name][k] = true
		}
		return
	case r.Flags&pipeline.Sweep != 0:
		for k := range o.unseen[name] {
			o.fault("%s %s was left out by a snapshot", name, k)
		}
		return
	case r.Op == pipeline.Truncate:
		clear(rows)
		clear(o.unseen[name])
		return
	}
	if r.Before != nil {
		delete(rows, key(r.Before))
		delete(o.unseen[name], key(r.Before))
	}
	if r.Values == nil {
		return
	}
	k, text := key(r.Values), ""
	for _, v := range r.Values {
		text += v.String() + "|"
	}
	delete(o.unseen[name], k)
	if r.Op == pipeline.Read {
		if o.reads++; rows[k] != text {
			o.fault("%s %s was read as %q, it is %q", name, k, text, rows[k])
		}
	}
	rows[k] = text
}

func (o *oracle) chunkCount() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.chunks
}

func (o *oracle) fault(format string, args ...any) {
	o.wrong = append(o.wrong, fmt.Sprintf(format, args...))
}

// liveWriter changes the tables in random small transactions until ctx ends.
func liveWriter(ctx context.Context, t *testing.T, dsn string, seed uint64, tables int, count *atomic.Int64) {
	rng := rand.New(rand.NewPCG(seed, 11))
	conn, err := pgconn.Connect(context.Background(), dsn)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close(context.Background())
	for ctx.Err() == nil {
		sql := "BEGIN;"
		for range 1 + rng.IntN(3) {
			id, table := rng.IntN(300), rng.IntN(tables)
			switch n := rng.IntN(200); {
			case n < 120:
				sql += fmt.Sprintf("UPDATE t%d SET ver = nextval('ver') WHERE id = %d;", table, id)
			case n < 150:
				sql += fmt.Sprintf("DELETE FROM t%d WHERE id = %d;", table, id)
			case n < 190:
				sql += fmt.Sprintf("INSERT INTO t%d VALUES (%d, nextval('ver')) ON CONFLICT (id) DO UPDATE SET ver = excluded.ver;", table, id)
			case n < 199:
				sql += fmt.Sprintf("UPDATE t%d SET id = %d, ver = nextval('ver') WHERE id = %d AND NOT EXISTS (SELECT FROM t%d WHERE id = %d);",
					table, id+300, id, table, id+300)
			case rng.IntN(10) == 0:
				sql += fmt.Sprintf("TRUNCATE t%d; INSERT INTO t%d SELECT i, nextval('ver') FROM generate_series(0, 299) i;", table, table)
			}
		}
		if err := conn.Exec(context.Background(), sql+"COMMIT").Close(); err != nil {
			_ = conn.Exec(context.Background(), "ROLLBACK").Close() // two writers clash
			continue
		}
		count.Add(1)
	}
}

// TestLiveIsExact takes thousands of chunks' snapshots of small tables under many writers.
func TestLiveIsExact(t *testing.T) {
	const (
		tables, writers, lasts = 8, 6, 25 * time.Second
		fewChunks, fewChanges  = 1000, 2000 // with less it goes on, on a machine that does much else
	)
	own := pipetest.Postgres(t)
	dsn := own.Database(t)
	pipetest.Exec(t, dsn, `CREATE SEQUENCE ver CACHE 1`)
	var names []string
	for i := range tables {
		pipetest.Exec(t, dsn, fmt.Sprintf(`CREATE TABLE t%d (id int PRIMARY KEY, ver bigint, pad char(200)) WITH (autovacuum_enabled = off)`, i))
		names = append(names, fmt.Sprintf("public.t%d", i))
	}
	o := newOracle()
	c := configOf(dsn, func(c *Config) { c.Workers, c.liveRows = 4, 12 })
	r := start(t, c, nil, o.output())
	for i := range tables {
		pipetest.Exec(t, dsn, fmt.Sprintf(`INSERT INTO t%d SELECT i, nextval('ver') FROM generate_series(0, 299) i`, i))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*most+lasts)
	defer cancel()
	began := time.Now()
	var all sync.WaitGroup
	var count atomic.Int64
	for w := range writers {
		all.Go(func() { liveWriter(ctx, t, dsn, uint64(w), tables, &count) })
	}
	all.Go(func() { // rows move to places that are free again
		for n := 0; ctx.Err() == nil; n++ {
			pipetest.Exec(t, dsn, fmt.Sprintf(`VACUUM t%d`, n%tables))
			_ = pause(ctx, 50*time.Millisecond)
		}
	})
	for ctx.Err() == nil && (time.Since(began) < lasts || o.chunkCount() < fewChunks || count.Load() < fewChanges) {
		var list []snapshot.Request
		for i, name := range names {
			list = append(list, snapshot.Request{Table: name, Reason: snapshot.ForRequest, Asked: time.Now().UTC(), Replace: i%2 == 0})
		}
		askFor(t, r, list...)
		for _, name := range names {
			entry(t, r, name, snapshot.Done)
		}
	}
	cancel()
	all.Wait()
	askFor(t, r, snapshot.Request{Table: names[0], Reason: snapshot.ForRequest, Replace: true})
	time.Sleep(10 * time.Millisecond)
	entry(t, r, names[0], snapshot.Done)
	for i, name := range names {
		want := pipetest.QueryText(t, dsn, fmt.Sprintf(`SELECT id, ver FROM t%d`, i))
		o.mu.Lock()
		if len(want) != len(o.rows[name]) {
			t.Errorf("%s has %d rows, the image %d", name, len(want), len(o.rows[name]))
		}
		for _, row := range want {
			if got := o.rows[name]["["+row[0]+"]"]; got != row[0]+"|"+row[1]+"|null|" {
				t.Errorf("%s %s: %q, want ver %s", name, row[0], got, row[1])
				break
			}
		}
		o.mu.Unlock()
	}
	t.Logf("%d transactions, %d chunks of %d rows", count.Load(), o.chunks, o.reads)
	for i, text := range o.wrong {
		if t.Error(text); i > 10 {
			t.Fatalf("and %d more", len(o.wrong)-i)
		}
	}
	if o.chunks < fewChunks || count.Load() < fewChanges {
		t.Errorf("%d chunks and %d transactions say little", o.chunks, count.Load())
	}
}
