package engine

import (
	"context"

	"github.com/pipe-cdc/pipe/pipeline"
)

// await waits, source by source, while another process reads what they would: only then may the
// fences be claimed.
func (e *Engine) await(ctx context.Context) error {
	for _, s := range e.sources {
		x, ok := s.src.(pipeline.Exclusive)
		if !ok {
			continue
		}
		if err := e.guard(s.address, func() error { return x.Await(ctx) }); err != nil {
			return atNode(s.address, err)
		}
	}
	return nil
}

// resume loads where to begin: for each stream the least of what the store and the Keepers have. A
// stream that one of them lacks begins anew: that one has nothing of it (invariant 1). Keepers trim
// what they have beyond that. Positions of sources that are not in the graph are kept as they are.
func (e *Engine) resume(ctx context.Context) (pipeline.Checkpoint, error) {
	stored := pipeline.Checkpoint{}
	if err := e.held(ctx); err != nil { // it was held up meanwhile, and must take no fence
		return nil, err
	}
	if e.store != nil {
		cp, err := e.store.Load(ctx)
		if err != nil {
			return nil, atNode("state", err)
		}
		stored = rename(cp.Clone(), e.moves)
	}
	kept := map[*sink]pipeline.Checkpoint{}
	for _, k := range e.sinks {
		keeper, ok := k.sink.(pipeline.Keeper)
		if !ok {
			continue
		}
		err := e.guard(k.address, func() (err error) {
			kept[k], err = keeper.Checkpoint(ctx)
			return err
		})
		if err != nil {
			return nil, atNode(k.address, err)
		}
		kept[k] = rename(kept[k], e.moves)
	}
	out := stored.Clone()
	for _, s := range e.sources {
		for stream := range stored.Of(s.address) {
			delete(out, stream.In(s.address))
		}
		for stream, pos := range least(s, stored, kept) {
			out[stream] = pos
		}
	}
	return out, nil
}

// least returns the positions, by qualified name, that everything behind a source has reached.
func least(s *source, stored pipeline.Checkpoint, kept map[*sink]pipeline.Checkpoint) pipeline.Checkpoint {
	var all []pipeline.Checkpoint
	plain := false
	for _, k := range s.sinks {
		if cp, ok := kept[k]; ok {
			all = append(all, cp)
		} else {
			plain = true
		}
	}
	if plain {
		all = append(all, stored)
	}
	out := pipeline.Checkpoint{}
	for stream, pos := range all[0] {
		if _, ours := stream.Local(s.address); !ours {
			continue
		}
		for _, cp := range all[1:] {
			pos = min(pos, cp[stream])
		}
		out.Apply(stream, pos)
	}
	return out
}
