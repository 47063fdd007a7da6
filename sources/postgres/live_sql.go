package postgres

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/pgtext"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// liveSettings are those of a reader's session. What is read must come in physical order, or in that of
// the key: the places where a chunk ends and the next begins depend on it. The last four leave only the
// scan of a range of places where there is one.
const liveSettings = "SET search_path = pg_catalog; SET row_security = off; SET max_parallel_workers_per_gather = 0; " +
	"SET synchronize_seqscans = off; SET default_transaction_isolation = 'repeatable read'; " +
	"SET default_transaction_read_only = on; SET idle_in_transaction_session_timeout = '60s'"

// physicalSettings are for parts that are read by place.
const physicalSettings = "SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off; " +
	"SET LOCAL enable_bitmapscan = off; SET LOCAL enable_seqscan = off; "

// chunkSQL reads a chunk of at most so many rows: first the snapshot, the place in the WAL behind all that
// it sees, and what the relation is under the lock; then the rows. The lock comes before the snapshot, so
// that a table that is being rewritten holds up neither the server's vacuum nor what is read.
func (p *livePart) chunkSQL(s *server, seg *snapshot.Segment, limit int) (string, error) {
	conditions, order, err := p.bounds(seg)
	if err != nil {
		return "", err
	}
	settings := ""
	if seg.Cut != snapshot.ByKey && seg.Keys == nil {
		settings = physicalSettings
	}
	where := strings.Join(append(conditions, p.where...), " AND ")
	table := p.leaf.Quoted()
	if p.leaf.Kind != kindPartitioned {
		table = "ONLY " + table
	}
	return fmt.Sprintf("BEGIN; %sLOCK TABLE %s IN ACCESS SHARE MODE; "+
		"SELECT %s, %s, coalesce(pg_relation_filenode(%d), 0), (%s), %s; "+
		"COPY (SELECT %s, ctid FROM %s WHERE %s%s LIMIT %d) TO STDOUT (FORMAT binary); COMMIT",
		settings, table, s.snapshotSQL(), s.insertedSQL(), p.leaf.OID, signatureSQL(p.leaf.OID),
		blocksSQL(p.leaf.OID), p.columns, table, where, order, limit), nil
}

// blocksSQL is the expression of how many blocks a relation has.
func blocksSQL(oid uint32) string {
	return fmt.Sprintf("pg_relation_size(%d) / current_setting('block_size')::bigint", oid)
}

// bounds renders what a chunk is bounded by.
func (p *livePart) bounds(seg *snapshot.Segment) (conditions []string, order string, err error) {
	if seg.Keys != nil {
		condition, err := p.keysSQL(seg.Keys)
		return []string{condition}, "", err
	}
	if seg.Cut == snapshot.ByKey {
		conditions, err = p.keyBounds(seg)
		return conditions, " ORDER BY " + strings.Trim(keyColumns(p.key), "()"), err
	}
	low, err := placeLiteral(seg.Low)
	if err != nil {
		return nil, "", err
	}
	conditions = []string{"ctid >= " + low}
	if seg.High == nil {
		return conditions, "", nil
	}
	high, err := placeLiteral(seg.High)
	return append(conditions, "ctid < "+high), "", err
}

// placeLiteral renders a place: nil is the first, else a block and, unless it is the first, a row in it.
func placeLiteral(at []string) (string, error) {
	block, row := "0", "0"
	if len(at) > 0 {
		block = at[0]
	}
	if len(at) > 1 {
		row = at[1]
	}
	for _, s := range []string{block, row} {
		if _, err := strconv.ParseUint(s, 10, 32); err != nil {
			return "", fmt.Errorf("%q is not a place in a table", at)
		}
	}
	return "'(" + block + "," + row + ")'::tid", nil
}

// blockOf returns the block of a place.
func blockOf(at []string) int64 {
	if len(at) == 0 {
		return 0
	}
	n, err := strconv.ParseUint(at[0], 10, 32)
	if err != nil {
		return 0
	}
	return int64(n)
}

// keyBounds bounds the key of a table that is read in its order.
func (p *livePart) keyBounds(seg *snapshot.Segment) ([]string, error) {
	out := []string{"true"}
	if seg.Low != nil {
		low, err := keyLiteral(p.leaf, p.key, seg.Low)
		if err != nil {
			return nil, err
		}
		out = append(out, keyColumns(p.key)+" >= "+low)
	}
	if seg.High != nil {
		high, err := keyLiteral(p.leaf, p.key, seg.High)
		if err != nil {
			return nil, err
		}
		out = append(out, keyColumns(p.key)+" < "+high)
	}
	return out, nil
}

// keysSQL names rows by their keys.
func (p *livePart) keysSQL(keys [][]string) (string, error) {
	list := make([]string, len(keys))
	for i, key := range keys {
		var err error
		if list[i], err = keyLiteral(p.leaf, p.key, key); err != nil {
			return "", err
		}
	}
	return keyColumns(p.key) + " IN (" + strings.Join(list, ", ") + ")", nil
}

// keyTexts renders the key of a row as the server prints it.
func keyTexts(s *pipeline.Schema, values []pipeline.Value) []string {
	out := make([]string, len(s.Key))
	for n, i := range s.Key {
		out[n] = string(pgtext.AppendText(nil, values[i]))
	}
	return out
}
