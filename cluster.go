package ringfleet

import (
	"errors"
	"fmt"
	"time"

	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/cluster/link"
	"github.com/ringfleet/ringfleet/cluster/membership"
)

// Link is how a node reaches the other members of its cluster. A *link.Memory is one: with it several
// nodes live in one process. So is a *link.Stream, which nodes have by default.
type Link interface {
	cluster.Link
	// Start begins to hand what other members send to receive.
	Start(receive link.Receive) error
	// Close ends the link; nothing is received after it.
	Close()
}

// ClusterConfig makes a node a member of a cluster: users and invitations are spread over the members by
// their shards, and a device may connect to any of them. The zero value finds nobody and is found by
// nodes of this machine that are told to join it.
type ClusterConfig struct {
	// Name is the cluster's. Nodes of another name are refused. The default is "ringfleet".
	Name string
	// Gossip is how members find each other, and learn who has gone.
	Gossip GossipConfig
	// PeerAddress is where other members connect to, host:port; port 0 takes a free one. The default is
	// "127.0.0.1:7947".
	PeerAddress string
	// PeerAdvertise is the host:port at which other members reach PeerAddress. The default is PeerAddress
	// or, where that has no host, the one of the gossip.
	PeerAdvertise string
	// PeerTLS makes members prove to each other that they belong to the cluster. The default is none:
	// whoever reaches the gossip and the peer address is let in.
	PeerTLS *link.TLS
	// ClientAdvertise is told to the other members, and to operators, as the address for clients. The
	// default is Config.ClientAddress, as it was bound.
	ClientAdvertise string
	// JoinTimeout is for how long a node that was told whom to join waits for somebody to answer, before
	// it serves alone; it joins them later then. The default is 5 s.
	JoinTimeout time.Duration
	// Build is told to the other members, for people.
	Build string

	// Link reaches the other members. The node starts it, and closes it in Shutdown. The default is a
	// link over TCP, at PeerAddress.
	Link Link
	// Members are the names of all members, this node's Config.Name among them, of a cluster whose members
	// are known beforehand and never change. What lives on one that goes is over. The default is none:
	// members are found by gossip. It needs a Link.
	Members []string
}

// GossipConfig is about how members find each other.
type GossipConfig struct {
	// Address is where the gossip listens, IP:port, UDP and TCP; port 0 takes a free one. The default is
	// "127.0.0.1:7946".
	Address string
	// Advertise is the IP:port at which others reach Address. The default is Address or, for 0.0.0.0, the
	// first private address of the machine.
	Advertise string
	// Join is where to look for other members: IP:port; name:port, where the name may resolve to several
	// addresses; file:PATH, a file with one of these on each line. All are looked up anew each time.
	Join []string
	// Keys encrypt the gossip: 16, 24 or 32 bytes each. The first one encrypts, all of them decrypt. The
	// default is none.
	Keys [][]byte
	// Timing of the gossip.
	Timing membership.Timing
	// Network carries the gossip in memory, for nodes of one process. The default is none.
	Network *membership.Network
}

const (
	defaultPeerAddress   = "127.0.0.1:7947"
	defaultGossipAddress = "127.0.0.1:7946"
	defaultJoinTimeout   = 5 * time.Second
)

func (c ClusterConfig) withDefaults() ClusterConfig {
	if c.Name == "" {
		c.Name = "ringfleet"
	}
	if c.PeerAddress == "" {
		c.PeerAddress = defaultPeerAddress
	}
	if c.Gossip.Address == "" {
		c.Gossip.Address = defaultGossipAddress
	}
	if c.JoinTimeout == 0 {
		c.JoinTimeout = defaultJoinTimeout
	}
	return c
}

// fixed reports whether the members are known beforehand.
func (c *ClusterConfig) fixed() bool { return len(c.Members) > 0 }

// check returns what is wrong with c for the node called name.
func (c *ClusterConfig) check(name string) error {
	if c == nil {
		return nil
	}
	var errs []error
	if c.JoinTimeout < 0 {
		errs = append(errs, fmt.Errorf("ringfleet: Cluster.JoinTimeout is %v: want more than 0", c.JoinTimeout))
	}
	if !c.fixed() {
		return errors.Join(errs...)
	}
	if c.Link == nil {
		errs = append(errs, errors.New("ringfleet: Cluster.Link: want one, as of link.NewNetwork, where Cluster.Members are given"))
	}
	if _, ok := c.view().Member(name); !ok {
		errs = append(errs, fmt.Errorf("ringfleet: Cluster.Members: this node's name %q is not among them", name))
	}
	return errors.Join(errs...)
}

// view is the one view of a cluster whose members are known beforehand.
func (c *ClusterConfig) view() cluster.View {
	members := make([]cluster.Member, 0, len(c.Members))
	for _, name := range c.Members {
		members = append(members, cluster.Member{Name: name, Lifecycle: cluster.Serving})
	}
	return cluster.NewView(1, members...)
}
