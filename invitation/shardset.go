package invitation

import (
	"iter"
	"math/bits"
)

// ShardSet is a set of shards. It is a value; the zero value is empty.
type ShardSet [Shards / 64]uint64

// AllShards returns the set of all shards.
func AllShards() (all ShardSet) {
	for i := range all {
		all[i] = 1<<64 - 1
	}
	return all
}

// Add puts a shard into the set.
func (s *ShardSet) Add(shard Shard) { s[shard/64] |= 1 << (shard % 64) }

// Has reports whether a shard is in the set.
func (s *ShardSet) Has(shard Shard) bool { return s[shard/64]>>(shard%64)&1 != 0 }

// Union puts all shards of other into the set.
func (s *ShardSet) Union(other *ShardSet) {
	for i := range s {
		s[i] |= other[i]
	}
}

// Remove takes all shards of other out of the set.
func (s *ShardSet) Remove(other *ShardSet) {
	for i := range s {
		s[i] &^= other[i]
	}
}

// Empty reports whether there are none.
func (s *ShardSet) Empty() bool { return *s == ShardSet{} }

// Len returns how many there are.
func (s *ShardSet) Len() int {
	n := 0
	for _, word := range s {
		n += bits.OnesCount64(word)
	}
	return n
}

// All returns the shards, ascending.
func (s *ShardSet) All() iter.Seq[Shard] {
	return func(yield func(Shard) bool) {
		for i, word := range s {
			for ; word != 0; word &= word - 1 {
				if !yield(Shard(i*64 + bits.TrailingZeros64(word))) {
					return
				}
			}
		}
	}
}
