package gateway

import (
	"sync"

	"github.com/ringfleet/ringfleet/invitation"
)

// A receiver is a connection as [Gateway.Deliver] and [Gateway.Shutdown] see it.
type receiver interface {
	deliver(down invitation.Down)
	cut()
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
		p := &r.parts[i]
		p.mu.RLock()
		for _, c := range p.conns {
			list = append(list, c)
		}
		p.mu.RUnlock()
	}
	return list
}
