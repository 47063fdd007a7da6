package postgres

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// sharedLog is a log that is read while it is written.
type sharedLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *sharedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *sharedLog) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestUnmatchedIsLogged: a pattern that names no table is most often misspelt, and a run says so.
func TestUnmatchedIsLogged(t *testing.T) {
	t.Parallel()
	dsn := pg.Database(t)
	pipetest.Exec(t, dsn, `CREATE TABLE a (id int PRIMARY KEY)`, `INSERT INTO a VALUES (1)`)
	c := configOf(dsn, func(c *Config) { c.Snapshot, c.Include = policyInitial, []string{"public.a", "public.ordres"} })
	log := &sharedLog{}
	r := pipetest.Run(t, open(t, c, func(e *spec.Env) { e.Log = slog.New(slog.NewTextHandler(log, nil)) }), nil, nil)
	r.Out.WaitRows(t, 1)
	r.Stop()
	if text := log.text(); strings.Count(text, "public.ordres") != 1 || strings.Contains(text, `matches \"public.a\"`) {
		t.Error(text)
	}
}
