package checkpoint

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
)

// A state file is text:
//
//	pipe checkpoint 1
//	pipeline<TAB>shop
//	stream<TAB>position          sorted by stream, one line each
//	crc32<TAB>0badcafe           of all bytes before this line; the last line
//
// Backslash, tab, line feed and carriage return in a field are written \\ \t \n \r.
const (
	magic  = "pipe checkpoint "
	format = "1"
)

// Reasons for refusing a file.
var (
	errEmpty   = errors.New("the file is empty")
	errForeign = errors.New("the file is not a checkpoint of pipe")
	errTorn    = errors.New("the file is cut off or damaged")
)

// appendState appends the state file of a checkpoint.
func appendState(dst []byte, pipelineName string, cp pipeline.Checkpoint) []byte {
	start := len(dst)
	dst = append(append(append(dst, magic...), format...), '\n')
	dst = appendLine(dst, "pipeline", pipelineName)
	for _, s := range cp.Streams() {
		dst = appendLine(dst, string(s), string(cp[s]))
	}
	sum := crc32.ChecksumIEEE(dst[start:])
	return fmt.Appendf(dst, "crc32\t%08x\n", sum)
}

func appendLine(dst []byte, key, value string) []byte {
	dst = append(appendField(dst, key), '\t')
	return append(appendField(dst, value), '\n')
}

func appendField(dst []byte, s string) []byte {
	for i := range len(s) {
		switch s[i] {
		case '\\':
			dst = append(dst, `\\`...)
		case '\t':
			dst = append(dst, `\t`...)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		default:
			dst = append(dst, s[i])
		}
	}
	return dst
}

// parseState is the inverse of appendState. It refuses everything that appendState would not have
// written.
func parseState(data []byte) (name string, cp pipeline.Checkpoint, err error) {
	if len(data) == 0 {
		return "", nil, errEmpty
	}
	head, rest, ok := bytes.Cut(data, []byte("\n"))
	version, ours := strings.CutPrefix(string(head), magic)
	if !ours {
		return "", nil, errForeign
	}
	if ok && version != format {
		return "", nil, fmt.Errorf("the file has format %.20q, this version of pipe reads %q", version, format)
	}
	body, err := checkSum(data)
	if err != nil {
		return "", nil, err
	}
	lines := strings.Split(strings.TrimSuffix(string(body[len(data)-len(rest):]), "\n"), "\n")
	key, name, err := parseLine(lines[0])
	if err != nil || key != "pipeline" {
		return "", nil, errors.Join(errTorn, err)
	}
	cp = pipeline.Checkpoint{}
	for _, line := range lines[1:] {
		stream, pos, err := parseLine(line)
		if err != nil {
			return "", nil, err
		}
		if _, twice := cp[pipeline.Stream(stream)]; twice {
			return "", nil, fmt.Errorf("%w: the stream %.80q occurs twice", errTorn, stream)
		}
		cp[pipeline.Stream(stream)] = pipeline.Position(pos)
	}
	return name, cp, nil
}

// checkSum returns what the last line's checksum covers.
func checkSum(data []byte) ([]byte, error) {
	const length = len("crc32\t00000000\n")
	if len(data) < length || data[len(data)-1] != '\n' {
		return nil, fmt.Errorf("%w: its last line is not its checksum", errTorn)
	}
	body, last := data[:len(data)-length], string(data[len(data)-length:len(data)-1])
	hex, ok := strings.CutPrefix(last, "crc32\t")
	sum, err := strconv.ParseUint(hex, 16, 32)
	if !ok || err != nil || len(body) == 0 || body[len(body)-1] != '\n' {
		return nil, fmt.Errorf("%w: its last line is not its checksum", errTorn)
	}
	if have := crc32.ChecksumIEEE(body); have != uint32(sum) {
		return nil, fmt.Errorf("%w: its checksum is %08x and should be %s", errTorn, have, hex)
	}
	return body, nil
}

func parseLine(line string) (key, value string, err error) {
	k, v, ok := strings.Cut(line, "\t")
	if !ok {
		return "", "", fmt.Errorf("%w: a line without a tab: %.80q", errTorn, line)
	}
	if key, err = parseField(k); err != nil {
		return "", "", err
	}
	value, err = parseField(v)
	return key, value, err
}

func parseField(s string) (string, error) {
	if !strings.ContainsAny(s, "\\\t\r") {
		return s, nil
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\t' || s[i] == '\r' {
			return "", fmt.Errorf("%w: an unescaped control character in %.80q", errTorn, s)
		}
		if s[i] != '\\' {
			out = append(out, s[i])
			continue
		}
		i++
		plain := -1
		if i < len(s) {
			plain = strings.IndexByte(`\tnr`, s[i])
		}
		if plain < 0 {
			return "", fmt.Errorf("%w: an unknown escape in %.80q", errTorn, s)
		}
		out = append(out, "\\\t\n\r"[plain])
	}
	return string(out), nil
}
