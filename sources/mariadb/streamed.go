package mariadb

import (
	"bytes"
	"slices"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/expr"
	"github.com/pipe-cdc/pipe/sources/mariadb/binlog"
	"github.com/pipe-cdc/pipe/sources/mariadb/charset"
)

// maxMapped bounds the numbers of tables that are remembered: each reopening of a table at the server
// gives it a new one.
const maxMapped = 4096

// streamed is a table as a table map describes it, with what turns its row images into rows.
type streamed struct {
	raw    []byte // the table map, without the table's number
	table  *table // nil: not taken
	schema *pipeline.Schema
	dec    *binlog.Decoder
	filter *expr.Where
	ddl    uint64  // the stream's count of statements when it was made
	warned [2]bool // dates, texts changed by a policy: it was said
}

// tableMap handles a table map event. While a table and the statements seen stay the same, what was
// made of its last map stays in use, schema pointer included.
func (s *stream) tableMap(body []byte) error {
	id, rest, err := s.format.TableID(body)
	if err != nil {
		return err
	}
	if e := s.mapped[id]; e != nil && bytes.Equal(e.raw, rest) {
		return nil
	}
	s.last, s.lastID = nil, 0
	m, err := s.format.ParseTableMap(body)
	if err != nil {
		return err
	}
	if len(s.mapped) >= maxMapped {
		clear(s.mapped)
	}
	key := tableKey(m.Database, m.Table)
	if e := s.named[key]; e != nil && e.ddl == s.ddl && bytes.Equal(e.raw, rest) {
		s.mapped[id] = e
		return nil
	}
	e, err := s.bind(m)
	if err != nil {
		return err
	}
	e.raw, e.ddl = bytes.Clone(rest), s.ddl
	s.mapped[id], s.named[key] = e, e
	return nil
}

// bind finds the table of a map, and a schema that fits both the map and the catalogue.
func (s *stream) bind(m *binlog.TableMap) (*streamed, error) {
	if _, ok := s.settings.picker.named(m.Database, m.Table); !ok {
		return &streamed{}, nil
	}
	key := tableKey(m.Database, m.Table)
	known := s.tables[key]
	var r *relation
	if known != nil {
		r = known.relation
	}
	if r == nil || !fitsAll(m, r) || s.loaded[key] != s.ddl {
		loaded, err := s.reload(m.Database, m.Table)
		if err != nil {
			return nil, err
		}
		if loaded != nil {
			if taken, _ := s.settings.picker.taken(loaded); !taken {
				return &streamed{}, nil
			}
			r = loaded
		}
	}
	r, err := merged(m, r)
	if err != nil {
		return nil, err
	}
	s.versions++
	t, err := s.settings.table(r, &s.server, s.versions)
	if err != nil {
		return nil, &pipeline.Error{Class: pipeline.Input, Table: r.String(), Err: err}
	}
	if t.Policy == policyOnly {
		return &streamed{}, nil
	}
	if known != nil && sameShape(known.Schema, t.Schema) {
		t.Schema = known.Schema
		t.filter = known.filter
	}
	s.tables[key] = t
	s.appeared(t)
	return s.decoding(m, t)
}

// reload reads what the catalogue says of a table now; nil where it has none.
func (s *stream) reload(database, name string) (*relation, error) {
	conn, err := s.config.connect(s.ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	c, err := loadCatalog(s.ctx, conn, &relation{Database: database, Name: name}, "", nil)
	if err != nil {
		return nil, err
	}
	s.loaded[tableKey(database, name)] = s.ddl
	return c.relation(database, name), nil
}

// decoding builds what decodes the rows of a map.
func (s *stream) decoding(m *binlog.TableMap, t *table) (*streamed, error) {
	fields := slices.Clone(t.fields)
	for i := range fields {
		f, c := &fields[i], m.Columns[i]
		f.Column = c
		if c.Type == binlog.TypeString && f.Kind == pipeline.Bytes {
			f.Length = c.Size
		}
		if f.Out < 0 {
			continue
		}
		if f.Charset == nil || c.Collation == 0 {
			continue
		}
		set, err := s.server.charset(c.Collation)
		if err != nil {
			return nil, failed(pipeline.Input, "Omit the column", "table %s, column %s: %w", t, t.Columns[i].Name, err)
		}
		f.Charset = set
	}
	dec, err := binlog.NewDecoder(fields, s.config.policy())
	if err != nil {
		return nil, &pipeline.Error{Class: pipeline.Internal, Table: t.String(), Err: err}
	}
	filter, err := compileWhere(t, t.Schema)
	if err != nil {
		return nil, &pipeline.Error{Class: pipeline.Input, Table: t.String(), Err: err}
	}
	return &streamed{table: t, schema: t.Schema, dec: dec, filter: filter}, nil
}

// merged is the relation that a map describes: its columns, in its order, with what only the
// catalogue says of each. Where the map has no names, the catalogue must fit it.
func merged(m *binlog.TableMap, r *relation) (*relation, error) {
	out := &relation{Database: m.Database, Name: m.Table, Kind: "BASE TABLE", Rows: -1, Bytes: -1}
	if r != nil {
		*out = *r
	}
	if !m.Names {
		if r != nil && fitsAll(m, r) {
			return out, nil
		}
		return nil, failed(pipeline.Environment, "SET GLOBAL binlog_row_metadata = FULL, so that the log says its own columns. "+
			"For the changes that were logged without: start again with a snapshot",
			"the log has changes of table %s.%s from when it had other columns (%d) than it has now", m.Database, m.Table, len(m.Columns))
	}
	out.Columns = make([]column, len(m.Columns))
	for i := range m.Columns {
		c := &m.Columns[i]
		var known *column
		if r != nil {
			known = r.Column(c.Name)
		}
		if known == nil || !fits(c, known) {
			out.Columns[i] = described(c)
		} else {
			out.Columns[i] = *known
		}
		out.Columns[i].Nullable = c.Nullable
		if labels, err := labelsIn(c, out.Columns[i].Charset); err == nil && c.Labels != nil {
			out.Columns[i].Labels = labels
		}
	}
	if len(m.Key) > 0 {
		out.Key = nil
		for _, i := range m.Key {
			out.Key = append(out.Key, m.Columns[i].Name)
		}
	}
	return out, nil
}

// labelsIn returns the labels of an enum or set in UTF-8.
func labelsIn(c *binlog.MapColumn, name string) ([]string, error) {
	if name == "" {
		name = "utf8mb4"
	}
	set, err := charset.Lookup(name)
	if err != nil {
		return nil, err
	}
	dec := charset.NewDecoder(set)
	out := make([]string, len(c.Labels))
	for i, label := range c.Labels {
		text, err := dec.Append(nil, []byte(label))
		if err != nil {
			return nil, err
		}
		out[i] = string(text)
	}
	return out, nil
}

// fitsAll reports whether the catalogue's columns can be those of the map.
func fitsAll(m *binlog.TableMap, r *relation) bool {
	if r == nil || len(r.Columns) != len(m.Columns) {
		return false
	}
	for i := range m.Columns {
		c := &r.Columns[i]
		if m.Names {
			c = r.Column(m.Columns[i].Name)
		}
		if c == nil || !fits(&m.Columns[i], c) {
			return false
		}
	}
	return true
}

// fits reports whether a column of the catalogue can be that of the map.
func fits(m *binlog.MapColumn, c *column) bool {
	low, high := int(m.Meta&0xff), int(m.Meta>>8)
	switch c.Type {
	case "decimal":
		return m.Type == binlog.TypeNewDecimal && low == c.Total && high == c.Scale
	case "bit":
		return m.Type == binlog.TypeBit && high*8+low == c.Total
	case "time":
		return m.Type == binlog.TypeTime2 && low == c.Fraction || m.Type == binlog.TypeTime && c.Fraction == 0
	case "datetime":
		return m.Type == binlog.TypeDatetime2 && low == c.Fraction || m.Type == binlog.TypeDatetime && c.Fraction == 0
	case "timestamp":
		return m.Type == binlog.TypeTimestamp2 && low == c.Fraction || m.Type == binlog.TypeTimestamp && c.Fraction == 0
	case "uuid", "inet6":
		return m.Type == binlog.TypeString && m.Size == 16
	case "inet4":
		return m.Type == binlog.TypeString && m.Size == 4
	case "enum", "set":
		return slices.Contains(typesOf(c.Type), m.Type) && (m.Labels == nil || len(m.Labels) == len(c.Labels))
	}
	if isBinary := isBinaryType(c.Type); m.Collation != 0 && isText(c.Type) != isBinary && isBinary != (m.Collation == binaryCollation) {
		return false
	}
	return slices.Contains(typesOf(c.Type), m.Type) && (!isSigned(m) || m.Unsigned == c.unsigned() || !c.integer())
}

// binaryCollation is the number of the collation of bytes.
const binaryCollation = 63

func isSigned(m *binlog.MapColumn) bool { return m.Name != "" }

func (c *column) integer() bool {
	return slices.Contains([]string{"tinyint", "smallint", "mediumint", "int", "bigint"}, c.Type)
}

func isBinaryType(name string) bool {
	return slices.Contains([]string{"binary", "varbinary", "vector", "tinyblob", "blob", "mediumblob", "longblob"}, name)
}

func isText(name string) bool {
	return slices.Contains([]string{"char", "varchar", "tinytext", "text", "mediumtext", "longtext", "json"}, name)
}

// typesOf returns the types in the log of a type of the catalogue.
func typesOf(name string) []byte {
	switch name {
	case "tinyint":
		return []byte{binlog.TypeTiny}
	case "smallint":
		return []byte{binlog.TypeShort}
	case "mediumint":
		return []byte{binlog.TypeInt24}
	case "int":
		return []byte{binlog.TypeLong}
	case "bigint":
		return []byte{binlog.TypeLongLong}
	case "float":
		return []byte{binlog.TypeFloat}
	case "double":
		return []byte{binlog.TypeDouble}
	case "year":
		return []byte{binlog.TypeYear}
	case "date":
		return []byte{binlog.TypeDate, binlog.TypeNewDate}
	case "enum":
		return []byte{binlog.TypeEnum}
	case "set":
		return []byte{binlog.TypeSet}
	case "char", "binary":
		return []byte{binlog.TypeString}
	case "varchar", "varbinary", "vector":
		return []byte{binlog.TypeVarchar, binlog.TypeVarString, binlog.TypeVarCompressed}
	case "tinytext", "text", "mediumtext", "longtext", "json", "tinyblob", "blob", "mediumblob", "longblob":
		return []byte{binlog.TypeBlob, binlog.TypeTinyBlob, binlog.TypeMediumBlob, binlog.TypeLongBlob, binlog.TypeBlobCompressed}
	}
	return []byte{binlog.TypeGeometry}
}
