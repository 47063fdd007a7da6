package mariadb

import (
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// TestChunkCostsWhatItReads holds that the server reads about as many rows as a chunk has, in the midst
// of a large table whose key begins with a column of few values.
func TestChunkCostsWhatItReads(t *testing.T) {
	const chunk = 100
	db := maria.Database(t)
	maria.Exec(t, db, "CREATE TABLE t (tenant int, name varchar(30), n int, v int, PRIMARY KEY (tenant, name, n))",
		"INSERT INTO t SELECT seq % 3, concat('n', seq % 50), seq, 0 FROM seq_1_to_60000", "ANALYZE TABLE t")
	c := configFor(t, maria, db)
	r, err := newRunner(&Source{config: c})
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	if err := r.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	table := r.picked[0]
	k := table.keyset()
	low := []string{"1", k.columns[1].keep([]byte("n25")), "30000"}
	high := []string{"2", k.columns[1].keep([]byte("n1")), "7"}
	for _, bounds := range [][2][]string{{low, nil}, {low, high}} {
		where, err := k.within(bounds[0], bounds[1])
		if err != nil {
			t.Fatal(err)
		}
		q := selection{table: table, extra: k.bounds(), where: where, hint: k.hint(), tail: " ORDER BY " + k.names() + " LIMIT 100"}
		if err := r.admin.Exec(t.Context(), "FLUSH STATUS"); err != nil {
			t.Fatal(err)
		}
		rows, err := r.admin.Query(t.Context(), q.String())
		if err != nil || len(rows) != chunk {
			t.Fatalf("%d rows, %v", len(rows), err)
		}
		status, err := r.admin.Query(t.Context(), "SHOW SESSION STATUS LIKE 'Handler_read%'")
		if err != nil {
			t.Fatal(err)
		}
		sum := 0
		for _, row := range status {
			n, _ := strconv.Atoi(row[1].Text)
			sum += n
		}
		if sum > 2*chunk {
			t.Errorf("%d reads for %d rows: %s", sum, chunk, q.String())
		}
	}
}

// TestKeysetRefuses holds that a bound that is none of the column's values never reaches the server.
func TestKeysetRefuses(t *testing.T) {
	for _, c := range []struct {
		column column
		text   string
	}{
		{column{Name: "i", Type: "int"}, "1 OR 1"}, {column{Name: "i", Type: "int"}, ""}, {column{Name: "i", Type: "bigint"}, "x'00'"},
		{column{Name: "d", Type: "date"}, "2024-01-01' OR '"}, {column{Name: "u", Type: "uuid"}, `\`},
		{column{Name: "s", Type: "varchar", Charset: "latin1"}, "6'"}, {column{Name: "b", Type: "varbinary"}, "zz"},
		{column{Name: "s", Type: "varchar"}, utf8Mark + "6"},
	} {
		if sql, err := c.column.literal(c.text); err == nil {
			t.Errorf("%q of %s is %s", c.text, c.column.Type, sql)
		}
	}
	k := keyset{columns: []*column{{Name: "a", Type: "int"}}}
	for _, low := range [][]string{{}, {"1", "2"}} {
		if sql, err := k.within(low, nil); err == nil {
			t.Errorf("%q is %q", low, sql)
		}
	}
}

// TestPushdown holds what the server is asked to filter: never less than the condition lets through.
func TestPushdown(t *testing.T) {
	db := maria.Database(t)
	maria.Exec(t, db, "CREATE TABLE t (id int PRIMARY KEY, s varchar(9), l varchar(9) CHARACTER SET latin1, d decimal(9,2), f double, b tinyint(1))")
	r, err := newRunner(&Source{config: configFor(t, maria, db)})
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	if err := r.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	for where, want := range map[string]string{
		`row.id > 10`:                             "`id` > 10",
		`10 >= row.id`:                            "`id` <= 10",
		`row.id == 1 + 2 && row.f > 1`:            "`id` = 3",
		`row.f > 1 || row.id > 2`:                 "",
		`row.id > 2 || (row.d < 5 && row.f == 1)`: "(`id` > 2 OR `d` < 5)",
		`row.s == "ä'"`:                           "`s` = CONVERT(_utf8mb4 x'c3a427' USING utf8mb4)",
		`row.l == "a" && row.id > 0`:              "(`l` = CONVERT(_utf8mb4 x'61' USING latin1) AND `id` > 0)",
		`row.s > "a"`:                             "",
		`row.s != "a"`:                            "",
		`!(row.id > 1)`:                           "",
		`row.d > 1.5`:                             "",
		`row.id > row.b`:                          "",
		`row.id == null`:                          "",
		`row.b == 1`:                              "",
	} {
		x, diags := hclsyntax.ParseExpression([]byte(where), "", hcl.InitialPos)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		have := pushdown(spec.Expr{Syntax: x}, r.picked[0])
		if diff := cmp.Diff(want, have); diff != "" {
			t.Errorf("%s (-want +have):\n%s", where, diff)
		}
		if have != "" && !strings.Contains(have, "OR") {
			if _, err := r.admin.Query(t.Context(), "SELECT 1 FROM "+r.picked[0].Quoted()+" WHERE "+have); err != nil {
				t.Errorf("%s: %v", have, err)
			}
		}
	}
}
