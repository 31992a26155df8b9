package cluster_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/cluster/link"
	"github.com/ringfleet/ringfleet/invitation"
)

// shardOf returns a shard that is one node's by a view of some members, and another's by another view.
func shardOf(t *testing.T, owner string, members []string, other string, others []string) invitation.Shard {
	t.Helper()
	one, err := cluster.NewView(1, serving(members...)...).Placement()
	if err != nil {
		t.Fatal(err)
	}
	two, err := cluster.NewView(1, serving(others...)...).Placement()
	if err != nil {
		t.Fatal(err)
	}
	for shard := range invitation.Shard(invitation.Shards) {
		a, _ := one.Owner(shard)
		b, _ := two.Owner(shard)
		if a == owner && b == other {
			return shard
		}
	}
	t.Fatalf("no shard is of %s and of %s", owner, other)
	return 0
}

// TestForwarding: views disagree, and a message finds the owner by the view of whoever gets it.
func TestForwarding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, link.NewNetwork(link.NetworkOptions{}), 3)
		old := []string{"node-0", "node-1"}
		w.setView(w.nodes["node-0"], old...) // has not heard of node-2
		shard := shardOf(t, "node-1", old, "node-2", w.names)
		if err := w.nodes["node-0"].router.Send(shard, kind, "alice", "hello"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		got := w.nodes["node-2"].take()
		if len(got) != 1 || got[0] != (cluster.Envelope{Kind: kind, Shard: shard, Key: "alice", Hops: 1, Payload: "hello"}) {
			t.Errorf("node-2 has got %+v", got)
		}
		if s := w.nodes["node-1"].router.Stats(); s.Forwarded != 1 || s.Received != 0 {
			t.Errorf("node-1 counts %+v", s)
		}
	})
}

// TestForwardingAges: what is passed on is as old as its whole way took.
func TestForwardingAges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, link.NewNetwork(link.NetworkOptions{Fault: func(from, _ string, _ []byte) link.Fate {
			return link.Fate{Delay: map[string]time.Duration{"node-0": 2 * time.Second, "node-1": time.Second}[from]}
		}}), 3)
		old := []string{"node-0", "node-1"}
		w.setView(w.nodes["node-0"], old...)
		shard := shardOf(t, "node-1", old, "node-2", w.names)
		if err := w.nodes["node-0"].router.Send(shard, kind, "alice", "hello"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if got := w.nodes["node-2"].take(); len(got) != 1 || got[0].Payload != "hello after 3s" {
			t.Errorf("node-2 has got %+v", got)
		}
		if s := w.nodes["node-2"].router.Stats(); s.Aged != 1 || s.Received != 1 {
			t.Errorf("node-2 counts %+v", s)
		}
	})
}

// TestHopLimit: two nodes that each take the other for the owner give up.
func TestHopLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, link.NewNetwork(link.NetworkOptions{}), 2)
		zero, one := w.nodes["node-0"], w.nodes["node-1"]
		w.setView(zero, "node-1")
		w.setView(one, "node-0")
		if err := zero.router.Send(7, kind, "alice", "hello"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := w.where("hello"); got != nil {
			t.Errorf("delivered to %v", got)
		}
		s0, s1 := zero.router.Stats(), one.router.Stats()
		if s0.Forwarded+s1.Forwarded != cluster.DefaultMaxHops || s0.HopLimit+s1.HopLimit != 1 {
			t.Errorf("counted %+v and %+v", s0, s1)
		}
	})
}

// TestRelay: a node that cannot reach the owner sends through another one, once.
func TestRelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := link.NewNetwork(link.NetworkOptions{})
		w := newWorld(t, network, 4)
		gone := w.nodes["node-3"]
		gone.link.Close()
		shard := shardOf(t, "node-3", w.names, "node-3", w.names)
		zero := w.nodes["node-0"].router
		if err := zero.Send(shard, kind, "alice", "hello"); err != nil {
			t.Fatal(err) // another member has it, which will find that it cannot reach the owner either
		}
		synctest.Wait()
		relayed, unreachable := uint64(0), uint64(0)
		for _, n := range w.nodes {
			relayed += n.router.Stats().Relayed
			unreachable += n.router.Stats().Unreachable
		}
		if relayed != 1 || unreachable != 1 {
			t.Errorf("relayed %d times, given up %d times", relayed, unreachable)
		}
		// The others are gone, too.
		w.nodes["node-1"].link.Close()
		w.nodes["node-2"].link.Close()
		if err := zero.Send(shard, kind, "alice", "hello"); !errors.Is(err, cluster.ErrUnreachable) {
			t.Errorf("nobody is there: %v", err)
		}
	})
}

// oneWay is a link that cannot reach some peer, which others can.
type oneWay struct {
	cluster.Link
	blocked string
}

func (l oneWay) Send(to cluster.Member, envelope []byte) error {
	if to.Name == l.blocked {
		return cluster.ErrUnreachable
	}
	return l.Link.Send(to, envelope)
}

// TestRelayArrives: a connection is missing between two nodes only, and messages get around it, to
// identities and to nodes.
func TestRelayArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := link.NewNetwork(link.NetworkOptions{})
		w := newWorld(t, network, 3)
		own, err := network.Join("node-9")
		if err != nil {
			t.Fatal(err)
		}
		defer own.Close()
		r, err := cluster.NewRouter(cluster.Config{
			Self: "node-9", Codec: texts{}, Deliver: func(cluster.Envelope) error { return nil }, Link: oneWay{own, "node-1"},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.SetView(w.nodes["node-0"].router.View()); err != nil {
			t.Fatal(err)
		}
		shard := shardOf(t, "node-1", w.names, "node-1", w.names)
		if err := errors.Join(r.Send(shard, kind, "alice", "one"), r.SendNode("node-1", kind, "", "two")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := w.nodes["node-1"].take(); len(got) != 2 || got[0].Hops != 1 || got[1].Hops != 1 {
			t.Errorf("node-1 has got %+v", got)
		}
	})
}
