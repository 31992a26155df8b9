package ringfleet_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet"
	"github.com/ringfleet/ringfleet/client"
	peers "github.com/ringfleet/ringfleet/cluster/link"
	"github.com/ringfleet/ringfleet/gateway"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// TestBusyElsewhere: a node that has too much to do refuses the sends of its users that come by way of another node,
// which is not busy. A bound of a nanosecond makes every node busy.
func TestBusyElsewhere(t *testing.T) {
	network, members := peers.NewNetwork(peers.NetworkOptions{}), []string{"calm", "busy"}
	nodes := map[string]*ringfleet.Node{}
	for name, bound := range map[string]time.Duration{"calm": -1, "busy": 1} {
		memory, err := network.Join(name)
		if err != nil {
			t.Fatal(err)
		}
		nodes[name] = start(t, ringfleet.Config{
			Name: name, Gateway: gateway.Config{MaxDelay: bound},
			Session: session.Config{MaxOutgoing: 1_000, MaxIncoming: 100_000, MaxPerCaller: 1_000, SendRate: 1_000, SendBurst: 1_000},
			Cluster: &ringfleet.ClusterConfig{Link: memory, Members: members},
		})
	}
	clients := make([]*client.Client, 20)
	for i := range clients {
		clients[i] = dial(t, nodes["calm"], client.Options{User: invitation.User(fmt.Sprint("user", i)), Device: "d"})
	}
	refused := map[*client.Client]bool{}
	again, late := time.NewTicker(20*time.Millisecond), time.After(20*time.Second)
	defer again.Stop()
	for len(refused) == 0 { // it has to be late for a while
		select {
		case <-again.C:
		case <-late:
			t.Fatal("nothing was refused")
		}
		taken := 0
		for _, c := range clients {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond) // less than what it is told to wait
			err := c.NewLocalInvitation("nobody").Send(ctx)
			cancel()
			switch {
			case err == nil:
				taken++
			case errors.Is(err, invitation.Unavailable):
				refused[c] = true
			default:
				t.Logf("neither taken nor refused: %v", err)
			}
		}
		if taken == 0 {
			t.Error("all are refused, also those whose sessions are on the other node")
		}
	}
	if n := nodes["busy"].Status().Sessions; len(refused) == 0 || len(refused) > n {
		t.Errorf("sends of %d users were refused; the busy node has %d of %d", len(refused), n, len(clients))
	}
}
