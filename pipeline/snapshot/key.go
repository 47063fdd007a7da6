package snapshot

import (
	"encoding/binary"

	"github.com/pipe-cdc/pipe/pipeline"
)

// AppendKey appends the key of a row: equal keys give equal texts, different keys different ones.
// Values of a schema without key count as a whole.
func AppendKey(dst []byte, s *pipeline.Schema, values []pipeline.Value) []byte {
	if len(s.Key) == 0 {
		for i := range values {
			dst = appendValue(dst, &values[i])
		}
		return dst
	}
	for _, i := range s.Key {
		dst = appendValue(dst, &values[i])
	}
	return dst
}

func appendValue(dst []byte, v *pipeline.Value) []byte {
	dst = append(dst, byte(v.Kind()))
	if v.Kind() < pipeline.Text {
		return binary.BigEndian.AppendUint64(dst, v.Uint())
	}
	b := v.Bytes()
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(b)))
	return append(dst, b...)
}
