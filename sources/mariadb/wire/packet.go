package wire

import (
	"errors"
	"fmt"
	"io"
	"net"
)

const (
	headerSize  = 4
	maxPayload  = 1<<24 - 1 // of one packet; a longer message is split
	bufferSize  = 256 << 10
	maxMessage  = 1 << 30 // the server's own bound of a message
	shrinkAbove = 4 << 20
)

// ErrProtocol says that the server sent something that the protocol does not allow.
var ErrProtocol = errors.New("unexpected packet from the server")

// packets reads and writes packets over a connection.
type packets struct {
	net.Conn
	buf   []byte // what was read and not yet consumed is buf[start:end]
	start int
	end   int
	seq   byte
	out   []byte
}

// Buffered reports whether a whole packet lies in the buffer, so that reading it does not wait.
func (p *packets) Buffered() bool {
	have := p.buf[p.start:p.end]
	return len(have) >= headerSize && len(have) >= headerSize+length24(have)
}

func length24(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }

// Peek waits until the next packet can be read without waiting, or until the connection's read
// deadline: then nothing is lost, and it may be called again. Of a message that has several packets
// it waits for the first's header.
func (p *packets) Peek() error {
	if err := p.fill(headerSize); err != nil {
		return err
	}
	if n := length24(p.buf[p.start:]); n < maxPayload {
		return p.fill(headerSize + n)
	}
	return nil
}

// next returns the next message, valid until the next call.
func (p *packets) next() ([]byte, error) {
	n, err := p.header(0)
	if err != nil {
		return nil, err
	}
	if err := p.fill(headerSize + n); err != nil {
		return nil, err
	}
	if n == maxPayload {
		return p.long()
	}
	body := p.buf[p.start+headerSize : p.start+headerSize+n : p.start+headerSize+n]
	p.start += headerSize + n
	return body, nil
}

// header returns the length of the packet that begins at offset from the start of the buffer.
func (p *packets) header(offset int) (int, error) {
	if err := p.fill(offset + headerSize); err != nil {
		return 0, err
	}
	head := p.buf[p.start+offset:]
	if head[3] != p.seq {
		return 0, fmt.Errorf("%w: sequence number %d, expected %d", ErrProtocol, head[3], p.seq)
	}
	p.seq++
	return length24(head), nil
}

// long joins a message of several packets in the buffer: the first lies there already.
func (p *packets) long() ([]byte, error) {
	size := maxPayload // joined so far, from start+headerSize on
	for n := maxPayload; n == maxPayload; {
		var err error
		if n, err = p.header(headerSize + size); err != nil {
			return nil, err
		}
		if size+n > maxMessage {
			return nil, fmt.Errorf("%w: a message of more than %d bytes", ErrProtocol, maxMessage)
		}
		if err := p.fill(headerSize + size + headerSize + n); err != nil {
			return nil, err
		}
		at := p.start + headerSize + size
		copy(p.buf[at:], p.buf[at+headerSize:p.end]) // over the header
		p.end -= headerSize
		size += n
	}
	body := p.buf[p.start+headerSize : p.start+headerSize+size : p.start+headerSize+size]
	p.start += headerSize + size
	return body, nil
}

// fill reads until n bytes lie in the buffer. A deadline that passes meanwhile loses nothing.
func (p *packets) fill(n int) error {
	if p.end-p.start >= n {
		return nil
	}
	if p.start+n > len(p.buf) || p.start == p.end {
		p.compact(n)
	}
	for p.end-p.start < n {
		m, err := p.Conn.Read(p.buf[p.end:])
		p.end += m
		if err != nil && p.end-p.start < n {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// compact moves what is in the buffer to its begin and makes room for n bytes.
func (p *packets) compact(n int) {
	have := p.buf[p.start:p.end]
	switch {
	case n > len(p.buf):
		grown := make([]byte, max(n, min(2*len(p.buf), n+bufferSize)))
		copy(grown, have)
		p.buf = grown
	case len(p.buf) > shrinkAbove && n < bufferSize && len(have) < bufferSize:
		small := make([]byte, bufferSize)
		copy(small, have)
		p.buf = small
	default:
		copy(p.buf, have)
	}
	p.start, p.end = 0, len(have)
}

// write sends one message of less than maxPayload bytes.
func (p *packets) write(payload []byte) error {
	if len(payload) >= maxPayload {
		return fmt.Errorf("a command of %d bytes", len(payload))
	}
	n := len(payload)
	p.out = append(p.out[:0], byte(n), byte(n>>8), byte(n>>16), p.seq)
	p.seq++
	p.out = append(p.out, payload...)
	_, err := p.Conn.Write(p.out)
	return err
}

// command sends a command, the begin of a new exchange.
func (p *packets) command(code byte, payload ...byte) error {
	p.seq = 0
	return p.write(append([]byte{code}, payload...))
}
