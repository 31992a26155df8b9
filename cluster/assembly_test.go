package cluster_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/cluster/link"
	"github.com/ringfleet/ringfleet/cluster/membership"
	"github.com/ringfleet/ringfleet/invitation"
)

// assembly is router, link and membership put together as in a node.
type assembly struct {
	*node
	stream  *link.Stream
	members atomic.Pointer[membership.Membership]
}

// assemble starts a node on loopback.
func assemble(t *testing.T, name string, boot uint64, seeds ...string) *assembly {
	t.Helper()
	a := &assembly{node: &node{name: name}}
	var err error
	a.stream, err = link.Listen(link.StreamConfig{
		Cluster: "test", Node: name, Boot: boot, Listen: "127.0.0.1:0",
		Admit: func(node string, boot uint64) bool {
			m := a.members.Load()
			return m != nil && m.Knows(node, boot)
		},
		Evidence: func(node string, boot uint64, cause error) {
			if m := a.members.Load(); m != nil {
				m.Evidence(node, boot, cause)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	a.router, err = cluster.NewRouter(cluster.Config{Self: name, Codec: texts{}, Deliver: a.deliver, Link: a.stream})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.stream.Start(a.router.Receive); err != nil {
		t.Fatal(err)
	}
	m, err := membership.Start(membership.Config{
		Cluster: "test", Name: name, Boot: boot, Bind: "127.0.0.1:0", Peer: a.stream.Addr().String(), Seeds: seeds,
		Lifecycle: cluster.Serving, Timing: membership.Timing{Rejoin: 300 * time.Millisecond},
		OnView: func(v cluster.View) {
			if err := a.router.SetView(v); err != nil {
				t.Error(err)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	a.members.Store(m)
	t.Cleanup(a.crash)
	return a
}

// crash ends a node without a farewell.
func (a *assembly) crash() {
	a.stream.Close()
	a.members.Load().Stop()
}

// until waits for a condition.
func until(t *testing.T, what string, holds func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		if time.Since(start) > 30*time.Second {
			t.Fatalf("not %s", what)
		}
		<-tick.C
	}
	return time.Since(start)
}

// TestAssembly: three nodes on real sockets; messages find their owners, also after one of them dies and is
// started again at another address under its old name.
func TestAssembly(t *testing.T) {
	nodes := []*assembly{assemble(t, "node-0", 1)}
	seed := nodes[0].members.Load().Self().Gossip
	for i := 1; i < 3; i++ {
		nodes = append(nodes, assemble(t, fmt.Sprintf("node-%d", i), 1, seed))
	}
	whole := func(peers int) func() bool {
		return func() bool {
			for _, n := range nodes {
				if len(n.router.View().Members) != peers+1 || n.stream.Stats().Connected != peers {
					return false
				}
			}
			return true
		}
	}
	until(t, "joined", whole(2))
	arrive := func(what string) {
		for shard := range invitation.Shard(300) {
			owner, _ := nodes[0].router.Owner(shard)
			if err := nodes[0].router.Send(shard, kind, owner, what); err != nil {
				t.Fatal(err)
			}
		}
		got := 0
		until(t, what, func() bool {
			for _, n := range nodes {
				for _, e := range n.take() {
					if got++; e.Key != n.name || e.Payload != what || e.Hops != 0 {
						t.Errorf("%s has got %+v", n.name, e)
					}
				}
			}
			return got == 300
		})
	}
	arrive("three nodes")

	nodes[1].crash()
	nodes = []*assembly{nodes[0], nodes[2]}
	took := until(t, "two nodes", whole(1))
	t.Logf("the death of a node was acted on after %v", took.Round(time.Millisecond))
	arrive("two nodes")

	nodes = append(nodes, assemble(t, "node-1", 2, seed))
	took = until(t, "three again", whole(2))
	t.Logf("it was back after %v", took.Round(time.Millisecond))
	arrive("three again")
	if m, _ := nodes[0].router.View().Member("node-1"); m.Boot != 2 {
		t.Errorf("node-1 is %+v", m)
	}
	if err := nodes[2].members.Load().Leave(t.Context()); err != nil && !errors.Is(err, membership.ErrStopped) {
		t.Fatal(err)
	}
	nodes = nodes[:2]
	until(t, "one has left", whole(1))
}
