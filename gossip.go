package ringfleet

import (
	"errors"
	"net"

	"github.com/ringfleet/ringfleet/cluster/membership"
)

// errNoGossip is returned by what is about the gossip, for a node that has none.
var errNoGossip = errors.New("ringfleet: the node does not gossip")

// gossip returns the node's part in the gossip, nil if it has none.
func (n *Node) gossip() *membership.Membership {
	if n.member == nil {
		return nil
	}
	return n.member.gossip.Load()
}

// GossipAddress returns the IP:port at which other nodes can join this one, "" if it does not gossip.
func (n *Node) GossipAddress() string {
	if g := n.gossip(); g != nil {
		return g.Self().Gossip
	}
	return ""
}

// PeerAddress returns the address the node listens on for the messages of other nodes, nil if it does not.
func (n *Node) PeerAddress() net.Addr {
	if n.member == nil || n.member.stream == nil {
		return nil
	}
	return n.member.stream.Addr()
}

// SetGossipKeys replaces the keys of the gossip while the node runs: the first one encrypts from now on, all
// of them decrypt. To change the key of a cluster without a break, give each node first (old, new), then
// (new, old), then (new). A gossip that was started without keys cannot be encrypted this way.
func (n *Node) SetGossipKeys(keys [][]byte) error {
	g := n.gossip()
	if g == nil {
		return errNoGossip
	}
	return g.SetKeys(keys)
}
