package mariadb

import (
	"context"
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline/snapshot"
	"github.com/pipe-cdc/pipe/sources/mariadb/wire"
)

// Of a table with a key that no arithmetic halves, about samplesEach rows for each chunk are looked at
// to find its bounds; firstWeight makes a chunk the first to be read.
const (
	samplesEach = 16
	firstWeight = 1 << 60
)

// plan cuts the tables into chunks. Tables without a key come first: what is left of the others can be
// read later.
func (r *runner) plan(ctx context.Context, conn *wire.Conn, wanted []*table, progress *snapshot.Progress) ([]snapshot.Chunk, error) {
	var all []snapshot.Chunk
	for _, t := range wanted {
		ranges, err := cut(ctx, conn, t, t.cutter())
		if err != nil {
			return nil, fmt.Errorf("table %s: %w", t, err)
		}
		chunks := make([]snapshot.Chunk, len(ranges))
		for i := range ranges {
			chunks[i] = snapshot.Chunk{Table: t.String(), Part: t.String(), Range: ranges[i], Rows: max(t.Rows, 0) / int64(len(ranges))}
			if !t.resumes() {
				chunks[i].Rows = firstWeight
			}
		}
		snapshot.Number(chunks)
		progress.Plan(t.String(), len(chunks), t.Rows)
		all = append(all, chunks...)
	}
	return all, nil
}

// cut cuts a table into ranges of about chunk_rows rows by the key's values: never by counting them off
// from the begin. A small table, and one without a key, is one range.
func cut(ctx context.Context, conn *wire.Conn, t *table, k *keyset) ([]snapshot.Range, error) {
	if t.ChunkBy != "" && (k == nil || k.null && !k.columns[0].integer()) {
		return nil, fmt.Errorf("chunk_by: %s is no column of whole numbers", t.ChunkBy)
	}
	n := snapshot.Count(t.Rows, int64(t.ChunkRows))
	switch {
	case k == nil || n == 1:
		return snapshot.Keys(nil), nil
	case len(k.columns) == 1 && k.columns[0].integer():
		return halve(ctx, conn, t, k)
	}
	return sample(ctx, conn, t, k, n)
}

// sample cuts at every n-th of some rows that were chosen by chance, in one pass over the key.
func sample(ctx context.Context, conn *wire.Conn, t *table, k *keyset, n int) ([]snapshot.Range, error) {
	share := float64(n*samplesEach) / float64(t.Rows)
	rows, err := conn.Query(ctx, fmt.Sprintf("SELECT %s FROM %s%s WHERE RAND() < %g ORDER BY %s", strings.Join(k.bounds(), ", "),
		t.Quoted(), k.hint(), share, k.names()))
	if err != nil {
		return nil, err
	}
	var bounds [][]string
	for i := samplesEach; i < len(rows); i += samplesEach {
		bound := make([]string, len(k.columns))
		for n, c := range k.columns {
			bound[n] = c.keep([]byte(rows[i][n].Text))
		}
		bounds = append(bounds, bound)
	}
	return snapshot.Keys(bounds), nil
}

// halve halves the range of a key of whole numbers, by the server's estimate of the rows in each half,
// until a piece has about chunk_rows.
func halve(ctx context.Context, conn *wire.Conn, t *table, k *keyset) ([]snapshot.Range, error) {
	name := quoteName(k.columns[0].Name)
	rows, err := conn.Query(ctx, fmt.Sprintf("SELECT MIN(%[1]s), MAX(%[1]s) FROM %[2]s", name, t.Quoted()))
	if err != nil {
		return nil, err
	}
	low, ok1 := new(big.Int).SetString(rows[0][0].Text, 10)
	high, ok2 := new(big.Int).SetString(rows[0][1].Text, 10)
	if !ok1 || !ok2 {
		return snapshot.Keys(nil), nil
	}
	h := halver{ctx: ctx, conn: conn, table: t.Quoted(), by: name, most: int64(t.ChunkRows)}
	if err := h.split(low, high.Add(high, big.NewInt(1)), t.Rows); err != nil {
		return nil, err
	}
	return snapshot.Keys(h.bounds), nil
}

// halver finds the bounds of chunks.
type halver struct {
	ctx    context.Context
	conn   *wire.Conn
	table  string
	by     string
	most   int64
	bounds [][]string
}

// split adds the bounds within [low, high), which has about so many rows.
func (h *halver) split(low, high *big.Int, rows int64) error {
	middle := new(big.Int).Add(low, high)
	middle.Rsh(middle, 1)
	if rows <= h.most+h.most/2 || middle.Cmp(low) <= 0 || len(h.bounds) >= snapshot.MaxChunks {
		return nil
	}
	left, err := h.estimate(low, middle)
	if err != nil {
		return err
	}
	right, err := h.estimate(middle, high)
	if err != nil {
		return err
	}
	if err := h.split(low, middle, left); err != nil {
		return err
	}
	h.bounds = append(h.bounds, []string{middle.String()})
	return h.split(middle, high, right)
}

// estimate asks the server how many rows there are, which looks into its index at two places.
func (h *halver) estimate(low, high *big.Int) (int64, error) {
	const rowsColumn = 8
	sql := fmt.Sprintf("EXPLAIN SELECT %[1]s FROM %[2]s WHERE %[1]s >= %[3]s AND %[1]s < %[4]s", h.by, h.table, low, high)
	rows, err := h.conn.Query(h.ctx, sql)
	if err != nil {
		return 0, err
	}
	if len(rows) == 0 || len(rows[0]) <= rowsColumn || rows[0][rowsColumn].Null {
		return 0, nil // nothing is there, as the server knows
	}
	n, err := strconv.ParseInt(rows[0][rowsColumn].Text, 10, 64)
	return n, err
}
