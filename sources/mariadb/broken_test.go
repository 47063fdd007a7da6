package mariadb

import (
	"fmt"
	"testing"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// TestBrokenInside holds that a connection that breaks in the midst of a transaction saves nothing of
// it, and that it comes again as it came: with the same transaction, ordinals and content.
func TestBrokenInside(t *testing.T) {
	db := maria.Database(t)
	maria.Exec(t, db, "CREATE TABLE t (id int PRIMARY KEY, v varchar(1000))")
	start := streaming(t, db, nil)
	start.Stop()
	from := start.Out.Checkpoint()
	const rows = 20_000
	maria.Exec(t, db, "INSERT INTO t VALUES (0, 'before')", fmt.Sprintf("INSERT INTO t SELECT seq, repeat('x', 900) FROM seq_1_to_%d", rows))
	c := configFor(t, maria, db)
	out, came, held := &pipetest.Collect{}, 0, false
	out.OnEmit = func(b *pipeline.Batch) error {
		if came += len(b.Rows); came >= 100 && !held {
			out.Hold() // here, since who only waits for rows may see all of them first
			held = true
		}
		return nil
	}
	ended, source := make(chan error, 1), open(t, c)
	go func() { ended <- source.Run(t.Context(), from, out) }()
	out.WaitRows(t, 100)
	killDumps(t, maria)
	out.Release()
	if err := <-ended; pipeline.ClassOf(err) != pipeline.Retryable {
		t.Fatalf("after the connection broke: %v", err)
	}
	seen := len(out.Rows())
	if seen > rows {
		t.Fatalf("all %d rows came before the connection broke", seen)
	}
	again := pipetest.Run(t, open(t, c), out.Checkpoint(), nil)
	again.Out.Wait(t, "the rest", func(b []*pipeline.Batch) bool { return total(b) >= rows })
	time.Sleep(100 * time.Millisecond)
	again.Stop()
	have := again.Out.Rows()
	old := map[string]bool{}
	for _, b := range out.Batches() {
		for i := range b.Rows {
			old[told(&b.Rows[i])] = true
		}
	}
	repeated := 0
	for _, b := range again.Out.Batches() {
		for i := range b.Rows {
			if old[told(&b.Rows[i])] {
				repeated++
			}
		}
	}
	if repeated < seen-1 || len(have) < rows || len(have) > rows+1 {
		t.Errorf("%d rows came before the connection broke, %d of them again among %d", seen, repeated, len(have))
	}
}

// told is what tells a row apart: its transaction, its ordinal and its content.
func told(row *pipeline.Row) string {
	return fmt.Sprint(row.Tx.GTID, row.Tx.Pos, row.Seq, row.Values[0].Int())
}

func total(all []*pipeline.Batch) (n int) {
	for _, b := range all {
		n += len(b.Rows)
	}
	return n
}
