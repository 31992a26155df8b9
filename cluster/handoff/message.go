package handoff

import (
	"iter"
	"math/bits"

	"github.com/ringfleet/ringfleet/invitation"
)

// Shards is a set of shards. It is a value.
type Shards [invitation.Shards / 64]uint64

// Add puts a shard into the set.
func (s *Shards) Add(shard invitation.Shard) { s[shard/64] |= 1 << (shard % 64) }

// Has reports whether a shard is in the set.
func (s *Shards) Has(shard invitation.Shard) bool { return s[shard/64]>>(shard%64)&1 != 0 }

// Union puts all shards of other into the set.
func (s *Shards) Union(other *Shards) {
	for i := range s {
		s[i] |= other[i]
	}
}

// Remove takes all shards of other out of the set.
func (s *Shards) Remove(other *Shards) {
	for i := range s {
		s[i] &^= other[i]
	}
}

func everything() (all Shards) {
	for i := range all {
		all[i] = 1<<64 - 1
	}
	return all
}

// Empty reports whether there are none.
func (s *Shards) Empty() bool { return *s == Shards{} }

// Len returns how many there are.
func (s *Shards) Len() int {
	n := 0
	for _, word := range s {
		n += bits.OnesCount64(word)
	}
	return n
}

// All returns the shards, ascending.
func (s *Shards) All() iter.Seq[invitation.Shard] {
	return func(yield func(invitation.Shard) bool) {
		for i, word := range s {
			for ; word != 0; word &= word - 1 {
				if !yield(invitation.Shard(i*64 + bits.TrailingZeros64(word))) {
					return
				}
			}
		}
	}
}

// Kind says what a [Message] is.
type Kind uint8

// The kinds of message, and who says it.
const (
	Claim Kind = 1 // claimant: give me Shards
	Grant Kind = 2 // holder: there are Chunks to pull; ask again later for Shards, which I await myself
	Pull  Kind = 3 // claimant: give me Chunk
	Chunk Kind = 4 // holder: the Data of Chunk
	Done  Kind = 5 // claimant: I have all
	Offer Kind = 6 // holder: I hold Shards, which are yours
	Lost  Kind = 7 // owner: I hold Shards, and what lived on them before is lost, or may be; no Shards: I have thought you gone
	Heard Kind = 8 // anybody: I know what was lost
)

// Kinds is one more than the last kind.
const Kinds = 9

// String returns the name, as used in metrics and logs.
func (k Kind) String() string {
	names := [Kinds]string{"unknown", "claim", "grant", "pull", "chunk", "done", "offer", "lost", "heard"}
	if k >= Kinds {
		return names[0]
	}
	return names[k]
}

// Message is what two nodes say to each other about shards. One flat type for all kinds; which fields are
// set is said beside each.
type Message struct {
	Kind   Kind
	ID     uint64 // all but offer: of the claim, or of the loss; chosen by who says it first, never used again by it
	Shards Shards // claim, grant, offer, lost
	Given  Shards // grant: of these everything is in the chunks, or there was nothing
	Chunks uint32 // grant
	// Holders are, in a grant, the members that have others of the claimed shards, as far as the granter knows.
	Holders []string
	Chunk   uint32 // pull, chunk: from 0
	Data    []byte // chunk: a piece of the records of what lives on the shards, each with its length before it
}
