package pgtext

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/pipe-cdc/pipe/pipeline"
)

func columnOf(oid uint32) pipeline.Column {
	return ColumnOf("c", Type{OID: oid, Mod: -1, Class: 'b', Format: "t"})
}

func arrayOf(oid uint32) pipeline.Column {
	elem := Type{OID: oid, Mod: -1, Class: 'b'}
	return ColumnOf("c", Type{OID: 1000, Mod: -1, Class: 'b', Array: true, Elem: &elem, Format: "t[]"})
}

func decodeText(t testing.TB, oid uint32, text string) (pipeline.Value, error) {
	t.Helper()
	var a pipeline.Arena
	return NewDecoder([]pipeline.Column{columnOf(oid)}).Text(&a, 0, []byte(text))
}

// TestUnknownTextStaysText holds that what a parser does not recognise becomes Other with that text.
func TestUnknownTextStaysText(t *testing.T) {
	for oid, texts := range map[uint32][]string{
		oidBool:      {"", "true", "T", "1"},
		oidInt8:      {"", "-", "+1", "1.0", "9223372036854775808", "-9223372036854775809", "99999999999999999999", " 1", "0x1"},
		oidFloat8:    {"", "inf", "1_0", "0x1p1", "1e400", "nan"},
		oidNumeric:   {"", "-", "1.", ".5", "1e5", "--1", "1.2.3", "NAN"},
		oidDate:      {"", "15.03.2024", "2024-02-30", "2024-13-01", "24-01-01", "2024-01-01 ", "2024-01-01 bc", "9999999-01-01"},
		oidTime:      {"", "24:00:01", "12:60:00", "12:00", "12:00:00.", "12:00:00.1234567", "25:00:00", "12:00:00+00"},
		oidTimestamp: {"", "2024-01-01", "2024-01-01T00:00:00", "2024-01-01 00:00:00+00", "15.03.0044 05:53:28 BC", "294278-01-01 00:00:00"},
		oidUUID:      {"", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "a0eebc999c0b4ef8bb6d6bb9bd380a11"},
		oidBit:       {"102", "x"},
		oidInterval:  {"", "P1Y", "@ 1 year"},
	} {
		for _, text := range texts {
			v, err := decodeText(t, oid, text)
			if err != nil || v.Kind() != pipeline.Other || v.View() != text {
				t.Errorf("type %d, %q: %s %q, %v", oid, text, v.Kind(), v.View(), err)
			}
		}
	}
}

func TestZonesWithSeconds(t *testing.T) {
	for text, want := range map[string]string{
		"1850-01-01 05:53:28+05:53:28":     "1850-01-01 00:00:00+00",
		"2024-01-01 00:00:00-00:30":        "2024-01-01 00:30:00+00",
		"0001-01-01 00:00:00+01 BC":        "0002-12-31 23:00:00+00 BC",
		"2016-12-31 23:59:60+00":           "2017-01-01 00:00:00+00",
		"294276-12-31 23:59:59.999999+00":  "294276-12-31 23:59:59.999999+00",
		"294277-01-01 05:29:59.999+05:30":  "294276-12-31 23:59:59.999+00",
		"4714-11-24 00:00:00+00 BC":        "4714-11-24 00:00:00+00 BC",
		"2024-01-01 24:00:00+00":           "2024-01-02 00:00:00+00",
		"2024-06-01 12:00:00.1+05:30:15":   "2024-06-01 06:29:45.1+00",
		"2024-06-01 12:00:00.100001-12:00": "2024-06-02 00:00:00.100001+00",
	} {
		v, err := decodeText(t, oidTimestampTZ, text)
		if err != nil || v.Kind() != pipeline.TimestampTZ || v.String() != want {
			t.Errorf("%q: %s %s, %v; want %s", text, v.Kind(), v.String(), err, want)
		}
	}
}

func TestEscapedByteaIsRefused(t *testing.T) {
	for _, text := range []string{`\000\377`, "abc", "", `\x0`, `\x0g`} {
		if v, err := decodeText(t, oidBytea, text); err == nil {
			t.Errorf("%q was taken: %q", text, v.Bytes())
		}
	}
}

func TestWrongBinaryIsAnError(t *testing.T) {
	for _, c := range []pipeline.Column{columnOf(oidBool), columnOf(oidInt4), columnOf(oidNumeric), columnOf(oidTime),
		columnOf(oidUUID), columnOf(oidVarbit), columnOf(oidInterval), columnOf(oidJSONB), columnOf(oidInet),
		columnOf(oidTsRange), columnOf(oidTsMultirange), arrayOf(oidInt4)} {
		d := NewDecoder([]pipeline.Column{c})
		for _, src := range [][]byte{{}, {9}, {2, 2, 3}, bytes.Repeat([]byte{0xff}, 8), bytes.Repeat([]byte{0xee}, 40)} {
			if c.TypeID == oidInt4 && len(src) == 4 {
				continue
			}
			var a pipeline.Arena
			v, err := d.Binary(&a, 0, src)
			if err == nil {
				t.Errorf("type %d took % x: %s", c.TypeID, src, v)
				continue
			}
			if !strings.Contains(err.Error(), "column c") {
				t.Errorf("the error does not name the column: %v", err)
			}
		}
	}
}

func TestModifiers(t *testing.T) {
	of := func(oid uint32, mod int32) pipeline.Column {
		return ColumnOf("c", Type{OID: oid, Mod: mod, Class: 'b'})
	}
	for _, c := range []struct {
		got                      pipeline.Column
		precision, scale, length int
	}{
		{of(oidNumeric, 12<<16|2+4), 12, 2, -1},
		{of(oidNumeric, 5<<16|0x7fe+4), 5, -2, -1},
		{of(oidNumeric, -1), -1, 0, -1},
		{of(oidVarchar, 14), -1, 0, 10},
		{of(oidBit, 9), -1, 0, 9},
		{of(oidTimestampTZ, 3), 3, 0, -1},
		{of(oidInterval, 0x7fff0002), 2, 0, -1},
		{of(oidInterval, 0x7fffffff), -1, 0, -1},
	} {
		if c.got.Precision != c.precision || c.got.Scale != c.scale || c.got.Length != c.length {
			t.Errorf("%+v, want %d %d %d", c.got, c.precision, c.scale, c.length)
		}
	}
}

// benchRow is a row of ten columns, about 200 bytes, as COPY sends it.
func benchRow() ([]pipeline.Column, []byte) {
	oids := []uint32{oidInt8, oidInt4, oidInt4, oidNumeric, oidVarchar, oidText, oidTimestampTZ, oidBool, oidJSONB, oidInt8}
	cols := make([]pipeline.Column, len(oids))
	for i, oid := range oids {
		cols[i] = columnOf(oid)
	}
	be := binary.BigEndian
	num := be.AppendUint64(nil, 0x0003_0001_0000_0002)
	num = append(num, 0, 12, 0x0d, 0x80, 0x16, 0x2e)
	values := [][]byte{be.AppendUint64(nil, 1234567), be.AppendUint32(nil, 42), be.AppendUint32(nil, 7), num, []byte("customer name"),
		bytes.Repeat([]byte("t"), 100), be.AppendUint64(nil, 757382400000000), {1}, append([]byte{1}, `{"a": 1, "b": "two"}`...), be.AppendUint64(nil, 99)}
	row := be.AppendUint16(nil, uint16(len(values)))
	for _, v := range values {
		row = append(be.AppendUint32(row, uint32(len(v))), v...)
	}
	return cols, row
}

func BenchmarkCopyRow(b *testing.B) {
	cols, row := benchRow()
	d := NewDecoder(cols)
	var a pipeline.Arena
	b.SetBytes(int64(len(row)))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%1000 == 0 {
			a.Reset()
		}
		if _, err := d.CopyRow(&a, a.Values(len(cols)), a.Copy(row)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTextRow(b *testing.B) {
	cols, _ := benchRow()
	d := NewDecoder(cols)
	texts := [][]byte{[]byte("1234567"), []byte("42"), []byte("7"), []byte("123456.56"), []byte("customer name"), bytes.Repeat([]byte("t"), 100),
		[]byte("2024-01-01 12:34:56.123456+00"), []byte("t"), []byte(`{"a": 1, "b": "two"}`), []byte("99")}
	var a pipeline.Arena
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if n%1000 == 0 {
			a.Reset()
		}
		values := a.Values(len(cols))
		for i := range cols {
			var err error
			if values[i], err = d.Text(&a, i, texts[i]); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// TestDecodingDoesNotAllocate holds that a batch that is reused costs nothing.
func TestDecodingDoesNotAllocate(t *testing.T) {
	cols, row := benchRow()
	d := NewDecoder(cols)
	var a pipeline.Arena
	n := testing.AllocsPerRun(200, func() {
		a.Reset()
		for range 10 {
			if _, err := d.CopyRow(&a, a.Values(len(cols)), a.Copy(row)); err != nil {
				t.Fatal(err)
			}
		}
	})
	if n != 0 {
		t.Errorf("decoding ten rows allocates %v times", n)
	}
}

func TestCopyFraming(t *testing.T) {
	cols, row := benchRow()
	d := NewDecoder(cols)
	var a pipeline.Arena
	values := a.Values(len(cols))
	if rest, err := d.CopyRow(&a, values, append(row, "more"...)); err != nil || string(rest) != "more" {
		t.Fatalf("%q, %v", rest, err)
	}
	for n := range len(row) - 1 {
		if _, err := d.CopyRow(&a, values, row[:n]); err == nil {
			t.Fatalf("a row cut at %d was taken", n)
		}
	}
	if _, err := CopyHeader([]byte("PGCOPY\n\377\r\n")); err == nil {
		t.Error("half a header was taken")
	}
	if rest, err := CopyHeader([]byte("PGCOPY\n\377\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x02ab\xff\xff")); err != nil || !CopyEnd(rest) {
		t.Errorf("%q, %v", rest, err)
	}
}

// FuzzText holds that no text panics, and that a number, date or time that is recognised prints back.
func FuzzText(f *testing.F) {
	for _, s := range []string{"t", "-12", "1.5e10", "2024-02-29", "2024-02-29 24:00:00.5+05:30:01 BC", "23:59:60", `\x00`, "{a,b}", "NaN"} {
		f.Add(s)
	}
	oids := []uint32{oidBool, oidInt8, oidFloat8, oidFloat4, oidNumeric, oidDate, oidTime, oidTimestamp, oidTimestampTZ,
		oidBytea, oidUUID, oidVarbit, oidInterval, oidText}
	f.Fuzz(func(t *testing.T, s string) {
		for _, oid := range oids {
			v, err := decodeText(t, oid, s)
			if err != nil {
				continue
			}
			switch v.Kind() {
			case pipeline.Date, pipeline.Time, pipeline.Timestamp, pipeline.TimestampTZ:
				again, err := decodeText(t, oid, v.String())
				if err != nil || !again.Equal(v) {
					t.Fatalf("%q prints as %q, which reads as %s", s, v, again)
				}
			}
		}
	})
}

// FuzzBinary holds that no binary input panics or takes much memory.
func FuzzBinary(f *testing.F) {
	_, row := benchRow()
	f.Add(row)
	f.Add([]byte{0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 23, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 5})
	f.Add([]byte{0, 1, 0, 0, 0, 0, 0, 2, 0, 5})
	f.Add([]byte{0, 0, 0, 1, 0, 0, 0, 9, 2, 0, 0, 0, 4, 0, 0, 0, 1})
	cols := []pipeline.Column{arrayOf(oidInt4), arrayOf(oidText), arrayOf(oidNumeric)}
	for _, oid := range []uint32{oidBool, oidInt2, oidInt4, oidInt8, oidFloat4, oidFloat8, oidNumeric, oidDate, oidTime, oidTimestamp,
		oidTimeTZ, oidMoney, oidInet, oidMacaddr, oidUUID, oidVarbit, oidInterval, oidJSONB, oidInt4Range, oidTsTZRange, oidNumMultirange} {
		cols = append(cols, columnOf(oid))
	}
	d := NewDecoder(cols)
	f.Fuzz(func(t *testing.T, src []byte) {
		var a pipeline.Arena
		for i := range cols {
			_, _ = d.Binary(&a, i, src)
		}
		const most = 70_000 * 24 // a numeric shows up to 65,535 decimals that were not sent
		if a.Size() > most+64*len(src)*len(cols) {
			t.Fatalf("%d bytes take %d", len(src), a.Size())
		}
		_, _ = NewDecoder(cols[:2]).CopyRow(&a, a.Values(2), src)
		_, _ = CopyHeader(src)
	})
}
