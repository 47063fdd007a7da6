package wire

import (
	"encoding/binary"
	"errors"
)

// ErrEnd says that the server has sent all there is, and ends the dump.
var ErrEnd = errors.New("the server ended the dump of its binary log")

// Register announces us as a replica, which makes the server list us: SHOW REPLICA HOSTS.
func (c *Conn) Register(server uint32, host string) error {
	out := binary.LittleEndian.AppendUint32(nil, server)
	out = appendShort(out, host)
	out = append(out, 0, 0) // user and password, for whoever wants to connect to us
	out = append(out, 0, 0) // port
	out = append(out, 0, 0, 0, 0, 0, 0, 0, 0)
	if err := c.command(comRegisterSlave, out...); err != nil {
		return err
	}
	p, err := c.next()
	if err != nil {
		return err
	}
	if len(p) > 0 && p[0] == msgError {
		return parseError(p)
	}
	return nil
}

// Dump asks for the binary log. Where @slave_connect_state is set, that says from where on, and the
// place given here is not looked at.
func (c *Conn) Dump(server uint32) error {
	out := binary.LittleEndian.AppendUint32(nil, 4) // the first place in a file
	out = binary.LittleEndian.AppendUint16(out, 0)  // flags
	out = binary.LittleEndian.AppendUint32(out, server)
	return c.command(comBinlogDump, out...)
}

// Event returns the next event of a dump, valid until the next call.
func (c *Conn) Event() ([]byte, error) {
	p, err := c.next()
	if err != nil {
		return nil, err
	}
	switch {
	case len(p) > 0 && p[0] == msgOK:
		return p[1:], nil
	case len(p) > 0 && p[0] == msgError:
		return nil, parseError(p)
	case isEOF(p):
		return nil, ErrEnd
	}
	return nil, ErrProtocol
}

// appendShort appends a text of at most 100 bytes with its length.
func appendShort(dst []byte, s string) []byte {
	s = s[:min(len(s), 100)]
	return append(append(dst, byte(len(s))), s...)
}
