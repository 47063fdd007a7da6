package transforms

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

func orders() *pipeline.Schema {
	return &pipeline.Schema{
		System: pipeline.PostgreSQL, Database: "shop", Namespace: "public", Table: "orders", Key: []int{0},
		Columns: []pipeline.Column{
			{Name: "id", Kind: pipeline.Int, Type: "bigint"},
			{Name: "amount", Kind: pipeline.Decimal, Type: "numeric(12,2)"},
			{Name: "status", Kind: pipeline.Text, Type: "character varying(20)", Length: 20},
			{Name: "flag", Kind: pipeline.Bits, Type: "bit(1)"},
		},
	}
}

// vals makes an image of orders: "_" is Absent, "null" NULL.
func vals(text ...string) []pipeline.Value {
	kinds := []pipeline.Kind{pipeline.Int, pipeline.Decimal, pipeline.Text, pipeline.Bits}
	out := make([]pipeline.Value, len(text))
	for i, s := range text {
		switch {
		case s == "_":
			out[i] = pipeline.AbsentValue
		case s == "null":
		case i == 0:
			out[i] = pipeline.IntValue(int64(s[0] - '0'))
		default:
			out[i] = pipeline.StringValue(kinds[i], s)
		}
	}
	return out
}

func show(r *pipeline.Row) string {
	one := func(v []pipeline.Value) string {
		if v == nil {
			return "-"
		}
		var parts []string
		for _, x := range v {
			parts = append(parts, x.String())
		}
		return strings.Join(parts, "|")
	}
	return r.Op.String() + " " + one(r.Before) + " > " + one(r.Values)
}

func expression(t testing.TB, src string) spec.Expr {
	t.Helper()
	x, diags := hclsyntax.ParseExpression([]byte(src), "t.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return spec.Expr{Syntax: x}
}

func template(t testing.TB, src string) spec.Template {
	t.Helper()
	return spec.Template{Syntax: expression(t, `"`+src+`"`).Syntax}
}

func open(t testing.TB, c spec.Transform) pipeline.Transform {
	t.Helper()
	tr, err := c.Open(spec.Env{Address: "transform.t"})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func bind(t testing.TB, c spec.Transform, in *pipeline.Schema) (*pipeline.Schema, pipeline.Func) {
	t.Helper()
	out, f, err := open(t, c).Bind(in)
	if err != nil {
		t.Fatal(err)
	}
	return out, f
}

func bindError(t testing.TB, c spec.Transform, in *pipeline.Schema, want string) {
	t.Helper()
	if _, _, err := open(t, c).Bind(in); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q in it", err, want)
	}
}

// apply runs f and shows the row, "dropped", or the error.
func apply(f pipeline.Func, r *pipeline.Row) string {
	keep, err := f(new(pipeline.Arena), r)
	switch {
	case err != nil:
		return "error: " + err.Error()
	case !keep:
		return "dropped"
	}
	return show(r)
}

func TestFilter(t *testing.T) {
	big, small, key := []string{"1", "150", "x", "0"}, []string{"1", "50", "x", "0"}, []string{"1", "_", "_", "_"}
	where := `row.amount > 100`
	tests := []struct {
		name, where, onLeave string
		op                   pipeline.Op
		before, values       []string
		want                 string
	}{
		{"insert in", where, "delete", pipeline.Insert, nil, big, "insert - > 1|150|x|0"},
		{"insert out", where, "delete", pipeline.Insert, nil, small, "dropped"},
		{"null is out", where, "delete", pipeline.Insert, nil, []string{"1", "null", "x", "0"}, "dropped"},
		{"read in", where, "delete", pipeline.Read, nil, big, "read - > 1|150|x|0"},
		{"stays", where, "delete", pipeline.Update, big, big, "update 1|150|x|0 > 1|150|x|0"},
		{"stays out", where, "delete", pipeline.Update, small, small, "dropped"},
		{"leaves", where, "delete", pipeline.Update, big, small, "delete 1|150|x|0 > -"},
		{"enters", where, "delete", pipeline.Update, small, big, "insert - > 1|150|x|0"},
		{"enters with toast", where, "delete", pipeline.Update, small, []string{"1", "150", "_", "0"},
			"insert - > 1|150|x|0"},
		{"in, old unknown", where, "delete", pipeline.Update, nil, big, "update - > 1|150|x|0"},
		{"out, old unknown", where, "delete", pipeline.Update, nil, small, "delete 1|absent|absent|absent > -"},
		{"out, old key", where, "delete", pipeline.Update, []string{"2", "_", "_", "_"}, small,
			"delete 2|absent|absent|absent > -"},
		{"out, ignored", where, "ignore", pipeline.Update, nil, small, "dropped"},
		{"out, fails", where, "fail", pipeline.Update, nil, small,
			"error: transform.t: public.orders (id=1): it is not known"},
		{"delete in", where, "delete", pipeline.Delete, big, nil, "delete 1|150|x|0 > -"},
		{"delete out", where, "delete", pipeline.Delete, small, nil, "dropped"},
		{"delete by key", where, "delete", pipeline.Delete, key, nil, "delete 1|absent|absent|absent > -"},
		{"key condition out", "row.id > 5", "fail", pipeline.Update, nil, small, "dropped"},
		{"key condition in", "row.id < 5", "fail", pipeline.Update, nil, small, "update - > 1|50|x|0"},
		{"toast unknown", `row.status == "x"`, "delete", pipeline.Update, nil, []string{"1", "5", "_", "0"},
			"error: transform.t: public.orders (id=1): column status"},
		{"truncate", where, "delete", pipeline.Truncate, nil, nil, "truncate - > -"},
		{"on op", `op != "delete"`, "delete", pipeline.Delete, key, nil, "dropped"},
		{"on old", `old.amount != row.amount`, "delete", pipeline.Update, big, big, "dropped"},
	}
	for _, tt := range tests {
		in := orders()
		_, f := bind(t, &Filter{Where: expression(t, tt.where), OnLeave: tt.onLeave}, in)
		r := &pipeline.Row{Schema: in, Op: tt.op}
		if tt.before != nil {
			r.Before = vals(tt.before...)
		}
		if tt.values != nil {
			r.Values = vals(tt.values...)
		}
		if got := apply(f, r); got != tt.want && !(strings.HasPrefix(tt.want, "error") &&
			strings.HasPrefix(got, tt.want)) {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	if _, f := bind(t, &Filter{Tables: []string{"public.users"}, Where: expression(t, "row.x")},
		orders()); f != nil {
		t.Error("a table that is not named is filtered")
	}
	bindError(t, &Filter{Where: expression(t, `row.amunt > 1`)}, orders(), `Did you mean "amount"?`)
}

func TestOmit(t *testing.T) {
	in := orders()
	in.Key = []int{2, 0}
	out, f := bind(t, &Omit{Columns: []string{"orders.amount"}}, in)
	if diff := cmp.Diff([]int{1, 0}, out.Key); diff != "" || out.Columns[1].Name != "status" {
		t.Error(diff, out.Columns)
	}
	r := &pipeline.Row{Op: pipeline.Update, Before: vals("1", "_", "y", "_"), Values: vals("1", "2", "x", "0")}
	if got := apply(f, r); got != "update 1|y|absent > 1|x|0" {
		t.Error(got)
	}
	bindError(t, &Omit{Columns: []string{"id"}}, orders(), "belongs to the key")
	out, _ = bind(t, &Omit{Columns: []string{"id"}, Key: []string{"status"}}, orders())
	if diff := cmp.Diff([]int{1}, out.Key); diff != "" {
		t.Error(diff)
	}
	if same, f := bind(t, &Omit{Columns: []string{"nothing"}}, in); same != in || f != nil {
		t.Error("a table without the column changes")
	}
}

func TestRename(t *testing.T) {
	in := orders()
	in.Table, in.Columns[1].Name = "ORDERS", "AMOUNT"
	out, f := bind(t, &Rename{Case: "lower", Columns: map[string]string{"ORDERS.status": "state",
		"*.status": "no"}}, in)
	if f != nil || out.Name() != "public.orders" || out.Columns[1].Name != "amount" ||
		out.Columns[2].Name != "state" {
		t.Errorf("%s %v", out.Name(), out.Columns)
	}
	if in.Columns[1].Name != "AMOUNT" {
		t.Error("the schema that came was changed")
	}
	out, _ = bind(t, &Rename{Table: template(t, "crm_${table.name}"), Schema: template(t, "x")}, orders())
	if out.Name() != "x.crm_orders" {
		t.Error(out.Name())
	}
	bindError(t, &Rename{Columns: map[string]string{"amount": "status"}}, orders(),
		"columns amount and status both become status")
	tr := open(t, &Rename{Table: template(t, "one")})
	other := orders()
	other.Table = "items"
	if _, _, err := tr.Bind(orders()); err != nil {
		t.Error(err)
	}
	if _, _, err := tr.Bind(orders()); err != nil {
		t.Error("a new version of a table collides with itself:", err)
	}
	if _, _, err := tr.Bind(other); err == nil || !strings.Contains(err.Error(),
		"becomes public.one, as shop.public.orders does") {
		t.Error(err)
	}
}

func TestRoute(t *testing.T) {
	c := &Route{Unmatched: "drop", OnMove: "fail", Cases: []*RouteCase{
		{Match: `public\.(i.*)`, Target: template(t, "item_$1_x")},
		{Tables: []string{"orders"}, Where: expression(t, "row.amount > 100"), Target: template(t,
			"big_${table.name}")},
		{Tables: []string{"orders"}, Where: expression(t, `row.amount <= 100`), Target: template(t, "small")},
	}}
	items := orders()
	items.Table = "items"
	if out, f := bind(t, c, items); f != nil || out.Target != "item_items_x" {
		t.Errorf("%+v", out)
	}
	other := orders()
	other.Table = "users"
	if out, _ := bind(t, c, other); out != nil {
		t.Error("an unmatched table is not dropped")
	}
	in := orders()
	_, f := bind(t, c, in)
	run := func(op pipeline.Op, before, values []pipeline.Value) string {
		r := &pipeline.Row{Schema: in, Op: op, Before: before, Values: values}
		got := apply(f, r)
		if strings.HasPrefix(got, "error") || got == "dropped" {
			return got
		}
		return r.Schema.Target
	}
	for want, got := range map[string]string{
		"big_orders":                   run(pipeline.Insert, nil, vals("1", "150", "x", "0")),
		"small":                        run(pipeline.Delete, vals("1", "50", "x", "0"), nil),
		"dropped":                      run(pipeline.Insert, nil, vals("1", "null", "x", "0")),
		"moves the row from small to ": run(pipeline.Update, vals("1", "50", "x", "0"), vals("1", "500", "x", "0")),
		"not known which target":       run(pipeline.Update, nil, vals("1", "500", "x", "0")),
		"several targets":              run(pipeline.Truncate, nil, nil),
		"column amount":                run(pipeline.Delete, vals("1", "_", "_", "_"), nil),
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestMask(t *testing.T) {
	in := orders()
	row := func() *pipeline.Row {
		return &pipeline.Row{Op: pipeline.Update, Before: vals("1", "_", "_", "_"), Values: vals("1", "2",
			"paid", "null")}
	}
	tests := []struct {
		config *Mask
		want   string
	}{
		{&Mask{Columns: []string{"status"}, Fixed: "***"}, "update 1|absent|absent|absent > 1|2|***|null"},
		{&Mask{Columns: []string{"status", "flag"}, Truncate: 2}, "update 1|absent|absent|absent > 1|2|pa|null"},
		// echo -n saltpaid | sha256sum, cut to the column's 20 characters
		{&Mask{Columns: []string{"status"}, Hash: "sha256", Salt: "salt", Form: formText},
			"update 1|absent|absent|absent > 1|2|" + sumText("saltpaid")[:20] + "|null"},
		{&Mask{Columns: []string{"id"}, Hash: "sha256"}, "update " + sumText("1") +
			"|absent|absent|absent > " + sumText("1") + "|2|paid|null"},
		{&Mask{Columns: []string{"status"}, Hash: "sha256", Salt: "s", Form: formJava},
			"update 1|absent|absent|absent > 1|2|" + sumText("s\xAC\xED\x00\x05\x74\x00\x04paid")[:20] + "|null"},
	}
	for _, tt := range tests {
		out, f := bind(t, tt.config, in)
		if got := apply(f, row()); got != tt.want {
			t.Errorf("%+v: %s, want %s", tt.config, got, tt.want)
		}
		if i := out.Index("status"); tt.config.Columns[0] == "status" && out.Columns[i].Type != "text" {
			t.Error(out.Columns[i])
		}
	}
	bindError(t, &Mask{Columns: []string{"id"}, Fixed: "x"}, in, "belongs to the key")
}

func TestJavaString(t *testing.T) {
	got := appendJavaString(nil, "a\x00é😀")
	want := "\xAC\xED\x00\x05\x74\x00\x0Ba\xC0\x80\xC3\xA9\xED\xA0\xBD\xED\xB8\x80"
	if string(got) != want {
		t.Errorf("% x, want % x", got, want)
	}
}

func TestSet(t *testing.T) {
	in := orders()
	c := &Set{
		Columns: map[string]spec.Expr{"double": expression(t, "row.amount * 2"), "status": expression(t,
			`upper(row.status)`)},
		Metadata: []string{"__op", "__deleted", "__source_ts_ms", "__source_table", "__lsn", "__txid", "__gtid"},
	}
	out, f := bind(t, c, in)
	if len(out.Columns) != 12 || out.Columns[4].Name != "double" ||
		out.Columns[4].Kind != pipeline.Decimal || out.Columns[2].Type != "text" {
		t.Errorf("%+v", out.Columns)
	}
	tx := &pipeline.Tx{ID: 7, Time: 1500, LSN: 9}
	tests := []struct {
		row  *pipeline.Row
		want string
	}{
		{&pipeline.Row{Op: pipeline.Insert, Tx: tx, Values: vals("1", "1.5", "x", "0")},
			"insert - > 1|1.5|X|0|3.0|c|false|946684800001|orders|9|7|null"},
		{&pipeline.Row{Op: pipeline.Delete, Tx: tx, At: 5, Before: vals("1", "_", "_", "_")},
			"delete 1|absent|absent|absent|absent|d|true|946684800001|orders|5|7|null > -"},
		{&pipeline.Row{Op: pipeline.Update, Tx: tx, Values: vals("1", "2", "_", "0")},
			"update - > 1|2|absent|0|4|u|false|946684800001|orders|9|7|null"},
	}
	for _, tt := range tests {
		if got := apply(f, tt.row); got != tt.want {
			t.Errorf("%s\nwant %s", got, tt.want)
		}
	}
	bindError(t, &Set{Columns: map[string]spec.Expr{"id": expression(t, "1")}}, in, "belongs to the key")
	_, f = bind(t, &Set{Columns: map[string]spec.Expr{"both": expression(t, `"${row.status}${row.amount}"`)}}, in)
	if got := apply(f, &pipeline.Row{Op: pipeline.Update, Values: vals("1", "2", "_",
		"0")}); !strings.Contains(got, "column both: column status") {
		t.Error(got)
	}
}
