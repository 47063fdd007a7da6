package postgres

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// TestSnapshotThenStreamIsExact holds that a snapshot that is read in parallel while others write,
// with the changes after it, gives the table's final state: nothing missing, nothing twice.
func TestSnapshotThenStreamIsExact(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY, v text, region text);
		INSERT INTO a SELECT i, 'v' || i, 'eu' FROM generate_series(1, 20000) i; ANALYZE a;
		CREATE TABLE fence (id int PRIMARY KEY)`)
	var stop atomic.Bool // cancelling would leave a statement at the server, which may commit after the fence
	defer stop.Store(true)
	var writers sync.WaitGroup
	for w := range 3 {
		conn := connectTo(t, dsn)
		writers.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(w), 3))
			for !stop.Load() {
				id, other := rnd.IntN(30000), 40000+rnd.IntN(10000)
				sql := fmt.Sprintf(`BEGIN; INSERT INTO a VALUES (%[1]d, 'w%[3]d', 'us') ON CONFLICT (id) DO UPDATE SET v = 'u%[3]d' || a.v;
					DELETE FROM a WHERE id = %[2]d; COMMIT;
					UPDATE a SET id = %[2]d WHERE id = %[1]d AND NOT EXISTS (SELECT FROM a WHERE id = %[2]d)`, id, other, w)
				// A deadlock or a duplicate between the writers is theirs to have.
				if conn.Exec(t.Context(), sql).Close() != nil && conn.Exec(t.Context(), "ROLLBACK").Close() != nil {
					return
				}
			}
		})
	}
	c := configOf(dsn, func(c *Config) { c.Snapshot, c.ChunkRows, c.Workers = policyInitial, 500, 3 })
	r := pipetest.Run(t, open(t, c), nil, nil)
	r.Out.WaitRows(t, 22000) // the snapshot, and some of the stream
	stop.Store(true)
	writers.Wait()
	pipetest.Exec(t, dsn, `INSERT INTO fence VALUES (1)`)
	r.Out.Wait(t, "the last row", func(batches []*pipeline.Batch) bool {
		return slices.ContainsFunc(batches, func(b *pipeline.Batch) bool {
			return slices.ContainsFunc(b.Rows, func(r pipeline.Row) bool { return r.Schema.Table == "fence" })
		})
	})
	r.Stop()
	var want []string
	for _, row := range pipetest.QueryText(t, dsn, `SELECT * FROM a`) {
		want = append(want, row[0]+"|"+row[1]+"|"+row[2])
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, replay(t, r.Out.Batches(), "a")); diff != "" {
		t.Errorf("(-table +replayed):\n%.2000s", diff)
	}
}

// replay applies what was emitted of a table, strictly: a row must be there, or not, as its change says.
func replay(t *testing.T, batches []*pipeline.Batch, table string) []string {
	t.Helper()
	rows := map[int64]string{}
	for _, b := range batches {
		for i := range b.Rows {
			r := &b.Rows[i]
			if r.Schema.Table != table {
				continue
			}
			if r.Op == pipeline.Read || r.Op == pipeline.Insert {
				if old, ok := rows[r.Values[0].Int()]; ok {
					t.Fatalf("%s: there is %s already", show(r), old)
				}
			} else {
				old := r.Key()[0].Int()
				if r.Before != nil {
					old = r.Before[0].Int()
				}
				if _, ok := rows[old]; !ok {
					t.Fatalf("%s: there is no such row", show(r))
				}
				delete(rows, old)
			}
			if r.Values != nil {
				rows[r.Values[0].Int()] = rowText(r.Values)
			}
		}
	}
	var out []string
	for _, text := range rows {
		out = append(out, text)
	}
	slices.Sort(out)
	return out
}

const typedRows = `
CREATE EXTENSION hstore; CREATE EXTENSION citext;
CREATE TYPE mood AS ENUM ('sad', 'NULL', 'o "k');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN price AS numeric(12,3);
CREATE TABLE fast (id int PRIMARY KEY, b boolean, s smallint, l bigint, r real, d double precision, n numeric, p price, dt date, tm time, ts timestamp,
	tz timestamptz, ttz timetz, iv interval, tx text, vc varchar(9), bp char(4), ci citext, m mood, ms mood[], by bytea, u uuid, j json, jb jsonb,
	bt bit(5), vb varbit, mo money, ip inet, cd cidr, mac macaddr, ia int[], ta text[], na numeric[], r4 int4range, tr tstzrange, mr nummultirange);
INSERT INTO fast VALUES
	(1, true, -32768, -9223372036854775808, 'NaN', '-Infinity', 'NaN', 1.5, 'infinity', '24:00', '294276-12-31 23:59:59.999999', '-infinity', '01:02:03.5-08:30',
	'-1 mon +3 days -04:05:06.7', '', 'ü', 'ab', 'CaSe', 'o "k', '{NULL,"o \"k",sad}', '\x00ff5c', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"a":1, "a":2}', '{"b":1e400}',
	'10101', '', '-1234.5', '10.1.2.3/8', '10.0.0.0/8', '08:00:2b:01:02:03', '[0:1]={1,NULL}', '{"",NULL,"NULL","a,b"}', '{1.50,NaN}', '(,5]', '[2024-01-01,)', '{[1.5,2),(3,)}'),
	(2, false, 0, 0, '-0', 5e-324, repeat('9', 150)::numeric, -0.001, '4713-01-01 BC', '00:00', '4714-11-24 BC', '0044-03-15 12:00+00 BC', '00:00+15:59',
	'0', E'a\tb\n\\', '', '', '', 'NULL', '{}', '', '00000000-0000-0000-0000-000000000000', 'null', '"x"',
	'00000', '111100001', '0', '::1', '::/0', 'ff:ff:ff:ff:ff:ff', '{{1,2},{3,4}}', '{}', '{}', 'empty', 'empty', '{}');
INSERT INTO fast VALUES (3);
CREATE TABLE slow (id int PRIMARY KEY, h hstore, p pair, ps pair[], f float8[], pt point, po polygon, v tsvector, x xml, c "char", lsn pg_lsn);
INSERT INTO slow VALUES (1, 'a=>"b c", d=>NULL', '(1,"x y")', ARRAY['(1,z)'::pair, NULL], '{1e300,NaN,0.1}', '(1.5,-2e-300)', '((0,0),(1,1))', 'fat:2 cat:1A', '<a b="c"/>', 'q', '16/B374D848'),
	(2, '', '(,)', '{}', '{}', '(0,0)', '((1,1))', '', '', '', '0/0');
INSERT INTO slow VALUES (3);`

// TestStreamCarriesValuesAsTheSnapshotDoes holds that a value is the same whichever way it came: the
// snapshot's binary COPY, the stream's text, the stream's binary.
func TestStreamCarriesValuesAsTheSnapshotDoes(t *testing.T) {
	for _, binary := range []string{"off", "auto"} {
		for _, table := range []string{"fast", "slow"} {
			t.Run(table+", binary "+binary, func(t *testing.T) {
				dsn := pg.Database(t)
				pipetest.Exec(t, dsn, typedRows)
				c := configOf(dsn, func(c *Config) {
					c.Snapshot, c.Binary, c.Include = policyInitial, binary, []string{"public." + table}
				})
				r := pipetest.Run(t, open(t, c), nil, nil)
				r.Out.WaitRows(t, 3)
				pipetest.Exec(t, dsn, `CREATE TEMP TABLE again AS SELECT * FROM `+table+`; UPDATE again SET id = id + 10;
					INSERT INTO `+table+` SELECT * FROM again ORDER BY id`)
				r.Out.WaitRows(t, 6)
				r.Stop()
				compareHalves(t, r.Out)
			})
		}
	}
}

func compareHalves(t *testing.T, out *pipetest.Collect) {
	t.Helper()
	rows := lastRows(out, 6)
	for i := range 3 {
		read, insert := rows[i], rows[i+3]
		if read.Op != pipeline.Read || insert.Op != pipeline.Insert || insert.Values[0].Int() != read.Values[0].Int()+10 {
			t.Fatalf("%s and %s", show(read), show(insert))
		}
		for c := 1; c < len(read.Values); c++ {
			if !read.Values[c].Equal(insert.Values[c]) {
				t.Errorf("row %d, column %s: read %s %q, streamed %s %q", i+1, read.Schema.Columns[c].Name,
					read.Values[c].Kind(), read.Values[c], insert.Values[c].Kind(), insert.Values[c])
			}
		}
	}
}
