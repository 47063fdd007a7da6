package pgtext

import "github.com/pipe-cdc/pipe/pipeline"

// Text's number, as what everything else is written in: the server then casts it.
const TextOID uint32 = oidText

// TextArrayOID is text[], the parameter of an unnest.
const TextArrayOID uint32 = 1009

// Wire reports whether values of kind k can be written in the binary form of the type oid (with the
// element type elem where it is an array, 0 where not; enum: an enum's labels). Where it is false,
// write the column as text and let the server cast it.
func Wire(k pipeline.Kind, oid, elem uint32, enum bool) bool {
	if elem != 0 {
		return k == pipeline.Array && wireElem(elem) && ArrayOID(elem) == oid
	}
	if enum {
		return k == pipeline.Text
	}
	switch oid {
	case oidBool:
		return k == pipeline.Bool
	case oidInt2, oidInt4, oidInt8, oidOid:
		return k == pipeline.Int || k == pipeline.Uint
	case oidFloat4, oidFloat8:
		return k == pipeline.Float32 || k == pipeline.Float64
	case oidNumeric:
		return k == pipeline.Decimal || k == pipeline.Int || k == pipeline.Uint
	case oidText, oidVarchar, oidBpchar:
		return k != pipeline.Bytes
	case oidBytea:
		return k == pipeline.Bytes
	case oidUUID:
		return k == pipeline.UUID
	case oidJSON, oidJSONB:
		return k == pipeline.JSON
	case oidDate:
		return k == pipeline.Date
	case oidTime:
		return k == pipeline.Time
	case oidTimestamp:
		return k == pipeline.Timestamp
	case oidTimestampTZ:
		return k == pipeline.TimestampTZ
	case oidInterval:
		return k == pipeline.Interval
	case oidBit, oidVarbit:
		return k == pipeline.Bits
	}
	return false
}

func wireElem(elem uint32) bool {
	switch elem {
	case oidBool, oidInt2, oidInt4, oidInt8, oidFloat4, oidFloat8, oidNumeric, oidText, oidVarchar,
		oidBytea, oidUUID, oidJSON, oidJSONB:
		return true
	}
	return false
}

// ArrayOID returns the number of the array type over a built-in type that Wire knows, 0 for others.
func ArrayOID(elem uint32) uint32 {
	switch elem {
	case oidBool:
		return 1000
	case oidBytea:
		return 1001
	case oidInt2:
		return 1005
	case oidInt4:
		return 1007
	case oidText:
		return TextArrayOID
	case oidBpchar:
		return 1014
	case oidVarchar:
		return 1015
	case oidInt8:
		return 1016
	case oidFloat4:
		return 1021
	case oidFloat8:
		return 1022
	case oidOid:
		return 1028
	case oidJSON:
		return 199
	case oidTimestamp:
		return 1115
	case oidDate:
		return 1182
	case oidTime:
		return 1183
	case oidTimestampTZ:
		return 1185
	case oidInterval:
		return 1187
	case oidNumeric:
		return 1231
	case oidBit:
		return 1561
	case oidVarbit:
		return 1563
	case oidUUID:
		return 2951
	case oidJSONB:
		return 3807
	}
	return 0
}

// Native reports whether some kind is written in the binary form of the built-in type oid.
func Native(oid uint32) bool {
	return ArrayOID(oid) != 0
}

// TypeName returns the name of a type that Wire knows, as SQL writes it; "" for others.
func TypeName(oid uint32) string {
	switch oid {
	case oidBool:
		return "pg_catalog.bool"
	case oidBytea:
		return "pg_catalog.bytea"
	case oidInt2:
		return "pg_catalog.int2"
	case oidInt4:
		return "pg_catalog.int4"
	case oidInt8:
		return "pg_catalog.int8"
	case oidOid:
		return "pg_catalog.oid"
	case oidText:
		return "pg_catalog.text"
	case oidVarchar:
		return "pg_catalog.varchar"
	case oidBpchar:
		return "pg_catalog.bpchar"
	case oidFloat4:
		return "pg_catalog.float4"
	case oidFloat8:
		return "pg_catalog.float8"
	case oidNumeric:
		return "pg_catalog.numeric"
	case oidJSON:
		return "pg_catalog.json"
	case oidJSONB:
		return "pg_catalog.jsonb"
	case oidUUID:
		return "pg_catalog.uuid"
	case oidDate:
		return "pg_catalog.date"
	case oidTime:
		return "pg_catalog.time"
	case oidTimestamp:
		return "pg_catalog.timestamp"
	case oidTimestampTZ:
		return "pg_catalog.timestamptz"
	case oidInterval:
		return "pg_catalog.interval"
	case oidVarbit:
		return "pg_catalog.varbit"
	}
	return ""
}
