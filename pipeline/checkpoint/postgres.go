package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipe-cdc/pipe/pipeline"
)

// Server says where a Postgres store is.
type Server struct {
	DSN      string        // a URL, or keywords and values; never shown
	Schema   string        // of the tables state and lease; made where it is missing
	Pipeline string        // whose positions they are
	Lease    time.Duration // after which an owner that gives no sign of life has lost the pipeline
	Wait     bool          // as a standby, until the owner is gone; otherwise a pipeline in use is an error
	Owner    string        // "host:pid", for people
	Log      *slog.Logger  // nil: none
	// Standing, unless nil, is called by who waits, with each owner that it waits for.
	Standing func(Holding)
}

// The bounds of a lease. A sign of life is given several times within it.
const (
	MinLease      = time.Second
	beatsInLease  = 4
	closeWithin   = 2 * time.Second
	connectWithin = 15 * time.Second // for one host to answer, unless the DSN says otherwise
)

// Postgres is a Store in two tables of a PostgreSQL database: state has the positions, lease the owner of
// each pipeline. Processes of one pipeline share it: one owns it, the others wait in OpenPostgres.
//
// The owner's number (epoch) grows with each change of the owner, and every Save demands that it is
// still the last, so that a process which was held up cannot save over its successor.
type Postgres struct {
	server Server
	epoch  int64
	stop   context.CancelFunc
	beats  sync.WaitGroup
	held   *held

	mu     sync.Mutex // guards the following
	conn   *pgconn.PgConn
	saved  pipeline.Checkpoint // what the tables hold; nil: not known
	closed bool
}

// OpenPostgres makes the tables where they are missing and takes the pipeline, which may mean to wait.
func OpenPostgres(ctx context.Context, s Server) (*Postgres, error) {
	s.Lease = max(s.Lease, MinLease)
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	conn, err := s.connect(ctx)
	if err != nil {
		return nil, s.explain(ctx, err)
	}
	if err := s.create(ctx, conn); err != nil {
		hangUp(conn)
		return nil, s.explain(ctx, err)
	}
	holder, epoch, taken, err := s.own(ctx, conn)
	if err != nil {
		return nil, s.explain(ctx, err)
	}
	p := &Postgres{server: s, epoch: epoch, held: newHeld(taken)}
	beating, stop := context.WithCancel(context.Background())
	p.stop = stop
	p.beats.Go(func() { p.beat(beating, holder) })
	return p, nil
}

// Load implements pipeline.Store.
func (p *Postgres) Load(ctx context.Context) (pipeline.Checkpoint, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	cp, err := p.load(ctx)
	if err != nil {
		return nil, p.failed(ctx, err)
	}
	p.saved = cp
	return cp.Clone(), nil
}

func (p *Postgres) load(ctx context.Context) (pipeline.Checkpoint, error) {
	if err := p.connected(ctx); err != nil {
		return nil, err
	}
	rows, err := query(ctx, p.conn, p.server.sql("SELECT stream, position FROM STATE.state WHERE pipeline = $1"),
		text(p.server.Pipeline))
	if err != nil {
		return nil, err
	}
	cp := pipeline.Checkpoint{}
	for _, r := range rows {
		stream, err := unescape(r[0])
		if err != nil {
			return nil, err
		}
		position, err := unescape(r[1])
		if err != nil {
			return nil, err
		}
		cp[pipeline.Stream(stream)] = pipeline.Position(position)
	}
	return cp, nil
}

// saveSQL replaces what differs, and gives a sign of life, if the pipeline is still ours: otherwise it
// changes nothing and returns 0. $3 to $5: streams that are gone, streams that changed, their positions.
const saveSQL = `WITH ours AS (UPDATE STATE.lease SET beat = clock_timestamp() WHERE pipeline = $1 AND epoch = $2
		RETURNING pipeline),
	gone AS (DELETE FROM STATE.state s USING ours WHERE s.pipeline = ours.pipeline AND s.stream = ANY ($3::text[])),
	kept AS (INSERT INTO STATE.state AS s (pipeline, stream, position)
		SELECT ours.pipeline, n.stream, n.position FROM ours, unnest($4::text[], $5::text[]) AS n (stream, position)
		ON CONFLICT (pipeline, stream) DO UPDATE SET position = excluded.position, updated_at = now())
	SELECT count(*) FROM ours`

// Save implements pipeline.Store: one statement, so all or nothing.
func (p *Postgres) Save(ctx context.Context, cp pipeline.Checkpoint) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return p.failed(ctx, errClosed)
	}
	if err := p.save(ctx, cp); err != nil {
		p.saved = nil // it may have been stored
		return p.failed(ctx, err)
	}
	p.saved = cp.Clone()
	return nil
}

func (p *Postgres) save(ctx context.Context, cp pipeline.Checkpoint) error {
	if p.saved == nil {
		var err error
		if p.saved, err = p.load(ctx); err != nil {
			return err
		}
	}
	var gone, streams, positions []string
	for _, s := range slices.Sorted(maps.Keys(p.saved)) {
		if _, kept := cp[s]; !kept {
			gone = append(gone, escape(string(s)))
		}
	}
	for _, s := range cp.Streams() {
		if was, known := p.saved[s]; known && was == cp[s] {
			continue
		}
		streams, positions = append(streams, escape(string(s))), append(positions, escape(string(cp[s])))
	}
	if err := p.connected(ctx); err != nil {
		return err
	}
	began := time.Now()
	rows, err := query(ctx, p.conn, p.server.sql(saveSQL), text(p.server.Pipeline), number(p.epoch),
		array(gone), array(streams), array(positions))
	if err != nil {
		return err
	}
	return p.held.told(rows[0][0] == "1", began)
}

// connected connects again where the session was lost. mu is held.
func (p *Postgres) connected(ctx context.Context) error {
	if p.closed {
		return errClosed
	}
	if p.conn != nil && !p.conn.IsClosed() {
		return nil
	}
	conn, err := p.server.connect(ctx)
	if err != nil {
		return err
	}
	p.conn = conn
	return nil
}

var errClosed = errors.New("the store is closed")

// Close implements pipeline.Store: the next process may have the pipeline at once.
func (p *Postgres) Close() error {
	p.stop()
	p.beats.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.conn != nil {
		hangUp(p.conn)
	}
	return nil
}

// failed explains an error. What is left of the session is not trusted. mu is held.
func (p *Postgres) failed(ctx context.Context, err error) error {
	if p.conn != nil && !errors.Is(err, pipeline.ErrFenced) {
		hangUp(p.conn)
		p.conn = nil
	}
	return p.server.explain(ctx, err)
}

// hangUp ends a session: nothing depends on how.
func hangUp(conn *pgconn.PgConn) {
	ctx, cancel := context.WithTimeout(context.Background(), closeWithin)
	defer cancel()
	_ = conn.Close(ctx)
}

// connect opens a session with settings that do not depend on the server's.
func (s *Server) connect(ctx context.Context) (*pgconn.PgConn, error) {
	cfg, err := pgconn.ParseConfig(s.DSN)
	if err != nil {
		return nil, errDSN // not err: it may show the password
	}
	if cfg.RuntimeParams["application_name"] == "" {
		cfg.RuntimeParams["application_name"] = "pipe " + s.Pipeline + " state"
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = connectWithin
	}
	conn, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, pipeline.OneLine(err)
	}
	lease := fmt.Sprint(s.Lease.Milliseconds())
	err = conn.Exec(ctx, "SET client_encoding = 'UTF8'; SET standard_conforming_strings = on; SET lock_timeout = "+lease+
		"; SET statement_timeout = 0; SET synchronous_commit = on; SELECT set_config(name, '0', false) "+
		"FROM pg_catalog.pg_settings WHERE name = 'idle_session_timeout'").Close() // from PostgreSQL 14 on
	if err != nil {
		hangUp(conn)
		return nil, err
	}
	return conn, nil
}
