package handoff

import (
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

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
	ID     uint64              // all but offer: of the claim, or of the loss; chosen by who says it first, never used again by it
	Shards invitation.ShardSet // claim, grant, offer, lost
	Given  invitation.ShardSet // grant: of these everything is in the chunks, or there was nothing
	Chunks uint32              // grant
	// Holders are, in a grant, the members that have others of the claimed shards, as far as the granter knows.
	Holders []string
	Chunk   uint32 // pull, chunk: from 0
	Data    []byte // chunk: a piece of the records of what lives on the shards, each with its length before it
	// Age is, in a chunk, how long ago the records were written, so that no deadline moves while they wait.
	Age time.Duration
}
