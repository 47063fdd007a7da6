package charset

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
)

// ErrUnknown says that a character set cannot be converted.
var ErrUnknown = errors.New("unknown character set")

// form is how the bytes of a character set are read.
type form uint8

const (
	formUTF8 form = iota
	formASCII
	formBinary
	formSingle
	formUTF16
	formUTF16LE
	formUCS2
	formUTF32
	formMulti
)

// Charset is one character set. It is immutable; a Decoder reads text with it.
type Charset struct {
	Name  string // as the server says it: "utf8mb4", "latin1"
	form  form
	table *[256]rune        // of a single-byte set; utf8.RuneError where a byte is not defined
	multi encoding.Encoding // of a multi-byte set
}

// Binary reports whether the character set is binary: its columns hold bytes, not text.
func (c *Charset) Binary() bool { return c.form == formBinary }

// Lookup returns the character set that the server calls name.
func Lookup(name string) (*Charset, error) {
	c := &Charset{Name: name}
	switch name {
	case "utf8mb4", "utf8mb3", "utf8", "filename":
		c.form = formUTF8
	case "ascii":
		c.form = formASCII
	case "binary":
		c.form = formBinary
	case "ucs2":
		c.form = formUCS2
	case "utf16":
		c.form = formUTF16
	case "utf16le":
		c.form = formUTF16LE
	case "utf32":
		c.form = formUTF32
	default:
		if m := single(name); m != nil {
			c.form, c.table = formSingle, tableOf(name, m)
			return c, nil
		}
		if c.multi = multi(name); c.multi == nil {
			return nil, fmt.Errorf("%w %q", ErrUnknown, name)
		}
		c.form = formMulti
	}
	return c, nil
}

// single returns the single-byte character set of that name; nil where it is none.
func single(name string) *charmap.Charmap {
	switch name {
	case "latin1":
		return charmap.Windows1252
	case "latin2":
		return charmap.ISO8859_2
	case "latin5":
		return charmap.ISO8859_9
	case "latin7":
		return charmap.ISO8859_13
	case "cp1250":
		return charmap.Windows1250
	case "cp1251":
		return charmap.Windows1251
	case "cp1256":
		return charmap.Windows1256
	case "cp1257":
		return charmap.Windows1257
	case "cp850":
		return charmap.CodePage850
	case "cp852":
		return charmap.CodePage852
	case "cp866":
		return charmap.CodePage866
	case "greek":
		return charmap.ISO8859_7
	case "hebrew":
		return charmap.ISO8859_8
	case "koi8r":
		return charmap.KOI8R
	case "koi8u":
		return charmap.KOI8U
	case "macroman":
		return charmap.Macintosh
	case "tis620":
		return charmap.Windows874
	}
	return nil
}

// multi returns the multi-byte character set of that name; nil where it is none.
func multi(name string) encoding.Encoding {
	switch name {
	case "gbk", "gb2312":
		return simplifiedchinese.GBK
	case "big5":
		return traditionalchinese.Big5
	case "sjis", "cp932":
		return japanese.ShiftJIS
	case "ujis", "eucjpms":
		return japanese.EUCJP
	case "euckr":
		return korean.EUCKR
	}
	return nil
}

// tableOf lists what each byte stands for. MariaDB's latin1 is cp1252 with the five bytes that it
// leaves open mapped to the control characters of the same number.
func tableOf(name string, m *charmap.Charmap) *[256]rune {
	var t [256]rune
	for i := range t {
		t[i] = m.DecodeByte(byte(i))
		if t[i] == utf8.RuneError && name == "latin1" {
			t[i] = rune(i)
		}
	}
	return &t
}
