package chaos

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Kind is a kind of fault.
type Kind uint8

// The kinds.
const (
	Kill      Kind = iota // kill -9, started again at once under its name
	Crash                 // kill -9, started again after a while
	Drain                 // SIGTERM, started again when it has ended
	Pause                 // SIGSTOP, SIGCONT after a while
	Partition             // cut off from all others for a while
	OneWay                // cut off in one direction for a while
	Link                  // what it says to the others and they to it is lost, doubled, reordered and late, for a while
	Clock                 // SIGTERM, started again with a wall clock that is wrong, which it keeps
	All                   // kill -9 of all nodes, started again all at once
	kinds
)

// kindFacts are what there is to know about a kind.
type kindFacts struct {
	name   string
	weight int
	// least and most are for how long it lasts, drawn so that each doubling is equally likely.
	least, most time.Duration
	// takeover is how long after its begin its consequences must be over (docs/spec.md §7, P2).
	takeover time.Duration
	about    string
}

// What docs/spec.md §7, P2 allows a takeover.
const (
	afterDeath = 5 * time.Second  // of a process
	afterCut   = 15 * time.Second // or a pause
)

var facts = [kinds]kindFacts{
	Kill:      {"kill", 2, 0, 0, afterDeath, "kill -9, started again at once under its name"},
	Crash:     {"crash", 2, time.Second, 20 * time.Second, afterDeath, "kill -9, started again after 1 to 20 s"},
	Drain:     {"drain", 1, 0, 0, 0, "SIGTERM, started again when it has ended"},
	Pause:     {"pause", 2, time.Second, time.Minute, afterCut, "SIGSTOP, SIGCONT after 1 to 60 s"},
	Partition: {"partition", 1, 2 * time.Second, 30 * time.Second, afterCut, "cut off from the others for 2 to 30 s"},
	OneWay:    {"oneway", 1, 2 * time.Second, 30 * time.Second, afterCut, "cut off in one direction for 2 to 30 s"},
	Link:      {"link", 1, 5 * time.Second, 20 * time.Second, 0, "messages to and from it lost, doubled, reordered and late for 5 to 20 s"},
	Clock:     {"clock", 1, 0, 0, 0, "SIGTERM, started again with a wall clock that is 30 s fast or slow"},
	All:       {"all", 1, 0, 0, afterDeath, "kill -9 of all nodes, all started again at once"},
}

// String returns the name of the kind, as flags have it.
func (k Kind) String() string { return facts[k].name }

// Weights say how often each kind of fault is in a round of the schedule.
type Weights [kinds]int

// Network reports whether there are faults of the network, which want a proxied fleet.
func (w Weights) Network() bool { return w[Partition]+w[OneWay]+w[Link] > 0 }

// maxWeight bounds a weight: a round of the schedule has as many faults as there are weights in all.
const maxWeight = 1000

// DefaultWeights has every kind.
func DefaultWeights() Weights {
	var w Weights
	for k := range kinds {
		w[k] = facts[k].weight
	}
	return w
}

// ParseWeights reads "all-kinds", or "kill=2,pause=1,drain"; a kind without a number has weight 1.
func ParseWeights(text string) (Weights, error) {
	if text == "all-kinds" {
		return DefaultWeights(), nil
	}
	var w Weights
	total := 0
	for part := range strings.SplitSeq(text, ",") {
		name, number, weighted := strings.Cut(strings.TrimSpace(part), "=")
		k, err := kindNamed(name)
		if err != nil {
			return w, err
		}
		weight := 1
		if weighted {
			if weight, err = strconv.Atoi(number); err != nil || weight < 0 || weight > maxWeight {
				return w, fmt.Errorf("the weight of %s is %q: want a number from 0 to %d", name, number, maxWeight)
			}
		}
		total += weight - w[k]
		w[k] = weight
	}
	if total == 0 {
		return w, fmt.Errorf("%q: no kind of fault has a weight", text)
	}
	return w, nil
}

func kindNamed(name string) (Kind, error) {
	var names []string
	for k := range kinds {
		if facts[k].name == name {
			return k, nil
		}
		names = append(names, facts[k].name)
	}
	return 0, fmt.Errorf("there is no kind of fault %q; there are %s", name, strings.Join(names, ", "))
}

// Help lists the kinds, a line each.
func Help() string {
	var b strings.Builder
	for k := range kinds {
		fmt.Fprintf(&b, "  %-14s %3d  %s\n", facts[k].name, facts[k].weight, facts[k].about)
	}
	return b.String()
}
