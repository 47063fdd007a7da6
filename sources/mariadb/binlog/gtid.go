package binlog

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// GTID is MariaDB's name of a transaction: domain-server-sequence.
type GTID struct {
	Domain uint32
	Server uint32
	Seq    uint64
}

// Append appends the text form "0-1-100".
func (g GTID) Append(dst []byte) []byte {
	dst = strconv.AppendUint(dst, uint64(g.Domain), 10)
	dst = strconv.AppendUint(append(dst, '-'), uint64(g.Server), 10)
	return strconv.AppendUint(append(dst, '-'), g.Seq, 10)
}

// String returns the text form.
func (g GTID) String() string { return string(g.Append(nil)) }

// ParseGTIDText reads the text form of one GTID.
func ParseGTIDText(s string) (g GTID, err error) {
	parts := strings.Split(s, "-")
	if len(parts) != 3 {
		return g, fmt.Errorf("%q is not a GTID of MariaDB", s)
	}
	domain, err1 := strconv.ParseUint(parts[0], 10, 32)
	server, err2 := strconv.ParseUint(parts[1], 10, 32)
	seq, err3 := strconv.ParseUint(parts[2], 10, 64)
	if err1 != nil || err2 != nil || err3 != nil {
		return g, fmt.Errorf("%q is not a GTID of MariaDB", s)
	}
	return GTID{Domain: uint32(domain), Server: uint32(server), Seq: seq}, nil
}

// Set is a position: the last GTID of each domain, in the order of the domains.
type Set []GTID

// maxDomains bounds the domains of a position.
const maxDomains = 4096

// ParseSet reads "0-1-100,1-2-7"; "" is the position before everything.
func ParseSet(s string) (Set, error) {
	var out Set
	if strings.TrimSpace(s) == "" {
		return out, nil
	}
	for part := range strings.SplitSeq(s, ",") {
		g, err := ParseGTIDText(strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		if out.index(g.Domain) >= 0 {
			return nil, fmt.Errorf("domain %d comes twice in position %q", g.Domain, s)
		}
		if len(out) == maxDomains {
			return nil, fmt.Errorf("a position of more than %d domains", maxDomains)
		}
		out = append(out, g)
	}
	slices.SortFunc(out, func(a, b GTID) int { return cmp.Compare(a.Domain, b.Domain) })
	return out, nil
}

func (s Set) index(domain uint32) int {
	for i := range s {
		if s[i].Domain == domain {
			return i
		}
	}
	return -1
}

// Has reports whether the position includes the transaction.
func (s Set) Has(g GTID) bool {
	i := s.index(g.Domain)
	return i >= 0 && s[i].Seq >= g.Seq
}

// Covers reports whether the position includes the other one.
func (s Set) Covers(o Set) bool {
	for _, g := range o {
		if !s.Has(g) {
			return false
		}
	}
	return true
}

// Add moves the position to a transaction and returns it; the set itself may be changed.
func (s Set) Add(g GTID) Set {
	if i := s.index(g.Domain); i >= 0 {
		s[i] = g
		return s
	}
	s = append(s, g)
	slices.SortFunc(s, func(a, b GTID) int { return cmp.Compare(a.Domain, b.Domain) })
	return s
}

// Ordinal is the sum of the sequence numbers: it rises with each transaction of whatever domain, so
// it orders the positions of one history. ok is false where it does not fit 64 bits.
func (s Set) Ordinal() (n uint64, ok bool) {
	var carry uint64
	for _, g := range s {
		if n, carry = bits.Add64(n, g.Seq, 0); carry != 0 {
			return 0, false
		}
	}
	return n, true
}

// Append appends the text form "0-1-100,1-2-7".
func (s Set) Append(dst []byte) []byte {
	for i, g := range s {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = g.Append(dst)
	}
	return dst
}

// String returns the text form.
func (s Set) String() string { return string(s.Append(nil)) }
