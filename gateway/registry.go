package gateway

import (
	"sync"

	"github.com/ringfleet/ringfleet/invitation"
)

// A receiver is a connection as [Gateway.Deliver] and [Gateway.Shutdown] see it.
type receiver interface {
	deliver(down invitation.Down)
	cut()
	// reattach tells the backend of the connection once more, if it is logged in and of accepts its user.
	reattach(of func(invitation.User) bool) attaching
}

// registry finds connections by number. It is divided so that actors on several cores seldom meet.
type registry struct {
	parts [64]struct {
		mu    sync.RWMutex
		conns map[uint64]receiver
		_     [24]byte // one cache line each
	}
}

func (r *registry) get(id uint64) receiver {
	p := &r.parts[id%uint64(len(r.parts))]
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.conns[id]
}

func (r *registry) add(id uint64, c receiver) {
	p := &r.parts[id%uint64(len(r.parts))]
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns == nil {
		p.conns = map[uint64]receiver{}
	}
	p.conns[id] = c
}

func (r *registry) remove(id uint64) {
	p := &r.parts[id%uint64(len(r.parts))]
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, id)
}

// all returns the connections of this moment.
func (r *registry) all() []receiver {
	var list []receiver
	for i := range r.parts {
		list = r.part(i, list)
	}
	return list
}

// part appends the connections of one part.
func (r *registry) part(i int, list []receiver) []receiver {
	p := &r.parts[i]
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, c := range p.conns {
		list = append(list, c)
	}
	return list
}
