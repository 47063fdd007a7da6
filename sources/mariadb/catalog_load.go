package mariadb

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/pipe-cdc/pipe/sources/mariadb/wire"
)

// catalog is what information_schema says of tables.
type catalog struct {
	Relations []*relation // by database and name
	byName    map[string]*relation
}

// relation is a table or view.
type relation struct {
	Database string
	Name     string
	Kind     string // TABLE_TYPE
	Engine   string
	Rows     int64 // estimate; -1 unknown
	Bytes    int64 // -1 unknown
	Columns  []column
	Key      []string // of the primary key, or of a unique index without NULL
	KeyIndex string   // the name of that index
	Indexes  []index  // without the key's
}

// index is a secondary index.
type index struct {
	Name    string
	Columns []string
	Unique  bool
	Why     string // it is none over whole columns; "" where it is one
}

// column is a column as information_schema.COLUMNS describes it.
type column struct {
	Name     string
	Type     string // DATA_TYPE: "varchar"; "json" for what a check says is one
	Full     string // COLUMN_TYPE: "varchar(20)"
	Charset  string // CHARACTER_SET_NAME
	Default  string
	Nullable bool
	Length   int // characters; -1 unknown
	Total    int // NUMERIC_PRECISION
	Scale    int
	Fraction int // DATETIME_PRECISION
	Labels   []string
}

// String returns database.table.
func (r *relation) String() string { return r.Database + "." + r.Name }

// Quoted returns `database`.`table`.
func (r *relation) Quoted() string { return quoteName(r.Database) + "." + quoteName(r.Name) }

// Column returns the column of that name, nil where there is none.
func (r *relation) Column(name string) *column {
	for i := range r.Columns {
		if r.Columns[i].Name == name {
			return &r.Columns[i]
		}
	}
	return nil
}

func tableKey(database, name string) string { return database + "\x00" + name }

// relation returns the table of that name, nil where there is none.
func (c *catalog) relation(database, name string) *relation {
	return c.byName[tableKey(database, name)]
}

const hiddenDatabases = `('mysql', 'information_schema', 'performance_schema', 'sys')`

const queryTables = `SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, ENGINE, TABLE_ROWS, DATA_LENGTH + INDEX_LENGTH
	FROM information_schema.TABLES WHERE %s ORDER BY TABLE_SCHEMA, TABLE_NAME`

const queryColumns = `SELECT c.TABLE_SCHEMA, c.TABLE_NAME, c.COLUMN_NAME, c.DATA_TYPE, c.COLUMN_TYPE, c.CHARACTER_SET_NAME,
	c.COLUMN_DEFAULT, c.IS_NULLABLE, c.CHARACTER_MAXIMUM_LENGTH, c.NUMERIC_PRECISION, c.NUMERIC_SCALE, c.DATETIME_PRECISION
	FROM information_schema.COLUMNS c WHERE %s ORDER BY c.TABLE_SCHEMA, c.TABLE_NAME, c.ORDINAL_POSITION`

// queryJSON finds the columns that JSON stands for: the check that comes with it.
const queryJSON = `SELECT CONSTRAINT_SCHEMA, TABLE_NAME, CONSTRAINT_NAME FROM information_schema.CHECK_CONSTRAINTS
	WHERE %s AND LEVEL = 'Column' AND CHECK_CLAUSE = CONCAT('json_valid(` + "`', CONSTRAINT_NAME, '`" + `)')`

const queryKeys = `SELECT s.TABLE_SCHEMA, s.TABLE_NAME, s.INDEX_NAME, s.COLUMN_NAME, s.NON_UNIQUE, s.NULLABLE, s.SUB_PART,
	s.INDEX_TYPE FROM information_schema.STATISTICS s WHERE %s
	ORDER BY s.TABLE_SCHEMA, s.TABLE_NAME, s.INDEX_NAME <> 'PRIMARY', s.INDEX_NAME, s.SEQ_IN_INDEX`

// loadCatalog reads the tables that wants says, nil for all; of one database where it is given. Each
// table costs the server an opening, so one by name is asked for by only.
func loadCatalog(ctx context.Context, conn *wire.Conn, only *relation, database string,
	wants func(database, name string) bool) (*catalog, error) {
	c := &catalog{byName: map[string]*relation{}}
	where := func(schema, table string) string {
		switch {
		case only != nil:
			return schema + " = " + quoteText(only.Database) + " AND " + table + " = " + quoteText(only.Name)
		case database != "":
			return schema + " = " + quoteText(database)
		}
		return schema + " NOT IN " + hiddenDatabases
	}
	err := eachRow(ctx, conn, fmt.Sprintf(queryTables, where("TABLE_SCHEMA", "TABLE_NAME")), func(f *fields) {
		r := &relation{Database: f.text(), Name: f.text(), Kind: f.text(), Engine: f.text(), Rows: f.int64(), Bytes: f.int64()}
		if wants == nil || wants(r.Database, r.Name) {
			c.Relations, c.byName[tableKey(r.Database, r.Name)] = append(c.Relations, r), r
		}
	})
	if err != nil {
		return nil, err
	}
	err = eachRow(ctx, conn, fmt.Sprintf(queryColumns, where("c.TABLE_SCHEMA", "c.TABLE_NAME")), func(f *fields) {
		r := c.relation(f.text(), f.text())
		col := column{Name: f.text(), Type: f.text(), Full: f.text(), Charset: f.text(), Default: f.text(), Nullable: f.text() == "YES",
			Length: int(f.int64()), Total: int(f.int64()), Scale: int(f.int64()), Fraction: int(f.int64())}
		if r != nil {
			if col.Labels = labelsOf(col.Full); col.Default == "NULL" {
				col.Default = "" // what a column without DEFAULT says
			}
			r.Columns = append(r.Columns, col)
		}
	})
	if err != nil {
		return nil, err
	}
	err = eachRow(ctx, conn, fmt.Sprintf(queryJSON, where("CONSTRAINT_SCHEMA", "TABLE_NAME")), func(f *fields) {
		if r := c.relation(f.text(), f.text()); r != nil {
			if col := r.Column(f.text()); col != nil && col.Type == "longtext" {
				col.Type, col.Full = "json", "json"
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return c, c.loadKeys(ctx, conn, where("s.TABLE_SCHEMA", "s.TABLE_NAME"))
}

// loadKeys finds the primary key of each table, else the first unique index that has no NULL, and
// the other indexes.
func (c *catalog) loadKeys(ctx context.Context, conn *wire.Conn, where string) error {
	type found struct {
		index
		nullable bool
	}
	all := map[*relation][]*found{}
	err := eachRow(ctx, conn, fmt.Sprintf(queryKeys, where), func(f *fields) {
		r := c.relation(f.text(), f.text())
		name, column, unique, nullable := f.text(), f.text(), f.text() == "0", f.text() == "YES"
		why := whyOther(column, f.text(), f.text())
		if r == nil {
			return
		}
		list := all[r]
		if len(list) == 0 || list[len(list)-1].Name != name {
			list = append(list, &found{index: index{Name: name, Unique: unique}})
			all[r] = list
		}
		x := list[len(list)-1]
		x.Columns = append(x.Columns, column)
		if x.nullable = x.nullable || nullable; x.Why == "" {
			x.Why = why
		}
	})
	for r, list := range all {
		for _, x := range list {
			if r.KeyIndex == "" && (x.Name == "PRIMARY" || x.Unique && !x.nullable && x.Why == "") {
				r.KeyIndex, r.Key = x.Name, x.Columns
			} else {
				r.Indexes = append(r.Indexes, x.index)
			}
		}
	}
	return err
}

// whyOther says why an index is none over whole columns, "" where it is one.
func whyOther(column, part, kind string) string {
	switch {
	case kind != "BTREE":
		return strings.ToLower(kind)
	case column == "":
		return "on an expression"
	case part != "":
		return "on the first " + part + " characters of " + column
	}
	return ""
}

// labelsOf reads the labels of enum('a','it”s').
func labelsOf(full string) []string {
	if !strings.HasPrefix(full, "enum(") && !strings.HasPrefix(full, "set(") {
		return nil
	}
	_, rest, _ := strings.Cut(full, "(")
	var out []string
	for strings.HasPrefix(rest, "'") {
		label, after := cutLabel(rest[1:])
		out = append(out, label)
		rest = strings.TrimPrefix(after, ",")
	}
	return out
}

func cutLabel(s string) (label, rest string) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\'' {
			if i+1 == len(s) || s[i+1] != '\'' {
				return b.String(), s[i+1:]
			}
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String(), ""
}

// fields reads the values of a row one after another; NULL is "" and -1.
type fields struct {
	row []wire.Cell
}

func (f *fields) text() string {
	if len(f.row) == 0 {
		return ""
	}
	v := f.row[0].Text
	f.row = f.row[1:]
	return v
}

func (f *fields) int64() int64 {
	n, err := strconv.ParseInt(f.text(), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

func eachRow(ctx context.Context, conn *wire.Conn, sql string, f func(*fields)) error {
	rows, err := conn.Query(ctx, sql)
	if err != nil {
		return fmt.Errorf("read the catalogue: %w", err)
	}
	for _, row := range rows {
		f(&fields{row: row})
	}
	return nil
}

func quoteName(s string) string { return "`" + strings.ReplaceAll(s, "`", "``") + "`" }

func quoteText(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`, "\x00", `\0`).Replace(s) + "'"
}
