package postgres

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
)

// walStream is the local name of the stream of changes.
const walStream pipeline.Stream = "wal"

// identity says which history of which server an LSN belongs to.
type identity struct {
	system   uint64 // IDENTIFY_SYSTEM's systemid
	timeline uint32
}

// position renders an LSN so that positions sort as text: "000000000152F0A8/00000001/7312...".
func (id identity) position(lsn uint64) pipeline.Position {
	b := make([]byte, 0, 48)
	b = appendHex(b, lsn, 16)
	b = appendHex(append(b, '/'), uint64(id.timeline), 8)
	b = strconv.AppendUint(append(b, '/'), id.system, 10)
	return pipeline.Position(b)
}

// parsePosition is the inverse of identity.position.
func parsePosition(p pipeline.Position) (lsn uint64, id identity, err error) {
	parts := strings.Split(string(p), "/")
	if len(parts) != 3 || len(parts[0]) != 16 || len(parts[1]) != 8 {
		return 0, id, fmt.Errorf("position %q is not one of a postgres source", p)
	}
	lsn, err1 := strconv.ParseUint(parts[0], 16, 64)
	timeline, err2 := strconv.ParseUint(parts[1], 16, 32)
	system, err3 := strconv.ParseUint(parts[2], 10, 64)
	if err1 != nil || err2 != nil || err3 != nil {
		return 0, id, fmt.Errorf("position %q is not one of a postgres source", p)
	}
	return lsn, identity{system: system, timeline: uint32(timeline)}, nil
}

// formatLSN renders an LSN as PostgreSQL does: "0/152F0A8".
func formatLSN(lsn uint64) string { return fmt.Sprintf("%X/%X", lsn>>32, uint32(lsn)) }

// parseLSN reads PostgreSQL's text form of an LSN.
func parseLSN(s string) (uint64, error) {
	high, low, ok := strings.Cut(s, "/")
	h, err1 := strconv.ParseUint(high, 16, 32)
	l, err2 := strconv.ParseUint(low, 16, 32)
	if !ok || err1 != nil || err2 != nil {
		return 0, fmt.Errorf("%q is not an LSN", s)
	}
	return h<<32 | l, nil
}

func appendHex(dst []byte, n uint64, width int) []byte {
	const digits = "0123456789ABCDEF"
	for shift := 4 * (width - 1); shift >= 0; shift -= 4 {
		dst = append(dst, digits[n>>shift&15])
	}
	return dst
}
