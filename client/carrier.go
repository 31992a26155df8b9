package client

import (
	"context"

	"github.com/ringfleet/ringfleet/invitation"
)

// Carrier brings a device's conversation to a node. [WebSocket] is one; a [ringfleet.Node] is
// another, for programs that embed a node.
//
// [ringfleet.Node]: https://pkg.go.dev/github.com/ringfleet/ringfleet#Node
type Carrier interface {
	// Dial opens a connection and says login on it. It does not wait for the Welcome, which comes to
	// receiver like everything that the node says, maybe before Dial returns. ctx bounds Dial, not the
	// link. The error is, or wraps, an [invitation.End] where the node said why it does not take the
	// login, an [*EndError] where it said when to come back too.
	Dial(ctx context.Context, login invitation.Login, receiver Receiver) (Link, error)
}

// Link is an open connection. The client calls Say from one goroutine at a time, and Close from any.
type Link interface {
	// Say hands up to the link, in order. It must not block: a link that cannot take more gives an
	// error. After an error the client closes the link and dials again. What up points to is changed by
	// neither side from then on; a repeated request is the same pointer again.
	Say(up invitation.Up) error
	// Close ends the connection without a logout. It may be called more than once.
	Close() error
}

// Receiver is the client's end of a [Link]. Its methods do not block and are safe for concurrent use;
// they may be called from within [Carrier.Dial] and [Link.Say]. They in turn may call [Link.Say] and
// [Link.Close]: a carrier holds no lock that these need while it calls them.
type Receiver interface {
	// Receive takes what the node says, in the order of the calls. The client does not change what down
	// points to.
	Receive(down invitation.Down)
	// Lost tells that the connection is gone. What is received after it is ignored.
	Lost(err error)
}
