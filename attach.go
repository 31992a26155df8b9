package ringfleet

import (
	"sync"
	"time"

	"github.com/ringfleet/ringfleet/cluster/handoff"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// What a gateway says to a session on another node may be lost, and of two things nobody else would find
// out soon: that a device has connected, and that it has gone.
const (
	// An attach is repeated until the session has answered it, or the device has given up.
	attachAgain = 500 * time.Millisecond
	// A detach is repeated so often, and after a time that is four times as long with each.
	detachTimes = 4
	detachFirst = time.Second
)

// attaches are the attaches that have gone to other nodes and were not answered.
type attaches struct {
	mu      sync.Mutex
	waiting map[uint64]*time.Timer // by connection
}

// attach tells the session of a user that a device has connected. It awaits the answer before it says so, as the answer
// may come before it is back; and what it says again is older by then, as the user may have logged in elsewhere meanwhile.
func (n *Node) attach(conn uint64, user invitation.User, in *session.Input) error {
	if !n.isAway(user) {
		return n.session(user, in)
	}
	begun, again := time.Now(), *in // what was said is the receiver's
	n.attaches.repeat(conn, func() {
		again.Older(time.Since(begun))
		_ = n.attach(conn, user, &again)
	})
	err := n.session(user, in)
	if err != nil {
		n.attaches.answered(conn)
	}
	return err
}

// isAway reports whether a user's session lives on another node, by a link that may lose messages.
func (n *Node) isAway(user invitation.User) bool {
	return n.member != nil && n.member.place(invitation.ShardOf(user)) == handoff.Gone
}

// repeat calls again after a time, unless the connection's attach has been answered by then.
func (a *attaches) repeat(conn uint64, again func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.waiting == nil {
		a.waiting = map[uint64]*time.Timer{}
	}
	a.waiting[conn] = time.AfterFunc(attachAgain, func() {
		if a.answered(conn) {
			again()
		}
	})
}

// answered notes that a connection's attach needs no repetition, and reports whether it did.
func (a *attaches) answered(conn uint64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	timer := a.waiting[conn]
	if timer != nil {
		timer.Stop()
		delete(a.waiting, conn)
	}
	return timer != nil
}

// detach tells the session of a user that a connection is lost. It is said until the session has room for
// it, and several times to one that is away: a session that believes in a lost connection would ring nobody.
func (n *Node) detach(user invitation.User, in *session.Input, times int, wait time.Duration) {
	if n.isStopped() {
		return
	}
	switch err := n.session(user, in); {
	case err != nil && times > 0:
		n.dropped.Add(1)
	case !n.isAway(user) || times == 0:
		return
	}
	time.AfterFunc(wait, func() { n.detach(user, in, times-1, 4*wait) })
}

func (n *Node) isStopped() bool {
	select {
	case <-n.halted:
		return true
	default:
		return false
	}
}
