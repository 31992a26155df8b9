package actors

import (
	"encoding/binary"
	"sync"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/arbiter"
)

// The size of a past: at least pastPerShard × pastShards ids are remembered once as many have gone, at
// most twice that, some 5 MB.
const (
	pastShards   = 16
	pastPerShard = 4_096
)

// past remembers the invitations whose arbiters went last, so that a send that was under way twice does
// not start one of them again. It is safe for concurrent use.
type past struct{ shards [pastShards]pastShard }

type pastShard struct {
	mu             sync.Mutex
	recent, before map[invitation.ID]uint64 // the request id of its send, if that was refused; 0: it was not
}

func (p *past) shard(id invitation.ID) *pastShard {
	return &p.shards[binary.LittleEndian.Uint16(id[len(id)-2:])%pastShards]
}

func (p *past) add(id invitation.ID, refused uint64) {
	s := p.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.recent == nil || len(s.recent) >= pastPerShard {
		s.before, s.recent = s.recent, make(map[invitation.ID]uint64)
	}
	s.recent[id] = refused
}

func (p *past) has(id invitation.ID) bool {
	s := p.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	_, recent := s.recent[id]
	_, before := s.before[id]
	return recent || before
}

// refused returns the request id of its send, if one of them was refused: then it never began. Else 0.
func (p *past) refused(id invitation.ID) uint64 {
	s := p.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused(id)
}

// refused is that of a past. It is called with the mutex.
func (s *pastShard) refused(id invitation.ID) uint64 {
	if refused, recent := s.recent[id]; recent {
		return refused
	}
	return s.before[id]
}

// anew forgets an invitation whose send was refused, if this is another send of it, and reports whether it may begin.
func (p *past) anew(id invitation.ID, msg *invitation.Message) bool {
	s := p.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !arbiter.Anew(msg, s.refused(id)) {
		return false
	}
	delete(s.recent, id)
	delete(s.before, id)
	return true
}

// of returns the ids that belong to some shards.
func (p *past) of(shards func(invitation.Shard) bool) []invitation.ID {
	var ids []invitation.ID
	for i := range p.shards {
		s := &p.shards[i]
		s.mu.Lock()
		for _, generation := range [...]map[invitation.ID]uint64{s.before, s.recent} {
			for id := range generation {
				if shards(id.Shard()) {
					ids = append(ids, id)
				}
			}
		}
		s.mu.Unlock()
	}
	return ids
}
