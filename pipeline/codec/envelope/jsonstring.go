package envelope

import "unicode/utf8"

const hexDigits = "0123456789abcdef"

// AppendJSONString appends s as a JSON string. Beyond what JSON asks for it escapes DEL, the C1
// controls, line separators and the bidirectional overrides, so that data can neither drive a
// terminal nor disguise itself. Invalid UTF-8 becomes U+FFFD.
func AppendJSONString[T string | []byte](dst []byte, s T) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < 0x7f && c != '"' && c != '\\' {
			i++
			continue
		}
		if c < utf8.RuneSelf {
			dst = append(dst, s[start:i]...)
			dst = AppendEscape(dst, rune(c))
			i++
			start = i
			continue
		}
		r, n := decodeRune(s[i:min(len(s), i+utf8.UTFMax)])
		if bad := r == utf8.RuneError && n == 1; bad || Hidden(r) {
			dst = append(dst, s[start:i]...)
			dst = AppendEscape(dst, r)
			start = i + n
		}
		i += n
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

func decodeRune[T string | []byte](s T) (rune, int) {
	var buf [utf8.UTFMax]byte
	n := copy(buf[:], s)
	return utf8.DecodeRune(buf[:n])
}

// Hidden reports whether a rune beyond ASCII controls a terminal or the direction of text.
func Hidden(r rune) bool {
	return r <= 0x9f || r == 0x2028 || r == 0x2029 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

// AppendEscape appends a rune of the basic plane as its escape sequence in a JSON string.
func AppendEscape(dst []byte, r rune) []byte {
	switch r {
	case '"', '\\':
		return append(dst, '\\', byte(r))
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return append(dst, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}
