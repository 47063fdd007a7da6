package wire

import (
	"encoding/binary"
	"fmt"
)

// The first byte of a message.
const (
	msgOK    = 0x00
	msgEOF   = 0xfe
	msgError = 0xff
)

// ServerError is an error that the server reports.
type ServerError struct {
	Code    uint16 // ER_...
	State   string // SQLSTATE
	Message string
}

// Error renders code, state and message.
func (e *ServerError) Error() string {
	return fmt.Sprintf("error %d (%s): %s", e.Code, e.State, e.Message)
}

// parseError reads an ERR message.
func parseError(p []byte) error {
	if len(p) < 3 {
		return ErrProtocol
	}
	e := &ServerError{Code: binary.LittleEndian.Uint16(p[1:]), State: "HY000"}
	text := p[3:]
	if len(text) >= 6 && text[0] == '#' {
		e.State, text = string(text[1:6]), text[6:]
	}
	e.Message = string(text)
	return e
}

// isEOF reports whether a message is an EOF: a longer one that begins so is a row.
func isEOF(p []byte) bool { return len(p) > 0 && p[0] == msgEOF && len(p) < 9 }

// lengthOf reads a length-encoded integer; null is 0xfb. ok is false where p is too short.
func lengthOf(p []byte) (n int, null bool, rest []byte, ok bool) {
	if len(p) == 0 {
		return 0, false, nil, false
	}
	size := 0
	switch p[0] {
	case 0xfb:
		return 0, true, p[1:], true
	case 0xfc:
		size = 2
	case 0xfd:
		size = 3
	case 0xfe:
		size = 8
	default:
		return int(p[0]), false, p[1:], p[0] != 0xff
	}
	if len(p) < 1+size {
		return 0, false, nil, false
	}
	for i := size; i > 0; i-- {
		n = n<<8 | int(p[i])
	}
	return n, false, p[1+size:], n >= 0
}

// TextCell reads the next value of a row of text off the front of p; ok is false where the row ends
// too early.
func TextCell(p []byte) (value []byte, null bool, rest []byte, ok bool) {
	n, null, rest, ok := lengthOf(p)
	if !ok || n > len(rest) {
		return nil, false, nil, false
	}
	return rest[:n:n], null, rest[n:], true
}
