package checkpoint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// board is the board of one source.
type board struct {
	*Boards
	source string
}

// Lease implements snapshot.Board.
func (b *board) Lease() time.Duration { return b.server.Lease }

// bounds is how a chunk's range is written.
type bounds struct {
	Cut  snapshot.Cut `json:"cut,omitempty"`
	Low  []string     `json:"low,omitempty"`
	High []string     `json:"high,omitempty"`
}

const (
	ownSQL   = `SELECT FROM STATE.lease WHERE pipeline = $1 AND epoch = $2 FOR SHARE`
	wipeSQL  = `WITH gone AS (DELETE FROM STATE.chunk WHERE pipeline = $1 AND source = $2) DELETE FROM STATE.share WHERE pipeline = $1 AND source = $2`
	shareSQL = `INSERT INTO STATE.share (pipeline, source, attempt, streams, epoch, config, shape, exported, taken_micros)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`
	chunksSQL = `INSERT INTO STATE.chunk (pipeline, source, attempt, number, table_name, part, ordinal, bounds, estimate, most)
		SELECT $1, $2, $3, n.* FROM unnest($4::int[], $5::text[], $6::text[], $7::int[], $8::text[], $9::bigint[], $10::int[]) AS n`
)

// manyChunks is from where on finding the next one needs the index, and so the planner statistics.
const manyChunks = 1000

// Open implements snapshot.Board.
func (b *board) Open(ctx context.Context, s snapshot.Share, chunks []snapshot.Chunk, most func(string) int) error {
	var numbers, tables, parts, ordinals, ranges, estimates, limits []string
	for i := range chunks {
		c := &chunks[i]
		r, err := json.Marshal(bounds{c.Range.Cut, c.Range.Low, c.Range.High})
		if err != nil {
			return fmt.Errorf("chunk %d of %s: %w", c.Ordinal, c.Part, err)
		}
		numbers, ordinals = append(numbers, strconv.Itoa(i)), append(ordinals, strconv.Itoa(c.Ordinal))
		tables, parts, ranges = append(tables, c.Table), append(parts, c.Part), append(ranges, string(r))
		estimates = append(estimates, strconv.FormatInt(c.Rows, 10))
		limits = append(limits, strconv.Itoa(max(most(c.Table), 0)))
	}
	attempt := text(s.Attempt.ID)
	who := [][]byte{text(b.server.Pipeline), text(b.source)}
	return b.inside(ctx, func(conn *pgconn.PgConn) error {
		if _, err := query(ctx, conn, b.server.sql(wipeSQL), who...); err != nil {
			return err
		}
		_, err := query(ctx, conn, b.server.sql(shareSQL), who[0], who[1], attempt, number(int64(s.Attempt.Streams)),
			number(b.epoch), text(b.config), text(s.Shape), text(s.Exported), number(s.Taken.UnixMicro()))
		if err != nil {
			return err
		}
		_, err = query(ctx, conn, b.server.sql(chunksSQL), who[0], who[1], attempt, array(numbers), array(tables),
			array(parts), array(ordinals), array(ranges), array(estimates), array(limits))
		if err == nil && len(chunks) > manyChunks {
			_, err = query(ctx, conn, b.server.sql("ANALYZE STATE.chunk"))
		}
		return err
	})
}

// inside runs f in a transaction in which the pipeline is ours.
func (b *board) inside(ctx context.Context, f func(*pgconn.PgConn) error) error {
	return b.do(ctx, func(conn *pgconn.PgConn) error {
		if err := conn.Exec(ctx, "BEGIN").Close(); err != nil {
			return err
		}
		rows, err := query(ctx, conn, b.server.sql(ownSQL), text(b.server.Pipeline), number(b.epoch))
		if err == nil && len(rows) != 1 {
			err = pipeline.ErrFenced
		}
		if err == nil {
			err = f(conn)
		}
		if err != nil {
			return errors.Join(err, conn.Exec(ctx, "ROLLBACK").Close())
		}
		return conn.Exec(ctx, "COMMIT").Close()
	})
}

const findSQL = `SELECT s.attempt, s.streams, s.shape, s.exported, s.taken_micros FROM STATE.share s JOIN STATE.lease l
	ON l.pipeline = s.pipeline AND l.epoch = s.epoch
	WHERE s.pipeline = $1 AND s.source = $2 AND s.epoch = $3 AND s.config = $4`

// Find implements snapshot.Board.
func (b *board) Find(ctx context.Context) (s snapshot.Share, ok bool, err error) {
	err = b.do(ctx, func(conn *pgconn.PgConn) error {
		rows, err := query(ctx, conn, b.server.sql(findSQL), text(b.server.Pipeline), text(b.source), number(b.epoch),
			text(b.config))
		if err != nil || len(rows) == 0 {
			return err
		}
		r := rows[0]
		a := snapshot.Attempt{ID: r[0], Streams: int(parsed(r[1])), Shared: true}
		s = snapshot.Share{Attempt: a, Shape: r[2], Exported: r[3], Taken: time.UnixMicro(parsed(r[4]))}
		ok = true
		return nil
	})
	return s, ok, err
}

// openSQL reports whether an attempt's share is open.
const openSQL = `EXISTS (SELECT FROM STATE.share s JOIN STATE.lease l ON l.pipeline = s.pipeline AND l.epoch = s.epoch
	WHERE s.pipeline = $1 AND s.source = $2 AND s.attempt = $3 AND s.epoch = $4)`

// claimSQL takes the largest chunk that is nobody's, or whose owner gives no sign of life.
const claimSQL = `UPDATE STATE.chunk c SET owner = $5, beat = clock_timestamp()
	WHERE c.pipeline = $1 AND c.source = $2 AND c.attempt = $3 AND c.number = (SELECT k.number FROM STATE.chunk k
		WHERE k.pipeline = $1 AND k.source = $2 AND k.attempt = $3 AND NOT k.done AND ` + openSQL + `
		AND (k.owner = '' OR k.owner <> $5 AND k.beat < clock_timestamp() - $6::bigint * interval '1 ms')
		AND (k.most = 0 OR k.most > (SELECT count(*) FROM STATE.chunk o WHERE o.pipeline = $1 AND o.source = $2
			AND o.attempt = $3 AND o.table_name = k.table_name AND NOT o.done AND o.owner <> ''
			AND o.beat >= clock_timestamp() - $6::bigint * interval '1 ms'))
		ORDER BY k.estimate DESC, k.number FOR UPDATE SKIP LOCKED LIMIT 1)
	RETURNING number, table_name, part, ordinal, bounds, estimate`

// overSQL reports whether nothing is left to claim, now or later.
const overSQL = `SELECT NOT ` + openSQL + ` OR NOT EXISTS (SELECT FROM STATE.chunk WHERE pipeline = $1 AND source = $2
	AND attempt = $3 AND NOT done)`

// whose are the first parameters of most statements.
func (b *board) whose(a snapshot.Attempt, more ...[]byte) [][]byte {
	return append([][]byte{text(b.server.Pipeline), text(b.source), text(a.ID)}, more...)
}

// Claim implements snapshot.Board.
func (b *board) Claim(ctx context.Context, a snapshot.Attempt) (c snapshot.Claim, ok, over bool, err error) {
	err = b.do(ctx, func(conn *pgconn.PgConn) error {
		rows, err := query(ctx, conn, b.server.sql(claimSQL), b.whose(a, number(b.epoch), text(b.owner),
			number(b.server.Lease.Milliseconds()))...)
		if err != nil {
			return err
		}
		if len(rows) > 0 {
			c, err = claimed(rows[0])
			ok = err == nil
			return err
		}
		if rows, err = query(ctx, conn, b.server.sql(overSQL), b.whose(a, number(b.epoch))...); err == nil {
			over = rows[0][0] == "t"
		}
		return err
	})
	return c, ok, over, err
}

// claimed reads what claimSQL returns.
func claimed(r []string) (snapshot.Claim, error) {
	var within bounds
	if err := json.Unmarshal([]byte(r[4]), &within); err != nil {
		return snapshot.Claim{}, fmt.Errorf("%w: bounds of chunk %s: %w", errDamaged, r[0], err)
	}
	return snapshot.Claim{Number: int(parsed(r[0])), Chunk: snapshot.Chunk{Table: r[1], Part: r[2],
		Ordinal: int(parsed(r[3])), Rows: parsed(r[5]),
		Range: snapshot.Range{Cut: within.Cut, Low: within.Low, High: within.High}}}, nil
}

// parsed reads a number that the server wrote from a column of numbers.
func parsed(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

const boardBeatSQL = `WITH alive AS (UPDATE STATE.chunk SET beat = clock_timestamp()
	WHERE pipeline = $1 AND source = $2 AND attempt = $3 AND owner = $5 AND NOT done) SELECT ` + openSQL

// Beat implements snapshot.Board.
func (b *board) Beat(ctx context.Context, a snapshot.Attempt) (open bool, err error) {
	err = b.do(ctx, func(conn *pgconn.PgConn) error {
		rows, err := query(ctx, conn, b.server.sql(boardBeatSQL), b.whose(a, number(b.epoch), text(b.owner))...)
		open = err == nil && rows[0][0] == "t"
		return err
	})
	return open, err
}

const recallSQL = `SELECT number, table_name, part, ordinal, bounds, estimate FROM STATE.chunk
	WHERE pipeline = $1 AND source = $2 AND attempt = $3 ORDER BY number`

// Recall implements snapshot.Board.
func (b *board) Recall(ctx context.Context, a snapshot.Attempt) (out []snapshot.Claim, err error) {
	err = b.do(ctx, func(conn *pgconn.PgConn) error {
		rows, err := query(ctx, conn, b.server.sql(recallSQL), b.whose(a)...)
		for _, r := range rows {
			c, err := claimed(r)
			if err != nil {
				return err
			}
			out = append(out, c)
		}
		return err
	})
	return out, err
}

const releaseSQL = `UPDATE STATE.chunk SET owner = '' WHERE pipeline = $1 AND source = $2 AND attempt = $3 AND owner = $4
	AND NOT done`

// Release implements snapshot.Board.
func (b *board) Release(ctx context.Context, a snapshot.Attempt) error {
	return b.do(ctx, func(conn *pgconn.PgConn) error {
		_, err := query(ctx, conn, b.server.sql(releaseSQL), b.whose(a, text(b.owner))...)
		return err
	})
}

// finishSQL records chunks; what the leader itself did it has seen.
const finishSQL = `UPDATE STATE.chunk c SET done = true, rows = n.rows,
	seen = $6::boolean
	FROM unnest($4::int[], $5::bigint[]) AS n (number, rows)
	WHERE c.pipeline = $1 AND c.source = $2 AND c.attempt = $3 AND c.number = n.number AND NOT c.done
	RETURNING c.number, c.table_name, c.rows`

const newsSQL = `UPDATE STATE.chunk SET seen = true WHERE pipeline = $1 AND source = $2 AND attempt = $3 AND done AND NOT seen
	RETURNING number, table_name, rows`

// Finish implements snapshot.Board.
func (b *board) Finish(ctx context.Context, a snapshot.Attempt, chunks []snapshot.Finished) ([]snapshot.Finished, error) {
	var numbers, rows []string
	for _, f := range chunks {
		numbers, rows = append(numbers, strconv.Itoa(f.Number)), append(rows, strconv.FormatInt(f.Rows, 10))
	}
	return b.finished(ctx, finishSQL, b.whose(a, array(numbers), array(rows), text(strconv.FormatBool(b.leads)))...)
}

// News implements snapshot.Board.
func (b *board) News(ctx context.Context, a snapshot.Attempt) ([]snapshot.Finished, error) {
	return b.finished(ctx, newsSQL, b.whose(a)...)
}

func (b *board) finished(ctx context.Context, sql string, args ...[]byte) (out []snapshot.Finished, err error) {
	err = b.do(ctx, func(conn *pgconn.PgConn) error {
		rows, err := query(ctx, conn, b.server.sql(sql), args...)
		for _, r := range rows {
			out = append(out, snapshot.Finished{Number: int(parsed(r[0])), Table: r[1], Rows: parsed(r[2])})
		}
		return err
	})
	return out, err
}

// dropSQL deletes the positions of a source's chunks: what helpers saved is not known to the leader's store.
const dropSQL = `DELETE FROM STATE.state WHERE pipeline = $1 AND left(stream, length($2)) = $2`

// Close implements snapshot.Board.
func (b *board) Close(ctx context.Context) error {
	chunks := escape(string(pipeline.Stream("chunk/").In(b.source)))
	return b.inside(ctx, func(conn *pgconn.PgConn) error {
		rows, err := query(ctx, conn, b.server.sql(wipeSQL+" RETURNING 1"), text(b.server.Pipeline), text(b.source))
		if err != nil || len(rows) == 0 {
			return err
		}
		_, err = query(ctx, conn, b.server.sql(dropSQL), text(b.server.Pipeline), text(chunks))
		return err
	})
}
