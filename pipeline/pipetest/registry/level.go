package registry

import "slices"

// Level is a compatibility level: which older versions a new one is compared with, and how.
type Level string

// The levels. BACKWARD: the new schema reads what the old one wrote. FORWARD: the old one reads
// what the new one writes. FULL: both. Compared with the last version, or with all if _TRANSITIVE.
const (
	None               Level = "NONE"
	Backward           Level = "BACKWARD"
	BackwardTransitive Level = "BACKWARD_TRANSITIVE"
	Forward            Level = "FORWARD"
	ForwardTransitive  Level = "FORWARD_TRANSITIVE"
	Full               Level = "FULL"
	FullTransitive     Level = "FULL_TRANSITIVE"
)

func (l Level) valid() bool {
	return slices.Contains([]Level{
		None, Backward, BackwardTransitive, Forward, ForwardTransitive, Full, FullTransitive,
	}, l)
}

func (l Level) transitive() bool {
	return l == BackwardTransitive || l == ForwardTransitive || l == FullTransitive
}

func (l Level) backward() bool { return l != None && l != Forward && l != ForwardTransitive }

func (l Level) forward() bool { return l != None && l != Backward && l != BackwardTransitive }
