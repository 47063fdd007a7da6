package engine

import (
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
)

// Move says that the source at To had the address From: the positions saved under it are taken over.
// An address without a key, source.shop, stands for all instances: source.shop["eu"] too.
type Move struct{ From, To string }

// rename gives the streams of moved sources their new names. A stream that is there under the new
// name already has been moved before, and wins.
func rename(cp pipeline.Checkpoint, moves []Move) pipeline.Checkpoint {
	if len(moves) == 0 {
		return cp
	}
	out := cp.Clone()
	for stream, pos := range cp {
		to, ok := moved(string(stream), moves)
		if !ok {
			continue
		}
		delete(out, stream)
		if _, there := cp[pipeline.Stream(to)]; !there {
			out[pipeline.Stream(to)] = pos
		}
	}
	return out
}

// moved returns the new name of a qualified stream.
func moved(stream string, moves []Move) (string, bool) {
	for _, m := range moves {
		rest, ok := strings.CutPrefix(stream, m.From)
		if ok && rest != "" && (rest[0] == '/' || rest[0] == '[') {
			return m.To + rest, true
		}
	}
	return "", false
}
