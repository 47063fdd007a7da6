package main

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

// oracleTriggers note each row that takes the place of a newer one, also of one that was deleted.
const oracleTriggers = `
CREATE SCHEMA oracle;
CREATE TABLE oracle.grave (tab text, id bigint, ver bigint, PRIMARY KEY (tab, id));
CREATE TABLE oracle.fault (n bigserial, tab text, id bigint, was bigint, came bigint, how text, at timestamptz DEFAULT clock_timestamp());
CREATE FUNCTION oracle.watch() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	gone bigint;
BEGIN
	IF TG_OP = 'UPDATE' AND NEW.id = OLD.id THEN
		IF NEW.ver < OLD.ver THEN
			INSERT INTO oracle.fault (tab, id, was, came, how) VALUES (TG_TABLE_NAME, NEW.id, OLD.ver, NEW.ver, 'went back');
		END IF;
		RETURN NULL;
	END IF;
	IF TG_OP <> 'INSERT' THEN
		INSERT INTO oracle.grave VALUES (TG_TABLE_NAME, OLD.id, OLD.ver)
			ON CONFLICT (tab, id) DO UPDATE SET ver = greatest(grave.ver, excluded.ver);
	END IF;
	IF TG_OP <> 'DELETE' THEN
		SELECT ver INTO gone FROM oracle.grave WHERE tab = TG_TABLE_NAME AND id = NEW.id;
		IF NEW.ver <= gone THEN
			INSERT INTO oracle.fault (tab, id, was, came, how) VALUES (TG_TABLE_NAME, NEW.id, gone, NEW.ver, 'came back');
		END IF;
	END IF;
	RETURN NULL;
END $$;
CREATE TABLE beat (id int PRIMARY KEY, n bigint);
`

// targetPostgres is a sink that is watched from inside.
type targetPostgres struct {
	t    *testing.T
	url  string
	conn *pgx.Conn // of the one who looks at the beat
}

func newTargetPostgres(t *testing.T, pg *pipetest.PG) oracleSink {
	s := &targetPostgres{t: t, url: pg.Database(t)}
	pipetest.Exec(t, s.url, oracleTriggers)
	for i := range oracleRows() {
		pipetest.Exec(t, s.url, fmt.Sprintf("CREATE TABLE t%d (id int PRIMARY KEY, ver bigint NOT NULL, pad text)", i),
			fmt.Sprintf("CREATE TRIGGER watch AFTER INSERT OR DELETE ON t%d FOR EACH ROW EXECUTE FUNCTION oracle.watch()", i),
			fmt.Sprintf("CREATE TRIGGER back AFTER UPDATE ON t%d FOR EACH ROW WHEN (NEW.ver < OLD.ver OR NEW.id <> OLD.id)"+
				" EXECUTE FUNCTION oracle.watch()", i),
			fmt.Sprintf("ALTER TABLE t%[1]d ENABLE ALWAYS TRIGGER watch, ENABLE ALWAYS TRIGGER back", i))
	}
	conn, err := pgx.Connect(t.Context(), s.url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	s.conn = conn
	return s
}

func (s *targetPostgres) block() string {
	return `sink "postgres" "copy" {
  from = source.load
  dsn  = env("TARGET")
  into = "public.${table.name}"
}`
}

func (s *targetPostgres) env() []string { return []string{"TARGET=" + s.url} }

func (s *targetPostgres) beat() int64 {
	var n int64
	if err := s.conn.QueryRow(context.Background(), "SELECT coalesce(max(n), 0) FROM beat").Scan(&n); err != nil {
		s.t.Errorf("look at the beat: %v", err)
	}
	return n
}

func (s *targetPostgres) lifeEnds() {}

// check compares the tables, and shows what the triggers saw.
func (s *targetPostgres) check(o *oracleRun) {
	o.Helper()
	faults := pipetest.QueryText(o.T, s.url, "SELECT tab, id, how, was, came, at FROM oracle.fault ORDER BY n LIMIT 10")
	for _, f := range faults {
		o.Errorf("seed %d: %s %s %s, from version %s to %s, at %s", o.seed, f[0], f[1], f[2], f[3], f[4], f[5])
	}
	for i := range oracleRows() {
		source, target := o.db.rows(o.T, i), lines(o.T, s.url, fmt.Sprintf(oracleRowText, i))
		slices.Sort(source)
		missing, extra := diffSorted(source, target)
		if len(missing)+len(extra) > 0 {
			o.Errorf("seed %d: t%d differs: %d rows missing %.300q, %d extra %.300q", o.seed, i, len(missing), first(missing, 3),
				len(extra), first(extra, 3))
		}
	}
}
