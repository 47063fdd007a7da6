package postgres

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/codec/pgtext"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
)

// script is a connection that answers with fixed bytes.
type script struct {
	net.Conn
	io.Reader
}

func (s script) Read(p []byte) (int, error)  { return s.Reader.Read(p) }
func (s script) Write(p []byte) (int, error) { return len(p), nil }
func (s script) SetDeadline(time.Time) error { return nil }

func message(typ byte, body string) string {
	return string(typ) + string(binary.BigEndian.AppendUint32(nil, uint32(len(body)+4))) + body
}

func copyField(text string) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(len(text)))) + text
}

// answer is what a server says to the query of a chunk that has the given texts.
func answer(texts ...string) string {
	out := message('C', "LOCK TABLE\x00") + message('T', "\x00\x01") + message('D', "\x00\x01\x00\x00\x00\x01t") + message('C', "SELECT 1\x00") +
		message('H', "\x01\x00\x01\x00\x01")
	header := "PGCOPY\n\377\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	for _, text := range texts {
		out += message('d', header+"\x00\x01"+copyField(text))
		header = ""
	}
	return out + message('d', header+"\xff\xff") + message('c', "") + message('C', "COPY\x00") + message('Z', "T")
}

// readScript reads one chunk of a table with one text column from r.
func readScript(t testing.TB, r io.Reader) ([]string, error) {
	t.Helper()
	column := pgtext.ColumnOf("v", pgtext.Type{OID: 25, Mod: -1, Class: 'b'})
	schema := &pipeline.Schema{Namespace: "public", Table: "t", Columns: []pipeline.Column{column}}
	p := &part{snapshotTable: &snapshotTable{Schema: schema}, leaf: &relation{Namespace: "public", Name: "t"},
		decoder: pgtext.NewDecoder(schema.Columns), columns: "v"}
	out := &pipetest.Collect{}
	w := &snapshotWorker{snapshotter: &snapshotter{Attempt: newAttempt(1, identity{}, 1)}, parts: map[string]*part{"public.t": p},
		out: out, wire: newWire(script{Reader: r})}
	err := w.Read(t.Context(), &snapshot.Chunk{Table: "public.t", Part: "public.t"})
	var texts []string
	for _, b := range out.Batches() {
		for i := range b.Rows {
			texts = append(texts, b.Rows[i].Values[0].String())
		}
	}
	return texts, err
}

func TestWireTakesAnySplit(t *testing.T) {
	large := strings.Repeat("x", 2*wireBuffer+17)
	want := []string{"a", strings.Repeat("y", wireBuffer-100), large, "", "z"}
	text := answer(want...)
	for name, r := range map[string]io.Reader{
		"at once":      strings.NewReader(text),
		"byte by byte": iotest.OneByteReader(strings.NewReader(text)),
		"by halves":    iotest.HalfReader(strings.NewReader(text)),
		"error at end": iotest.DataErrReader(strings.NewReader(text)),
	} {
		got, err := readScript(t, r)
		if err != nil || strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("%s: %d rows, %v", name, len(got), err)
		}
	}
}

func TestWireErrors(t *testing.T) {
	good := answer("a", "b")
	for name, c := range map[string]struct{ text, want string }{
		"cut off":          {good[:len(good)-20], "unexpected EOF"},
		"rewritten":        {strings.Replace(good, "\x01t", "\x01f", 1), "rewritten"},
		"no trailer":       {strings.Replace(good, message('d', "\xff\xff"), "", 1), "trailer"},
		"no header":        {strings.Replace(good, "PGCOPY", "PGC0PY", 1), "signature"},
		"negative length":  {"d\xff\xff\xff\xff", "length"},
		"enormous length":  {"d\x7f\xff\xff\xff", "length"},
		"a server's error": {message('E', "SERROR\x00C22012\x00Mdivision by zero\x00\x00") + message('Z', "E"), "22012"},
		"wrong columns":    {strings.Replace(good, "\x00\x01\x00\x00\x00\x01b", "\x00\x02\x00\x00\x00\x01b", 1), "columns"},
	} {
		if _, err := readScript(t, strings.NewReader(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzWire holds that nothing a server may say panics, hangs or is taken for a whole chunk.
func FuzzWire(f *testing.F) {
	f.Add([]byte(answer("a", "b")))
	f.Add([]byte(answer()))
	f.Fuzz(func(t *testing.T, src []byte) {
		const most = 1 << 20 // a length alone makes room for its message
		for i := 0; i+5 <= len(src); i++ {
			if n := binary.BigEndian.Uint32(src[i+1:]); src[i] == msgCopyData && n > most && n < 1<<31 {
				return
			}
		}
		if _, err := readScript(t, bytes.NewReader(src)); err == nil && !bytes.Contains(src, []byte("PGCOPY")) {
			t.Fatalf("%q was taken for a chunk", src)
		}
	})
}
