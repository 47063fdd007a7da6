package pgoutput

import (
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// build makes a message: byte, uint16, uint32, uint64 big endian, string with its zero byte, []byte raw.
func build(parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		switch p := p.(type) {
		case rune:
			b = append(b, byte(p))
		case byte:
			b = append(b, p)
		case uint16:
			b = binary.BigEndian.AppendUint16(b, p)
		case uint32:
			b = binary.BigEndian.AppendUint32(b, p)
		case uint64:
			b = binary.BigEndian.AppendUint64(b, p)
		case string:
			b = append(append(b, p...), 0)
		case []byte:
			b = append(b, p...)
		}
	}
	return b
}

func text(s string) []byte { return append(build('t', uint32(len(s))), s...) }

var samples = map[string][]byte{
	"begin":    build('B', uint64(100), uint64(5), uint32(7)),
	"commit":   build('C', byte(0), uint64(100), uint64(110), uint64(5)),
	"relation": build('R', uint32(9), "Sch", "Tab", 'd', uint16(2), byte(1), "id", uint32(20), uint32(0xffffffff), byte(0), "x y", uint32(25), uint32(4)),
	"type":     build('Y', uint32(9), "s", "mood"),
	"origin":   build('O', uint64(3), "node"),
	"message":  build('M', byte(1), uint64(8), "pre", uint32(2), []byte("ab")),
	"insert":   build('I', uint32(9), 'N', uint16(3), text("1"), 'n', 'u'),
	"updateK":  build('U', uint32(9), 'K', uint16(2), text("1"), 'n', 'N', uint16(2), text("2"), 'u'),
	"updateO":  build('U', uint32(9), 'O', uint16(1), text("1"), 'N', uint16(1), 'b', uint32(2), []byte{1, 2}),
	"update":   build('U', uint32(9), 'N', uint16(1), text("")),
	"delete":   build('D', uint32(9), 'K', uint16(1), text("1")),
	"truncate": build('T', uint32(2), byte(3), uint32(9), uint32(10)),
	"sstart":   build('S', uint32(7), byte(1)),
	"sstop":    build('E'),
	"scommit":  build('c', uint32(7), byte(0), uint64(100), uint64(110), uint64(5)),
	"sabort":   build('A', uint32(7), uint32(8)),
	"sabort4":  build('A', uint32(7), uint32(8), uint64(77), uint64(5)),
	"bprepare": build('b', uint64(100), uint64(110), uint64(5), uint32(7), "gid"),
	"prepare":  build('P', byte(0), uint64(100), uint64(110), uint64(5), uint32(7), "gid"),
	"cprep":    build('K', byte(0), uint64(100), uint64(110), uint64(5), uint32(7), "gid"),
	"rprep":    build('r', byte(0), uint64(100), uint64(110), uint64(4), uint64(5), uint32(7), "gid"),
	"sprepare": build('p', byte(0), uint64(100), uint64(110), uint64(5), uint32(7), "gid"),
}

func TestDecode(t *testing.T) {
	want := map[string]Message{
		"begin":    {Kind: Begin, LSN: 100, Time: 5, XID: 7},
		"commit":   {Kind: Commit, LSN: 100, EndLSN: 110, Time: 5},
		"type":     {Kind: Type, RelationID: 9, Namespace: []byte("s"), Name: []byte("mood")},
		"origin":   {Kind: Origin, LSN: 3, Name: []byte("node")},
		"message":  {Kind: Logical, Flags: 1, LSN: 8, Prefix: []byte("pre"), Content: []byte("ab")},
		"truncate": {Kind: Truncate, Flags: TruncateCascade | TruncateIdentity, Relations: []uint32{9, 10}},
		"sstart":   {Kind: StreamStart, XID: 7, First: true},
		"sstop":    {Kind: StreamStop},
		"scommit":  {Kind: StreamCommit, XID: 7, LSN: 100, EndLSN: 110, Time: 5},
		"sabort":   {Kind: StreamAbort, XID: 7, SubXID: 8},
		"sabort4":  {Kind: StreamAbort, XID: 7, SubXID: 8, LSN: 77, Time: 5},
		"bprepare": {Kind: BeginPrepare, XID: 7, LSN: 100, EndLSN: 110, Time: 5, GID: []byte("gid")},
		"prepare":  {Kind: Prepare, XID: 7, LSN: 100, EndLSN: 110, Time: 5, GID: []byte("gid")},
		"cprep":    {Kind: CommitPrepared, XID: 7, LSN: 100, EndLSN: 110, Time: 5, GID: []byte("gid")},
		"rprep":    {Kind: RollbackPrepared, XID: 7, LSN: 110, EndLSN: 110, Time: 5, GID: []byte("gid")},
		"sprepare": {Kind: StreamPrepare, XID: 7, LSN: 100, EndLSN: 110, Time: 5, GID: []byte("gid")},
		"relation": {Kind: Relation, RelationID: 9, Namespace: []byte("Sch"), Name: []byte("Tab"), Identity: 'd',
			Columns: []RelationColumn{{Name: []byte("id"), TypeID: 20, Mod: -1, Key: true}, {Name: []byte("x y"), TypeID: 25, Mod: 4}}},
		"insert":  {Kind: Insert, RelationID: 9, New: []Column{{Off: 13, Len: 1, Kind: Text}, {Kind: Null}, {Kind: Unchanged}}},
		"updateK": {Kind: Update, RelationID: 9, OldKind: OldKey, Old: []Column{{Off: 13, Len: 1, Kind: Text}, {Kind: Null}}, New: []Column{{Off: 23, Len: 1, Kind: Text}, {Kind: Unchanged}}},
		"updateO": {Kind: Update, RelationID: 9, OldKind: OldRow, Old: []Column{{Off: 13, Len: 1, Kind: Text}}, New: []Column{{Off: 22, Len: 2, Kind: Binary}}},
		"update":  {Kind: Update, RelationID: 9, New: []Column{{Off: 13, Kind: Text}}},
		"delete":  {Kind: Delete, RelationID: 9, OldKind: OldKey, Old: []Column{{Off: 13, Len: 1, Kind: Text}}},
	}
	for name, data := range samples {
		var d Decoder
		if err := d.Decode(data); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(want[name], d.Message); diff != "" {
			t.Errorf("%s: -want +got\n%s", name, diff)
		}
	}
}

func TestDecodeInStream(t *testing.T) {
	var d Decoder
	decode := func(b []byte) {
		t.Helper()
		if err := d.Decode(b); err != nil {
			t.Fatal(err)
		}
	}
	decode(samples["sstart"])
	decode(build('I', uint32(77), uint32(9), 'N', uint16(1), text("abc")))
	if d.XID != 77 || d.RelationID != 9 || string(d.New[0].Bytes(d.data)) != "abc" {
		t.Errorf("got xid %d relation %d", d.XID, d.RelationID)
	}
	decode(samples["sstop"])
	decode(samples["insert"])
	if d.XID != 0 {
		t.Errorf("xid %d outside of a stream block", d.XID)
	}
}

func TestDecodeRefusesEveryPrefixAndTail(t *testing.T) {
	for name, data := range samples {
		for n := range data {
			if name == "sabort4" && n == 9 {
				continue // the shorter form of the message
			}
			var d Decoder
			if err := d.Decode(data[:n]); err == nil {
				t.Errorf("%s cut to %d of %d bytes was accepted", name, n, len(data))
			}
		}
		var d Decoder
		if err := d.Decode(append(data[:len(data):len(data)], 0)); err == nil {
			t.Errorf("%s with a byte too many was accepted", name)
		}
	}
}

func TestDecodeRefusesUnknown(t *testing.T) {
	for _, data := range [][]byte{{}, {'Z'}, build('I', uint32(9), 'X', uint16(0)), build('I', uint32(9), 'N', uint16(1), 'x'),
		build('U', uint32(9), 'Q'), build('D', uint32(9), 'N', uint16(0))} {
		var d Decoder
		if err := d.Decode(data); err == nil {
			t.Errorf("%q was accepted", data)
		}
	}
}

func wideRow() []byte {
	row := build('I', uint32(9), 'N', uint16(10))
	for range 9 {
		row = append(row, text("0123456789abcdef")...)
	}
	return append(row, 'n')
}

func TestDecodeAllocatesNothing(t *testing.T) {
	var d Decoder
	row, rel := wideRow(), samples["relation"]
	d.Decode(row)
	d.Decode(rel)
	if n := testing.AllocsPerRun(100, func() { d.Decode(row); d.Decode(rel) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkDecode(b *testing.B) {
	var d Decoder
	row := wideRow()
	b.ReportAllocs()
	for b.Loop() {
		if err := d.Decode(row); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, data := range samples {
		f.Add(data, false)
		f.Add(data, true)
	}
	f.Fuzz(func(t *testing.T, data []byte, inStream bool) {
		var d Decoder
		d.SetInStream(inStream)
		if d.Decode(data) != nil {
			return
		}
		for _, c := range append(append([]Column{}, d.Old...), d.New...) {
			_ = c.Bytes(data)
		}
	})
}
