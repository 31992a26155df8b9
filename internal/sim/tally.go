package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Tally counts by what is counted.
type Tally map[string]int

// The kinds of faults of nodes: those that issue and documentation count. Of the others each is counted under a name
// of its own.
const (
	nodeLost   = "nodes lost"
	nodePaused = "nodes paused"
	allLost    = "all nodes lost at once"
)

// Nodes returns how many faults of nodes are counted.
func (t Tally) Nodes() int { return t[nodeLost] + t[nodePaused] + t[allLost] }

// Add counts what other has counted.
func (t Tally) Add(other Tally) {
	for what, n := range other {
		t[what] += n
	}
}

// Of returns what is counted, the most frequent first, with its share of a whole if that is not 0.
func (t Tally) Of(whole int) string {
	names := slices.SortedFunc(maps.Keys(t), func(a, b string) int {
		if t[a] != t[b] {
			return t[b] - t[a]
		}
		return strings.Compare(a, b)
	})
	var b strings.Builder
	for _, name := range names {
		fmt.Fprintf(&b, "%12d  %s", t[name], name)
		if whole != 0 {
			fmt.Fprintf(&b, " (%.4f %%)", 100*float64(t[name])/float64(whole))
		}
		b.WriteByte('\n')
	}
	return b.String()
}
