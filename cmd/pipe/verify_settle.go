package main

import (
	"context"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/snapshot"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// The bounds of looking again.
const (
	maxLooks = 8 // a row needs four, so it may change four times meanwhile
	// sureAfter is how many looks in a row the source's row has to be the same, and the target's not. A row
	// that goes to and fro may be met so by chance: with thousands on their way three are too few.
	sureAfter   = 4
	heldAtOnce  = 1000
	awaitEvery  = 250 * time.Millisecond
	standsAfter = 3 * time.Second // without a step of the target's position
	standsAgain = time.Second     // the same, once it was seen to stand
)

// arrival says whether the target has reached the place at which the source was read.
type arrival uint8

const (
	notYet arrival = iota // not in time
	there                 // it has
	stuck                 // it has not and does not move: the pipeline is not running, or has nothing to save
)

// settle looks again at what differed. A row that is the same at the source in four looks, between which
// the target has passed the place of each look, cannot differ because it is on its way.
func (p *verifyPass) settle(ctx context.Context, k *verifySink) error {
	seed := maphash.MakeSeed()
	var arrived []arrival
	for n := range maxLooks {
		open := slices.DeleteFunc(slices.Clone(k.candidates), func(c *candidate) bool { return c.done })
		if len(open) == 0 {
			break
		}
		fence, err := p.look(ctx, k, open, seed)
		if err != nil {
			return err
		}
		for _, c := range open {
			k.decide(c, n, arrived, p.live)
		}
		if n == maxLooks-1 {
			break
		}
		a, err := p.await(ctx, k.Sink, fence)
		if err != nil {
			return err
		}
		arrived = append(arrived, a)
	}
	k.finish(arrived)
	return nil
}

// look reads the rows of candidates at the source and compares them.
func (p *verifyPass) look(ctx context.Context, k *verifySink, open []*candidate, seed maphash.Seed) (spec.Fence, error) {
	var keys [][]string
	asked := map[string]bool{}
	for _, c := range open {
		c.seen, c.kind, c.columns = false, "", nil
		if id := strings.Join(c.source, "\x00"); !asked[id] {
			asked[id] = true
			keys = append(keys, c.source)
		}
	}
	out := newRowOutput(func(b *pipeline.Batch) error { return k.lookAt(ctx, b, seed) })
	fence, err := p.reader.Read(ctx, p.table.Schema.Name(), keys, out)
	if err != nil {
		return fence, err
	}
	for _, c := range open {
		if !c.seen {
			c.hashes = append(c.hashes, 0)
		}
	}
	if err := k.held(ctx, open); err != nil {
		return fence, at(k.Sink, err)
	}
	return fence, nil
}

// lookAt compares a batch of candidates' rows.
func (k *verifySink) lookAt(ctx context.Context, b *pipeline.Batch, seed maphash.Seed) error {
	groups, err := k.through(b)
	if err != nil {
		return err
	}
	for s, g := range groups {
		target, err := k.comparer.Target(s)
		if err != nil {
			return err
		}
		err = k.comparer.Compare(ctx, s, g.rows, false, true, func(found spec.Comparison) {
			c := k.byKey[candidateID(target, found.Key)]
			if c == nil || c.done || c.seen {
				return
			}
			c.seen = true
			c.hashes = append(c.hashes, hashRow(seed, &b.Rows[g.from[found.Row]]))
			switch {
			case found.Missing:
				c.kind = "missing"
			case !found.Same():
				c.kind, c.columns = "different", found.Columns
			}
		})
		if err != nil {
			return at(k.Sink, err)
		}
	}
	return nil
}

// held asks the target for the candidates that the source does not have.
func (k *verifySink) held(ctx context.Context, open []*candidate) error {
	bySchema := map[*pipeline.Schema][]*candidate{}
	for _, c := range open {
		if !c.seen {
			bySchema[c.schema] = append(bySchema[c.schema], c)
		}
	}
	for s, all := range bySchema {
		for part := range slices.Chunk(all, heldAtOnce) {
			keys := make([][]string, len(part))
			for i, c := range part {
				keys[i] = c.key
			}
			there, err := k.comparer.Held(ctx, s, keys)
			if err != nil {
				return err
			}
			for i, c := range part {
				if there[i] {
					c.kind = "extra"
				}
			}
		}
	}
	return nil
}

// decide says what the n-th look tells of a candidate.
func (k *verifySink) decide(c *candidate, n int, arrived []arrival, live bool) {
	if c.kind == "" { // whatever it was: now they are equal
		c.done = true
	}
	if c.done || n < sureAfter-1 {
		return
	}
	for i := n - sureAfter + 1; i < n; i++ {
		sure := arrived[i] == there || arrived[i] == stuck && !live
		if !sure || c.hashes[i] != c.hashes[n] {
			return
		}
	}
	c.done = true
	switch c.kind {
	case "missing":
		k.Missing++
	case "extra":
		k.Extra++
	default:
		k.Different++
	}
	if c.kind != "extra" {
		k.verified.repair = append(k.verified.repair, c.source)
	}
	shown := 0
	for _, d := range k.Found {
		if d.Kind == c.kind {
			shown++
		}
	}
	if shown < maxShown {
		k.Found = append(k.Found, difference{Kind: c.kind, Key: keyLine(c.schema, c.key), Columns: c.columns})
	}
}

// finish counts what is left.
func (k *verifySink) finish(arrived []arrival) {
	left := k.dropped
	for _, c := range k.candidates {
		if !c.done {
			left++
		}
	}
	k.Undecided += left
	slices.SortStableFunc(k.Found, func(a, b difference) int { return strings.Compare(a.Kind, b.Kind) })
	if k.dropped > 0 {
		k.note(fmt.Sprintf("more than %s rows differed at first: the others are undecided", grouped(maxCandidates)))
	}
	if slices.Contains(arrived, stuck) {
		k.note("the target's position stands before the place that was read: what the pipeline has not delivered yet differs too")
	}
	if slices.Contains(arrived, notYet) {
		k.note("the target did not reach the place that was read in time: raise --wait")
	}
}

// await waits until the sink has everything that lies before the fence.
func (p *verifyPass) await(ctx context.Context, sink string, f spec.Fence) (arrival, error) {
	if f.Stream == "" {
		return there, nil
	}
	n := p.config.Node(sink)
	reader, ok := n.Def.(spec.StateReader)
	if !ok {
		return stuck, nil
	}
	stream, began := f.Stream.In(p.source), time.Now()
	moved, last, patience := began, pipeline.Position(""), standsAfter
	stood, known := p.stood[stream]
	if known {
		patience = standsAgain
	}
	for {
		cp, err := reader.State(ctx, p.in.planEnv(n))
		if err != nil {
			return notYet, at(sink, err)
		}
		pos, now := cp[stream], time.Now()
		if pos >= f.Pos {
			return there, nil
		}
		if pos != last && last != "" {
			moved = now
		}
		last = pos
		switch { // a server that is idle tells its replicas so every half wal_sender_timeout only: a live one is waited for
		case !p.live && (known && pos == stood || now.Sub(moved) >= patience):
			p.stood[stream] = pos
			return stuck, nil
		case now.Sub(began) >= p.wait:
			return notYet, nil
		}
		p.line.show(fmt.Sprintf("%s: waiting until %s has what was read", p.table.Schema.Name(), sink), now)
		select {
		case <-ctx.Done():
			return notYet, ctx.Err()
		case <-time.After(awaitEvery):
		}
	}
}

// hashRow tells rows apart by what is in them.
func hashRow(seed maphash.Seed, r *pipeline.Row) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	whole := *r.Schema
	whole.Key = nil                                           // all columns count
	_, _ = h.Write(snapshot.AppendKey(nil, &whole, r.Values)) // never fails
	return h.Sum64() | 1                                      // 0 is "the source does not have it"
}

// keyLine renders a key: "id=7, region=eu".
func keyLine(s *pipeline.Schema, key []string) string {
	parts := make([]string, len(key))
	for n, text := range key {
		parts[n] = s.Columns[s.Key[n]].Name + "=" + text
	}
	return strings.Join(parts, ", ")
}
