package pgtext

import (
	"encoding/binary"

	"github.com/pipe-cdc/pipe/pipeline"
)

// Array appends column col of many rows as the binary form of one array, the parameter of an
// unnest. On an error it returns the index of the row too.
func (e *Encoder) Array(dst []byte, col int, rows [][]pipeline.Value) (_ []byte, failed int, err error) {
	oid := e.cols[col].OID
	dst = binary.BigEndian.AppendUint32(dst, 1) // dimensions
	dst = binary.BigEndian.AppendUint32(dst, 1) // NULLs may occur
	dst = binary.BigEndian.AppendUint32(dst, oid)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(rows)))
	dst = binary.BigEndian.AppendUint32(dst, 1) // lower bound
	for i, row := range rows {
		if dst, err = e.Field(dst, col, row); err != nil {
			return dst, i, err
		}
	}
	return dst, -1, nil
}

// AppendIdent appends a name quoted as an SQL identifier.
func AppendIdent(dst []byte, name string) []byte { return appendQuoted(dst, name, '"') }

// AppendLiteral appends a text quoted as an SQL string literal, under standard_conforming_strings.
func AppendLiteral(dst []byte, text string) []byte { return appendQuoted(dst, text, '\'') }

func appendQuoted(dst []byte, s string, q byte) []byte {
	dst = append(dst, q)
	for i := range len(s) {
		if s[i] == q {
			dst = append(dst, q)
		}
		dst = append(dst, s[i])
	}
	return append(dst, q)
}
