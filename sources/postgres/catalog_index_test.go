package postgres

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestCatalogIndexes tells of the indexes that can be made elsewhere, and of the others why they cannot.
func TestCatalogIndexes(t *testing.T) {
	l := newLab(t, pg, `CREATE TABLE ix (id int PRIMARY KEY, a int, b text, c text, g int GENERATED ALWAYS AS (a + 1) STORED,
		r int4range, UNIQUE (a, b), UNIQUE (c) DEFERRABLE, EXCLUDE USING gist (r WITH &&));
		CREATE INDEX z_plain ON ix (c, id DESC) INCLUDE (a); CREATE INDEX z_expr ON ix (lower(b)); CREATE INDEX z_part ON ix (a) WHERE a > 0;
		CREATE INDEX z_like ON ix (b text_pattern_ops); CREATE INDEX z_hash ON ix USING hash (a); CREATE INDEX z_gen ON ix (g);
		CREATE TABLE byix (id int PRIMARY KEY, u int NOT NULL UNIQUE); ALTER TABLE byix REPLICA IDENTITY USING INDEX byix_u_key;
		CREATE TABLE parts (id int, a int, PRIMARY KEY (id)) PARTITION BY RANGE (id); CREATE INDEX on_parent ON parts (a)`)
	for table, want := range map[string]string{
		"ix": "[{ix_a_b_key [1 2] true} {z_plain [3 0] false}] [{ix_c_key deferrable} {ix_r_excl an exclusion constraint}" +
			" {z_expr on an expression} {z_gen a column of it is left out} {z_hash hash} {z_like with an operator class}" +
			" {z_part on a part of the rows}]",
		"byix":  "[{byix_pkey [0] true}] []",
		"parts": "[{on_parent [1] false}] []",
	} {
		s, err := l.catalog.schema(l.catalog.Named("public", table), tableSettings{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, fmt.Sprint(s.Indexes, " ", s.OtherIndexes)); diff != "" {
			t.Errorf("%s (-want +have):\n%s", table, diff)
		}
	}
}
