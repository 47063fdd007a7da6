package mariadb

import (
	"fmt"

	"github.com/pipe-cdc/pipe/sources/mariadb/binlog"
)

// described is a column as far as the log itself describes it: for columns that the catalogue no
// longer has, or has with another type.
func described(m *binlog.MapColumn) column {
	c := column{Name: m.Name, Labels: m.Labels, Length: -1, Total: -1, Scale: -1, Fraction: -1}
	low, high := int(m.Meta&0xff), int(m.Meta>>8)
	text := m.Collation != binaryCollation
	switch m.Type {
	case binlog.TypeTiny, binlog.TypeShort, binlog.TypeInt24, binlog.TypeLong, binlog.TypeLongLong:
		c.Type = map[byte]string{binlog.TypeTiny: "tinyint", binlog.TypeShort: "smallint", binlog.TypeInt24: "mediumint",
			binlog.TypeLong: "int", binlog.TypeLongLong: "bigint"}[m.Type]
	case binlog.TypeFloat:
		c.Type = "float"
	case binlog.TypeDouble:
		c.Type = "double"
	case binlog.TypeYear:
		c.Type = "year"
	case binlog.TypeNewDecimal:
		c.Type, c.Total, c.Scale = "decimal", low, high
		c.Full = fmt.Sprintf("decimal(%d,%d)", low, high)
	case binlog.TypeDate, binlog.TypeNewDate:
		c.Type = "date"
	case binlog.TypeTime, binlog.TypeTime2:
		c.Type, c.Fraction = "time", low
	case binlog.TypeDatetime, binlog.TypeDatetime2:
		c.Type, c.Fraction = "datetime", low
	case binlog.TypeTimestamp, binlog.TypeTimestamp2:
		c.Type, c.Fraction = "timestamp", low
	case binlog.TypeBit:
		c.Type, c.Total = "bit", high*8+low
		c.Full = fmt.Sprintf("bit(%d)", c.Total)
	case binlog.TypeEnum:
		c.Type = "enum"
	case binlog.TypeSet:
		c.Type = "set"
	case binlog.TypeGeometry:
		c.Type = "geometry"
	case binlog.TypeString:
		c.Type = pickName(text, "char", "binary")
	case binlog.TypeVarchar, binlog.TypeVarString, binlog.TypeVarCompressed:
		c.Type = pickName(text, "varchar", "varbinary")
	default:
		c.Type = pickName(text, "longtext", "longblob")
	}
	if c.Full == "" {
		c.Full = c.Type
	}
	if m.Unsigned {
		c.Full += " unsigned"
	}
	return c
}

func pickName(first bool, a, b string) string {
	if first {
		return a
	}
	return b
}
