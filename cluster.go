package ringfleet

import (
	"errors"
	"fmt"

	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/cluster/link"
	"github.com/ringfleet/ringfleet/internal/peerwire"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// Link is how a node reaches the other members of its cluster. A *link.Memory is one: with it several
// nodes live in one process.
type Link interface {
	cluster.Link
	// Start begins to hand what other members send to receive.
	Start(receive link.Receive) error
	// Close ends the link; nothing is received after it.
	Close()
}

// ClusterConfig makes a node a member of a cluster whose members are known beforehand: users and
// invitations are spread over the members by their shards, and a device may connect to any of them.
//
// The members are fixed: all nodes of the cluster are given the same ones, under the same names. What
// lives on a member that goes is over, and devices are told so when they ask.
type ClusterConfig struct {
	// Link reaches the other members. The node starts it, and closes it in Shutdown.
	Link Link
	// Members are the names of all members, this node's Config.Name among them.
	Members []string
}

// check returns what is wrong with c for the node called name.
func (c *ClusterConfig) check(name string) error {
	if c == nil {
		return nil
	}
	var errs []error
	if c.Link == nil {
		errs = append(errs, errors.New("ringfleet: Cluster.Link: want one, as of link.NewNetwork"))
	}
	if _, ok := c.view().Member(name); !ok {
		errs = append(errs, fmt.Errorf("ringfleet: Cluster.Members: this node's name %q is not among them", name))
	}
	return errors.Join(errs...)
}

func (c *ClusterConfig) view() cluster.View {
	members := make([]cluster.Member, 0, len(c.Members))
	for _, name := range c.Members {
		members = append(members, cluster.Member{Name: name, Lifecycle: cluster.Serving})
	}
	return cluster.NewView(1, members...)
}

// joinCluster makes the node's router and starts its link.
func (n *Node) joinCluster() error {
	c := n.config.Cluster
	if c == nil {
		return nil
	}
	router, err := cluster.NewRouter(cluster.Config{
		Self: n.config.Name, Codec: peerwire.Codec{Now: n.host.Now}, Deliver: n.deliver, Link: c.Link, Logger: n.config.Logger,
	})
	if err != nil {
		return err
	}
	if err := router.SetView(c.view()); err != nil {
		return err
	}
	n.router = router
	return c.Link.Start(router.Receive)
}

// deliver takes what other members send to this node.
func (n *Node) deliver(e cluster.Envelope) error {
	switch p := e.Payload.(type) {
	case *session.Input:
		return n.host.TellSession(invitation.User(e.Key), p)
	case *invitation.Message:
		return n.host.TellArbiter(p)
	case *peerwire.Delivery:
		n.gateway.Deliver(p.Conn, p.Down)
	}
	return nil
}

// session gives an input to a user's session, wherever it lives.
func (n *Node) session(user invitation.User, in *session.Input) error {
	if n.isRemote(user) {
		return n.router.Send(invitation.ShardOf(user), peerwire.KindSession, string(user), in)
	}
	return n.host.TellSession(user, in)
}

// isRemote reports whether another member owns a user's session.
func (n *Node) isRemote(user invitation.User) bool {
	return n.router != nil && !n.owns(invitation.ShardOf(user))
}

// arbiter gives a message to an invitation's arbiter, wherever it lives.
func (n *Node) arbiter(msg *invitation.Message) error {
	if n.router != nil {
		if shard := msg.ID.Shard(); !n.owns(shard) {
			return n.router.Send(shard, peerwire.KindArbiter, "", msg)
		}
	}
	return n.host.TellArbiter(msg)
}

// device gives down to a device's connection, wherever it is.
func (n *Node) device(conn session.Conn, down invitation.Down) error {
	if n.router != nil && conn.Node != n.config.Name {
		return n.router.SendNode(conn.Node, peerwire.KindDevice, "", &peerwire.Delivery{Conn: conn.Number, Down: down})
	}
	n.gateway.Deliver(conn.Number, down)
	return nil
}

func (n *Node) owns(shard invitation.Shard) bool {
	_, self := n.router.Owner(shard)
	return self
}
