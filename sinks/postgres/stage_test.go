package postgres

import (
	"testing"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// TestStageTwiceInTransaction holds that what an earlier batch staged is not merged again.
func TestStageTwiceInTransaction(t *testing.T) {
	dsn := pg.Database(t)
	sink, s := start(t, configure(t, dsn, "")), users()
	const rows = 2 * stageRows
	first, second := pipetest.NewBatch(s).Tx(pipetest.Position(1), 0), pipetest.NewBatch(s).
		Tx(pipetest.Position(1), 2*rows)
	for i := range rows {
		first.Insert(i, "first", nil)
		second.Delete(i, absent, absent).Insert(rows+i, "second", nil)
	}
	mustWrite(t, sink, first.Batch(), second.Mark(pipetest.Position(1)).Batch())
	wantQuery(t, dsn, "SELECT email, count(*) FROM users GROUP BY 1", "second|1000")
}

// TestStagedRepair takes the repairing path with staging tables made within what is rolled back,
// several times on one session, and within one open transaction.
func TestStagedRepair(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, "CREATE TABLE users (id bigint PRIMARY KEY, email text UNIQUE, bio text)")
	sink, s := start(t, configure(t, dsn, "")), users()
	const rows = 2 * stageRows
	name := func(i int) pipeline.Value {
		return pipeline.StringValue(pipeline.Text,
			string(rune('A'+i%26))+pipetest.RowText(&pipeline.Row{})+string(pipetest.Position(i)))
	}
	b := pipetest.NewBatch(s)
	for i := range rows {
		b.Insert(i, name(i), "bio")
	}
	mustWrite(t, sink, b.Mark(pipetest.Position(1)).Batch())
	sink = start(t, configure(t, dsn, "")) // a session without staging tables
	for pos := 2; pos < 6; pos++ {
		for part := range 2 {
			b := pipetest.NewBatch(s).Tx(pipetest.Position(pos), uint32(part*rows))
			for i := range rows { // the values move on by one row, as a deferred constraint lets them
				b.Update(nil, i, name((i+2*pos+part)%rows), "bio")
			}
			if part == 1 {
				b.Mark(pipetest.Position(pos))
			}
			mustWrite(t, sink, b.Batch())
		}
		wantQuery(t, dsn, "SELECT count(*), count(DISTINCT email) FROM users", "1000|1000")
		if have, want := pipetest.QueryText(t, dsn,
			"SELECT email FROM users WHERE id = 3")[0][0], name((3+2*pos+1)%rows).String(); have != want {
			t.Errorf("row 3 has %q, want %q", have, want)
		}
	}
}
