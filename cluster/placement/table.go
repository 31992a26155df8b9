package placement

import (
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/ringfleet/ringfleet/invitation"
)

// MaxMembers is how many members a table takes.
const MaxMembers = 1_024

// ErrMembers is wrapped by the errors of [New].
var ErrMembers = errors.New("placement: cannot place shards")

// Table says who owns each shard. It is immutable and safe for concurrent use. The zero value and nil
// are tables without members.
type Table struct {
	names  []string // ascending
	owners [invitation.Shards]uint16
}

// New returns the table of the members named, in any order; a repeated name counts once. It takes
// O(shards × members), some 7 µs for each member. The error wraps [ErrMembers]: an empty name, or more
// than [MaxMembers]. New keeps no reference to names.
func New(names []string) (*Table, error) {
	t := &Table{names: slices.Clone(names)}
	slices.Sort(t.names)
	t.names = slices.Compact(t.names)
	switch {
	case len(t.names) > MaxMembers:
		return nil, fmt.Errorf("%w over %d members; at most %d", ErrMembers, len(t.names), MaxMembers)
	case len(t.names) > 0 && t.names[0] == "":
		return nil, fmt.Errorf("%w on a member without a name", ErrMembers)
	}
	seeds := make([]uint64, len(t.names))
	for i, name := range t.names {
		seeds[i] = hash(name)
	}
	for shard := range t.owners {
		t.owners[shard] = highest(uint64(shard), seeds)
	}
	return t, nil
}

// highest returns the index of the member with the highest score for a shard; of equal scores, the
// first, which has the lowest name.
func highest(shard uint64, seeds []uint64) uint16 {
	salt := mix(shard + 1)
	best, owner := uint64(0), 0
	for i, seed := range seeds {
		if score := mix(seed ^ salt); score > best {
			best, owner = score, i
		}
	}
	return uint16(owner)
}

// hash is FNV-1a with 64 bits, finalized by mix.
func hash(name string) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * prime
	}
	return mix(h)
}

// mix is the finalizer of SplitMix64 (Steele, Lea, Flood 2014): a bijection in which each bit of the
// input changes each bit of the output with a probability near one half.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Owner returns the name of the shard's owner; false if there are no members, or no such shard. O(1).
func (t *Table) Owner(shard invitation.Shard) (name string, ok bool) {
	i, ok := t.Index(shard)
	if !ok {
		return "", false
	}
	return t.names[i], true
}

// Index returns the owner's place in [Table.Members], for hosts that keep what they know of a member
// in a slice. false as of [Table.Owner]. O(1).
func (t *Table) Index(shard invitation.Shard) (i int, ok bool) {
	if t == nil || len(t.names) == 0 || shard >= invitation.Shards {
		return 0, false
	}
	return int(t.owners[shard]), true
}

// Members returns the names in ascending order. The caller must not change the slice.
func (t *Table) Members() []string {
	if t == nil {
		return nil
	}
	return t.names
}

// Owned yields the shards of a member in ascending order. O(shards).
func (t *Table) Owned(name string) iter.Seq[invitation.Shard] {
	return func(yield func(invitation.Shard) bool) {
		member, ok := slices.BinarySearch(t.Members(), name)
		if !ok {
			return
		}
		for shard, owner := range t.owners {
			if int(owner) == member && !yield(invitation.Shard(shard)) {
				return
			}
		}
	}
}

// Counts returns how many shards each of [Table.Members] owns, in their order. O(shards).
func (t *Table) Counts() []int {
	counts := make([]int, len(t.Members()))
	if len(counts) > 0 {
		for _, owner := range t.owners {
			counts[owner]++
		}
	}
	return counts
}

// Move is a shard that changes hands.
type Move struct {
	Shard    invitation.Shard
	From, To string // "" when there was, or is, no owner
}

// Moves yields the shards whose owner is another one in the table after, in ascending order. O(shards).
func (t *Table) Moves(after *Table) iter.Seq[Move] {
	return func(yield func(Move) bool) {
		for shard := range invitation.Shard(invitation.Shards) {
			from, _ := t.Owner(shard)
			to, _ := after.Owner(shard)
			if from != to && !yield(Move{shard, from, to}) {
				return
			}
		}
	}
}
