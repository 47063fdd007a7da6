package snapshot

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRules: the block that names a table speaks first, the source where that is silent.
func TestRules(t *testing.T) {
	own := Settings{Policy: "initial", ChunkRows: 100, Workers: 2}
	r, err := NewRules([]string{"shop.*"}, nil, own, []*TableBlock{
		{Pattern: "shop.a*", Snapshot: "always", Workers: 1}, {Pattern: "shop.audit", Omit: []string{"secret"}, ChunkRows: 7}})
	if err != nil {
		t.Fatal(err)
	}
	for table, want := range map[string]Settings{
		"orders": own,
		"adds":   {Policy: "always", ChunkRows: 100, Workers: 1},
		"audit":  {Policy: "initial", Omit: []string{"secret"}, ChunkRows: 7, Workers: 2}, // an exact name wins
	} {
		if diff := cmp.Diff(want, r.Of("db", "shop", table)); diff != "" {
			t.Errorf("%s (-want +have):\n%s", table, diff)
		}
	}
	for _, bad := range [][3][]string{{{"~("}}, {nil, {"~("}}, {nil, nil, {"~("}}} {
		var blocks []*TableBlock
		for _, p := range bad[2] {
			blocks = append(blocks, &TableBlock{Pattern: p})
		}
		if _, err := NewRules(bad[0], bad[1], own, blocks); err == nil {
			t.Errorf("%q is no error", bad)
		}
	}
}
