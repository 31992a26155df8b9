package ringfleet

import (
	"context"
	"sync"

	"github.com/ringfleet/ringfleet/client"
	"github.com/ringfleet/ringfleet/gateway"
	"github.com/ringfleet/ringfleet/invitation"
)

var _ client.Carrier = (*Node)(nil)

// Dial connects a device of this process: it implements [client.Carrier], so that
//
//	alice, err := client.Dial(ctx, node, client.Options{User: "alice"})
//
// is a client that pays for no socket and no serialization. The program is trusted: the user is not
// authenticated. Limits and Config.Gateway.MayInvite hold as for any device.
//
// The client's callbacks run on goroutines of the client; its protocol runs on the workers of the
// node's actors.
func (n *Node) Dial(ctx context.Context, login invitation.Login, receiver client.Receiver) (client.Link, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	l := &inProcess{receiver: receiver, hooked: n.config.Gateway.MayInvite != nil}
	l.mu.Lock() // nothing is received before local is set
	defer l.mu.Unlock()
	local, err := n.gateway.Open(login, l.receive)
	if err != nil {
		return nil, err
	}
	l.local = local
	return l, nil
}

// inProcess is the connection of a client.
type inProcess struct {
	mu       sync.Mutex // one Receive at a time
	receiver client.Receiver
	local    *gateway.Local
	hooked   bool
	lost     bool
}

// receive is called by actors.
func (l *inProcess) receive(down invitation.Down) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost {
		return
	}
	l.receiver.Receive(down)
	if down.Ending != nil {
		l.lost = true
		l.receiver.Lost(down.Ending.End)
	}
}

// Say implements [client.Link]. A Send that the embedder's hook has to judge gets a goroutine: the
// hook may block, and Say may be called by an actor.
func (l *inProcess) Say(up invitation.Up) error {
	if l.hooked && up.Call != nil && up.Call.Request == invitation.Send {
		go func() { _ = l.local.Say(up) }() // after an end the client repeats it on the next connection
		return nil
	}
	return l.local.Say(up)
}

// Close implements [client.Link].
func (l *inProcess) Close() error {
	l.local.Close()
	return nil
}
