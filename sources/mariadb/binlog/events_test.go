package binlog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/sources/mariadb/charset"
)

// events are what a server of version 10.11 sent: rows of one table, full and MINIMAL, compressed and
// not, an XA transaction and a TRUNCATE.
func events(t testing.TB) [][]byte {
	t.Helper()
	data, err := os.ReadFile("testdata/events.bin")
	if err != nil {
		t.Fatal(err)
	}
	var out [][]byte
	for len(data) >= 4 {
		n := int(binary.LittleEndian.Uint32(data))
		out, data = append(out, data[4:4+n]), data[4+n:]
	}
	return out
}

// log decodes a sequence of events to text.
type log struct {
	format Format
	z      Inflater
	tables map[uint64]*Decoder
	arena  pipeline.Arena
	lines  []string
}

func (l *log) say(format string, args ...any) {
	l.lines = append(l.lines, fmt.Sprintf(format, args...))
}

func (l *log) event(event []byte) error {
	h, body, err := ParseHeader(event)
	if err != nil {
		return err
	}
	if l.format.Checksum && h.Type != FormatEvent {
		if body, err = CheckSum(event); err != nil {
			return err
		}
	}
	switch h.Type {
	case FormatEvent:
		l.format, err = ParseFormat(body)
	case GTIDEvent:
		var b Begin
		if err = ParseGTID(body, h.Server, &b); err == nil {
			l.say("begin flags %02x xid %v", b.Flags, b.XID)
		}
	case GTIDListEvent:
		err = ParseGTIDList(body, func(GTID) {})
	case RotateEvent:
		_, _, err = ParseRotate(body)
	case QueryEvent, QueryCompressedEvent:
		var q Query
		if err = ParseQuery(h.Type, body, &l.z, &q); err == nil {
			l.say("query %s", q.SQL)
		}
	case XAPrepareEvent:
		var x XID
		if x, _, err = ParseXAPrepare(body); err == nil {
			l.say("prepare %v", x)
		}
	case IncidentEvent:
		err = ParseIncident(body)
	case TableMapEvent:
		err = l.table(body)
	default:
		if _, ok := h.Type.Rows(); ok {
			err = l.rows(h.Type, body)
		}
	}
	return err
}

func (l *log) table(body []byte) error {
	m, err := l.format.ParseTableMap(body)
	if err != nil {
		return err
	}
	d, err := NewDecoder(fieldsOf(m), Policy{Zero: ZeroNull, Replace: true})
	if err != nil {
		return err
	}
	if l.tables == nil {
		l.tables = map[uint64]*Decoder{}
	}
	l.tables[m.ID] = d
	return nil
}

// fieldsOf chooses a kind for each type, as far as the log tells.
func fieldsOf(m *TableMap) []Field {
	utf8, _ := charset.Lookup("utf8mb4")
	latin1, _ := charset.Lookup("latin1")
	fields := make([]Field, len(m.Columns))
	for i, c := range m.Columns {
		f := Field{Column: c, Out: i, Unsigned: c.Unsigned, Labels: c.Labels, Length: c.Size}
		switch c.Type {
		case TypeNewDecimal:
			f.Kind = pipeline.Decimal
		case TypeTime, TypeTime2:
			f.Kind = pipeline.Time
		case TypeBit:
			f.Kind = pipeline.Bits
			if c.Meta == 1 {
				f.Kind = pipeline.Bool
			}
		case TypeGeometry:
			f.Kind = pipeline.Bytes
		case TypeLongLong:
			if f.Kind = pipeline.Int; c.Unsigned {
				f.Kind = pipeline.Uint
			}
		default:
			f.Kind, f.Charset = pipeline.Text, utf8
			if c.Collation == 63 {
				f.Kind = pipeline.Bytes
			}
			if c.Collation == 8 {
				f.Charset = latin1
			}
			if c.Name == "u" {
				f.Special = UUID
			}
			if c.Name == "i6" {
				f.Special = INET6
			}
		}
		fields[i] = f
	}
	return fields
}

func (l *log) rows(typ EventType, body []byte) error {
	id, rest, err := l.format.TableID(body)
	if err != nil || l.tables[id] == nil {
		return err
	}
	d := l.tables[id]
	var r Rows
	if err := ParseRows(typ, rest, &l.z, &r); err != nil || r.Width != len(d.Fields) {
		return err
	}
	for data := r.Data; len(data) > 0; {
		for _, bitmap := range [][]byte{r.Before, r.After} {
			if bitmap == nil {
				continue
			}
			values := l.arena.Values(r.Width)
			before := len(data)
			if data, err = d.Image(&l.arena, values, bitmap, data); err != nil {
				return err
			}
			if before == len(data) {
				return nil // a row without columns
			}
			var text []string
			for _, v := range values {
				text = append(text, v.String())
			}
			l.say("image %d %s", r.Op, strings.Join(text, "|"))
		}
	}
	return nil
}

func TestEvents(t *testing.T) {
	var l log
	for i, e := range events(t) {
		if err := l.event(e); err != nil {
			t.Fatalf("event %d of type %d: %v", i, e[4], err)
		}
	}
	first := "|-12345.678901|1.5|-2.25|true|101010101|2024|2024-02-29|-12:13:14.151617|2024-02-29 13:14:15.161|" +
		"2024-02-29 13:14:15.161718+00|ü|x,y|abc|größe|text|" + `"\x01\x00\x00\x00"|"\x00\xff"|{"a":1}|` +
		"123e4567-e89b-12d3-a456-426655440000|2001:db8::1|" +
		`"\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\xf0?\x00\x00\x00\x00\x00\x00\x00@"|` + strings.Repeat("z", 150) + "|null"
	const max = "18446744073709551615"
	absent := strings.Repeat("|absent", 23)
	x := XID{Format: 1, GTrid: "g", Bqual: "b"}
	want := []string{
		"image 1 1|" + max + first, "image 2 1|" + max + first, "image 2 2|7" + first,
		"image 2 2|absent" + absent, "image 2 absent|8" + absent, "image 3 2|absent" + absent,
		"image 1 3|" + max + first, "image 2 3|absent" + absent, "image 2 absent|9" + absent, "image 3 3|absent" + absent,
		"begin flags 4c xid " + x.String(), "image 1 4|" + max + first, "query XA END " + x.String(), "prepare " + x.String(),
		"begin flags 8d xid " + x.String(), "query XA ROLLBACK " + x.String(), "query TRUNCATE t",
	}
	have := slices.DeleteFunc(l.lines, func(s string) bool {
		return strings.HasPrefix(s, "begin flags") && strings.HasSuffix(s, "X'',X'',0") || strings.HasPrefix(s, "query CREATE")
	})
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("(-want +have):\n%s", diff)
	}
}

// TestUUID: both orders of the bytes give the same text, whatever zeros were left out at the end.
func TestUUID(t *testing.T) {
	var a pipeline.Arena
	for _, hex := range []string{"123e4567e89b42d38456426655440000", "4266554400008456" + "42d3" + "e89b" + "123e4567"} {
		var p []byte
		if _, err := fmt.Sscanf(hex, "%x", &p); err != nil {
			t.Fatal(err)
		}
		for len(p) > 0 && p[len(p)-1] == 0 {
			p = p[:len(p)-1]
		}
		if v, err := uuid(&a, p); err != nil || v.String() != "123e4567-e89b-42d3-8456-426655440000" {
			t.Errorf("%x is %v, %v", p, v, err)
		}
	}
}

// FuzzEvent: no event crashes the decoders, whatever came before it.
func FuzzEvent(f *testing.F) {
	all := events(f)
	for _, e := range all {
		f.Add(e)
	}
	f.Fuzz(func(t *testing.T, e []byte) {
		var l log
		for _, e := range all[:min(len(all), 12)] {
			if err := l.event(e); err != nil {
				t.Fatal(err)
			}
		}
		l.format.Checksum = false
		_ = l.event(e)
		if len(e) >= HeaderSize {
			binary.LittleEndian.PutUint32(e[9:], uint32(len(e)))
			_ = l.event(e)
		}
	})
}

// FuzzImage: no row image crashes a decoder of any types, and its program reads what a decoding
// column by column reads.
func FuzzImage(f *testing.F) {
	f.Add([]byte{TypeNewDecimal, 12, 2, TypeNewDecimal, 18, 0, TypeNewDecimal, 27, 9, TypeNewDecimal, 3, 3, TypeTimestamp2, 6, 0, TypeDatetime2, 3, 0,
		TypeDate, 0, 0, TypeTiny, 0, 0, TypeShort, 0, 0, TypeLongLong, 0, 0, TypeFloat, 4, 0, TypeDouble, 8, 0, TypeBit, 1, 0, TypeBlob, 4, 0},
		bytes.Repeat([]byte{0, 0x7f, 0xff, 0x80, 3}, 24))
	f.Add([]byte{TypeLong, 0, 0, TypeVarchar, 10, 0, TypeNewDecimal, 10, 2}, []byte{0, 1, 2, 3, 4, 5, 'a', 1, 2, 3, 4, 5, 6})
	f.Fuzz(func(t *testing.T, types, image []byte) {
		m := &TableMap{}
		for len(types) >= 3 && len(m.Columns) < 32 {
			c := MapColumn{}
			meta := cursor{b: types[1:3]}
			c.describe(types[0], &meta)
			types = types[3:]
			m.Columns = append(m.Columns, c)
		}
		d, err := NewDecoder(fieldsOf(m), Policy{Zero: ZeroNull})
		if err != nil {
			return
		}
		var a pipeline.Arena
		values := make([]pipeline.Value, len(m.Columns))
		bitmap := []byte{0xff, 0xff, 0xff, 0xff}
		slow := slices.Clone(values)
		rest, err := d.Image(&a, values, bitmap, image)
		restSlow, errSlow := d.partImage(&a, slow, bitmap, image)
		if (err == nil) != (errSlow == nil) || len(rest) != len(restSlow) {
			t.Fatalf("%v, %d bytes left; column by column %v, %d", err, len(rest), errSlow, len(restSlow))
		}
		for i := 0; err == nil && i < len(values); i++ {
			if values[i].Kind() != slow[i].Kind() || values[i].String() != slow[i].String() {
				t.Fatalf("column %d is %v, by itself %v", i, values[i], slow[i])
			}
		}
	})
}

// FuzzText: no text of a query result crashes, and an error is no value.
func FuzzText(f *testing.F) {
	for k := pipeline.Bool; k <= pipeline.Other; k++ {
		f.Add(uint8(k), uint8(0), []byte("2024-02-29 13:14:15.1"))
		f.Add(uint8(k), uint8(6), []byte("-838:59:59.000001"))
	}
	f.Fuzz(func(t *testing.T, kind, special uint8, p []byte) {
		utf8, _ := charset.Lookup("utf8mb4")
		d, err := NewDecoder([]Field{{Kind: pipeline.Kind(kind % 20), Special: Special(special % 7), Length: 8, Charset: utf8}}, Policy{})
		if err != nil {
			t.Fatal(err)
		}
		var a pipeline.Arena
		if v, err := d.Text(&a, &d.Fields[0], p); err == nil {
			_ = v.String()
		}
	})
}

// rowEvent returns a decoder and an event with rows of six usual columns.
func rowEvent(t testing.TB, rows int) (*Decoder, []byte) {
	t.Helper()
	utf8, err := charset.Lookup("utf8mb4")
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewDecoder([]Field{
		{Column: MapColumn{Type: TypeLongLong}, Kind: pipeline.Int, Out: 0},
		{Column: MapColumn{Type: TypeVarchar, Meta: 80}, Kind: pipeline.Text, Charset: utf8, Out: 1},
		{Column: MapColumn{Type: TypeVarchar, Meta: 80}, Kind: pipeline.Text, Charset: utf8, Out: 2},
		{Column: MapColumn{Type: TypeNewDecimal, Meta: 12 | 2<<8}, Kind: pipeline.Decimal, Out: 3},
		{Column: MapColumn{Type: TypeDatetime2, Meta: 6}, Kind: pipeline.Timestamp, Out: 4},
		{Column: MapColumn{Type: TypeLong}, Kind: pipeline.Int, Out: 5},
	}, Policy{})
	if err != nil {
		t.Fatal(err)
	}
	var data []byte
	for i := range rows {
		data = append(data, 0)
		data = binary.LittleEndian.AppendUint64(data, uint64(i))
		data = append(append(data, 20), "twenty bytes of text"...)
		data = append(append(data, 10), "some-thing"...)
		data = append(data, 0x80, 0, 0, 0x01, 0x02, 0x03)
		data = append(data, 0x99, 0xb2, 0x7a, 0xd2, 0x8f, 0x01, 0x02, 0x03)
		data = append(data, 1, 2, 3, 4)
	}
	return d, data
}

func TestImageAllocations(t *testing.T) {
	d, data := rowEvent(t, 100)
	var a pipeline.Arena
	decode := func() {
		a.Reset()
		rest := a.Copy(data)
		var err error
		for len(rest) > 0 {
			if rest, err = d.Image(&a, a.Values(6), []byte{0xff}, rest); err != nil {
				t.Fatal(err)
			}
		}
	}
	decode()
	if n := testing.AllocsPerRun(50, decode); n != 0 {
		t.Errorf("%v allocations for 100 rows", n)
	}
}

func BenchmarkImage(b *testing.B) {
	d, data := rowEvent(b, 100)
	var a pipeline.Arena
	var rest []byte
	var err error
	b.ReportAllocs()
	for b.Loop() {
		if len(rest) == 0 {
			a.Reset()
			rest = a.Copy(data)
		}
		if rest, err = d.Image(&a, a.Values(6), []byte{0x3f}, rest); err != nil {
			b.Fatal(err)
		}
	}
}
