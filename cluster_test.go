package ringfleet_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/ringfleet/ringfleet"
	"github.com/ringfleet/ringfleet/client"
	peers "github.com/ringfleet/ringfleet/cluster/link"
	"github.com/ringfleet/ringfleet/invitation"
)

// TestNodesInOneProcess spreads users over three nodes of one process, whose memory link encodes all
// that passes between them: callers, callees, their sessions and invitations are on any of the nodes.
func TestNodesInOneProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := peers.NewNetwork(peers.NetworkOptions{})
		members := []string{"a", "b", "c"}
		var nodes []*ringfleet.Node
		for _, name := range members {
			memory, err := network.Join(name)
			if err != nil {
				t.Fatal(err)
			}
			nodes = append(nodes, start(t, ringfleet.Config{
				Name: name, Cluster: &ringfleet.ClusterConfig{Link: memory, Members: members},
			}))
		}
		const users = 30
		clients := make([]*client.Client, users)
		for i := range clients {
			clients[i] = dial(t, nodes[i%len(nodes)], client.Options{
				User: invitation.User(fmt.Sprint("user", i)), Device: "d",
				OnRemoteInvitation: func(r *client.RemoteInvitation) {
					if r.Content() == "accept" {
						_ = r.Accept(t.Context(), "yes")
					} else {
						_ = r.Refuse(t.Context(), "no")
					}
				},
			})
		}
		for i, caller := range clients {
			for j, want := range []invitation.LocalState{invitation.LocalAcceptedByRemote, invitation.LocalRefusedByRemote} {
				call := caller.NewLocalInvitation(clients[(i+1+7*j)%users].User())
				if want == invitation.LocalAcceptedByRemote {
					_ = call.SetContent("accept")
				}
				if err := call.Send(t.Context()); err != nil {
					t.Fatal(err)
				}
				if err := call.Wait(t.Context()); err != nil || call.State() != want {
					t.Errorf("call %d from %s ended as %v, %v; want %v", j, caller.User(), call.State(), err, want)
				}
			}
		}
		synctest.Wait()
		total := 0
		for _, n := range nodes {
			status := n.Status()
			total += status.Sessions
			if status.Sessions == 0 || status.Sessions == users {
				t.Errorf("node %s has %d of %d sessions: they are not spread", status.Node, status.Sessions, users)
			}
			if live := status.Invitations["ENDED"] + status.Invitations["RINGING"]; live != 0 {
				t.Errorf("node %s still has %d invitations", status.Node, live)
			}
		}
		if total != users {
			t.Errorf("%d sessions, want %d", total, users)
		}
	})
}
