package pipeline

// Arena owns the memory that the values of a batch point into. Growing it never moves what it
// handed out; Reset makes all of it reusable at once. Not safe for concurrent use.
type Arena struct {
	bytes  slab[byte]
	values slab[Value]
}

// The sizes of an arena's first chunks, and what Reset keeps at the most.
const (
	arenaBytes       = 64 << 10
	arenaValues      = 4 << 10
	arenaKeepBytes   = 7 << 20
	arenaKeepValues  = 256 << 10
	valueBytes       = 24
	poison           = 0xDB
	poisonedNum      = 0xDBDBDBDBDBDBDBDB
	poisonedKindByte = 0xDB
)

// Alloc returns n bytes of undefined content, with no spare capacity.
func (a *Arena) Alloc(n int) []byte { return a.bytes.take(n, arenaBytes) }

// Copy returns a copy of p in the arena.
func (a *Arena) Copy(p []byte) []byte {
	out := a.Alloc(len(p))
	copy(out, p)
	return out
}

// Grow returns an empty slice with room for n bytes, to append to. Pass what was appended to
// Keep; until then no other method of the arena may be called.
func (a *Arena) Grow(n int) []byte { return a.bytes.reserve(n, arenaBytes) }

// Keep makes b, which was appended to a slice from Grow, the arena's, and returns it with no spare
// capacity. It also takes a b that outgrew its room and lies elsewhere.
func (a *Arena) Keep(b []byte) []byte { return a.bytes.keep(b) }

// Values returns n NULLs.
func (a *Arena) Values(n int) []Value {
	out := a.values.take(n, arenaValues)
	clear(out)
	return out
}

// AllocValues returns n values of undefined content, of which every one must be set.
func (a *Arena) AllocValues(n int) []Value { return a.values.take(n, arenaValues) }

// Size returns the bytes in use.
func (a *Arena) Size() int { return a.bytes.used + a.values.used*valueBytes }

// Reset forgets what was handed out and keeps a bounded part of the memory for reuse.
func (a *Arena) Reset() {
	a.bytes.reset(arenaKeepBytes)
	a.values.reset(arenaKeepValues)
}

// Poison overwrites everything that was handed out, so that a use after release is seen in tests.
func (a *Arena) Poison() {
	a.bytes.each(func(b []byte) {
		for i := range b {
			b[i] = poison
		}
	})
	a.values.each(func(v []Value) {
		for i := range v {
			v[i] = Value{num: poisonedNum, kind: poisonedKindByte}
		}
	})
}

// slab hands out parts of chunks that double in size.
type slab[T any] struct {
	cur  []T   // the chunk in use: len is what was handed out
	full [][]T // chunks before it
	used int   // elements handed out
}

func (s *slab[T]) take(n, first int) []T {
	b := s.reserve(n, first)
	out := b[:n:n]
	s.cur = s.cur[:len(s.cur)+n]
	s.used += n
	return out
}

func (s *slab[T]) reserve(n, first int) []T {
	if cap(s.cur)-len(s.cur) < n {
		if cap(s.cur) > 0 {
			s.full = append(s.full, s.cur)
		}
		s.cur = make([]T, 0, max(n, first, min(2*cap(s.cur), 1<<20)))
	}
	return s.cur[len(s.cur):len(s.cur):cap(s.cur)]
}

func (s *slab[T]) keep(b []T) []T {
	room := s.cur[len(s.cur):cap(s.cur)]
	s.used += len(b)
	if len(b) == 0 || len(room) == 0 || &b[0] != &room[0] {
		return b[:len(b):len(b)]
	}
	s.cur = s.cur[:len(s.cur)+len(b)]
	return b[:len(b):len(b)]
}

func (s *slab[T]) reset(keep int) {
	best := s.cur
	for _, c := range s.full {
		if cap(c) > cap(best) {
			best = c
		}
	}
	if s.used+s.used/16 > cap(best) && s.used <= keep {
		best = make([]T, 0, min(keep, s.used+s.used/8)) // room is asked for before it is known how much is used
	}
	if cap(best) > keep {
		best = nil
	}
	s.cur, s.full, s.used = best[:0], nil, 0
}

func (s *slab[T]) each(f func([]T)) {
	for _, c := range s.full {
		f(c)
	}
	f(s.cur)
}
