package match

import (
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	tests := []struct {
		patterns               string
		database, schema, name string
		want                   string
	}{
		{"public.orders", "shop", "public", "orders", "public.orders"},
		{"public.orders", "shop", "sales", "orders", ""},
		{"public.*", "shop", "public", "orders", "public.*"},
		{"public.*", "shop", "public2", "orders", ""},
		{"orders", "shop", "any", "orders", "orders"},
		{"*", "shop", "any", "orders", "*"},
		{"xchange.T_DEAL", "xchange", "", "T_DEAL", "xchange.T_DEAL"},
		{"xchange.t_deal", "xchange", "", "T_DEAL", ""},
		{"xchange.T_*", "xchange", "", "T_DEAL", "xchange.T_*"},
		{"*.T_TMP_*", "xchange", "", "T_TMP_1", "*.T_TMP_*"},
		{"*.T_TMP_*", "xchange", "", "T_TMP1", ""},
		{"shop.public.orders", "shop", "public", "orders", "shop.public.orders"},
		{"shop.public.orders", "other", "public", "orders", ""},
		{"a*b*c.x", "", "aXbYc", "x", "a*b*c.x"},
		{"a*b*c.x", "", "abXb", "x", ""},
		{"a*a.x", "", "a", "x", ""},
		{`public."odd.name"`, "", "public", "odd.name", `public."odd.name"`},
		{`public."a*"`, "", "public", "ab", ""},
		{`public."a""b"`, "", "public", `a"b`, `public."a""b"`},
		{`~^public\.(orders|items)$`, "shop", "public", "items", `~^public\.(orders|items)$`},
		{`~^public\.(orders|items)$`, "shop", "public", "items2", ""},
		{"public.*;public.orders", "", "public", "orders", "public.orders"},
		{"public.o*;*", "", "public", "orders", "public.o*"},
	}
	for _, tt := range tests {
		set, err := New(strings.Split(tt.patterns, ";"))
		if err != nil {
			t.Fatalf("%s: %v", tt.patterns, err)
		}
		if got, ok := set.Match(tt.database, tt.schema, tt.name); got != tt.want || ok != (tt.want != "") {
			t.Errorf("%s on %s.%s.%s: %q, want %q", tt.patterns, tt.database, tt.schema, tt.name, got, tt.want)
		}
	}
}

func TestColumns(t *testing.T) {
	list, err := NewColumns([]string{"*.deleted", "orders.note", "public.items.*", "flag", `~^users\.pass`})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		table, column string
		want          int
	}{
		{"any", "deleted", 0}, {"orders", "note", 1}, {"items", "x", 2}, {"items", "deleted", 0},
		{"orders", "flag", 3}, {"users", "password", 4}, {"users", "name", -1},
	}
	for _, tt := range tests {
		if got := list.Index("shop", "public", tt.table, tt.column); got != tt.want {
			t.Errorf("%s.%s: %d, want %d", tt.table, tt.column, got, tt.want)
		}
	}
}

func TestErrors(t *testing.T) {
	for pattern, want := range map[string]string{
		"":           "empty",
		"a..b":       "empty",
		"a.":         "empty",
		"a.b.c.d":    "4 parts",
		`a."b`:       "not closed",
		`a.b"c"`:     "whole part",
		`a."b"c`:     "whole part",
		"~(":         "missing closing",
		`"a"."b".c.`: "empty",
	} {
		if _, err := New([]string{pattern}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q in it", pattern, err, want)
		}
	}
}

func FuzzNew(f *testing.F) {
	f.Add("public.*", "public", "orders")
	f.Add(`"a""b".c`, `a"b`, "c")
	f.Fuzz(func(t *testing.T, pattern, schema, name string) {
		set, err := New([]string{pattern})
		if err == nil {
			set.Match("db", schema, name)
		}
	})
}

func TestNames(t *testing.T) {
	for text, want := range map[string]string{
		"orders": "* * orders", "public.*": "* public *", "shop.pub*.\"odd.name\"": "shop pub* odd.name", "*": "* * *",
		"~^public": "", "a.b.c.d": "", "a..b": "",
	} {
		database, schema, table, ok := Names(text)
		got := ""
		if ok {
			got = strings.Join([]string{database, schema, table}, " ")
		}
		if got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
