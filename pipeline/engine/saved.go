package engine

import (
	"maps"
	"slices"

	"github.com/pipe-cdc/pipe/pipeline"
)

// Saved returns where a run would begin, by what its store and Keepers have: stored is the store's, kept
// each Keeper's by its address, behind the sinks that each source's rows may reach. It is what resume
// finds, for those who only look.
func Saved(stored pipeline.Checkpoint, kept map[string]pipeline.Checkpoint, behind map[string][]string,
	moves []Move) pipeline.Checkpoint {
	stored = rename(stored.Clone(), moves)
	out := stored.Clone()
	for _, address := range slices.Sorted(maps.Keys(behind)) {
		s := &source{address: address}
		own := map[*sink]pipeline.Checkpoint{}
		for _, k := range behind[address] {
			x := &sink{address: k}
			s.sinks = append(s.sinks, x)
			if cp, ok := kept[k]; ok {
				own[x] = rename(cp, moves)
			}
		}
		for stream := range stored.Of(address) {
			delete(out, stream.In(address))
		}
		if len(s.sinks) > 0 {
			maps.Copy(out, least(s, stored, own))
		}
	}
	return out
}
