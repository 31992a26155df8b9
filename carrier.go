package ringfleet

import (
	"context"

	"github.com/ringfleet/ringfleet/client"
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
	link, err := n.gateway.Open(login, receiver)
	if err != nil {
		return nil, err
	}
	return link, nil
}
