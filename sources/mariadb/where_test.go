package mariadb

import (
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

func where(t *testing.T, text string) spec.Expr {
	t.Helper()
	x, diags := hclsyntax.ParseExpression([]byte(text), "where.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return spec.Expr{Syntax: x, Ctx: &hcl.EvalContext{}}
}

// TestWhere holds that a condition means the same in snapshot and stream, and that a row that moves out
// of it or into it becomes a delete or an insert.
func TestWhere(t *testing.T) {
	db := maria.Database(t)
	maria.Exec(t, db, "CREATE TABLE t (id int PRIMARY KEY, n int, s varchar(20) CHARACTER SET latin1)",
		"INSERT INTO t VALUES (1, 5, 'ä'), (2, 15, 'ä'), (3, NULL, 'ä'), (4, 40, 'b')")
	c := configFor(t, maria, db)
	c.TableBlocks = []*TableConfig{{Pattern: db + ".t", Where: where(t, `row.n > 10 && row.s == "ä"`)}}
	r := pipetest.Run(t, open(t, c), nil, nil)
	r.Out.Wait(t, "the stream", func(all []*pipeline.Batch) bool {
		return slices.ContainsFunc(all, func(b *pipeline.Batch) bool { return b.Stream == binlogStream })
	})
	maria.Exec(t, db, "INSERT INTO t VALUES (5, 1, 'ä'), (6, 60, 'ä')", "UPDATE t SET n = n + 1", "UPDATE t SET n = 11 WHERE id IN (1, 3)",
		"UPDATE t SET n = NULL WHERE id = 2", "UPDATE t SET id = 7 WHERE id = 6", "UPDATE t SET s = 'c' WHERE id = 7", "DELETE FROM t")
	wantRows(t, r, db, "read t (2, 15, ä)", "insert t (6, 60, ä)", "update t old (2, 15, ä) (2, 16, ä)", "update t old (6, 60, ä) (6, 61, ä)",
		"insert t (1, 11, ä)", "insert t (3, 11, ä)", "delete t old (2, 16, ä)", "update t old (6, 61, ä) (7, 61, ä)", "delete t old (7, 61, ä)",
		"delete t old (1, 11, ä)", "delete t old (3, 11, ä)")
	r.Stop()
}

// TestWhereMinimal holds that where the log leaves out what a condition reads of an old row, that row
// counts as in; and that it is an error where it leaves it out of the new one too.
func TestWhereMinimal(t *testing.T) {
	db := maria.Database(t)
	maria.Exec(t, db, "CREATE TABLE t (id int PRIMARY KEY, n int, s text)")
	r := streaming(t, db, func(c *Config) {
		c.TableBlocks = []*TableConfig{{Pattern: db + ".t", Where: where(t, `row.n > 10`)}}
	})
	maria.Exec(t, db, "SET binlog_row_image = MINIMAL", "INSERT INTO t VALUES (1, 15, 'a'), (2, 1, 'a')", "UPDATE t SET n = 20 WHERE id = 1",
		"UPDATE t SET n = 2 WHERE id = 1", "DELETE FROM t WHERE id = 1")
	wantRows(t, r, db, "insert t (1, 15, a)", "update t old (1, absent, absent) (1, 20, absent)", "delete t old (1, absent, absent)",
		"delete t old (1, absent, absent)")
	from := r.Out.Checkpoint()
	r.Stop()
	maria.Exec(t, db, "SET binlog_row_image = MINIMAL", "UPDATE t SET s = 'b' WHERE id = 2")
	c := configFor(t, maria, db)
	c.TableBlocks = []*TableConfig{{Pattern: db + ".t", Where: where(t, `row.n > 10`)}}
	if err := failing(t, c, from); pipeline.ClassOf(err) != pipeline.Input || !strings.Contains(pipeline.HintOf(err), "binlog_row_image = FULL") {
		t.Errorf("the log does not have what the condition reads: %v", err)
	}
}
