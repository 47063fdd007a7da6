package pgtext

import "github.com/pipe-cdc/pipe/pipeline"

// form is how the binary form of a type is laid out.
type form uint8

const (
	formUnknown form = iota
	formRaw          // the text or the bytes themselves
	formJSONB
	formBool
	formInt2
	formInt4
	formInt8
	formUint4
	formFloat4
	formFloat8
	formDate
	formTime
	formTimestamp
	formTimestampTZ
	formNumeric // from here on the Value is text that is rendered
	formBytea   // inside an array; a column of type bytea is formRaw
	formUUID
	formBits
	formInterval
	formTimeTZ
	formMoney
	formInet
	formMacaddr
	formArray
	formRange
	formMultirange
)

// aliases reports whether a Value of the form points into the source.
func (f form) aliases() bool { return f == formRaw || f == formJSONB }

// formOf returns the form of a column's values; formUnknown where the binary form is not read.
func formOf(c *pipeline.Column) form {
	if c.Kind == pipeline.Array {
		if c.Elem == nil || !elementOK(c.Elem) {
			return formUnknown
		}
		return formArray
	}
	if c.Kind == pipeline.Bytes {
		return formRaw
	}
	return formOfType(c.Kind, c.TypeID)
}

// elementOK reports whether arrays of c are read in binary. Floating point numbers are not: the
// server's shortest digits differ from Go's for a few powers of two.
func elementOK(c *pipeline.Column) bool {
	f := formOfType(c.Kind, c.TypeID)
	return f != formUnknown && f != formFloat4 && f != formFloat8 && c.Kind != pipeline.Array
}

func formOfType(k pipeline.Kind, oid uint32) form {
	if oid >= firstUserOID && k == pipeline.Text {
		return formRaw // an enum or citext
	}
	switch oid {
	case oidText, oidVarchar, oidBpchar, oidName, oidJSON:
		return formRaw
	case oidJSONB:
		return formJSONB
	case oidBool:
		return formBool
	case oidInt2:
		return formInt2
	case oidInt4:
		return formInt4
	case oidInt8:
		return formInt8
	case oidOid:
		return formUint4
	case oidFloat4:
		return formFloat4
	case oidFloat8:
		return formFloat8
	case oidDate:
		return formDate
	case oidTime:
		return formTime
	case oidTimestamp:
		return formTimestamp
	case oidTimestampTZ:
		return formTimestampTZ
	}
	return formRendered(oid)
}

func formRendered(oid uint32) form {
	switch oid {
	case oidNumeric:
		return formNumeric
	case oidBytea:
		return formBytea
	case oidUUID:
		return formUUID
	case oidBit, oidVarbit:
		return formBits
	case oidInterval:
		return formInterval
	case oidTimeTZ:
		return formTimeTZ
	case oidMoney:
		return formMoney
	case oidInet, oidCidr:
		return formInet
	case oidMacaddr, oidMacaddr8:
		return formMacaddr
	}
	if _, ok := rangeOf(oid); ok {
		return formRange
	}
	if _, ok := multirangeOf(oid); ok {
		return formMultirange
	}
	return formUnknown
}

// rangeOf returns the number of the type that a built-in range type is over.
func rangeOf(oid uint32) (sub uint32, ok bool) {
	switch oid {
	case oidInt4Range:
		return oidInt4, true
	case oidInt8Range:
		return oidInt8, true
	case oidNumRange:
		return oidNumeric, true
	case oidTsRange:
		return oidTimestamp, true
	case oidTsTZRange:
		return oidTimestampTZ, true
	case oidDateRange:
		return oidDate, true
	}
	return 0, false
}

// multirangeOf returns the number of the range type that a built-in multirange type is made of.
func multirangeOf(oid uint32) (rng uint32, ok bool) {
	switch oid {
	case oidInt4Multirange:
		return oidInt4Range, true
	case oidInt8Multirange:
		return oidInt8Range, true
	case oidNumMultirange:
		return oidNumRange, true
	case oidTsMultirange:
		return oidTsRange, true
	case oidTsTZMultirange:
		return oidTsTZRange, true
	case oidDateMultirange:
		return oidDateRange, true
	}
	return 0, false
}
