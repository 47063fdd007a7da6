package snapshot

import (
	"fmt"
	"strings"
)

// Policy says when the rows that are already in a table are read.
type Policy uint8

// The policies.
const (
	Initial    Policy = iota // once, before the first change
	Never                    // not at all: changes alone
	Only                     // once, and no changes
	WhenNeeded               // once, and again where the position in the stream was lost
	Always                   // at every start
)

var policyNames = [...]string{"initial", "never", "only", "when_needed", "always"}

// String returns the policy's name in the configuration.
func (p Policy) String() string {
	if int(p) < len(policyNames) {
		return policyNames[p]
	}
	return fmt.Sprintf("policy(%d)", uint8(p))
}

// ParsePolicy is the inverse of Policy.String.
func ParsePolicy(s string) (Policy, error) {
	for i, name := range policyNames {
		if s == name {
			return Policy(i), nil
		}
	}
	return 0, fmt.Errorf("%q is not a snapshot policy: it is one of %s", s, strings.Join(policyNames[:], ", "))
}

// Start is what is known of a table when a source starts.
type Start struct {
	Done bool // a snapshot of it was finished
	Lost bool // the position in the stream is not usable any more
}

// Reads reports whether the table's rows are to be read now.
func (p Policy) Reads(s Start) bool {
	switch p {
	case Initial, Only:
		return !s.Done
	case WhenNeeded:
		return !s.Done || s.Lost
	case Always:
		return true
	}
	return false
}

// Streams reports whether the table's changes are followed.
func (p Policy) Streams() bool { return p != Only }
