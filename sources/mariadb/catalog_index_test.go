package mariadb

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// TestOtherIndexes tells of the indexes that can be made elsewhere, and of the others why they cannot.
func TestOtherIndexes(t *testing.T) {
	db := maria.Database(t)
	maria.Exec(t, db, "CREATE TABLE x (id int PRIMARY KEY, a int, t text, p point NOT NULL, s varchar(100), o int,"+
		" KEY plain (s, a), FULLTEXT words (t), SPATIAL place (p), KEY part (a, t(10)), UNIQUE long_unique (t), KEY gone (o))",
		"CREATE TABLE u (a varchar(50) NOT NULL, b int NOT NULL, UNIQUE part (a(5)), UNIQUE whole (b))")
	c := configFor(t, maria, db)
	c.TableBlocks = append(c.TableBlocks, &TableConfig{Pattern: "x", Omit: []string{"o"}})
	list, err := c.Tables(t.Context(), spec.Env{})
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]string{}
	for _, info := range list {
		have[info.Schema.Table] = fmt.Sprint(info.Schema.Key, " ", info.Schema.Indexes, " ", info.Schema.OtherIndexes)
	}
	want := map[string]string{
		"x": "[0] [{plain [4 1] false}] [{gone a column of it is left out} {long_unique hash}" +
			" {part on the first 10 characters of t} {place spatial} {words fulltext}]",
		"u": "[1] [] [{part on the first 5 characters of a}]",
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Error(diff)
	}
}
