package postgres

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

var absent = pipeline.AbsentValue

func users() *pipeline.Schema {
	return tableOf("users", col("id", "bigint", pipeline.Int), col("email", "text", pipeline.Text),
		col("bio", "text", pipeline.Text))
}

// TestUniqueSwap lets unique values change hands within a batch, which no compacted statement survives.
func TestUniqueSwap(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, "CREATE TABLE users (id bigint PRIMARY KEY, email text UNIQUE, bio text)")
	sink, s := start(t, configure(t, dsn, "")), users()
	mustWrite(t, sink,
		pipetest.NewBatch(s).Insert(1, "x", "1").Insert(2, "y", "2").Insert(3, "z", "3").Mark(pipetest.Position(1)).
			Batch(),
		pipetest.NewBatch(s).Update(nil, 1, "tmp", "1").Update(nil, 2, "x", "2").Update(nil, 1, "y", "1").
			Mark(pipetest.Position(2)).Batch())
	wantQuery(t, dsn, "SELECT id, email FROM users ORDER BY id", "1|y", "2|x", "3|z")
	mustWrite(t, sink, pipetest.NewBatch(s).Update(nil, 1, "tmp", absent).Update(nil, 2, "y", absent).
		Update(nil, 1, "x", absent).Mark(pipetest.Position(3)).Batch())
	wantQuery(t, dsn, "SELECT id, email, bio FROM users ORDER BY id", "1|x|1", "2|y|2", "3|z|3")
	mustWrite(t, sink, pipetest.NewBatch(s).Delete(3, absent, absent).Insert(4, "z", "4").
		Mark(pipetest.Position(4)).Batch())
	wantQuery(t, dsn, "SELECT id, email FROM users ORDER BY id", "1|x", "2|y", "4|z")
	err := sink.Write(t.Context(), pipetest.NewBatch(s).Insert(8, "new", "").Insert(9, "x", "").
		Mark(pipetest.Position(5)).Batch())
	wantError(t, err, pipeline.Input, "sink.test", "public.users", "id=9", "23505", "users_email_key", "00000004")
}

// TestDeferredSwap holds what only a deferred constraint allows at the source.
func TestDeferredSwap(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, "CREATE TABLE users (id bigint PRIMARY KEY, email text UNIQUE, bio text)")
	sink, s := start(t, configure(t, dsn, "")), users()
	mustWrite(t, sink, pipetest.NewBatch(s).Insert(1, "x", "1").Insert(2, "y", "2").Mark(pipetest.Position(1)).Batch(),
		pipetest.NewBatch(s).Update(nil, 1, "y", "1").Update(nil, 2, "x", "2").Mark(pipetest.Position(2)).Batch())
	wantQuery(t, dsn, "SELECT id, email FROM users ORDER BY id", "1|y", "2|x")
}

func TestDataErrors(t *testing.T) {
	cases := []struct {
		name, table string
		row         pipetest.Row
		want        []string
	}{
		{"index size", "email text, bio text, UNIQUE (email, id)",
			pipetest.Row{7, hash("x"), "b"}, []string{"id=7", "54000", "drop the index"}},
		{"not null", "email text NOT NULL, bio text", pipetest.Row{7, nil, "b"},
			[]string{"id=7", "23502", "email", "DROP NOT NULL"}},
		{"check", "email text CHECK (email <> 'bad'), bio text", pipetest.Row{7, "bad", "b"},
			[]string{"id=7", "23514", "users_email_check"}},
		{"too long", "email varchar(3), bio text", pipetest.Row{7, "long", "b"}, []string{"id=7", "22001"}},
		{"no date", "email date, bio text", pipetest.Row{7, "x", "b"}, []string{"id=7", "22007"}},
		{"nul", "email text, bio text", pipetest.Row{7, "x\x00", "b"}, []string{"id=7", "column email", "NUL"}},
		{"no utf-8", "email text, bio text", pipetest.Row{7, "\xff", "b"}, []string{"id=7", "22021"}},
		{"json escape", "email jsonb, bio text", pipetest.Row{7, `"\u0000"`, "b"}, []string{"id=7", "22P05", "column email", "jsonb", "json or text"}},
	}
	for _, c := range cases {
		for _, size := range []int{1, 3, 1200} {
			dsn := pg.Database(t)
			pipetest.Exec(t, dsn, "CREATE TABLE users (id bigint PRIMARY KEY, "+c.table+")")
			sink, s := start(t, configure(t, dsn, "")), users()
			b := pipetest.NewBatch(s)
			good := []any{"ok", "b"}
			if strings.HasPrefix(c.name, "no date") {
				good[0] = "2020-01-01"
			}
			if c.name == "json escape" {
				good[0] = "{}"
			}
			if c.name == "too long" {
				good[0] = "ok"
			}
			for i := range size {
				if i == size/2 {
					b.Insert(c.row...)
				} else {
					b.Insert(1000+i, good[0], good[1])
				}
			}
			err := sink.Write(t.Context(), b.Mark(pipetest.Position(5)).Batch())
			wantError(t, err, pipeline.Input, append(c.want, "public.users", "sink.test", "00000004")...)
			wantQuery(t, dsn, "SELECT count(*) FROM users", "0")
			if err := sink.Write(t.Context(), pipetest.NewBatch(s).Mark(pipetest.Position(6)).Batch()); err == nil {
				t.Errorf("%s: a write after the error succeeded", c.name)
			}
		}
	}
}

// TestNulPolicies holds in each way that a text goes (one row, many, COPY, an update, a key), and never
// touches bytes.
func TestNulPolicies(t *testing.T) {
	for policy, want := range map[string]string{"strip": "ab", "replace": "a\uFFFDb"} {
		dsn := pg.Database(t)
		sink := start(t, configure(t, dsn, `nul = "`+policy+`"`))
		s := tableOf("n", col("id", "text", pipeline.Text), col("raw", "bytea", pipeline.Bytes),
			col("name", "character varying(9)", pipeline.Text), col("doc", "json", pipeline.JSON))
		row := func(id int) []any { return []any{fmt.Sprint(id, "\x00"), []byte("a\x00b"), "a\x00b", `"\u0000"`} }
		read, many := pipetest.NewBatch(s).In(feedChunk(0, 0)), pipetest.NewBatch(s)
		for i := range 600 {
			read.Read(row(i)...)
			many.Insert(row(1000 + i)...)
		}
		mustWrite(t, sink, read.Mark("done").Batch(), pipetest.NewBatch(s).Insert(row(2000)...).Mark(pipetest.Position(1)).Batch(),
			many.Mark(pipetest.Position(2)).Batch(),
			pipetest.NewBatch(s).Update(nil, row(7)[0], []byte{0}, "\x00", nil).Mark(pipetest.Position(3)).Batch())
		wantQuery(t, dsn, "SELECT name, raw, count(*), min(length(id)) FROM n GROUP BY 1, 2 ORDER BY 3 DESC",
			want+`|\x610062|1200|`+fmt.Sprint(len([]rune(want))-1), strings.Trim(want, "ab")+`|\x00|1|`+fmt.Sprint(len([]rune(want))-1))
	}
}

func TestMissingRow(t *testing.T) {
	dsn := pg.Database(t)
	s := users()
	sink := start(t, configure(t, dsn, ""))
	mustWrite(t, sink, pipetest.NewBatch(s).Insert(1, "a", "b").Mark(pipetest.Position(1)).Batch())
	err := sink.Write(t.Context(), pipetest.NewBatch(s).Update(nil, 1, "x", absent).Update(nil, 2, "x", absent).
		Mark(pipetest.Position(2)).Batch())
	wantError(t, err, pipeline.Input, "id=2", "public.users", "does not have the row", "missing_rows")
	sink = start(t, configure(t, dsn, ""))
	err = sink.Write(t.Context(), pipetest.NewBatch(s).Update(pipetest.Row{5, absent, absent}, 6, "x", absent).
		Mark(pipetest.Position(2)).Batch())
	wantError(t, err, pipeline.Input, "id=6", "does not have the row")
	sink = start(t, configure(t, dsn, `missing_rows = "skip"`))
	mustWrite(t, sink, pipetest.NewBatch(s).Update(nil, 1, "x", absent).Update(nil, 2, "x", absent).
		Mark(pipetest.Position(2)).Batch())
	wantQuery(t, dsn, "SELECT * FROM users", "1|x|b")
}

// TestKeyChangeKeepsTargetColumns holds that a key change does not lose what only the target has.
func TestKeyChangeKeepsTargetColumns(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, "CREATE TABLE users (id bigint PRIMARY KEY, email text, bio text, own text DEFAULT 'mine')",
		"INSERT INTO users VALUES (1, 'a', 'b', 'kept')")
	sink, s := start(t, configure(t, dsn, "")), users()
	mustWrite(t, sink, pipetest.NewBatch(s).Update(pipetest.Row{1, absent, absent}, 2, "a", "b").
		Update(pipetest.Row{2, absent, absent}, 3, "a3", "b").Insert(1, "again", "b").
		Update(pipetest.Row{77, absent, absent}, 78, "new", "b").Mark(pipetest.Position(1)).Batch())
	wantQuery(t, dsn, "SELECT * FROM users ORDER BY id", "1|again|b|mine", "3|a3|b|kept", "78|new|b|mine")
}

func TestTruncate(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, "CREATE TABLE users (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text, bio text)",
		"CREATE TABLE posts (id bigint PRIMARY KEY, author bigint REFERENCES users)")
	posts := tableOf("posts", col("id", "bigint", pipeline.Int), col("author", "bigint", pipeline.Int))
	sink, s := start(t, configure(t, dsn, "")), users()
	mustWrite(t, sink, pipetest.NewBatch(s).Insert(1, "a", nil).Table(posts).Insert(1, 1).
		Mark(pipetest.Position(1)).Batch(),
		pipetest.NewBatch(s).Insert(2, "b", nil).Truncate(pipeline.RestartIdentity).Table(posts).
			Truncate(pipeline.RestartIdentity|pipeline.Joined).
			Table(s).Insert(3, "c", nil).Mark(pipetest.Position(2)).Batch())
	wantQuery(t, dsn, "SELECT id, email FROM users", "3|c")
	wantQuery(t, dsn, "SELECT count(*) FROM posts", "0")
	pipetest.Exec(t, dsn, "INSERT INTO users (email) VALUES ('next')")
	wantQuery(t, dsn, "SELECT id FROM users WHERE email = 'next'", "1")
	err := start(t, configure(t, dsn, `truncates = "fail"`)).Write(t.Context(), pipetest.NewBatch(s).Truncate(0).
		Mark(pipetest.Position(3)).Batch())
	wantError(t, err, pipeline.Input, "public.users", "truncated")
	mustWrite(t, start(t, configure(t, dsn, `truncates = "ignore"`)), pipetest.NewBatch(s).Truncate(0).
		Mark(pipetest.Position(3)).Batch())
	wantQuery(t, dsn, "SELECT count(*) FROM users", "2")
}

// TestBigTransaction holds that nothing of a transaction over many batches is seen before its end.
func TestBigTransaction(t *testing.T) {
	dsn := pg.Database(t)
	sink, s := start(t, configure(t, dsn, "")), users()
	mustWrite(t, sink, pipetest.NewBatch(s).Insert(0, "a", nil).Mark(pipetest.Position(1)).Batch())
	for i := range 20 {
		b := pipetest.NewBatch(s).Tx(pipetest.Position(2), uint32(600*i))
		for j := range 600 {
			b.Insert(1+600*i+j, "x", nil)
		}
		if i == 19 {
			b.Mark(pipetest.Position(2))
		}
		wantQuery(t, dsn, "SELECT count(*) FROM users", "1")
		mustWrite(t, sink, b.Batch())
	}
	wantQuery(t, dsn, "SELECT count(*) FROM users", "12001")
}

func TestAppend(t *testing.T) {
	dsn := pg.Database(t)
	sink, s := start(t, configure(t, dsn, "write = \"append\"\ndeletes = \"soft\"")), users()
	mustWrite(t, sink, pipetest.NewBatch(s).Insert(1, "a", "n").Update(nil, 1, "b", "n").Delete(1, absent, absent).
		Insert(1, "c", nil).
		Mark(pipetest.Position(1)).Batch())
	wantQuery(t, dsn, "SELECT id, email, bio, __deleted FROM users ORDER BY ctid", "1|a|n|f", "1|b|n|f",
		"1|NULL|NULL|t", "1|c|NULL|f")
	err := sink.Write(t.Context(), pipetest.NewBatch(s).Update(nil, 1, "b", absent).Mark(pipetest.Position(2)).Batch())
	wantError(t, err, pipeline.Input, "column bio", "not sent")
}

func TestSoftDeletes(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, "CREATE TABLE users (id bigint PRIMARY KEY, email text, bio text)")
	sink, s := start(t, configure(t, dsn, `deletes = "soft"`)), users()
	mustWrite(t, sink, pipetest.NewBatch(s).Insert(1, "a", "n").Insert(2, "b", "n").Mark(pipetest.Position(1)).Batch(),
		pipetest.NewBatch(s).Delete(1, absent, absent).Delete(2, absent, absent).Insert(2, "b2", "n").
			Mark(pipetest.Position(2)).Batch())
	wantQuery(t, dsn, "SELECT id, email, __deleted FROM users ORDER BY id", "1|a|t", "2|b2|f")
	mustWrite(t, sink, pipetest.NewBatch(s).Truncate(0).Mark(pipetest.Position(3)).Batch())
	wantQuery(t, dsn, "SELECT id, __deleted FROM users ORDER BY id", "1|t", "2|t")
	mustWrite(t, start(t, configure(t, dsn, "deletes = \"ignore\"")), pipetest.NewBatch(s).
		Delete(1, absent, absent).Mark(pipetest.Position(4)).Batch())
	wantQuery(t, dsn, "SELECT count(*) FROM users", "2")
}

// TestKeyless holds a table whose whole row identifies it, with two equal rows, NULLs and a json column.
func TestKeyless(t *testing.T) {
	dsn := pg.Database(t)
	s := tableOf("logs", col("a", "integer", pipeline.Int), col("b", "text", pipeline.Text),
		col("c", "json", pipeline.JSON), col("d", "point", pipeline.Other))
	s.Key, s.KeyFull = nil, true
	sink := start(t, configure(t, dsn, ""))
	mustWrite(t, sink, pipetest.NewBatch(s).Insert(1, nil, "{}", "(1,2)").Insert(1, nil, "{}", "(1,2)").
		Insert(2, "x", nil, nil).Mark(pipetest.Position(1)).Batch(),
		pipetest.NewBatch(s).Delete(1, nil, "{}", "(1,2)").Update(pipetest.Row{2, "x", nil, nil}, 3, nil, "[]",
			absent).Insert(4, nil, nil, nil).
			Mark(pipetest.Position(2)).Batch())
	wantQuery(t, dsn, "SELECT * FROM logs ORDER BY a", "1|NULL|{}|(1,2)", "3|NULL|[]|NULL", "4|NULL|NULL|NULL")
	err := sink.Write(t.Context(), pipetest.NewBatch(s).Delete(1, absent, absent, absent).
		Mark(pipetest.Position(3)).Batch())
	wantError(t, err, pipeline.Input, "public.logs", "no key", "REPLICA IDENTITY FULL")
}

// TestForeignKeys writes parents and children as a role that may not switch foreign keys off.
func TestForeignKeys(t *testing.T) {
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, "DO $$ BEGIN CREATE ROLE plain LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
		"GRANT ALL ON SCHEMA public TO plain; GRANT CREATE ON DATABASE "+pipetest.QueryText(t, dsn,
			"SELECT current_database()")[0][0]+" TO plain",
		"CREATE TABLE users (id bigint PRIMARY KEY, email text, bio text); CREATE TABLE posts (id bigint PRIMARY KEY, author bigint NOT NULL REFERENCES users)",
		"GRANT ALL ON users, posts TO plain")
	posts := tableOf("posts", col("id", "bigint", pipeline.Int), col("author", "bigint", pipeline.Int))
	sink, s := start(t, configure(t, asRole(dsn, "plain"), "")), users()
	mustWrite(t, sink, pipetest.NewBatch(s).Insert(1, "a", nil).Table(posts).Insert(1, 1).Table(s).
		Insert(2, "b", nil).Table(posts).Insert(2, 2).Mark(pipetest.Position(1)).Batch(),
		pipetest.NewBatch(posts).Delete(1, absent).Table(s).Delete(1, absent, absent).Table(posts).
			Update(nil, 2, 2).Mark(pipetest.Position(2)).Batch())
	wantQuery(t, dsn, "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM posts)", "1|1")
	err := sink.Write(t.Context(), pipetest.NewBatch(posts).Insert(9, 99).Mark(pipetest.Position(3)).Batch())
	wantError(t, err, pipeline.Input, "id=9", "23503", "session_replication_role")
	mustWrite(t, start(t, configure(t, dsn, "")), pipetest.NewBatch(posts).Insert(9, 99).Mark(pipetest.Position(3)).
		Batch())
}

func asRole(dsn, role string) string {
	_, rest, _ := strings.Cut(dsn, "@")
	return "postgres://" + role + "@" + rest
}

// TestLostConnection holds that a broken session is retried, and that the rows are there once.
func TestLostConnection(t *testing.T) {
	dsn := pg.Database(t)
	sink, s := start(t, configure(t, dsn, "")), users()
	mustWrite(t, sink, pipetest.NewBatch(s).Insert(1, "a", nil).Mark(pipetest.Position(1)).Batch())
	pipetest.Exec(t, dsn, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
	batch := func() *pipeline.Batch {
		return pipetest.NewBatch(s).Insert(2, "b", nil).Mark(pipetest.Position(2)).Batch()
	}
	err := sink.Write(t.Context(), batch())
	wantError(t, err, pipeline.Retryable)
	if errors.Is(err, pipeline.ErrFenced) {
		t.Errorf("a lost connection is not a lost fence: %v", err)
	}
	mustWrite(t, start(t, configure(t, dsn, "")), batch())
	wantQuery(t, dsn, "SELECT id FROM users ORDER BY id", "1", "2")
}

// TestPartialAfterDelete holds that an update without all values, directly after a delete of its key, is
// not lost: there is no row that it could update.
func TestPartialAfterDelete(t *testing.T) {
	dsn := pg.Database(t)
	s := users()
	sink := start(t, configure(t, dsn, ""))
	mustWrite(t, sink, pipetest.NewBatch(s).Insert(1, "a", "b").Insert(2, "c", "d").Mark(pipetest.Position(1)).Batch())
	after := func() *pipeline.Batch {
		return pipetest.NewBatch(s).Update(nil, 2, "x", absent).Delete(1, absent, absent).
			Update(nil, 1, "late", absent).
			Mark(pipetest.Position(2)).Batch()
	}
	wantError(t, sink.Write(t.Context(), after()), pipeline.Input, "id=1", "does not have the row")
	wantQuery(t, dsn, "SELECT * FROM users ORDER BY id", "1|a|b", "2|c|d")
	mustWrite(t, start(t, configure(t, dsn, `missing_rows = "skip"`)), after())
	wantQuery(t, dsn, "SELECT * FROM users ORDER BY id", "2|x|d")
	soft := start(t, configure(t, dsn, `deletes = "soft"`)) // the row is still there, and comes back
	mustWrite(t, soft, pipetest.NewBatch(s).Delete(2, absent, absent).Update(nil, 2, "back", absent).
		Mark(pipetest.Position(3)).Batch())
	wantQuery(t, dsn, "SELECT * FROM users ORDER BY id", "2|back|d|f")
}

// hash returns a text that does not compress.
func hash(seed string) string {
	var out strings.Builder
	for i := range 64 {
		sum := sha256.Sum256(fmt.Appendf(nil, "%s%d", seed, i))
		fmt.Fprintf(&out, "%x", sum)
	}
	return out.String()
}
