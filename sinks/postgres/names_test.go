package postgres

import (
	"strings"
	"testing"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// maria describes a table of MariaDB with an id and a name.
func maria(database, table string) *pipeline.Schema {
	s := tableOf(table, col("id", "bigint(20)", pipeline.Int), col("name", "varchar(20)", pipeline.Text))
	s.System, s.Database, s.Namespace = pipeline.MariaDB, database, ""
	return s
}

// TestNames writes tables of several databases into one schema, in lower case and with prefixes.
func TestNames(t *testing.T) {
	for into, want := range map[string]string{
		``: "Shop.T_DEAL live.T_DEAL",
		`into = "mp_cdc.${lower(table.database)}_${lower(table.name)}"`:  "mp_cdc.live_t_deal mp_cdc.shop_t_deal",
		`into = "${lower(table.schema)}.x_${split("_", table.name)[1]}"`: "live.x_DEAL shop.x_DEAL",
		`into = "\"a.b\".${lower(table.database)}_${table.name}"`:        "a.b.live_T_DEAL a.b.shop_T_DEAL",
	} {
		dsn := pg.Database(t)
		sink := start(t, configure(t, dsn, into))
		mustWrite(t, sink, pipetest.NewBatch(maria("Shop", "T_DEAL")).Insert(1, "a").Table(maria("live", "T_DEAL")).
			Insert(1, "b").
			Mark(pipetest.Position(1)).Batch())
		wantQuery(t, dsn, "SELECT string_agg(n, ' ' ORDER BY n COLLATE \"C\") FROM (SELECT schemaname || '.' || tablename AS n FROM pg_tables"+
			" WHERE schemaname NOT IN ('pipe', 'pg_catalog', 'information_schema')) x", want)
	}
}

// TestNamesMeet refuses two tables in one target, and names both, wherever they come from.
func TestNamesMeet(t *testing.T) {
	const into = `into = "mp_cdc.${lower(table.name)}"`
	type row struct {
		stream pipeline.Stream
		schema *pipeline.Schema
	}
	for _, c := range []struct {
		one, two row
		want     []string
	}{
		{row{`source.x["eu"]/mysql`, maria("shop", "T_DEAL")}, row{`source.x["us"]/mysql`, maria("shop", "T_DEAL")},
			[]string{`source.x["eu"] shop.T_DEAL`, `source.x["us"] shop.T_DEAL`}},
		{row{"source.x/mysql", maria("shop", "T_DEAL")}, row{"source.x/mysql", maria("shop", "t_deal")},
			[]string{"shop.T_DEAL", "shop.t_deal"}},
		{row{"source.x/mysql", maria("shop", "T_DEAL")}, row{"source.y/mysql", maria("live", "T_DEAL")},
			[]string{"source.x shop.T_DEAL", "source.y live.T_DEAL"}},
	} {
		for _, snapshot := range []bool{true, false} {
			dsn := pg.Database(t)
			batch := func(r row, id int) *pipeline.Batch {
				if snapshot {
					in := pipeline.Stream("chunk/" + r.schema.Name() + "/000001").In(r.stream.Address())
					return pipetest.NewBatch(r.schema).In(in).Read(id, "a").Mark("done").Batch()
				}
				return pipetest.NewBatch(r.schema).In(r.stream).Insert(id, "a").Mark(pipetest.Position(id)).Batch()
			}
			sink := start(t, configure(t, dsn, into))
			mustWrite(t, sink, batch(c.one, 1))
			err := sink.Write(t.Context(), batch(c.two, 2))
			wantError(t, err, pipeline.Input, append(c.want, "mp_cdc.t_deal", "merge = true", "into")...)
			sink = start(t, configure(t, dsn, into+"\nmerge = true"))
			mustWrite(t, sink, batch(c.one, 1), batch(c.two, 2))
			wantQuery(t, dsn, "SELECT id FROM mp_cdc.t_deal ORDER BY 1", "1", "2")
		}
	}
}

// TestNamesTooLong refuses what the server would cut off, in each place where a name stands.
func TestNamesTooLong(t *testing.T) {
	long := strings.Repeat("ü", 31) + "ab" // 64 bytes, 33 characters
	column := maria("shop", "T")
	column.Columns[1].Name = long
	for text, s := range map[string]*pipeline.Schema{
		"": maria("shop", long), "create_tables = true": maria(long, "T"), "write = \"upsert\"": column,
		`into = "x.${table.database}_${table.name}"`: maria(strings.Repeat("d", 40), strings.Repeat("t", 40)),
	} {
		err := start(t, configure(t, pg.Database(t), text)).Write(t.Context(), pipetest.NewBatch(s).Insert(1, "a").
			Mark(pipetest.Position(1)).Batch())
		wantError(t, err, pipeline.Input, "bytes, PostgreSQL keeps 63")
	}
	fits := maria("shop", strings.Repeat("ü", 31)+"a")
	dsn := pg.Database(t)
	mustWrite(t, start(t, configure(t, dsn, "load {}")), pipetest.NewBatch(fits).In(feedChunk(0, 0)).Read(1, "a").
		Mark("done").Batch(),
		pipetest.NewBatch(fits).Mark(pipetest.Position(1)).Batch())
}

// TestNamesMeetOffline finds before anything runs that tables of several databases meet, as for_each over
// databases makes them, and lets them where they are to be merged or have targets of their own.
func TestNamesMeetOffline(t *testing.T) {
	tables := []*pipeline.Schema{maria("trading", "T_DEAL"), maria("finance", "t_deal"), maria("finance", "T_BILL")}
	for text, want := range map[string]string{
		`into = "mp_cdc.${lower(table.name)}"`:                          "trading.T_DEAL and finance.t_deal are both written to mp_cdc.t_deal",
		"into = \"mp_cdc.${lower(table.name)}\"\nmerge = true":          "",
		`into = "mp_cdc.${table.database}_${lower(table.name)}"`:        "",
		`into = "mp_cdc.${lower(table.database)}_${upper(table.name)}"`: "",
	} {
		have := ""
		for _, f := range configure(t, pg.Database(t), text).Check(t.Context(), env(), tables) {
			if f.Code == "PGS-011" && have == "" {
				have = f.Summary
			}
		}
		if have != want {
			t.Errorf("%s: %q, want %q", text, have, want)
		}
	}
}
