package handoff

import (
	"sync/atomic"

	"github.com/ringfleet/ringfleet/invitation"
)

type counts struct{ kept, taken, given, returned, damaged atomic.Uint64 }

// Stats are the state and the counts of a [Mover].
type Stats struct {
	Held, Awaited int // shards
	Taking        int // members that shards are being taken from
	Giving        int // claims of others that are being answered
	Waiting       int // messages kept back now

	Kept     uint64 // messages kept back since the start
	Taken    uint64 // records of others that were put in
	Given    uint64 // records that were frozen for others
	Returned uint64 // records taken back, as the claimant had gone
	Damaged  uint64 // records of others that could not be read
}

// Stats returns them. It looks at each shard once.
func (m *Mover) Stats() Stats {
	s := Stats{
		Kept: m.counts.kept.Load(), Taken: m.counts.taken.Load(), Given: m.counts.given.Load(),
		Returned: m.counts.returned.Load(), Damaged: m.counts.damaged.Load(),
	}
	for shard := range invitation.Shard(invitation.Shards) {
		switch m.Place(shard) {
		case Held:
			s.Held++
		case Awaited:
			s.Awaited++
		case Gone:
		}
	}
	m.mu.Lock()
	s.Taking, s.Giving = len(m.pulls), len(m.gifts)
	m.mu.Unlock()
	m.kept.mu.Lock()
	s.Waiting = m.kept.count
	m.kept.mu.Unlock()
	return s
}
