package ringfleet

import (
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// Gateways and sessions on different nodes say to each other once, or some times, who is connected; all of it may be
// lost. So they compare, for as long as the node runs, and at a pace that does not show: what one of them holds wrongly
// of a connection lasts until it is its turn.
const (
	// reconcilePace is how many sessions a node asks about in a second, and of how many connections it tells: with a
	// million of them each has its turn every 17 minutes.
	reconcilePace = 1_000
	// reconcileEvery is the least time from the begin of one round to the next.
	reconcileEvery = 15 * time.Second
	// reconcileBatch is how many have their turn at once.
	reconcileBatch = reconcilePace / 20
	// maxUnanswered is with how many unanswered attaches a connection's turn is left out: the node that should answer
	// them is hurt, and all that were connected there are told anew when it is replaced.
	maxUnanswered = reconcilePace
)

// reconcile begins to compare. It ends with the node.
func (n *Node) reconcile() error {
	if n.member != nil {
		go n.rounds(n.askGateways)
		go n.rounds(n.tellSessions)
	}
	return nil
}

// rounds does a round after the other.
func (n *Node) rounds(round func(*pacer)) {
	for {
		begin := time.Now()
		p := pacer{node: n}
		round(&p)
		if !n.waits(reconcileEvery - time.Since(begin)) {
			return
		}
	}
}

// pacer paces one round.
type pacer struct {
	node *Node
	had  int // turns that were had
}

// next waits, if it has to, and reports whether there is to be another turn.
func (p *pacer) next() bool {
	p.had++
	return p.had%reconcileBatch != 0 || p.node.waits(time.Second*reconcileBatch/reconcilePace)
}

// waits reports whether the node runs on.
func (n *Node) waits(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-n.halted:
		return false
	}
}

// askGateways has each session on this node greet its devices again. A gateway that has such a connection keeps that to
// itself; one that has not, because it ended, or because the gateway was started anew since, says so: see
// [Node.deliver]. So a session finds out that it believes in a connection that is gone.
func (n *Node) askGateways(p *pacer) {
	for user := range n.host.Users() {
		if n.host.Greet(user); !p.next() {
			return
		}
	}
}

// tellSessions tells the sessions on other nodes of the connections here. A session that has the connection answers,
// and that is all; one that has lost it takes it again, or ends it, if that was what the device was not told.
func (n *Node) tellSessions(p *pacer) {
	n.gateway.Remind(func(user invitation.User) bool { return n.isAway(user) && n.attaches.few() }, p.next)
}

// few reports whether not so many attaches are unanswered that more would do harm.
func (a *attaches) few() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.waiting) < maxUnanswered
}
