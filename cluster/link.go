package cluster

import "errors"

// Link carries envelopes to other nodes. Package link has the implementations. All methods must be safe
// for concurrent use.
type Link interface {
	// Send puts an envelope into the queue of a peer, and never waits. It copies the envelope. The
	// error is [ErrBusy], or [ErrUnreachable] when the peer cannot be reached at the moment. nil
	// promises nothing: what is on its way when a connection breaks is lost.
	Send(to Member, envelope []byte) error
	// SetPeers says which other members there are. What is queued for others is dropped, and
	// connections to them end.
	SetPeers(peers []Member)
}

// Patient is a [Link] with which an envelope can wait for others, so that it costs no system call and no wake-up
// of its own.
type Patient interface {
	// SendLater is Send for an envelope that nobody waits for: it goes out with the next one to that peer, or after
	// some milliseconds. It keeps its place in the order of the envelopes.
	SendLater(to Member, envelope []byte) error
}

// The errors of sending. The message was dropped.
var (
	// ErrBusy: a queue is full, here or, from Deliver, of the identity. Try again later.
	ErrBusy = errors.New("cluster: too many messages wait: try again later")
	// ErrUnreachable: there is no connection to the owner, and no other member to pass the message on.
	// Try again later: by then there is, or there is another owner.
	ErrUnreachable = errors.New("cluster: the node cannot be reached: try again later")
	// ErrNoOwner: no member serves, as far as this node knows. Try again later, or elsewhere.
	ErrNoOwner = errors.New("cluster: no member serves")
	// ErrNoNode: the node is not in the view. What was there, its connections among it, is gone.
	ErrNoNode = errors.New("cluster: no such node")
	// ErrTooLarge: the encoded message is over Config.MaxEnvelope. It never gets through.
	ErrTooLarge = errors.New("cluster: the message is too large for another node")
)
