package main

import (
	"fmt"
	"testing"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/config"
)

// TestKeysCondition: what repair asks for is a condition that the control API takes, for keys of all kinds.
func TestKeysCondition(t *testing.T) {
	column := func(name string, k pipeline.Kind) pipeline.Column {
		return pipeline.Column{Name: name, Kind: k, Type: "x", Precision: -1, Length: -1}
	}
	cases := []struct {
		columns []pipeline.Column
		key     []string
		where   string // "": the whole table is read
	}{
		{[]pipeline.Column{column("id", pipeline.Int)}, []string{"-7"}, "contains([-7], row.id)"},
		{[]pipeline.Column{column("id", pipeline.Text)}, []string{"a\"${x}%{y}\n"}, `contains(["a\"$${x}%%{y}\n"], row.id)`},
		{[]pipeline.Column{column("id", pipeline.UUID)}, []string{"6ba7b810-9dad-11d1-80b4-00c04fd430c8"},
			`contains(["6ba7b810-9dad-11d1-80b4-00c04fd430c8"], row.id)`},
		{[]pipeline.Column{column("n", pipeline.Decimal)}, []string{"12.50"}, "contains([12.50], row.n)"},
		{[]pipeline.Column{column("n", pipeline.Decimal)}, []string{"NaN"}, ""},
		{[]pipeline.Column{column("k", pipeline.Bytes)}, []string{`\x00ff`}, ""},
		{[]pipeline.Column{column("at", pipeline.TimestampTZ)}, []string{"2024-01-01 00:00:04.5+00"},
			`contains(["2024-01-01 00:00:04.5Z"], row.at)`},
		{[]pipeline.Column{column("d", pipeline.Date), column("line no", pipeline.Uint)}, []string{"2024-01-01", "9"},
			`row.d == "2024-01-01" && row["line no"] == 9`},
		{[]pipeline.Column{column("b", pipeline.Bool), column("ts", pipeline.Timestamp)}, []string{"true", "2024-01-01 01:02:03"},
			`row.b == true && row.ts == "2024-01-01 01:02:03"`},
	}
	for _, c := range cases {
		s := &pipeline.Schema{Namespace: "public", Table: "t", Columns: c.columns}
		for i := range c.columns {
			s.Key = append(s.Key, i)
		}
		where, ok := keysCondition(s, [][]string{c.key})
		if where != c.where || ok != (c.where != "") {
			t.Errorf("%q gives %s, want %s", c.key, where, c.where)
		}
		if err := checkWhere(where, pick{node: &config.Node{Address: "source.x"}, schema: s}); err != nil {
			t.Errorf("%s is refused: %v", where, err)
		}
	}
}

// TestRepairRequests: a few rows are asked for by their keys, many as the whole table.
func TestRepairRequests(t *testing.T) {
	s := &pipeline.Schema{Table: "t", Columns: []pipeline.Column{{Name: "id", Kind: pipeline.Int}}, Key: []int{0}}
	v := verified{Source: "source.x", Table: "public.t", schema: s}
	for n := range maxRepair + 1 {
		v.repair = append(v.repair, []string{fmt.Sprint(n)})
	}
	if q := v.requests(); len(q) != 1 || q[0].Where != "" {
		t.Errorf("%d requests, where %q", len(q), q[0].Where)
	}
	v.repair = v.repair[:250]
	q := v.requests()
	if len(q) != 3 || q[0].Where == "" || q[0].Source != "source.x" {
		t.Errorf("%d requests", len(q))
	}
	for _, r := range q {
		if err := checkRequest(&r); err != nil {
			t.Error(err)
		}
	}
	if v.repair = nil; len(v.requests()) != 0 {
		t.Error("a request for nothing")
	}
}
