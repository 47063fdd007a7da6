package postgres

import (
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// loadRows is what the measurements of first loads write.
const loadRows = 1_000_000

// BenchmarkLoadSQL measures ways to load a table by SQL alone: COPY of a binary file that the server
// reads, with the key and two indexes made before or after, logged or not.
func BenchmarkLoadSQL(b *testing.B) {
	srv := pipetest.Postgres(b, "fsync=on", "wal_level=replica", "max_wal_size=4GB")
	dsn := srv.DSN("postgres")
	for _, order := range []string{"n", "md5(n::text)"} {
		file := filepath.Join(srv.DataDir, "rows"+order[:1])
		pipetest.Exec(b, dsn, fmt.Sprintf(`CREATE TEMP TABLE x AS SELECT n AS id, n %% 1000 AS customer, (n %% 7)::int2 AS status,
			(n * 1.25)::numeric(12,2) AS total, 'name ' || n AS name, repeat(md5(n::text), 3) AS note, now() AS created,
			n %% 2 = 0 AS paid, '{"a": 1}'::jsonb AS doc, n::float8 AS weight FROM generate_series(1, %d) n ORDER BY %s;
			COPY x TO '%s' (FORMAT binary)`, loadRows, order, file))
		const table = "TABLE t (id int, customer int, status int2, total numeric(12,2), name text, note text," +
			" created timestamptz, paid bool, doc jsonb, weight float8)"
		const key, indexes = "ALTER TABLE t ADD PRIMARY KEY (id);", "CREATE INDEX ON t (customer); CREATE INDEX ON t (created, status);"
		load := "COPY t FROM '" + file + "' (FORMAT binary);"
		frozen := "COPY t FROM '" + file + "' (FORMAT binary, FREEZE);"
		for _, way := range []struct{ name, before, after string }{
			{"logged, key first", "CREATE " + table + ";" + key, ""},
			{"logged, key after", "CREATE " + table + ";", key},
			{"unlogged, logged, key", "CREATE UNLOGGED " + table + ";", "ALTER TABLE t SET LOGGED;" + key},
			{"unlogged, key, logged", "CREATE UNLOGGED " + table + ";", key + "ALTER TABLE t SET LOGGED;"},
			{"logged, key and indexes first", "CREATE " + table + ";" + key + indexes, ""},
			{"logged, key first, indexes after", "CREATE " + table + ";" + key, indexes},
			{"logged, key and indexes after", "CREATE " + table + ";", key + indexes},
			{"unlogged, logged, key and indexes", "CREATE UNLOGGED " + table + ";", "ALTER TABLE t SET LOGGED;" +
				key + indexes},
			// One transaction, and so one session a table, whose rows are seen when the last one is there.
			{"frozen, key after", "", "BEGIN; CREATE " + table + ";" + frozen + key + "COMMIT"},
			{"frozen, key and indexes after", "", "BEGIN; CREATE " + table + ";" + frozen + key + indexes + "COMMIT"},
		} {
			b.Run(order[:1]+"/"+way.name, func(b *testing.B) {
				var used time.Duration
				for range b.N {
					pipetest.Exec(b, dsn, "DROP TABLE IF EXISTS t", "CHECKPOINT", "SELECT 1;"+way.before)
					began := time.Now()
					if way.before != "" {
						pipetest.Exec(b, dsn, load)
					}
					pipetest.Exec(b, dsn, "SELECT 1;"+way.after, "ANALYZE t")
					used += time.Since(began)
				}
				b.ReportMetric(float64(b.N)*loadRows/used.Seconds(), "rows/s")
			})
		}
	}
}

// BenchmarkLoad measures the ways to load through the sink, one after another in each round: a million
// rows in chunks, two at a time, and what comes after them, up to the first position of the changes. The
// table has a key and two indexes.
func BenchmarkLoad(b *testing.B) {
	srv := pipetest.Postgres(b, "fsync=on", "wal_level=replica", "max_wal_size=4GB")
	ways := []struct{ name, text string }{
		{"upsert", "load {\n method = \"upsert\"\n}"},
		{"key-first", "load {\n defer_indexes = false\n}"},
		{"deferred", "load {}"},
		{"unlogged", unlogged},
	}
	for _, order := range []string{"rising", "random"} {
		b.Run(order, func(b *testing.B) {
			used := make([]time.Duration, len(ways))
			for range b.N {
				for i, way := range ways {
					dsn := srv.Database(b)
					used[i] += loadOnce(b, dsn, way.text, order == "random")
					pipetest.Exec(b, dsn, "DROP TABLE public.orders", "CHECKPOINT")
				}
			}
			for i, way := range ways {
				b.ReportMetric(float64(b.N)*loadRows/used[i].Seconds(), way.name+"-rows/s")
			}
		})
	}
}

// loadOnce loads the table and returns how long it took.
func loadOnce(b *testing.B, dsn, text string, random bool) time.Duration {
	const size, chunks = 5000, 20
	schema := orders()
	schema.Indexes = []pipeline.Index{{Columns: []int{1}}, {Columns: []int{6, 2}}}
	s := start(b, configure(b, dsn, text))
	var used atomic.Int64
	var wait sync.WaitGroup
	for w := range 2 {
		wait.Go(func() {
			batch := &pipeline.Batch{}
			for c := w; c < chunks; c += 2 {
				for from := 0; from < loadRows/chunks; from += size {
					batch.Reset()
					batch.Stream = feedChunk(0, c)
					fillOrders(batch, schema, &pipeline.Tx{Snapshot: true}, c*loadRows/chunks+from, size, pipeline.Read)
					if random {
						shuffle(batch)
					}
					if from+size == loadRows/chunks {
						batch.Mark("done")
					}
					at := time.Now()
					mustWrite(b, s, batch)
					used.Add(int64(time.Since(at)))
				}
			}
		})
	}
	wait.Wait()
	at := time.Now()
	mustWrite(b, s, pipetest.NewBatch(schema).Mark(pipetest.Position(1)).Batch())
	return time.Duration(used.Load()/2) + time.Since(at)
}

// shuffle gives rows keys that do not rise, each only once.
func shuffle(b *pipeline.Batch) {
	for i := range b.Rows {
		v := b.Rows[i].Values
		v[0] = pipeline.IntValue(int64(uint32(v[0].Int()) * 2654435761))
	}
}
