package postgres

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// indexNames lists the indexes of all tables in public, keys left out.
const indexNames = "SELECT n FROM (SELECT i.indrelid::regclass || ': ' || i.indexrelid::regclass AS n FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid" +
	" WHERE relnamespace = 'public'::regnamespace AND NOT indisprimary) x ORDER BY n COLLATE \"C\""

// TestIndexNames keeps the names of the source's indexes, made unique in the target's schema, the same after
// a crash between making the tables and their indexes, whatever order they are finished in.
func TestIndexNames(t *testing.T) {
	long := strings.Repeat("ü", 31)
	for _, load := range []string{"load {}", "load {\n workers = 8\n}", "load {\n defer_indexes = false\n}"} {
		dsn := pg.Database(t)
		text := load + "\ninto = \"public.${table.database}_${table.name}\""
		sink := start(t, configure(t, dsn, text))
		pipetest.Exec(t, dsn, "CREATE TABLE by_taken ()")
		var all []*pipeline.Schema
		for n, database := range []string{"a", "b", "c"} {
			s := maria(database, "t")
			s.Indexes = []pipeline.Index{{Name: "by_name", Columns: []int{1}}, {Name: "by_taken", Columns: []int{1, 0}},
				{Name: "Odd \"name\"", Columns: []int{1}}, {Name: long + "12", Columns: []int{1}}}
			all = append(all, s)
			mustWrite(t, sink, pipetest.NewBatch(s).In(feedChunk(n, 0)).Read(1, "a").Mark("done").Batch())
		}
		sink.Close()
		sink = start(t, configure(t, dsn, text)) // a crash in between
		mustWrite(t, sink, pipetest.NewBatch(all[0]).Mark(pipetest.Position(1)).Batch())
		wantQuery(t, dsn, indexNames, "a_t: \"Odd \"\"name\"\"\"", "a_t: "+quotedCut(long+"12", 27),
			"a_t: a_t_by_taken", "a_t: by_name",
			"b_t: \"b_t_Odd \"\"name\"\"\"", "b_t: "+quotedCut("b_t_"+long+"12", 25),
			"b_t: b_t_by_name", "b_t: b_t_by_taken",
			"c_t: \"c_t_Odd \"\"name\"\"\"", "c_t: "+quotedCut("c_t_"+long+"12", 25),
			"c_t: c_t_by_name", "c_t: c_t_by_taken")
	}
}

// quotedCut is a long name as it is cut, after so many characters.
func quotedCut(s string, n int) string {
	return `"` + string([]rune(s)[:n]) + strings.TrimPrefix(fitName(s), string([]rune(s)[:n])) + `"`
}

// TestIndexNameTaken makes an index under another name where its own was taken after it was chosen.
func TestIndexNameTaken(t *testing.T) {
	dsn := pg.Database(t)
	s, _ := feedTables()
	sink := start(t, configure(t, dsn, "load {}"))
	mustWrite(t, sink, chunk(s, 1, 0, 1).Mark("done").Batch())
	pipetest.Exec(t, dsn, "CREATE TABLE by_bio ()")
	mustWrite(t, sink, pipetest.NewBatch(s).Mark(pipetest.Position(1)).Batch())
	wantQuery(t, dsn, indexNames, "users: by_email", "users: "+longName(name{"public", "users"}, "by_bio"))
	wantQuery(t, dsn, "SELECT count(*) FROM pipe.load_step", "0")
}

// TestKeyNameTaken makes a key under another name likewise.
func TestKeyNameTaken(t *testing.T) {
	dsn := pg.Database(t)
	s := users()
	sink := start(t, configure(t, dsn, "load {}"))
	mustWrite(t, sink, chunk(s, 1, 0, 1).Mark("done").Batch())
	pipetest.Exec(t, dsn, "CREATE TABLE users_pkey ()")
	mustWrite(t, sink, pipetest.NewBatch(s).Mark(pipetest.Position(1)).Batch())
	wantQuery(t, dsn, "SELECT conname FROM pg_constraint WHERE conrelid = 'users'::regclass",
		longName(name{"public", "users"}, "users_pkey"))
	wantQuery(t, dsn, "SELECT count(*) FROM pg_index WHERE indrelid = 'users'::regclass", "1")
	wantQuery(t, dsn, "SELECT count(*) FROM pipe.load_step", "0")
}

// TestIndexesOfManyTables finishes tables with indexes of one name side by side from two sources at once.
func TestIndexesOfManyTables(t *testing.T) {
	dsn := pg.Database(t)
	sink := start(t, configure(t, dsn, "load {\n workers = 4\n}\ninto = \"public.t${table.name}\""))
	var rest []*pipeline.Batch
	for n := range 6 {
		s := maria("shop", fmt.Sprint(n))
		s.Indexes = []pipeline.Index{{Name: "x", Columns: []int{1}}}
		stream := pipeline.Stream(fmt.Sprintf("source.s%d/", n%2))
		mustWrite(t, sink, pipetest.NewBatch(s).In(stream+"chunk/"+pipeline.Stream(fmt.Sprint(n))).Read(1, "a").Mark("done").Batch())
		if n < 2 {
			rest = append(rest, pipetest.NewBatch(s).In(stream+"log").Mark(pipetest.Position(1)).Batch())
		}
	}
	errs := make(chan error)
	for _, b := range rest {
		go func() { errs <- sink.Write(t.Context(), b) }()
	}
	for range rest {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	wantQuery(t, dsn, indexNames, "t0: x", "t1: t1_x", "t2: t2_x", "t3: t3_x", "t4: t4_x", "t5: t5_x")
}

// TestIndexesAmongChanges makes tables for rows that come among changes, of a snapshot and not: they have
// their indexes at once.
func TestIndexesAmongChanges(t *testing.T) {
	dsn := pg.Database(t)
	s, _ := feedTables()
	late := *s
	late.Table = "late"
	sink := start(t, configure(t, dsn, "load {}"))
	mustWrite(t, sink, pipetest.NewBatch(s).Tx(pipetest.Position(1), 0).Insert(1, "a", "b").Mark(pipetest.Position(1)).Batch())
	b := pipetest.NewBatch(&late).Tx(pipetest.Position(2), 0).Read(1, "a", "b").Mark(pipetest.Position(2)).Batch()
	b.Rows[0].Tx.Snapshot = true
	mustWrite(t, sink, b)
	for _, table := range []string{"users", "late"} {
		if have := catalogue(t, dsn, table); have != "p primary (id), unique (email), index (bio)" {
			t.Errorf("%s: %s", table, have)
		}
	}
}

// TestIndexesWaitForSnapshots: while a snapshot is open, two rows may have the value of a unique index, one
// of them still to be read. Indexes are made when the last one is done, also after a restart.
func TestIndexesWaitForSnapshots(t *testing.T) {
	dsn := pg.Database(t)
	s, _ := feedTables()
	entry := func(version int, status snapshot.Status) *pipeline.Batch {
		b := &pipeline.Batch{Stream: "source.test/table/public.users"}
		b.Mark(pipeline.Position(fmt.Sprintf(`%016X/{"status":%q}`, version, status)))
		return b
	}
	change := func(pos, id int, email string) *pipeline.Batch {
		p := pipetest.Position(pos)
		return pipetest.NewBatch(s).Tx(p, 0).Insert(id, email, "").Mark(p).Batch()
	}
	sink := start(t, configure(t, dsn, "load {}"))
	mustWrite(t, sink, entry(1, snapshot.Running), change(1, 1, "a"), change(2, 2, "a"))
	if have := catalogue(t, dsn, "users"); have != "p primary (id)" {
		t.Errorf("while a snapshot is open: %s", have)
	}
	sink.Close()
	sink = start(t, configure(t, dsn, "load {}"))
	mustWrite(t, sink, change(3, 3, "a"))
	fix := pipetest.NewBatch(s).Tx(pipetest.Position(4), 0).Update(nil, 1, "b", "").Update(nil, 2, "c", "")
	mustWrite(t, sink, fix.Mark(pipetest.Position(4)).Batch(), entry(2, snapshot.Done))
	if have := catalogue(t, dsn, "users"); have != "p primary (id), unique (email), index (bio)" {
		t.Errorf("after it: %s", have)
	}
}

// TestStateOfBefore goes on with a state that an older version made, in the middle of a load.
func TestStateOfBefore(t *testing.T) {
	dsn := pg.Database(t)
	s, _ := feedTables()
	sink := start(t, configure(t, dsn, "load {}"))
	mustWrite(t, sink, chunk(s, 1, 0, 1).Mark("done").Batch())
	sink.Close()
	pipetest.Exec(t, dsn, "DROP TABLE pipe.made, pipe.sift", "ALTER TABLE pipe.load_step DROP COLUMN index_name")
	sink = start(t, configure(t, dsn, "load {}"))
	mustWrite(t, sink, pipetest.NewBatch(s).Mark(pipetest.Position(1)).Batch())
	if have := catalogue(t, dsn, "users"); have != "p primary (id), unique (email), index (bio)" {
		t.Error(have)
	}
	wantQuery(t, dsn, "SELECT count(*) FROM pipe.made", "0")
}
