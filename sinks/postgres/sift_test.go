package postgres

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// TestSiftModel reads a table again while it changes at random, with rows in the target that the source
// does not have, restarts at random, and compares the target with the model at the end of each sift.
func TestSiftModel(t *testing.T) {
	for seed, ddl := range []string{
		"",
		"CREATE TABLE users (id bigint PRIMARY KEY, email text UNIQUE, bio text)",
		"CREATE TABLE users (id bigint PRIMARY KEY, email text, bio text, own int DEFAULT 1)",
	} {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { runSift(t, uint64(seed), ddl) })
	}
}

func runSift(t *testing.T, seed uint64, ddl string) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, "SELECT 1", ddl)
	m := &model{rows: map[int][2]string{}, rng: rand.New(rand.NewPCG(seed, 17))}
	s := users()
	sink := start(t, configure(t, dsn, ""))
	pos := 0
	write := func(fill func(*pipetest.Builder)) {
		pos++
		b := pipetest.NewBatch(s).Tx(pipetest.Position(pos), 0)
		fill(b)
		mustWrite(t, sink, b.Mark(pipetest.Position(pos)).Batch())
		if m.rng.IntN(6) == 0 {
			sink.Close()
			sink = start(t, configure(t, dsn, ""))
		}
	}
	steps := func(b *pipetest.Builder) {
		for range 1 + m.rng.IntN(12) {
			m.step(b)
		}
	}
	for round := range 12 {
		write(steps)
		ghosts := m.rng.IntN(4)
		for n := range ghosts {
			pipetest.Exec(t, dsn, fmt.Sprintf("INSERT INTO users (id, email, bio) VALUES (%d, 'ghost%[1]d', '')", 50+n))
		}
		write(func(b *pipetest.Builder) { b.Truncate(pipeline.Sift) })
		for low := 0; low < modelKeys; low += 4 {
			write(steps)
			write(func(b *pipetest.Builder) { readKeys(b, m, low, low+4) })
		}
		write(steps)
		write(func(b *pipetest.Builder) { b.Truncate(pipeline.Sweep) })
		have := []string{}
		for _, r := range pipetest.QueryText(t, dsn,
			"SELECT to_char(id, 'FM00') || '|' || email || '|' || bio FROM users ORDER BY id") {
			have = append(have, r[0])
		}
		if diff := cmp.Diff(m.state(), have); diff != "" {
			t.Fatalf("seed %d, round %d (-want +have):\n%s", seed, round, diff)
		}
	}
	wantQuery(t, dsn, "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname LIKE 'sift\\_%'", "0")
}

// readKeys reads the model's rows of a range of keys, as a chunk does.
func readKeys(b *pipetest.Builder, m *model, low, high int) {
	var keys []int
	for k := range m.rows {
		if k >= low && k < high {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		b.Read(k, m.rows[k][0], m.rows[k][1])
	}
}

// TestSiftKeepsWhatItCannotTell: where rows cannot be told apart nothing is deleted.
func TestSiftKeepsWhatItCannotTell(t *testing.T) {
	keyless := tableOf("users", col("id", "bigint", pipeline.Int), col("email", "text", pipeline.Text))
	keyless.Key, keyless.KeyFull = nil, true
	for name, c := range map[string]struct {
		block  string
		schema *pipeline.Schema
	}{
		"append":          {"write = \"append\"\ndeletes = \"ignore\"", users()},
		"deletes ignored": {`deletes = "ignore"`, users()},
		"merged":          {`merge = true`, users()},
		"no key":          {"", keyless},
	} {
		t.Run(name, func(t *testing.T) {
			dsn := pg.Database(t)
			pipetest.Exec(t, dsn, "CREATE TABLE users (id bigint PRIMARY KEY, email text, bio text)",
				"INSERT INTO users VALUES (1, 'old', '')")
			sink := start(t, configure(t, dsn, c.block))
			mustWrite(t, sink, pipetest.NewBatch(c.schema).Tx(pipetest.Position(1), 0).Truncate(pipeline.Sift).
				Truncate(pipeline.Sweep).Mark(pipetest.Position(1)).Batch())
			wantQuery(t, dsn, "SELECT id, email FROM users", "1|old")
		})
	}
}

// TestSiftHides: soft deletes stay soft, also in a table where nothing was ever said about rows.
func TestSiftHides(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, "CREATE TABLE users (id bigint PRIMARY KEY, email text, bio text, deleted bool)",
		"INSERT INTO users VALUES (1, 'old', '', NULL), (2, 'there', '', NULL), (3, 'old', '', false)")
	sink := start(t, configure(t, dsn, "deletes = \"soft\"\ndeleted_column = \"deleted\""))
	mustWrite(t, sink, pipetest.NewBatch(users()).Tx(pipetest.Position(1), 0).Truncate(pipeline.Sift).
		Read(2, "there", "").Truncate(pipeline.Sweep).Mark(pipetest.Position(1)).Batch())
	wantQuery(t, dsn, "SELECT id, deleted FROM users ORDER BY id", "1|t", "2|f", "3|t")
}

// TestSweepAlone: a sweep whose sift this sink never saw deletes nothing.
func TestSweepAlone(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, "CREATE TABLE users (id bigint PRIMARY KEY, email text, bio text)",
		"INSERT INTO users VALUES (1, 'old', '')")
	sink := start(t, configure(t, dsn, ""))
	mustWrite(t, sink, pipetest.NewBatch(users()).Tx(pipetest.Position(1), 0).Truncate(pipeline.Sweep).
		Mark(pipetest.Position(1)).Batch())
	wantQuery(t, dsn, "SELECT id FROM users", "1")
}

// TestSiftStartsOver: a snapshot that was cancelled leaves a sift; the next one begins with none of its keys.
func TestSiftStartsOver(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, "CREATE TABLE users (id bigint PRIMARY KEY, email text, bio text)",
		"INSERT INTO users VALUES (1, 'a', ''), (2, 'b', '')")
	sink := start(t, configure(t, dsn, ""))
	mustWrite(t, sink,
		pipetest.NewBatch(users()).Tx(pipetest.Position(1), 0).Truncate(pipeline.Sift).Read(1, "a", "").
			Mark(pipetest.Position(1)).Batch(),
		pipetest.NewBatch(users()).Tx(pipetest.Position(2), 0).Truncate(pipeline.Sift).Read(2, "b", "").
			Truncate(pipeline.Sweep).Mark(pipetest.Position(2)).Batch())
	wantQuery(t, dsn, "SELECT id FROM users", "2")
}
