package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// How often the tracker's table is looked at, and how long one look may take.
const (
	trackEvery  = 2 * time.Second
	trackSoon   = 100 * time.Millisecond // while the stream does not run yet
	trackWithin = 10 * time.Second
)

// tracker shows the tables' snapshots in a table of the source database, where anybody who may write it can
// ask for one by SQL:
//
//	UPDATE snapshot_tracker SET needs_snapshot = true WHERE table_name = 'public.orders' AND server_name = 'shop'
//
// A request is taken once the ledger has it, and only then needs_snapshot becomes false again, in the row as
// it was when it was read (its xmin): one that is set meanwhile, or while a snapshot runs, is another request.
// What cannot be done is tried again: no failure passes for a request that was served.
type tracker struct {
	*runner
	table trackerTable
	name  string // of the server, in the table
	conn  *pgconn.PgConn

	asked   map[string]string // by table: the version of the row whose request the ledger has
	refused map[string]string // by table: that of the row whose request cannot be served
	failure string            // that was logged last
	looked  atomic.Bool       // once since the stream runs
}

// trackedRow is a row of the table.
type trackedRow struct {
	needs, under bool
	version      string
}

// track begins to keep the tracker's table, if there is one to keep; the function returned ends that.
func (r *runner) track(ctx context.Context) (stop func(), err error) {
	if r.config.Tracker == "" || r.env.DryRun {
		return func() {}, nil
	}
	t := &tracker{runner: r, table: r.config.trackerTable(), name: r.config.TrackerServer,
		asked: map[string]string{}, refused: map[string]string{}}
	if t.name == "" {
		t.name = r.env.Pipeline
	}
	if err := t.prepare(ctx, r.admin); err != nil {
		return nil, err
	}
	r.tracker = t
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		t.run(ctx)
	}()
	return func() {
		cancel()
		<-done
	}, nil
}

// seen reports whether the requests that were there when the stream began are known.
func (t *tracker) seen() bool { return t == nil || t.looked.Load() }

// run looks at the table until ctx ends.
func (t *tracker) run(ctx context.Context) {
	defer func() { t.hangUp() }()
	for wait := time.Duration(0); pause(ctx, wait) == nil; {
		live := t.source.live.Load() != nil
		err := t.look(ctx, live)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			t.fail(err)
			t.hangUp()
		default:
			t.failure = ""
			t.looked.Store(live || t.looked.Load())
		}
		if wait = trackEvery; !live {
			wait = trackSoon
		}
	}
}

// fail logs what went wrong, once for each cause.
func (t *tracker) fail(err error) {
	if text := err.Error(); text != t.failure {
		t.failure = text
		t.env.Log.Warn("the tracker cannot be kept; it is tried again", "table", t.table.String(), "error", t.config.classified(err),
			"fix", t.table.grant())
	}
}

func (t *tracker) hangUp() {
	if t.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), cancelWithin)
	defer cancel()
	_ = t.conn.Close(ctx)
	t.conn = nil
}

// look reads the table once, takes its requests where the stream runs, and brings the rest up to date.
func (t *tracker) look(ctx context.Context, live bool) error {
	rows, err := t.read(ctx)
	if err != nil {
		return err
	}
	if live {
		for _, name := range sortedKeys(rows) {
			if !rows[name].needs {
				continue
			}
			if err := t.take(ctx, name, rows[name]); err != nil {
				return err
			}
		}
	}
	return t.mirror(ctx, rows)
}

// take passes a request on and acknowledges it.
func (t *tracker) take(ctx context.Context, name string, row trackedRow) error {
	if t.refused[name] == row.version {
		return nil
	}
	if t.asked[name] != row.version {
		err := t.ask(ctx, name)
		if pipeline.ClassOf(err) == pipeline.Input {
			t.refused[name] = row.version
			t.env.Log.Warn("the tracker asks for a snapshot that cannot be taken", "table", name, "error", err)
			return nil
		}
		if err != nil {
			return err
		}
		t.asked[name] = row.version
	}
	err := t.exec(ctx, "UPDATE %s SET needs_snapshot = false, under_snapshot = true WHERE table_name = $1 AND server_name = $2"+
		" AND xmin::text = $3", name, t.name, row.version)
	if err == nil {
		delete(t.asked, name)
	}
	return err
}

// ask returns once the ledger has the request. The name must be a table's, letter by letter.
func (t *tracker) ask(ctx context.Context, name string) error {
	if _, known := t.ledger.Entry(name); !known {
		return failed(pipeline.Input, "Write it as schema.table", "the source reads no table of that name")
	}
	return t.source.desk.Ask(ctx, snapshot.Request{Table: name, Reason: snapshot.ForTracker, Asked: time.Now().UTC(),
		By: "tracker " + t.table.String()})
}

// mirror shows which tables are being read. Rows with a request are left as they are.
func (t *tracker) mirror(ctx context.Context, rows map[string]trackedRow) error {
	for _, e := range t.ledger.Entries() {
		row, there := rows[e.Table]
		under := e.Status.Open() || len(e.Queue) > 0
		var err error
		switch {
		case !there:
			err = t.exec(ctx, "INSERT INTO %s (table_name, server_name, needs_snapshot, under_snapshot)"+
				" VALUES ($1, $2, false, $3::boolean) ON CONFLICT DO NOTHING", e.Table, t.name, fmt.Sprint(under))
		case row.under != under && !row.needs:
			err = t.exec(ctx, "UPDATE %s SET under_snapshot = $3::boolean WHERE table_name = $1 AND server_name = $2"+
				" AND NOT needs_snapshot", e.Table, t.name, fmt.Sprint(under))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// read returns the rows of this server, by table.
func (t *tracker) read(ctx context.Context) (map[string]trackedRow, error) {
	result, err := t.query(ctx, "SELECT table_name, needs_snapshot, under_snapshot, xmin::text FROM %s"+
		" WHERE server_name = $1", t.name)
	if err != nil {
		return nil, err
	}
	rows := map[string]trackedRow{}
	for _, v := range result.Rows {
		rows[string(v[0])] = trackedRow{needs: string(v[1]) == "t", under: string(v[2]) == "t", version: string(v[3])}
	}
	return rows, nil
}

func (t *tracker) exec(ctx context.Context, sql string, args ...string) error {
	_, err := t.query(ctx, sql, args...)
	return err
}

// query runs a statement in which %s is the table.
func (t *tracker) query(ctx context.Context, sql string, args ...string) (*pgconn.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, trackWithin)
	defer cancel()
	if t.conn == nil {
		var err error
		if t.conn, err = t.config.connect(ctx); err != nil {
			return nil, err
		}
	}
	return queryTexts(ctx, t.conn, "keep the tracker", fmt.Sprintf(sql, t.table.quoted()), args...)
}

// queryTexts runs a statement with parameters that are texts.
func queryTexts(ctx context.Context, conn *pgconn.PgConn, what, sql string, args ...string) (*pgconn.Result, error) {
	params := make([][]byte, len(args))
	for i, a := range args {
		params[i] = []byte(a)
	}
	result := conn.ExecParams(ctx, sql, params, nil, nil, nil).Read()
	return result, errQuery(what, result.Err)
}

func sortedKeys(rows map[string]trackedRow) []string {
	names := make([]string, 0, len(rows))
	for name := range rows {
		names = append(names, name)
	}
	slices.SortFunc(names, strings.Compare)
	return names
}
