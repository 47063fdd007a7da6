package mariadb

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// randomTables is how many tables of random columns are made, and randomSeed what they come from.
const (
	randomTables = 200
	randomSeed   = 7
)

// TestRandomTables holds that a snapshot with the changes before, during and after it gives, row for
// row and value for value, what a snapshot at the end reads: tables of random columns, with random
// rows, under row images of all kinds.
func TestRandomTables(t *testing.T) {
	r := rand.New(rand.NewPCG(randomSeed, 0))
	db := maria.Database(t)
	all := pipetest.RandomColumns()
	var before, during, after strings.Builder
	for _, b := range []*strings.Builder{&before, &during, &after} {
		b.WriteString(pipetest.RandomSession)
	}
	for n := range randomTables {
		table := pipetest.MakeRandomTable(r, n, all)
		table.Create(&before)
		for id := range 8 {
			table.Replace(&before, r, id)
		}
		for range 12 {
			table.Change(&during, r)
			table.Change(&after, r)
		}
	}
	maria.Exec(t, db, before.String())
	c := configFor(t, maria, db)
	c.ZeroDates, c.Workers = onNull, 3
	run := pipetest.Run(t, open(t, c), nil, nil)
	maria.Exec(t, db, during.String())
	run.Out.Wait(t, "streaming", func(b []*pipeline.Batch) bool {
		return slices.ContainsFunc(b, func(b *pipeline.Batch) bool { return b.Stream == binlogStream })
	})
	maria.Exec(t, db, after.String(), "CREATE TABLE fence (id int PRIMARY KEY)", "INSERT INTO fence VALUES (1)")
	run.Out.Wait(t, "the fence", func(b []*pipeline.Batch) bool {
		last := b[len(b)-1].Rows
		return len(last) > 0 && last[len(last)-1].Schema.Table == "fence"
	})
	run.Stop()
	c.Snapshot = policyOnly
	again := &pipetest.Collect{}
	if err := open(t, c).Run(t.Context(), nil, again); err != nil {
		t.Fatal(err)
	}
	streamed := 0
	for _, b := range run.Out.Batches() {
		if b.Stream == binlogStream {
			streamed += len(b.Rows)
		}
	}
	if streamed < randomTables {
		t.Errorf("only %d rows were streamed", streamed)
	}
	have, want := state(t, run.Out), state(t, again)
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if diff := cmp.Diff(want[key], have[key]); diff != "" {
			t.Errorf("%s (-want +have):\n%s", key, diff)
		}
	}
	if len(have) != len(want) {
		t.Errorf("%d rows, want %d", len(have), len(want))
	}
}

// state applies the rows; a value that was not sent keeps what it was.
func state(t *testing.T, out *pipetest.Collect) map[string][]string {
	t.Helper()
	rows := map[string][]string{}
	for _, b := range out.Batches() {
		for i := range b.Rows {
			row := &b.Rows[i]
			key := func(v []pipeline.Value) string { return row.Schema.Table + "/" + v[0].String() }
			var old []string
			if row.Before != nil {
				old = rows[key(row.Before)]
				if old == nil {
					t.Fatalf("%s: there is no such row", pipetest.RowText(row))
				}
				delete(rows, key(row.Before))
			}
			if row.Values == nil {
				continue
			}
			values := make([]string, len(row.Values))
			for j, v := range row.Values {
				if values[j] = v.Kind().String() + " " + v.String(); v.IsAbsent() {
					values[j] = old[j]
				}
			}
			rows[key(row.Values)] = values
		}
	}
	delete(rows, "fence/1")
	return rows
}
