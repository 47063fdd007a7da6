package postgres

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

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
		for _, way := range []struct{ name, before, after string }{
			{"logged, key first", "CREATE " + table + ";" + key, ""},
			{"logged, key after", "CREATE " + table + ";", key},
			{"unlogged, logged, key", "CREATE UNLOGGED " + table + ";", "ALTER TABLE t SET LOGGED;" + key},
			{"unlogged, key, logged", "CREATE UNLOGGED " + table + ";", key + "ALTER TABLE t SET LOGGED;"},
			{"logged, key and indexes first", "CREATE " + table + ";" + key + indexes, ""},
			{"logged, key first, indexes after", "CREATE " + table + ";" + key, indexes},
			{"logged, key and indexes after", "CREATE " + table + ";", key + indexes},
			{"unlogged, logged, key and indexes", "CREATE UNLOGGED " + table + ";", "ALTER TABLE t SET LOGGED;" + key + indexes},
		} {
			b.Run(order[:1]+"/"+way.name, func(b *testing.B) {
				var used time.Duration
				for range b.N {
					pipetest.Exec(b, dsn, "DROP TABLE IF EXISTS t", "CHECKPOINT", way.before)
					began := time.Now()
					pipetest.Exec(b, dsn, load, "SELECT 1;"+way.after, "ANALYZE t")
					used += time.Since(began)
				}
				b.ReportMetric(float64(b.N)*loadRows/used.Seconds(), "rows/s")
			})
		}
	}
}
