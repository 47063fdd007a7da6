package postgres

import (
	"cmp"
	"hash/maphash"
	"slices"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
)

// outcome is what became of a key.
type outcome uint8

const (
	removed outcome = iota // deleted
	full                   // all values are known
	partly                 // some are not: the row must be there
)

// slot is the last state of one key.
type slot struct {
	row    *pipeline.Row // that brought it last, for messages
	values []pipeline.Value
	state  outcome
}

// compactor keeps the last state of each key of a run of rows. It is reused; its memory is its own.
type compactor struct {
	arena pipeline.Arena
	seed  maphash.Seed
	key   []int
	slots []slot
	index []int32 // open addressing: slot + 1, or 0
	order []keyed
}

// keyed is a slot with its sort key where that is a single integer.
type keyed struct {
	key  int64
	slot int32
}

func (c *compactor) reset(key []int, rows int) {
	if c.seed == (maphash.Seed{}) {
		c.seed = maphash.MakeSeed()
	}
	c.arena.Reset()
	clear(c.slots)
	c.key, c.slots = key, c.slots[:0]
	size := 16
	for size < 2*rows {
		size *= 2
	}
	if len(c.index) >= size {
		c.index = c.index[:size]
		clear(c.index)
		return
	}
	c.index = make([]int32, size)
}

// find returns the slot of a key, and where its number goes where there is none yet.
func (c *compactor) find(values []pipeline.Value) (at uint64, s *slot) {
	mask := uint64(len(c.index) - 1)
	for at = c.hash(values) & mask; ; at = (at + 1) & mask {
		n := c.index[at]
		if n == 0 {
			return at, nil
		}
		if s := &c.slots[n-1]; c.same(s.values, values) {
			return at, s
		}
	}
}

func (c *compactor) add(at uint64, s slot) {
	c.slots = append(c.slots, s)
	c.index[at] = int32(len(c.slots))
}

func (c *compactor) same(a, b []pipeline.Value) bool {
	for _, k := range c.key {
		if !a[k].Equal(b[k]) {
			return false
		}
	}
	return true
}

func (c *compactor) hash(values []pipeline.Value) uint64 {
	const mix = 0x9E3779B97F4A7C15
	h := uint64(mix)
	for _, k := range c.key {
		v := values[k]
		if v.Kind().HasBytes() {
			h ^= maphash.Bytes(c.seed, v.Bytes())
		} else {
			h ^= uint64(v.Int()) + uint64(v.Kind())
		}
		h *= mix
		h ^= h >> 29
	}
	return h
}

// overlay returns old with the values of over that are not Absent.
func (c *compactor) overlay(old, over []pipeline.Value) []pipeline.Value {
	out := c.arena.Values(len(over))
	for i, v := range over {
		if v.IsAbsent() {
			v = old[i]
		}
		out[i] = v
	}
	return out
}

// sorted returns the slots' numbers in the order of their keys.
func (c *compactor) sorted() []keyed {
	c.order = c.order[:0]
	single := len(c.key) == 1
	ordered := true
	for i := range c.slots {
		k := keyed{slot: int32(i)}
		if v := c.slots[i].values[c.key[0]]; v.Kind() < pipeline.Text {
			k.key = v.Int()
		} else {
			single = false
		}
		if ordered && i > 0 {
			ordered = c.order[i-1].key < k.key && single
		}
		c.order = append(c.order, k)
	}
	switch {
	case ordered:
	case single:
		slices.SortFunc(c.order, func(a, b keyed) int { return cmp.Compare(a.key, b.key) })
	default:
		slices.SortFunc(c.order, func(a, b keyed) int {
			return c.compare(&c.slots[a.slot],
				&c.slots[b.slot])
		})
	}
	return c.order
}

func (c *compactor) compare(a, b *slot) int {
	for _, k := range c.key {
		x, y := a.values[k], b.values[k]
		n := cmp.Compare(x.Int(), y.Int())
		if x.Kind().HasBytes() {
			n = strings.Compare(x.View(), y.View())
		}
		if n != 0 {
			return n
		}
	}
	return 0
}
