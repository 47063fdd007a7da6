package postgres

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

const unlogged = "load {\n unlogged = true\n}"

// catalogue is what there is of a table: persistence, and its indexes.
func catalogue(t testing.TB, dsn, table string) string {
	t.Helper()
	return pipetest.QueryText(t, dsn, `SELECT c.relpersistence::text || coalesce(' ' || string_agg(CASE WHEN i.indisprimary THEN 'primary'
		WHEN i.indisunique THEN 'unique' ELSE 'index' END || substring(pg_get_indexdef(i.indexrelid) from ' \(.*'), ', '
		ORDER BY i.indisprimary DESC, i.indisunique DESC), '')
		FROM pg_class c LEFT JOIN pg_index i ON i.indrelid = c.oid WHERE c.oid = '`+table+`'::regclass GROUP BY c.relpersistence`)[0][0]
}

// TestLoadSteps loads two tables that have indexes of the same names into one schema.
func TestLoadSteps(t *testing.T) {
	for text, during := range map[string]string{
		"load {}": "p", unlogged: "u",
		"load {\n defer_indexes = false\n}": "p primary (id), unique (email), index (bio)",
	} {
		dsn := pg.Database(t)
		one, _ := feedTables()
		two := *one
		two.Database, two.Namespace, two.Table = "other", "b", "users"
		text += "\ninto = \"${table.schema == \"b\" ? \"public.b_users\" : \"public.users\"}\""
		sink := start(t, configure(t, dsn, text))
		for n, s := range []*pipeline.Schema{one, &two} {
			b := pipetest.NewBatch(s).In(feedChunk(n, 1))
			for i := range 100 {
				b.Read(i, fmt.Sprint("mail", i), "b")
			}
			mustWrite(t, sink, b.Mark("done").Batch())
		}
		for _, table := range []string{"users", "b_users"} {
			if have := catalogue(t, dsn, table); have != during {
				t.Errorf("%s while loading: %s, want %s", text, have, during)
			}
		}
		wantQuery(t, dsn, "SELECT sum(reltuples) FROM pg_class WHERE relname IN ('users', 'b_users')", "-2")
		mustWrite(t, sink, pipetest.NewBatch(one).Mark(pipetest.Position(1)).Batch())
		for _, table := range []string{"users", "b_users"} {
			if have, want := catalogue(t, dsn, table), "p primary (id), unique (email), index (bio)"; have != want {
				t.Errorf("%s after the load: %s, want %s", text, have, want)
			}
		}
		wantQuery(t, dsn, "SELECT sum(reltuples) FROM pg_class WHERE relname IN ('users', 'b_users')", "200")
		wantQuery(t, dsn, "SELECT (SELECT count(*) FROM pipe.load_step), (SELECT count(*) FROM pipe.checkpoint_unlogged),"+
			" (SELECT count(*) FROM pipe.checkpoint)", "0|0|3")
		mustWrite(t, sink, pipetest.NewBatch(one).Insert(1, "x", "y").Update(nil, 2, "z", absent).
			Mark(pipetest.Position(2)).Batch())
		wantQuery(t, dsn, "SELECT * FROM users WHERE id IN (1, 2) ORDER BY id", "1|x|y", "2|z|b")
	}
}

// TestLoadStepFails has each step fail as if the server stopped at its end, and holds that no position
// of changes is stored before all steps are done, and that the next life does them.
func TestLoadStepFails(t *testing.T) {
	want, _ := untouched(t, pg, unlogged)
	for _, verb := range []string{"CREATE UNLOGGED%", "%logs\" SET LOGGED", "%users\" SET LOGGED", "CREATE UNIQUE INDEX%pkey%",
		"ALTER%PRIMARY KEY%", "CREATE INDEX%", "CREATE UNIQUE INDEX%email%"} {
		for _, resumes := range []bool{false, true} {
			dsn := pg.Database(t)
			pipetest.Exec(t, dsn, `CREATE FUNCTION stop() RETURNS event_trigger LANGUAGE plpgsql AS $$
				BEGIN IF current_query() LIKE '`+verb+`' THEN RAISE 'stopped' USING ERRCODE = '57P01'; END IF; END $$`,
				"CREATE EVENT TRIGGER stop ON ddl_command_end EXECUTE FUNCTION stop()", "ALTER EVENT TRIGGER stop ENABLE ALWAYS")
			f, c := &feed{resumes: resumes}, configure(t, dsn, unlogged)
			for range 2 {
				if err := f.life(t.Context(), c); pipeline.ClassOf(err) != pipeline.Retryable {
					t.Fatalf("%s, resumes %v: %v", verb, resumes, err)
				}
				wantQuery(t, dsn, "SELECT count(*) FROM pipe.checkpoint WHERE stream = '"+feedWAL+"'", "0")
			}
			pipetest.Exec(t, dsn, "DROP EVENT TRIGGER stop")
			if err := f.life(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, feedState(t, dsn)); diff != "" {
				t.Errorf("%s, resumes %v (-want +have):\n%s", verb, resumes, diff)
			}
		}
	}
}

// TestUnloggedMarks loses the positions of chunks together with their rows when the server crashes, and
// keeps both over any other end.
func TestUnloggedMarks(t *testing.T) {
	srv := pipetest.Postgres(t, "fsync=on", "wal_level=replica")
	dsn := srv.Database(t)
	s, _ := feedTables()
	kept := func() int {
		sink, err := configure(t, dsn, unlogged).Open(t.Context(), env())
		if err != nil {
			t.Fatal(err)
		}
		defer sink.Close()
		cp, err := sink.(pipeline.Keeper).Checkpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return len(cp)
	}
	sink := start(t, configure(t, dsn, unlogged))
	mustWrite(t, sink, chunk(s, 1, 0, 10).Mark("done").Batch(), chunk(s, 2, 10, 10).Mark("done").Batch(),
		pipetest.NewBatch(s).In(feedAttempt).Mark(pipetest.Position(1)).Batch())
	sink.Close()
	srv.Restart(t, "fast")
	if n := kept(); n != 3 {
		t.Errorf("%d positions after a clean restart, want 3", n)
	}
	wantQuery(t, dsn, "SELECT count(*) FROM users", "20")
	srv.Restart(t, "immediate")
	if n := kept(); n != 1 {
		t.Errorf("%d positions after a crash, want the attempt's only", n)
	}
	wantQuery(t, dsn, "SELECT count(*) FROM users", "0")
	sink = start(t, configure(t, dsn, unlogged))
	mustWrite(t, sink, chunk(s, 1, 0, 10).Mark("done").Batch(), pipetest.NewBatch(s).Mark(pipetest.Position(1)).Batch())
	srv.Restart(t, "immediate")
	if n := kept(); n != 3 {
		t.Errorf("%d positions after the table was made durable, want 3", n)
	}
	wantQuery(t, dsn, "SELECT count(*) FROM users", "10")
}

// TestUnloggedEntries loses what an entry says of chunks together with their rows, and keeps what it says
// once they are durable.
func TestUnloggedEntries(t *testing.T) {
	srv := pipetest.Postgres(t, "fsync=on", "wal_level=replica")
	dsn := srv.Database(t)
	s, _ := feedTables()
	const stream = "source.test/table/public.users"
	entry := func(version int, status snapshot.Status) *pipeline.Batch {
		b := &pipeline.Batch{Stream: stream}
		b.Mark(pipeline.Position(fmt.Sprintf(`%016X/{"status":%q}`, version, status)))
		return b
	}
	version := func() string {
		sink := start(t, configure(t, dsn, unlogged))
		defer sink.Close()
		text, _, _ := strings.Cut(string(sink.kept[stream]), "/")
		return strings.TrimLeft(text, "0")
	}
	sink := start(t, configure(t, dsn, unlogged))
	mustWrite(t, sink, entry(1, snapshot.Running), chunk(s, 1, 0, 10).Mark("done").Batch(), entry(2, snapshot.Running))
	sink.Close()
	if v := version(); v != "2" {
		t.Errorf("version %s of the entry, want 2", v)
	}
	srv.Restart(t, "immediate")
	if v := version(); v != "1" {
		t.Errorf("version %s of the entry after a crash, want that of before the chunk", v)
	}
	sink = start(t, configure(t, dsn, unlogged))
	mustWrite(t, sink, entry(2, snapshot.Running), chunk(s, 1, 0, 10).Mark("done").Batch(), entry(3, snapshot.Running),
		entry(4, snapshot.Done), entry(5, snapshot.Done))
	sink.Close()
	srv.Restart(t, "immediate")
	if v := version(); v != "5" {
		t.Errorf("version %s of the entry after the table was made durable, want 5", v)
	}
	wantQuery(t, dsn, "SELECT count(*) FROM users", "10")
}

// TestLoadReadTwice keeps one row of a key that two chunks had.
func TestLoadReadTwice(t *testing.T) {
	dsn := pg.Database(t)
	sink, s := start(t, configure(t, dsn, "load {}")), users()
	mustWrite(t, sink, chunk(s, 1, 0, 10).Mark("done").Batch(), chunk(s, 2, 5, 10).Mark("done").Batch(),
		pipetest.NewBatch(s).Update(nil, 7, "late", absent).Mark(pipetest.Position(1)).Batch())
	wantQuery(t, dsn, "SELECT count(*), count(DISTINCT id) FROM users", "15|15")
	if have := catalogue(t, dsn, "users"); have != "p primary (id)" {
		t.Error(have)
	}
}

// TestLoadReadTwiceUnique: rows that were read twice are no reason to leave a unique index out.
func TestLoadReadTwiceUnique(t *testing.T) {
	dsn := pg.Database(t)
	s, _ := feedTables()
	row := func(n int) *pipeline.Batch {
		return pipetest.NewBatch(s).In(feedChunk(0, n)).Read(1, "same", nil).Read(10+n, fmt.Sprint(n), nil).Mark("done").Batch()
	}
	sink := start(t, configure(t, dsn, "load {}"))
	mustWrite(t, sink, row(1), row(2), pipetest.NewBatch(s).Mark(pipetest.Position(1)).Batch())
	if have := catalogue(t, dsn, "users"); have != "p primary (id), unique (email), index (bio)" {
		t.Error(have)
	}
	wantQuery(t, dsn, "SELECT id FROM users ORDER BY 1", "1", "11", "12")
	wantQuery(t, dsn, "SELECT count(*) FROM pipe.load_step", "0")
}

// TestLoadUniqueTrouble goes on without an index that the rows do not allow, and makes it later.
func TestLoadUniqueTrouble(t *testing.T) {
	dsn := pg.Database(t)
	s, _ := feedTables()
	s.Columns[2] = col("bio", "json", pipeline.JSON) // a type that cannot be indexed
	sink := start(t, configure(t, dsn, "load {}"))
	mustWrite(t, sink, pipetest.NewBatch(s).In(feedChunk(0, 0)).Read(1, "same", nil).Read(2, "same", nil).
		Mark("done").Batch(),
		pipetest.NewBatch(s).Mark(pipetest.Position(1)).Batch())
	if have := catalogue(t, dsn, "users"); have != "p primary (id)" {
		t.Error(have)
	}
	rows := pipetest.QueryText(t, dsn, "SELECT verb, trouble FROM pipe.load_step ORDER BY ordinal")
	if len(rows) != 2 || rows[0][0] != stepIndex || rows[1][0] != stepUnique || !strings.Contains(rows[1][1], "23505") {
		t.Errorf("steps left: %v", rows)
	}
	mustWrite(t, sink, pipetest.NewBatch(s).Update(nil, 2, "other", nil).Mark(pipetest.Position(2)).Batch())
	sink = start(t, configure(t, dsn, ""))
	mustWrite(t, sink, pipetest.NewBatch(s).Mark(pipetest.Position(3)).Batch())
	if have := catalogue(t, dsn, "users"); have != "p primary (id), unique (email)" {
		t.Error(have)
	}
}

// TestLoadMovedSource finishes a load that was begun for the source's old address.
func TestLoadMovedSource(t *testing.T) {
	dsn := pg.Database(t)
	s := users()
	sink := start(t, configure(t, dsn, "load {}"))
	mustWrite(t, sink, chunk(s, 1, 0, 10).Mark("done").Batch())
	sink = start(t, configure(t, dsn, "load {}"))
	mustWrite(t, sink, pipetest.NewBatch(s).In("source.renamed/wal").Update(nil, 7, "late", absent).
		Mark(pipetest.Position(1)).Batch())
	wantQuery(t, dsn, "SELECT count(*), max(email) FROM users", "10|r")
	if have := catalogue(t, dsn, "users"); have != "p primary (id)" {
		t.Error(have)
	}
}

// TestLoadLeavesTablesAlone does not touch a table that is there, nor one that several sources fill.
func TestLoadLeavesTablesAlone(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, "CREATE TABLE users (id bigint PRIMARY KEY, email text, bio text)")
	s, _ := feedTables()
	sink := start(t, configure(t, dsn, unlogged))
	mustWrite(t, sink, chunk(s, 1, 0, 10).Mark("done").Batch(), pipetest.NewBatch(s).Mark(pipetest.Position(1)).Batch())
	if have := catalogue(t, dsn, "users"); have != "p primary (id)" {
		t.Error(have)
	}
	merged := *s
	merged.Table = "merged"
	sink = start(t, configure(t, dsn, unlogged+"\nmerge = true"))
	mustWrite(t, sink, chunk(&merged, 2, 0, 10).Mark("done").Batch())
	if have := catalogue(t, dsn, "merged"); have != "p primary (id)" {
		t.Error(have)
	}
	upserted := *s
	upserted.Table, upserted.Indexes = "upserted", s.Indexes[:1]
	sink = start(t, configure(t, dsn, "load {\n method = \"upsert\"\n}"))
	mustWrite(t, sink, chunk(&upserted, 3, 0, 10).Mark("done").Batch())
	if sink.binder.fresh(sink.binder.targets[name{"public", "upserted"}]) {
		t.Error("upserts were to be compared with COPY")
	}
}

// TestUnloggedMarksOfSeveralTables keeps the positions of a stream that has rows in an UNLOGGED and in
// another table as volatile as the former.
func TestUnloggedMarksOfSeveralTables(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, "CREATE TABLE logs (a int, b text)")
	keyed, keyless := feedTables()
	stream := feedChunk(0, 0)
	part := func(s *pipeline.Schema, pos int, row ...any) *pipeline.Batch {
		b := &pipeline.Batch{Stream: stream}
		from := pipetest.NewBatch(s).Read(row...).Batch()
		b.Rows = append(b.Rows, from.Rows...)
		b.Rows[0].Tx = &pipeline.Tx{Snapshot: true, Pos: pipetest.Position(pos - 1)}
		b.Mark(pipetest.Position(pos))
		return b
	}
	sink := start(t, configure(t, dsn, unlogged))
	mustWrite(t, sink, part(keyless, 1, 1, "x"), part(keyed, 2, 1, "a", "b"))
	wantQuery(t, dsn, "SELECT c.position, u.position FROM pipe.checkpoint c, pipe.checkpoint_unlogged u", "00000001|00000002")
	sink = start(t, configure(t, dsn, unlogged)) // an ordinary restart remembers
	mustWrite(t, sink, part(keyless, 2, 1, "trimmed"), part(keyless, 3, 3, "x"))
	wantQuery(t, dsn, "SELECT c.position, u.position FROM pipe.checkpoint c, pipe.checkpoint_unlogged u", "00000001|00000003")
	mustWrite(t, sink, pipetest.NewBatch(keyed).Mark(pipetest.Position(1)).Batch())
	wantQuery(t, dsn, "SELECT position FROM pipe.checkpoint WHERE stream = '"+string(stream)+"'", "00000003")
	wantQuery(t, dsn, "SELECT count(*) FROM pipe.checkpoint_unlogged", "0")
	wantQuery(t, dsn, "SELECT a FROM logs ORDER BY 1", "1", "3")
}
