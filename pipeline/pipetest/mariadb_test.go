package pipetest

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMariaDBRestarts(t *testing.T) {
	m := MariaDB(t, "binlog_row_image=MINIMAL")
	db := m.Database(t)
	m.Exec(t, db, "CREATE TABLE a (id int PRIMARY KEY, note text)", "INSERT INTO a VALUES (1, NULL), (2, 'ö')")
	m.Restart(t, "fast")
	m.Restart(t, "immediate")
	want := [][]string{{"1", "NULL", "MINIMAL", "FULL"}, {"2", "ö", "MINIMAL", "FULL"}}
	got := m.QueryText(t, db, "SELECT *, @@binlog_row_image, @@binlog_row_metadata FROM a ORDER BY id")
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
