package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// catalog is what a database's catalogue says, read in one transaction. It is immutable.
type catalog struct {
	Database  string
	Role      string
	Version   int  // server_version_num
	Bypass    bool // the role sees all rows of tables with row level security
	Relations []*relation

	byOID map[uint32]*relation
	types types
}

// loadCatalog reads the relations of the database, and columns, keys and sizes of those that want
// accepts (nil: all) and of the partitions below them.
func loadCatalog(ctx context.Context, conn *pgconn.PgConn, want func(*relation) bool) (*catalog, error) {
	const begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL search_path = pg_catalog"
	if err := conn.Exec(ctx, begin).Close(); err != nil {
		return nil, fmt.Errorf("read the catalogue: %w", err)
	}
	c := &catalog{byOID: map[uint32]*relation{}, types: types{}}
	err := c.load(ctx, conn, want)
	end := conn.Exec(ctx, "ROLLBACK").Close()
	if err := errors.Join(err, end); err != nil {
		return nil, fmt.Errorf("read the catalogue: %w", err)
	}
	return c, nil
}

func (c *catalog) load(ctx context.Context, conn *pgconn.PgConn, want func(*relation) bool) error {
	if err := c.loadFacts(ctx, conn); err != nil {
		return err
	}
	if err := c.loadRelations(ctx, conn); err != nil {
		return err
	}
	oids := c.wanted(want)
	if len(oids) == 0 {
		return nil
	}
	if err := c.loadColumns(ctx, conn, oids); err != nil {
		return err
	}
	if err := c.loadKeys(ctx, conn, oids); err != nil {
		return err
	}
	if err := c.loadIndexes(ctx, conn, oids); err != nil {
		return err
	}
	return c.loadSizes(ctx, conn, oids)
}

func (c *catalog) loadFacts(ctx context.Context, conn *pgconn.PgConn) error {
	return eachRow(ctx, conn, queryFacts, nil, func(f *fields) {
		c.Version, c.Database = int(f.int64()), f.text()
		c.Bypass, c.Role = f.bool(), f.text()
	})
}

func (c *catalog) loadRelations(ctx context.Context, conn *pgconn.PgConn) error {
	parents := map[*relation]uint32{}
	err := eachRow(ctx, conn, queryRelations, nil, func(f *fields) {
		r := &relation{OID: f.oid(), Namespace: f.text(), Name: f.text(), Kind: f.char(),
			Unlogged: f.bool(), Partition: f.bool(), Bytes: -1}
		if parent := f.oid(); r.Partition {
			parents[r] = parent
		} else {
			r.Inherited = parent != 0
		}
		r.Identity, r.RowSecured, r.Forced = f.char(), f.bool(), f.bool()
		r.Owned, r.Readable = f.bool(), f.bool()
		r.Pages, r.Rows, r.Access = f.int64(), f.int64(), f.text()
		c.Relations = append(c.Relations, r)
		c.byOID[r.OID] = r
	})
	for _, r := range c.Relations {
		if p := c.byOID[parents[r]]; p != nil {
			r.Parent, p.Partitions = p, append(p.Partitions, r)
		}
	}
	for _, r := range c.Relations {
		r.sum()
	}
	return err
}

// sum makes a partitioned table's estimate that of its leaves.
func (r *relation) sum() {
	if r.Kind != kindPartitioned {
		return
	}
	r.Rows, r.Pages = 0, 0
	for _, leaf := range r.Leaves() {
		r.Rows += max(leaf.Rows, 0)
		r.Pages += leaf.Pages
	}
}

// wanted returns the numbers of the relations to look into.
func (c *catalog) wanted(want func(*relation) bool) []uint32 {
	var oids []uint32
	for _, r := range c.Relations {
		taken := want == nil || want(r)
		for p := r.Parent; p != nil && !taken; p = p.Parent {
			taken = want(p)
		}
		if taken {
			oids = append(oids, r.OID)
		}
	}
	return oids
}

func (c *catalog) loadColumns(ctx context.Context, conn *pgconn.PgConn, oids []uint32) error {
	type raw struct {
		rel          *relation
		at           int
		oid          uint32
		mod          int32
		format, elem string
	}
	var columns []raw
	used := map[uint32]bool{}
	err := eachRow(ctx, conn, forVersion(queryColumns, c.Version), oids, func(f *fields) {
		x := raw{rel: c.byOID[f.oid()]}
		a := attribute{Num: int16(f.int64()), Name: f.text()}
		x.oid, x.mod, x.format, x.elem = f.oid(), int32(f.int64()), f.text(), f.text()
		a.NotNull, a.Generated, a.Identity = f.bool(), f.bool(), f.bool()
		a.Default, a.Readable = f.text(), f.bool()
		if x.rel == nil {
			return
		}
		used[x.oid] = true
		x.at = len(x.rel.Columns)
		x.rel.Columns = append(x.rel.Columns, a)
		columns = append(columns, x)
	})
	if err != nil {
		return err
	}
	if err := c.types.load(ctx, conn, used); err != nil {
		return err
	}
	for _, x := range columns {
		a := &x.rel.Columns[x.at]
		a.Type = c.types.build(x.oid, x.mod, x.format, x.elem)
		a.Output = c.types.output(a)
	}
	return nil
}

func (c *catalog) loadKeys(ctx context.Context, conn *pgconn.PgConn, oids []uint32) error {
	return eachRow(ctx, conn, forVersion(queryKeys, c.Version), oids, func(f *fields) {
		r, primary, replica := c.byOID[f.oid()], f.bool(), f.bool()
		name, num := f.text(), int16(f.int64())
		if r == nil {
			return
		}
		if primary {
			r.Primary = append(r.Primary, num)
		}
		if replica {
			r.IndexName, r.Index = name, append(r.Index, num)
		}
	})
}

// loadIndexes finds the indexes beside that of the key, which is the replica identity's where it has one.
func (c *catalog) loadIndexes(ctx context.Context, conn *pgconn.PgConn, oids []uint32) error {
	return eachRow(ctx, conn, forVersion(queryIndexes, c.Version), oids, func(f *fields) {
		r, primary := c.byOID[f.oid()], f.bool()
		x := index{Unique: f.bool(), Name: f.text()}
		column := f.text()
		x.Why = f.text()
		if r == nil {
			return
		}
		byIndex := r.Identity == identityIndex && len(r.Index) > 0
		if primary && !byIndex || byIndex && x.Name == r.IndexName {
			return
		}
		if n := len(r.Indexes); n == 0 || r.Indexes[n-1].Name != x.Name {
			r.Indexes = append(r.Indexes, x)
		}
		last := &r.Indexes[len(r.Indexes)-1]
		last.Columns = append(last.Columns, column)
	})
}

func (c *catalog) loadSizes(ctx context.Context, conn *pgconn.PgConn, oids []uint32) error {
	err := eachRow(ctx, conn, querySizes, oids, func(f *fields) {
		if r := c.byOID[f.oid()]; r != nil {
			r.Bytes = f.int64()
		}
	})
	for _, r := range c.Relations {
		if r.Kind != kindPartitioned {
			continue
		}
		for _, leaf := range r.Leaves() {
			r.Bytes += max(leaf.Bytes, 0)
		}
	}
	return err
}

// Relation returns the relation of that number, nil where it is unknown.
func (c *catalog) Relation(oid uint32) *relation { return c.byOID[oid] }

// Named returns the relation of that name, nil where it is unknown.
func (c *catalog) Named(namespace, name string) *relation {
	i, ok := slices.BinarySearchFunc(c.Relations, name, func(r *relation, _ string) int {
		return strings.Compare(r.Namespace+"\x00"+r.Name, namespace+"\x00"+name)
	})
	if !ok {
		return nil
	}
	return c.Relations[i]
}

// fields reads the columns of one result row in order; a NULL is the zero value.
type fields struct {
	row [][]byte
	err error
}

func (f *fields) next() []byte {
	if len(f.row) == 0 {
		f.err = errors.New("a catalogue row is too short")
		return nil
	}
	v := f.row[0]
	f.row = f.row[1:]
	return v
}

func (f *fields) text() string { return string(f.next()) }
func (f *fields) bool() bool   { return string(f.next()) == "t" }
func (f *fields) oid() uint32  { return uint32(f.int64()) }

func (f *fields) char() byte {
	if v := f.next(); len(v) > 0 {
		return v[0]
	}
	return 0
}

func (f *fields) int64() int64 {
	v := f.next()
	if v == nil {
		return 0
	}
	n, err := strconv.ParseInt(string(v), 10, 64)
	if err != nil {
		f.err = err
	}
	return n
}

// eachRow runs a query, with an array of type numbers or none, and calls f for each row.
func eachRow(ctx context.Context, conn *pgconn.PgConn, sql string, oids []uint32, f func(*fields)) error {
	var args [][]byte
	if oids != nil {
		list := []byte{'{'}
		for i, oid := range oids {
			if i > 0 {
				list = append(list, ',')
			}
			list = strconv.AppendUint(list, uint64(oid), 10)
		}
		args = [][]byte{append(list, '}')}
	}
	rows := conn.ExecParams(ctx, sql, args, nil, nil, nil)
	var bad error
	for rows.NextRow() {
		row := fields{row: rows.Values()}
		if f(&row); row.err != nil {
			bad = row.err
		}
	}
	_, err := rows.Close()
	return errors.Join(err, bad)
}
