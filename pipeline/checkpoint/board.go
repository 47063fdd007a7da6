package checkpoint

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// boardSQL makes the tables of the boards: share has the initial snapshots that several processes read, chunk
// what they read and who does.
const boardSQL = `CREATE TABLE IF NOT EXISTS STATE.chunk (pipeline text NOT NULL, source text NOT NULL,
		attempt text NOT NULL, number integer NOT NULL, table_name text NOT NULL, part text NOT NULL,
		ordinal integer NOT NULL, bounds text NOT NULL, estimate bigint NOT NULL, most integer NOT NULL,
		owner text NOT NULL DEFAULT '', beat timestamptz, done boolean NOT NULL DEFAULT false,
		seen boolean NOT NULL DEFAULT false, rows bigint NOT NULL DEFAULT 0,
		PRIMARY KEY (pipeline, source, attempt, number)) WITH (fillfactor = 50);
	CREATE INDEX IF NOT EXISTS chunk_open ON STATE.chunk (pipeline, source, attempt, estimate DESC, number) WHERE NOT done;
	CREATE TABLE IF NOT EXISTS STATE.share (pipeline text NOT NULL, source text NOT NULL, attempt text NOT NULL,
		streams integer NOT NULL, epoch bigint NOT NULL, config text NOT NULL, shape text NOT NULL, exported text NOT NULL,
		taken_micros bigint NOT NULL, opened_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (pipeline, source))`

// mostBeat bounds the pause between two signs of life: by them a helper learns that its leader is gone.
const mostBeat = time.Second

// Boards are the boards of a pipeline's sources, in the database of its positions. They use one session.
//
// A leader's are those of a store that owns the pipeline: a share is open as long as the pipeline has that
// epoch. A helper's take the epoch of the shares that Look finds.
type Boards struct {
	server Server
	config string // what the processes must have in common
	owner  string
	leads  bool

	mu     sync.Mutex // guards the following
	conn   *pgconn.PgConn
	epoch  int64
	closed bool
}

// Boards returns the leader's, and makes the tables where they are missing. config stands for the
// configuration: only processes with the same one help. owner tells this run from all others.
func (p *Postgres) Boards(ctx context.Context, config, owner string) (*Boards, error) {
	b := NewBoards(p.server, config, owner)
	b.epoch, b.leads = p.epoch, true
	err := b.do(ctx, func(conn *pgconn.PgConn) error {
		rows, err := query(ctx, conn, "SELECT to_regclass($1) IS NOT NULL", text(ident(b.server.Schema)+".share"))
		if err != nil || rows[0][0] == "t" {
			return err
		}
		return conn.Exec(ctx, b.server.sql(boardSQL)).Close()
	})
	if err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// NewBoards returns a helper's.
func NewBoards(s Server, config, owner string) *Boards {
	s.Lease = max(s.Lease, MinLease)
	return &Boards{server: s, config: config, owner: owner}
}

const lookSQL = `SELECT l.epoch, s.source, s.attempt FROM STATE.share s JOIN STATE.lease l
	ON l.pipeline = s.pipeline AND l.epoch = s.epoch WHERE s.pipeline = $1 AND s.config = $2 AND EXISTS
	(SELECT FROM STATE.chunk c WHERE c.pipeline = s.pipeline AND c.source = s.source AND c.attempt = s.attempt AND NOT c.done)`

// Look returns the attempts that could be helped with, by the address of the source. It must not be called
// while a board is in use.
func (b *Boards) Look(ctx context.Context) (map[string]string, error) {
	out := map[string]string{}
	err := b.do(ctx, func(conn *pgconn.PgConn) error {
		rows, err := query(ctx, conn, b.server.sql(lookSQL), text(b.server.Pipeline), text(b.config))
		if sqlState(err) == "42P01" { // no such table: nothing was ever shared
			return nil
		}
		for _, r := range rows {
			b.epoch = parsed(r[0])
			out[r[1]] = r[2]
		}
		return err
	})
	return out, err
}

// Every is how often to Look.
func (b *Boards) Every() time.Duration { return min(b.server.Lease/beatsInLease, mostBeat) }

// Of returns a source's board.
func (b *Boards) Of(source string) snapshot.Board { return &board{Boards: b, source: source} }

// Close ends the session.
func (b *Boards) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	if b.conn != nil {
		hangUp(b.conn)
	}
	return nil
}

// do runs f in the session, a new one where it was lost, and explains its error.
func (b *Boards) do(ctx context.Context, f func(*pgconn.PgConn) error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return b.server.explain(ctx, errClosed)
	}
	if b.conn == nil || b.conn.IsClosed() {
		conn, err := b.server.connect(ctx)
		if err != nil {
			return b.server.explain(ctx, err)
		}
		b.conn = conn
	}
	err := f(b.conn)
	if err == nil {
		return nil
	}
	if !errors.Is(err, pipeline.ErrFenced) {
		hangUp(b.conn) // what is left of it is not trusted
	}
	return b.server.explain(ctx, err)
}

// helped is where a helper saves the positions of its chunks, under the epoch of its leader.
type helped struct{ *Boards }

// Store returns a helper's store: it adds the positions of chunks to the pipeline's, as long as the leader
// owns it, and changes no others. It knows of none: chunks begin at their beginning.
func (b *Boards) Store() pipeline.Store { return helped{b} }

// Load implements pipeline.Store.
func (h helped) Load(context.Context) (pipeline.Checkpoint, error) { return pipeline.Checkpoint{}, nil }

const helpSQL = `WITH ours AS (SELECT pipeline FROM STATE.lease WHERE pipeline = $1 AND epoch = $2 FOR SHARE),
	kept AS (INSERT INTO STATE.state AS s (pipeline, stream, position)
		SELECT ours.pipeline, n.stream, n.position FROM ours, unnest($3::text[], $4::text[]) AS n (stream, position)
		ON CONFLICT (pipeline, stream) DO NOTHING)
	SELECT count(*) FROM ours`

// Save implements pipeline.Store. A stream of a chunk has one position, so what is there stays.
func (h helped) Save(ctx context.Context, cp pipeline.Checkpoint) error {
	var streams, positions []string
	for _, s := range cp.Streams() {
		streams, positions = append(streams, escape(string(s))), append(positions, escape(string(cp[s])))
	}
	return h.do(ctx, func(conn *pgconn.PgConn) error {
		rows, err := query(ctx, conn, h.server.sql(helpSQL), text(h.server.Pipeline), number(h.epoch), array(streams),
			array(positions))
		if err == nil && rows[0][0] != "1" {
			err = pipeline.ErrFenced
		}
		return err
	})
}

// Close implements pipeline.Store. The boards stay open.
func (h helped) Close() error { return nil }

var _ pipeline.Store = helped{}
