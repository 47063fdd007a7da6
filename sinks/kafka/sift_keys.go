package kafka

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"os"
	"slices"
)

// The bounds of what a sift remembers.
const (
	// siftKeys is how many keys are held in memory at once, of one table. A topic with more is read several
	// times, each time for a part of the keys.
	siftKeys     = 16 << 20
	siftFile     = 1 << 40 // bytes of keys on disk
	siftBuffer   = 256 << 10
	maxPartition = 1<<23 - 1
)

// digest identifies a key by 128 bits that differ from process to process, so that nobody can make two
// keys that collide.
type digest struct{ high, low uint64 }

// place is where a key is: its offset in the file, its partition, and whether it was in others too.
type place uint64

func placeOf(offset int64, partition int32) place { return place(offset)<<24 | place(partition)<<1 }

func (p place) offset() int64    { return int64(p >> 24) }
func (p place) partition() int32 { return int32(p>>1) & maxPartition }
func (p place) spread() bool     { return p&1 != 0 }

// in returns the place of a key that turned up in a partition.
func (p place) in(partition int32) place {
	if p.partition() == partition {
		return p
	}
	return placeOf(p.offset(), partition) | 1
}

// part is the part of all keys whose digest begins with some bits.
type part struct {
	bits   uint
	prefix uint64
}

func (p part) has(d digest) bool { return d.high>>(64-p.bits) == p.prefix }

// keys are those of a topic that may be gone at the source: a digest and a place in memory for each, the
// bytes in a file. Not safe for concurrent use.
type keys struct {
	dir   string
	limit int
	seeds [2]maphash.Seed
	part  part   // the one that is held
	later []part // those that the topic must be read again for
	held  map[digest]place
	file  *os.File
	out   *bufio.Writer
	size  int64
}

func newKeys(dir string, limit int) *keys {
	return &keys{dir: dir, limit: cmp.Or(limit, siftKeys), seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
		held: map[digest]place{}}
}

func (k *keys) digest(key []byte) digest {
	return digest{maphash.Bytes(k.seeds[0], key), maphash.Bytes(k.seeds[1], key)}
}

// add remembers a key.
func (k *keys) add(key []byte, partition int32) error {
	d := k.digest(key)
	if !k.part.has(d) {
		return nil
	}
	if p, ok := k.held[d]; ok {
		k.held[d] = p.in(partition)
		return nil
	}
	offset := k.size
	if err := k.write(key); err != nil {
		return err
	}
	k.held[d] = placeOf(offset, partition)
	if len(k.held) > k.limit {
		k.split()
	}
	return nil
}

func (k *keys) remove(key []byte) {
	if len(k.held) > 0 {
		delete(k.held, k.digest(key))
	}
}

// split leaves half of the keys to another reading.
func (k *keys) split() {
	mine := part{k.part.bits + 1, k.part.prefix << 1}
	k.part, k.later = mine, append(k.later, part{mine.bits, mine.prefix | 1})
	for d := range k.held {
		if !mine.has(d) {
			delete(k.held, d)
		}
	}
}

// next empties it for the next part; false where there is none.
func (k *keys) next() (bool, error) {
	if len(k.later) == 0 {
		return false, nil
	}
	last := len(k.later) - 1
	k.part, k.later = k.later[last], k.later[:last]
	clear(k.held)
	k.size = 0
	if k.file == nil {
		return true, nil
	}
	k.out.Reset(k.file)
	if err := k.file.Truncate(0); err != nil {
		return false, fmt.Errorf("keys of a topic: %w", err)
	}
	_, err := k.file.Seek(0, 0)
	return true, err
}

func (k *keys) write(key []byte) error {
	if k.file == nil {
		f, err := os.CreateTemp(k.dir, "sift-*")
		if err != nil {
			return fmt.Errorf("keys of a topic: %w", err)
		}
		k.file, k.out = f, bufio.NewWriterSize(f, siftBuffer)
	}
	var head [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(head[:], uint64(len(key)))
	if k.size += int64(n + len(key)); k.size > siftFile {
		return errors.New("keys of a topic: there are too many")
	}
	_, err := k.out.Write(head[:n])
	if err == nil {
		_, err = k.out.Write(key)
	}
	if err != nil {
		return fmt.Errorf("keys of a topic: %w", err)
	}
	return nil
}

// each calls f with the keys that are held, in the order in which they were added.
func (k *keys) each(f func(key []byte, at place) error) error {
	if len(k.held) == 0 {
		return nil
	}
	if err := k.out.Flush(); err != nil {
		return fmt.Errorf("keys of a topic: %w", err)
	}
	places := make([]place, 0, len(k.held))
	for _, p := range k.held {
		places = append(places, p)
	}
	slices.Sort(places)
	for _, p := range places {
		key, err := k.read(p.offset())
		if err == nil {
			err = f(key, p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (k *keys) read(offset int64) ([]byte, error) {
	var head [binary.MaxVarintLen64]byte
	n, err := k.file.ReadAt(head[:min(int64(len(head)), k.size-offset)], offset)
	size, used := binary.Uvarint(head[:n])
	if err != nil || used <= 0 {
		return nil, fmt.Errorf("keys of a topic: %w", errors.Join(err, errors.New("a key cannot be read")))
	}
	key := make([]byte, size)
	if _, err := k.file.ReadAt(key, offset+int64(used)); err != nil {
		return nil, fmt.Errorf("keys of a topic: %w", err)
	}
	return key, nil
}

// close removes the file.
func (k *keys) close() {
	if k.file == nil {
		return
	}
	_ = k.file.Close() // nothing in it is needed
	_ = os.Remove(k.file.Name())
	k.file = nil
}
