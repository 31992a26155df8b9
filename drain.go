package ringfleet

import (
	"context"
	"errors"
	"time"

	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/messages/apipb"
)

// ErrDrained is why a node that was drained is not ready.
var ErrDrained = errors.New("ringfleet: the node was drained; it serves again when it is started again")

// ErrLast is returned by [Node.Drain] for a node that has nobody to give anything to.
var ErrLast = errors.New("ringfleet: no other node serves: what lives on this one has nowhere to go")

// drainTimeout bounds how long a drain that was begun by the API may take.
const drainTimeout = 5 * time.Minute

// Drain gives away what lives on the node, and sends its devices to other nodes. The node stays up, owning nothing and
// not ready, until it is shut down. The error is [ErrAlone], [ErrLast], or that of what was not done when ctx was; then
// the node goes on giving away.
func (n *Node) Drain(ctx context.Context) error {
	if err := n.mayDrain(); err != nil {
		return err
	}
	n.drained.Store(true)
	n.gateway.StopAccepting()
	if err := n.member.drain(ctx); err != nil {
		return err
	}
	n.desk.Close(ctx, ctx)
	return n.gateway.EndAll(ctx)
}

func (n *Node) mayDrain() error {
	m := n.member
	if m == nil || m.mover == nil {
		return ErrAlone
	}
	for _, other := range m.router.View().Members {
		if other.Name != n.config.Name && other.Lifecycle == cluster.Serving {
			return nil
		}
	}
	if n.drained.Load() {
		return nil // it is being done
	}
	return ErrLast
}

// beginDrain implements desk.Config.Drain.
func (n *Node) beginDrain() error {
	if err := n.mayDrain(); err != nil || n.drained.Swap(true) {
		return err
	}
	n.config.Logger.Info("the node is being drained, as the API was told to")
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
		defer cancel()
		if err := n.Drain(ctx); err != nil {
			n.config.Logger.Error("not all could be given away", "error", err)
			return
		}
		n.config.Logger.Info("the node is drained")
	}()
	return nil
}

// nodeState implements desk.Config.State.
func (n *Node) nodeState() *apipb.Node {
	s := n.Status()
	out := &apipb.Node{
		Name: s.Node, Ready: s.Ready, Reason: s.Reason, Sessions: uint32(s.Sessions), Invitations: map[string]uint32{},
		ShardsHeld: invitation.Shards,
	}
	for stage, live := range s.Invitations {
		out.Invitations[stage] = uint32(max(live, 0))
	}
	if s.Cluster != nil {
		out.ShardsHeld, out.ShardsAwaited = uint32(s.Cluster.Shards.Held), uint32(s.Cluster.Shards.Awaited)
	}
	return out
}

// Cluster implements api.Backend.
func (b apiBackend) Cluster() (*apipb.Cluster, <-chan struct{}) {
	n := b.node
	changed := n.views.wait() // before the view is read, so that no change is missed
	out := &apipb.Cluster{Node: n.config.Name}
	state, ok := n.clusterState()
	if !ok {
		out.Members = []*apipb.Member{{
			Name: n.config.Name, Boot: n.boot, Lifecycle: apipb.Lifecycle_LIFECYCLE_SERVING, Shards: invitation.Shards,
		}}
		return out, changed
	}
	out.Name, out.Epoch = n.member.config.Name, state.View.Epoch
	for _, m := range state.View.Members {
		out.Members = append(out.Members, &apipb.Member{
			Name: m.Name, Boot: m.Boot, Lifecycle: apipb.Lifecycle(m.Lifecycle) + 1, PeerAddress: m.Peer, ClientAddress: m.Gateway,
			GossipAddress: m.Gossip, Build: m.Build, Shards: uint32(state.Owned[m.Name]),
		})
	}
	return out, changed
}

// Stopped implements api.Backend.
func (b apiBackend) Stopped() <-chan struct{} { return b.node.ending }
