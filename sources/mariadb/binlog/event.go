package binlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// EventType is the type of an event.
type EventType uint8

// The types of events that are told apart.
const (
	QueryEvent             EventType = 2
	StopEvent              EventType = 3
	RotateEvent            EventType = 4
	IntvarEvent            EventType = 5
	RandEvent              EventType = 13
	UserVarEvent           EventType = 14
	FormatEvent            EventType = 15
	XIDEvent               EventType = 16
	BeginLoadEvent         EventType = 17
	ExecuteLoadEvent       EventType = 18
	TableMapEvent          EventType = 19
	WriteRowsV1            EventType = 23
	UpdateRowsV1           EventType = 24
	DeleteRowsV1           EventType = 25
	IncidentEvent          EventType = 26
	HeartbeatEvent         EventType = 27
	WriteRowsV2            EventType = 30
	UpdateRowsV2           EventType = 31
	DeleteRowsV2           EventType = 32
	XAPrepareEvent         EventType = 38
	AnnotateRowsEvent      EventType = 160
	CheckpointEvent        EventType = 161
	GTIDEvent              EventType = 162
	GTIDListEvent          EventType = 163
	StartEncryptionEvent   EventType = 164
	QueryCompressedEvent   EventType = 165
	WriteRowsCompressedV1  EventType = 166
	UpdateRowsCompressedV1 EventType = 167
	DeleteRowsCompressedV1 EventType = 168
	WriteRowsCompressedV2  EventType = 169
	UpdateRowsCompressedV2 EventType = 170
	DeleteRowsCompressedV2 EventType = 171
	PartialRowDataEvent    EventType = 172
)

// Rows reports whether the event holds rows, and of which operation.
func (t EventType) Rows() (op RowsOp, ok bool) {
	switch t {
	case WriteRowsV1, WriteRowsV2, WriteRowsCompressedV1, WriteRowsCompressedV2:
		return WriteRows, true
	case UpdateRowsV1, UpdateRowsV2, UpdateRowsCompressedV1, UpdateRowsCompressedV2:
		return UpdateRows, true
	case DeleteRowsV1, DeleteRowsV2, DeleteRowsCompressedV1, DeleteRowsCompressedV2:
		return DeleteRows, true
	}
	return 0, false
}

// second reports whether a rows event is of version 2, with extra data in its header.
func (t EventType) second() bool {
	return t >= WriteRowsV2 && t <= DeleteRowsV2 || t >= WriteRowsCompressedV2 && t <= DeleteRowsCompressedV2
}

func (t EventType) compressed() bool {
	return t >= WriteRowsCompressedV1 && t <= DeleteRowsCompressedV2
}

// HeaderSize is the size of an event's header, in bytes.
const HeaderSize = 19

// checksumSize is the size of the CRC32 at an event's end.
const checksumSize = 4

// The flags of an event's header.
const (
	FlagArtificial uint16 = 0x20 // made up for this connection, not in the file
	FlagIgnorable  uint16 = 0x80 // a reader that does not know the type may pass over it
)

// ErrShort says that an event ends before it should.
var ErrShort = errors.New("the event ends too early")

// Header is the header of an event.
type Header struct {
	Time   uint32 // seconds since 1970-01-01 UTC
	Type   EventType
	Server uint32
	Size   uint32 // with header and checksum
	End    uint32 // its end in the file; 0 inside a transaction from MariaDB 11.4 on
	Flags  uint16
}

// ParseHeader splits an event into its header and the rest.
func ParseHeader(event []byte) (h Header, body []byte, err error) {
	if len(event) < HeaderSize {
		return h, nil, ErrShort
	}
	h = header(event)
	if int64(h.Size) != int64(len(event)) {
		return h, nil, fmt.Errorf("an event of type %d says that it has %d bytes, and has %d", h.Type, h.Size, len(event))
	}
	return h, event[HeaderSize:], nil
}

// header reads the header of an event that has one.
func header(event []byte) Header {
	return Header{
		Time:   binary.LittleEndian.Uint32(event),
		Type:   EventType(event[4]),
		Server: binary.LittleEndian.Uint32(event[5:]),
		Size:   binary.LittleEndian.Uint32(event[9:]),
		End:    binary.LittleEndian.Uint32(event[13:]),
		Flags:  binary.LittleEndian.Uint16(event[17:]),
	}
}

// CheckSum verifies the CRC32 at the end of an event and returns the event's body without it.
func CheckSum(event []byte) (body []byte, err error) {
	n := len(event) - checksumSize
	if n < HeaderSize {
		return nil, ErrShort
	}
	if want, have := binary.LittleEndian.Uint32(event[n:]), crc32.ChecksumIEEE(event[:n]); want != have {
		return nil, fmt.Errorf("the checksum of an event of type %d is %08x, its content has %08x", event[4], want, have)
	}
	return event[HeaderSize:n], nil
}

// Format is what a format description event says of the events after it.
type Format struct {
	Version  uint16
	Server   string // version of the server that wrote the log
	Checksum bool   // each event ends with a CRC32
	ids      int    // bytes of a table id
}

// ParseFormat reads the body of a format description event, with its checksum where it has one.
func ParseFormat(body []byte) (f Format, err error) {
	const version, created = 50, 4
	c := cursor{b: body}
	f.Version = c.u16()
	name := c.take(version)
	c.take(created)
	header := c.u8()
	if c.bad {
		return f, fmt.Errorf("format description: %w", ErrShort)
	}
	if f.Version != 4 || header != HeaderSize {
		return f, fmt.Errorf("binary log of format %d with headers of %d bytes, 4 and %d are known", f.Version, header, HeaderSize)
	}
	f.Server = cString(name)
	sizes, algorithm := c.b, byte(0)
	if n := len(c.b); n > 1+checksumSize { // every server that is supported says its algorithm
		sizes, algorithm = c.b[:n-1-checksumSize], c.b[n-1-checksumSize]
	}
	switch algorithm {
	case 0:
	case 1:
		f.Checksum = true
	default:
		return f, fmt.Errorf("checksum algorithm %d is unknown", algorithm)
	}
	f.ids = 6
	if i := int(TableMapEvent) - 1; i < len(sizes) && sizes[i] == 6 {
		f.ids = 4
	}
	return f, nil
}

// cString is the text before the first zero.
func cString(p []byte) string {
	for i, b := range p {
		if b == 0 {
			return string(p[:i])
		}
	}
	return string(p)
}
