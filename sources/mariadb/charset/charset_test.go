package charset

import (
	"bytes"
	"errors"
	"testing"
	"unicode/utf8"
)

// names are all character sets that are known.
func names() []string {
	return []string{"utf8mb4", "utf8mb3", "ascii", "binary", "ucs2", "utf16", "utf16le", "utf32", "latin1", "latin2", "latin5", "latin7",
		"cp1250", "cp1251", "cp1256", "cp1257", "cp850", "cp852", "cp866", "greek", "hebrew", "koi8r", "koi8u", "macroman", "tis620",
		"gbk", "gb2312", "big5", "sjis", "cp932", "ujis", "eucjpms", "euckr"}
}

func decoder(t testing.TB, name string) *Decoder {
	t.Helper()
	c, err := Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	return NewDecoder(c)
}

func TestAppend(t *testing.T) {
	cases := []struct {
		set, bytes, text string
		invalid          bool
	}{
		{"utf8mb4", "a\xf0\x9f\x98\x80", "a😀", false},
		{"utf8mb4", "a\xff\xfeb", "a\ufffd\ufffdb", true},
		{"ascii", "a\xc3\xa4", "a\ufffd\ufffd", true},
		{"latin1", "\xe4\x80\x81\xff", "ä€\u0081ÿ", false},
		{"cp1251", "\xcf\xf0", "Пр", false},
		{"cp1251", "\x98", "\ufffd", true},
		{"greek", "\xe1", "α", false},
		{"ucs2", "\x00a\x4e\x2d", "a中", false},
		{"ucs2", "\xd8\x3d\xde\x00", "\ufffd\ufffd", true},
		{"utf16", "\xd8\x3d\xde\x00", "😀", false},
		{"utf16", "\xd8\x3d\x00a", "\ufffda", true},
		{"utf16", "\x00", "\ufffd", true},
		{"utf16le", "\x3d\xd8\x00\xde", "😀", false},
		{"utf32", "\x00\x01\xf6\x00", "😀", false},
		{"utf32", "\x00\x11\x00\x00a", "\ufffd\ufffd", true},
		{"sjis", "\x93\xfa\xb1", "日ｱ", false},
		{"gbk", "\xd6\xd0", "中", false},
		{"gbk", "\xff", "\ufffd", true},
		{"euckr", "\xc7\xd1", "한", false},
		{"big5", "\xa4\xa4", "中", false},
		{"ujis", "\xc6\xfc", "日", false},
	}
	for _, c := range cases {
		have, err := decoder(t, c.set).Append([]byte("x"), []byte(c.bytes))
		if string(have) != "x"+c.text || errors.Is(err, ErrInvalid) != c.invalid || (err != nil) != c.invalid {
			t.Errorf("%s %q is %q, %v; want %q", c.set, c.bytes, have, err, c.text)
		}
	}
	if _, err := Lookup("swe7"); !errors.Is(err, ErrUnknown) {
		t.Errorf("swe7: %v", err)
	}
}

// FuzzDecode: what comes out is UTF-8, whatever went in; what counts as UTF-8 already is what would
// come out.
func FuzzDecode(f *testing.F) {
	for i := range names() {
		f.Add(uint8(i), []byte("a\xe4\x80~\\\x81\x00"))
	}
	f.Fuzz(func(t *testing.T, n uint8, p []byte) {
		name := names()[int(n)%len(names())]
		d := decoder(t, name)
		out, err := d.Append(nil, p)
		if name != "binary" && !utf8.Valid(out) {
			t.Fatalf("%s: %q became %q", name, p, out)
		}
		if d.Direct(p) && (err != nil || !bytes.Equal(out, p)) {
			t.Fatalf("%s: %q counts as UTF-8 and became %q, %v", name, p, out, err)
		}
	})
}

func TestAllocations(t *testing.T) {
	dst, text := make([]byte, 0, 256), []byte("text of some length \xe4\xb8")
	for _, name := range []string{"utf8mb4", "latin1", "sjis", "utf16"} {
		d := decoder(t, name)
		if n := testing.AllocsPerRun(50, func() { dst, _ = d.Append(dst[:0], text) }); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
