package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringfleet/ringfleet/client"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/loadtest/scrape"
	"github.com/ringfleet/ringfleet/loadtest/stats"
)

// node is one of the nodes that are loaded: a --target with its --metrics, or, for one that users do not
// connect to, its --metrics alone.
type node struct {
	target  string         // "": no user connects to it
	carrier client.Carrier // to target
	meter   *scrape.Meter  // nil: no metrics

	placed   int64        // sessions that there were when the run began
	sessions atomic.Int64 // that there are now
	users    sync.Map     // *user → true, those who have them
	calls    atomic.Int64 // whose caller was connected here when they were begun
	errors   atomic.Int64 // of users that were connected here, or tried to
	lost     atomic.Int64 // connections that were lost here
	gained   atomic.Int64 // users that came here after they had lost their connection
	failed   atomic.Int64 // attempts to connect that came to nothing

	setup  stats.Histogram // from when a call was to be made, to ReceivedByPeer
	accept stats.Histogram // from the accept to Accepted, on both sides
}

// newNodes returns those that users connect to, and all.
func (o *options) newNodes() (loaded []*node, all meters) {
	for i := range max(len(o.targets), len(o.metrics)) {
		n := &node{}
		if i < len(o.targets) {
			n.target, n.carrier = o.targets[i], o.carrier(o.targets[i])
			loaded = append(loaded, n)
		}
		if i < len(o.metrics) {
			n.meter = &scrape.Meter{URL: o.metrics[i], TokenFile: o.tokens.metrics}
		}
		all = append(all, n)
	}
	return loaded, all
}

// place is where one user's client connects: to one node at a time, and after every connection that was
// lost or could not be made to another, if there are several. It is the user's carrier.
type place struct {
	order []*node // in which the client tries them, over and over

	mu       sync.Mutex
	dials    int
	link     client.Link     // the last that was opened; nil: none
	receiver client.Receiver // of link
}

// newPlace draws the order of a user's nodes. It is the same for the same seed and number.
func (r *run) newPlace(number uint64) *place {
	random := rand.New(rand.NewPCG(r.options.seed, placing+number))
	p := &place{order: make([]*node, len(r.nodes))}
	for i, j := range random.Perm(len(r.nodes)) {
		p.order[i] = r.nodes[j]
	}
	return p
}

// placing keeps the draws of places apart from those of calls.
const placing = 1 << 32

// Dial implements client.Carrier.
func (p *place) Dial(ctx context.Context, login invitation.Login, receiver client.Receiver) (client.Link, error) {
	p.mu.Lock()
	p.dials++
	p.mu.Unlock()
	n := p.node()
	link, err := n.carrier.Dial(ctx, login, receiver)
	if err != nil {
		n.failed.Add(1)
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.link, p.receiver = link, receiver
	return link, nil
}

// errCut is why a connection was lost that was cut off on purpose.
var errCut = errors.New("cut off")

// cut ends the connection as if the network had, and reports whether there was one.
func (p *place) cut() bool {
	p.mu.Lock()
	link, receiver := p.link, p.receiver
	p.link, p.receiver = nil, nil
	p.mu.Unlock()
	if link == nil {
		return false
	}
	receiver.Lost(errCut)
	_ = link.Close() // it is gone either way
	return true
}

// node returns the node that the client is connected to, or last tried, or will try first.
func (p *place) node() *node {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.order[max(p.dials-1, 0)%len(p.order)]
}

// stall notes that the node stands still: connections to it are of no use from now on, whatever clients know.
func (n *node) stall(at time.Time) {
	n.users.Range(func(u, _ any) bool {
		if u, ok := u.(*user); ok {
			u.absences.stall(at)
		}
		return true
	})
}

// unstall notes that it goes on.
func (n *node) unstall(at time.Time) {
	n.users.Range(func(u, _ any) bool {
		if u, ok := u.(*user); ok {
			u.absences.unstall(at)
		}
		return true
	})
}
