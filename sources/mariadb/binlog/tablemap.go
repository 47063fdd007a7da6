package binlog

import (
	"errors"
	"fmt"
)

// The types of columns in a table map (MariaDB Server, include/mysql_com.h).
const (
	TypeTiny           = 1
	TypeShort          = 2
	TypeLong           = 3
	TypeFloat          = 4
	TypeDouble         = 5
	TypeNull           = 6
	TypeTimestamp      = 7
	TypeLongLong       = 8
	TypeInt24          = 9
	TypeDate           = 10
	TypeTime           = 11
	TypeDatetime       = 12
	TypeYear           = 13
	TypeNewDate        = 14
	TypeVarchar        = 15
	TypeBit            = 16
	TypeTimestamp2     = 17
	TypeDatetime2      = 18
	TypeTime2          = 19
	TypeBlobCompressed = 140
	TypeVarCompressed  = 141
	TypeNewDecimal     = 246
	TypeEnum           = 247
	TypeSet            = 248
	TypeTinyBlob       = 249
	TypeMediumBlob     = 250
	TypeLongBlob       = 251
	TypeBlob           = 252
	TypeVarString      = 253
	TypeString         = 254
	TypeGeometry       = 255
)

// maxColumns is the most columns that a table of the server may have.
const maxColumns = 4096

// MapColumn is a column as a table map describes it.
type MapColumn struct {
	Type     byte   // real type: an enum is TypeEnum although the event says TypeString
	Meta     uint16 // two bytes of the event, the first one low
	Size     int    // of TypeString, TypeEnum, TypeSet: bytes
	Nullable bool

	// From the optional metadata (binlog_row_metadata); Known of the table map says which are there.
	Name      string
	Unsigned  bool
	Collation int // number of the collation of a character column, an enum or a set; 0: not said
	Labels    []string
}

// TableMap is a table map event: the table that a number stands for in the rows events after it.
type TableMap struct {
	ID       uint64
	Database string
	Table    string
	Columns  []MapColumn
	Key      []int // columns of the primary key, in its order; nil where there is none or it is not said
	// Signs, Names, Charsets and Labels say that the optional metadata has them.
	Signs, Names, Charsets, Labels bool
}

// TableID reads the number of the table from the body of a table map or rows event.
func (f *Format) TableID(body []byte) (id uint64, rest []byte, err error) {
	c := cursor{b: body}
	id = c.uint(f.idSize())
	if c.bad {
		return 0, nil, fmt.Errorf("table id: %w", ErrShort)
	}
	return id, c.b, nil
}

func (f *Format) idSize() int {
	if f.ids == 0 {
		return 6
	}
	return f.ids
}

// ParseTableMap reads the body of a table map event.
func (f *Format) ParseTableMap(body []byte) (*TableMap, error) {
	c := cursor{b: body}
	m := &TableMap{ID: c.uint(f.idSize())}
	c.u16() // flags
	m.Database = string(c.take(int(c.u8())))
	c.u8() // closing zero
	m.Table = string(c.take(int(c.u8())))
	c.u8()
	n := c.length()
	types := c.take(n)
	meta := cursor{b: c.take(c.length())}
	nulls := c.take((n + 7) / 8)
	if c.bad || n > maxColumns {
		return nil, fmt.Errorf("table map: %w", ErrShort)
	}
	m.Columns = make([]MapColumn, n)
	for i := range m.Columns {
		m.Columns[i].describe(types[i], &meta)
		m.Columns[i].Nullable = nulls[i/8]&(1<<(i%8)) != 0
	}
	if meta.bad || len(meta.b) > 0 {
		return nil, fmt.Errorf("table map of %s.%s: the columns' metadata does not fit their types", m.Database, m.Table)
	}
	if err := m.optional(&c); err != nil {
		return nil, fmt.Errorf("table map of %s.%s: %w", m.Database, m.Table, err)
	}
	return m, nil
}

// describe reads a column's metadata (MariaDB Server, sql/log_event.h, Table_map_log_event).
func (m *MapColumn) describe(typ byte, c *cursor) {
	m.Type = typ
	switch typ {
	case TypeFloat, TypeDouble, TypeBlob, TypeTinyBlob, TypeMediumBlob, TypeLongBlob, TypeGeometry,
		TypeTimestamp2, TypeDatetime2, TypeTime2, TypeBlobCompressed, 242, 245:
		m.Meta = uint16(c.u8())
	case TypeVarchar, TypeBit, TypeNewDecimal, TypeVarString, TypeVarCompressed:
		m.Meta = c.u16()
	case TypeString, TypeEnum, TypeSet:
		m.Meta = c.u16()
		m.realType()
	}
}

// realType tells enum and set from char, and reads the length, whose two highest bits hide in the
// type's byte (MariaDB Server, sql/field.cc, Field_string::save_field_metadata).
func (m *MapColumn) realType() {
	typ, size := byte(m.Meta), int(m.Meta>>8)
	if typ&0x30 != 0x30 {
		size |= int(typ&0x30^0x30) << 4
		typ |= 0x30
	}
	m.Type, m.Size = typ, size
}

// The fields of the optional metadata.
const (
	metaSignedness      = 1
	metaDefaultCharset  = 2
	metaColumnCharset   = 3
	metaColumnName      = 4
	metaSetLabels       = 5
	metaEnumLabels      = 6
	metaSimpleKey       = 8
	metaPrefixKey       = 9
	metaEnumSetDefault  = 10
	metaEnumSetCharsets = 11
)

var errMetadata = errors.New("the optional metadata does not fit the columns")

// optional reads the optional metadata: fields of type, length and content.
func (m *TableMap) optional(c *cursor) error {
	for len(c.b) > 0 {
		field := c.u8()
		v := cursor{b: c.take(c.length())}
		if c.bad {
			return ErrShort
		}
		if err := m.field(field, &v); err != nil {
			return err
		}
	}
	return nil
}

func (m *TableMap) field(field uint8, v *cursor) error {
	switch field {
	case metaSignedness:
		m.signs(v)
	case metaDefaultCharset:
		m.defaults(v, isCharacter)
	case metaColumnCharset:
		m.each(v, isCharacter)
	case metaEnumSetDefault:
		m.defaults(v, isLabelled)
	case metaEnumSetCharsets:
		m.each(v, isLabelled)
	case metaColumnName:
		m.names(v)
	case metaSetLabels:
		m.labels(v, TypeSet)
	case metaEnumLabels:
		m.labels(v, TypeEnum)
	case metaSimpleKey, metaPrefixKey:
		return m.key(v, field == metaPrefixKey)
	}
	if v.bad {
		return errMetadata
	}
	return nil
}

// signs reads one bit for each number, the highest first.
func (m *TableMap) signs(v *cursor) {
	m.Signs = true
	bit := 0
	for i := range m.Columns {
		if !isNumber(m.Columns[i].Type) {
			continue
		}
		if bit/8 >= len(v.b) {
			v.bad = true
			return
		}
		m.Columns[i].Unsigned = v.b[bit/8]&(0x80>>(bit%8)) != 0
		bit++
	}
}

// defaults reads the collation of most columns, and pairs of ordinal and collation for the others.
func (m *TableMap) defaults(v *cursor, is func(byte) bool) {
	m.Charsets = true
	def := v.length()
	var at []int
	for i := range m.Columns {
		if is(m.Columns[i].Type) {
			m.Columns[i].Collation = def
			at = append(at, i)
		}
	}
	for len(v.b) > 0 && !v.bad {
		i, collation := v.length(), v.length()
		if i >= len(at) {
			v.bad = true
			return
		}
		m.Columns[at[i]].Collation = collation
	}
}

// each reads the collation of each column.
func (m *TableMap) each(v *cursor, is func(byte) bool) {
	m.Charsets = true
	for i := range m.Columns {
		if is(m.Columns[i].Type) {
			m.Columns[i].Collation = v.length()
		}
	}
}

func (m *TableMap) names(v *cursor) {
	m.Names = true
	for i := range m.Columns {
		m.Columns[i].Name = v.text()
	}
}

func (m *TableMap) labels(v *cursor, typ byte) {
	m.Labels = true
	for i := range m.Columns {
		if m.Columns[i].Type != typ {
			continue
		}
		n := v.length()
		if v.bad || n > len(v.b) {
			v.bad = true
			return
		}
		labels := make([]string, n)
		for j := range labels {
			labels[j] = v.text()
		}
		m.Columns[i].Labels = labels
	}
}

func (m *TableMap) key(v *cursor, prefixes bool) error {
	for len(v.b) > 0 && !v.bad {
		i := v.length()
		if prefixes {
			v.length()
		}
		if v.bad || i >= len(m.Columns) {
			return errMetadata
		}
		m.Key = append(m.Key, i)
	}
	return nil
}

// isNumber reports whether a type has a sign in the metadata.
func isNumber(typ byte) bool {
	switch typ {
	case TypeTiny, TypeShort, TypeInt24, TypeLong, TypeLongLong, TypeNewDecimal, TypeFloat, TypeDouble, TypeYear:
		return true
	}
	return false
}

// isCharacter reports whether a type has a collation in the metadata; in MariaDB a geometry has one.
func isCharacter(typ byte) bool {
	switch typ {
	case TypeString, TypeVarString, TypeVarchar, TypeVarCompressed, TypeBlobCompressed,
		TypeTinyBlob, TypeMediumBlob, TypeLongBlob, TypeBlob, TypeGeometry:
		return true
	}
	return false
}

func isLabelled(typ byte) bool { return typ == TypeEnum || typ == TypeSet }
