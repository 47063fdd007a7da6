package pgtext

import "github.com/pipe-cdc/pipe/pipeline"

// The numbers of the built-in types that a fast path knows (pg_type.dat).
const (
	oidBool        = 16
	oidBytea       = 17
	oidChar        = 18
	oidName        = 19
	oidInt8        = 20
	oidInt2        = 21
	oidInt4        = 23
	oidText        = 25
	oidOid         = 26
	oidJSON        = 114
	oidCidr        = 650
	oidFloat4      = 700
	oidFloat8      = 701
	oidMacaddr8    = 774
	oidMoney       = 790
	oidMacaddr     = 829
	oidInet        = 869
	oidBpchar      = 1042
	oidVarchar     = 1043
	oidDate        = 1082
	oidTime        = 1083
	oidTimestamp   = 1114
	oidTimestampTZ = 1184
	oidInterval    = 1186
	oidTimeTZ      = 1266
	oidBit         = 1560
	oidVarbit      = 1562
	oidNumeric     = 1700
	oidUUID        = 2950
	oidJSONB       = 3802

	oidInt4Range = 3904
	oidNumRange  = 3906
	oidTsRange   = 3908
	oidTsTZRange = 3910
	oidDateRange = 3912
	oidInt8Range = 3926

	oidInt4Multirange = 4451
	oidNumMultirange  = 4532
	oidTsMultirange   = 4533
	oidTsTZMultirange = 4534
	oidDateMultirange = 4535
	oidInt8Multirange = 4536

	firstUserOID = 16384 // FirstNormalObjectId: numbers from here on differ between databases
)

// Type is what the catalogue says of a type: a row of pg_type with what it refers to.
type Type struct {
	OID    uint32
	Name   string // typname
	Format string // format_type(oid, typmod): as it is written in CREATE TABLE, with modifiers
	Mod    int32  // typmod: the attribute's, or the domain's for its base type; -1 none
	Class  byte   // typtype: b(ase) c(omposite) d(omain) e(num) r(ange) m(ultirange)
	Array  bool   // a true array type: typcategory A with an element
	Labels []string
	Base   *Type // of a domain: the type it is over
	Elem   *Type // of an array
}

// ColumnOf describes a column of type t. A domain is described as the type it is over, which is how
// its values are printed and sent; the caller sets Nullable and Default.
func ColumnOf(name string, t Type) pipeline.Column {
	for t.Class == 'd' && t.Base != nil {
		t = *t.Base
	}
	c := pipeline.Column{
		Name: name, Type: t.Format, TypeID: t.OID, Kind: kindOf(&t),
		Precision: -1, Length: -1, Labels: t.Labels,
	}
	if t.Array && t.Elem != nil {
		elem := ColumnOf("", *t.Elem)
		c.Elem = &elem
		return c
	}
	modify(&c, t.OID, t.Mod)
	return c
}

// modify sets what the type modifier declares (the typmodout functions of the types).
func modify(c *pipeline.Column, oid uint32, mod int32) {
	if mod < 0 {
		return
	}
	switch oid {
	case oidNumeric:
		if mod >= 4 {
			mod -= 4
			c.Precision = int(mod >> 16 & 0xffff)
			c.Scale = int((mod&0x7ff)^1024) - 1024
		}
	case oidBpchar, oidVarchar:
		if mod >= 4 {
			c.Length = int(mod - 4)
		}
	case oidBit, oidVarbit:
		c.Length = int(mod)
	case oidTime, oidTimeTZ, oidTimestamp, oidTimestampTZ:
		c.Precision = int(mod)
	case oidInterval:
		if p := mod & 0xffff; p != 0xffff {
			c.Precision = int(p)
		}
	}
}

func kindOf(t *Type) pipeline.Kind {
	switch {
	case t.Array:
		return pipeline.Array
	case t.Class == 'e':
		return pipeline.Text
	case t.OID >= firstUserOID && t.Class == 'b' && t.Name == "citext":
		return pipeline.Text
	}
	return kindOfOID(t.OID)
}

func kindOfOID(oid uint32) pipeline.Kind {
	switch oid {
	case oidBool:
		return pipeline.Bool
	case oidInt2, oidInt4, oidInt8, oidOid:
		return pipeline.Int
	case oidFloat4:
		return pipeline.Float32
	case oidFloat8:
		return pipeline.Float64
	case oidNumeric:
		return pipeline.Decimal
	case oidDate:
		return pipeline.Date
	case oidTime:
		return pipeline.Time
	case oidTimestamp:
		return pipeline.Timestamp
	case oidTimestampTZ:
		return pipeline.TimestampTZ
	case oidText, oidVarchar, oidBpchar, oidName, oidChar:
		return pipeline.Text
	case oidBytea:
		return pipeline.Bytes
	case oidUUID:
		return pipeline.UUID
	case oidJSON, oidJSONB:
		return pipeline.JSON
	case oidBit, oidVarbit:
		return pipeline.Bits
	case oidInterval:
		return pipeline.Interval
	}
	return pipeline.Other
}
