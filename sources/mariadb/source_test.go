package mariadb

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/pipeline/spec"
	"github.com/pipe-cdc/pipe/sources/mariadb/binlog"
)

// configFor returns a configuration with its defaults that reads the tables of a database.
func configFor(t testing.TB, m *pipetest.Maria, database string) *Config {
	t.Helper()
	c := &Config{}
	spec.Describe("mariadb", c)
	c.DSN = spec.Secret(m.DSN(database))
	c.SSLMode = sslDisable
	c.Include = []string{database + ".*"}
	return c
}

func specEnv(t testing.TB, caughtUp bool) spec.Env {
	return spec.Env{Address: "source.test", Dir: t.TempDir(), UntilCaughtUp: caughtUp}
}

func open(t testing.TB, c *Config) pipeline.Source {
	t.Helper()
	s, err := c.Open(specEnv(t, false))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	pipetest.TestSource(t, pipetest.SourceHarness{
		New: func(t testing.TB) pipetest.SourceTarget {
			db := maria.Database(t)
			maria.Exec(t, db, "CREATE TABLE items (id int PRIMARY KEY AUTO_INCREMENT, v text)")
			c := configFor(t, maria, db)
			at := maria.QueryText(t, "", "SELECT @@gtid_binlog_pos")[0][0]
			return pipetest.SourceTarget{
				Open: func(t testing.TB) pipeline.Source { return &startingAt{open(t, c), positionAt(t, at)} },
				Change: func(t testing.TB, n int) int {
					var sql strings.Builder
					rows := 0
					for i := range n {
						fmt.Fprintf(&sql, "BEGIN; INSERT INTO items (v) VALUES ('a%[1]d'), ('b%[1]d');", i)
						fmt.Fprintf(&sql, "UPDATE items SET v = 'c%d' WHERE id = LAST_INSERT_ID(); COMMIT;", i)
						rows += 3
					}
					maria.Exec(t, db, sql.String())
					return rows
				},
			}
		},
	})
}

// startingAt is a source whose first start is at a position: what a slot is elsewhere.
type startingAt struct {
	pipeline.Source
	pos pipeline.Position
}

func (s *startingAt) Run(ctx context.Context, from pipeline.Checkpoint, out pipeline.Output) error {
	if from[binlogStream] == "" {
		from = from.Clone()
		from[binlogStream] = s.pos
	}
	return s.Source.Run(ctx, from, out)
}

func positionAt(t testing.TB, gtids string) pipeline.Position {
	t.Helper()
	set, err := binlog.ParseSet(gtids)
	if err != nil {
		t.Fatal(err)
	}
	pos, err := place{set: set}.position()
	if err != nil {
		t.Fatal(err)
	}
	return pos
}
