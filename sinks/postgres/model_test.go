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

// model is what the source's table holds: key -> email (unique), bio.
type model struct {
	rows map[int][2]string
	rng  *rand.Rand
}

const modelKeys = 12

func (m *model) key() (int, bool) {
	var keys []int
	for k := range m.rows {
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return 0, false
	}
	slices.Sort(keys)
	return keys[m.rng.IntN(len(keys))], true
}

// email returns one that no other row has.
func (m *model) email(but int) string {
	for {
		e := fmt.Sprintf("e%d", m.rng.IntN(modelKeys+4))
		taken := false
		for k, r := range m.rows {
			taken = taken || k != but && r[0] == e
		}
		if !taken {
			return e
		}
	}
}

func (m *model) bio() string { return fmt.Sprintf("b%d", m.rng.IntN(1000)) }

// step makes one random change, of the model and of the batch.
func (m *model) step(b *pipetest.Builder) {
	k, ok := m.key()
	free := m.rng.IntN(modelKeys)
	_, taken := m.rows[free]
	switch n := m.rng.IntN(100); {
	case n < 30 && !taken:
		m.rows[free] = [2]string{m.email(free), m.bio()}
		b.Insert(free, m.rows[free][0], m.rows[free][1])
	case n < 50 && ok:
		m.rows[k] = [2]string{m.email(k), m.bio()}
		b.Update(nil, k, m.rows[k][0], m.rows[k][1])
	case n < 65 && ok:
		m.rows[k] = [2]string{m.email(k), m.rows[k][1]}
		b.Update(nil, k, m.rows[k][0], absent)
	case n < 72 && ok:
		m.rows[k] = [2]string{m.rows[k][0], m.bio()}
		b.Update(pipetest.Row{k, m.rows[k][0], "ignored"}, k, absent, m.rows[k][1])
	case n < 84 && ok && !taken:
		row := m.rows[k]
		delete(m.rows, k)
		m.rows[free] = row
		var bio any = absent
		if n < 78 {
			bio = row[1]
		}
		b.Update(pipetest.Row{k, absent, absent}, free, row[0], bio)
	case n < 99 && ok:
		b.Delete(k, absent, absent)
		delete(m.rows, k)
	case n == 99:
		b.Truncate(0)
		clear(m.rows)
	}
}

func (m *model) state() []string {
	out := []string{}
	for k, r := range m.rows {
		out = append(out, fmt.Sprintf("%02d|%s|%s", k, r[0], r[1]))
	}
	slices.Sort(out)
	return out
}

// TestModel applies random histories, cut into batches and transactions at random, with restarts
// that replay, and compares the table with a model after each commit.
func TestModel(t *testing.T) {
	for seed, ddl := range []string{
		"", // made by the sink
		"CREATE TABLE users (id bigint PRIMARY KEY, email text, bio text, own int DEFAULT 1)",
		"CREATE TABLE users (id bigint PRIMARY KEY, email text UNIQUE, bio text)",
		"CREATE TABLE users (id bigint PRIMARY KEY, email text UNIQUE, bio text, own int DEFAULT 1)",
	} {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { runModel(t, uint64(seed), ddl) })
	}
}

func runModel(t *testing.T, seed uint64, ddl string) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, "SELECT 1", ddl)
	m := &model{rows: map[int][2]string{}, rng: rand.New(rand.NewPCG(seed, 3))}
	s := users()
	sink := start(t, configure(t, dsn, ""))
	for pos := 1; pos <= 150; pos++ {
		parts := 1 + m.rng.IntN(3)
		for part := range parts {
			b := pipetest.NewBatch(s).Tx(pipetest.Position(pos), uint32(100*part))
			for range 1 + m.rng.IntN(40) {
				m.step(b)
			}
			if part == parts-1 {
				b.Mark(pipetest.Position(pos))
			}
			mustWrite(t, sink, b.Batch())
		}
		var have []string
		for _, r := range pipetest.QueryText(t, dsn,
			"SELECT to_char(id, 'FM00') || '|' || email || '|' || bio FROM users ORDER BY id") {
			have = append(have, r[0])
		}
		if diff := cmp.Diff(m.state(), append([]string{}, have...)); diff != "" {
			t.Fatalf("seed %d, transaction %d (-want +have):\n%s", seed, pos, diff)
		}
		if m.rng.IntN(20) == 0 {
			sink.Close()
			sink = start(t, configure(t, dsn, ""))
			mustWrite(t, sink, pipetest.NewBatch(s).Tx(pipetest.Position(pos), 0).Insert(99, "replayed", "").
				Mark(pipetest.Position(pos)).Batch())
		}
	}
}

// TestWriteAllocates bounds the allocations of a batch, which must not grow with its rows.
func TestWriteAllocates(t *testing.T) {
	sink := start(t, configure(t, pg.Database(t), ""))
	batch := &pipeline.Batch{Stream: "source.test/wal"}
	const rows = 5000
	fillOrders(batch, orders(), &pipeline.Tx{}, 0, rows, pipeline.Insert)
	pos := 0
	n := testing.AllocsPerRun(5, func() {
		tx := &pipeline.Tx{Pos: pipetest.Position(pos)}
		for i := range batch.Rows {
			batch.Rows[i].Tx = tx
		}
		pos++
		batch.Marks = batch.Marks[:0]
		batch.Mark(pipetest.Position(pos))
		mustWrite(t, sink, batch)
	})
	if perRow := n / rows; perRow > 0.05 {
		t.Errorf("%.3f allocations a row (%v a batch), want less than 0.05", perRow, n)
	} else {
		t.Logf("%v allocations a batch of %d rows", n, rows)
	}
}
