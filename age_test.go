package ringfleet_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet"
	"github.com/ringfleet/ringfleet/client"
	peers "github.com/ringfleet/ringfleet/cluster/link"
	"github.com/ringfleet/ringfleet/invitation"
)

// TestDeadlinesHoldOnTheWay: what one node says to the other is held back for 3 s. Whatever a caller is told, and wherever
// its session and its callee's are, is the time that is left when it is told.
func TestDeadlinesHoldOnTheWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const held = 3 * time.Second
		var slow atomic.Bool
		network := peers.NewNetwork(peers.NetworkOptions{Fault: func(from, _ string, _ []byte) (f peers.Fate) {
			if slow.Load() && from == "b" {
				f.Delay = held
			}
			return f
		}})
		members := []string{"a", "b"}
		nodes := map[string]*ringfleet.Node{}
		for _, name := range members {
			memory, err := network.Join(name)
			if err != nil {
				t.Fatal(err)
			}
			nodes[name] = start(t, ringfleet.Config{Name: name, Cluster: &ringfleet.ClusterConfig{Link: memory, Members: members}})
		}
		time.Sleep(time.Minute) // what the shards had before they were taken is over
		callers := make([]*client.Client, 8)
		for i := range callers {
			callers[i] = dial(t, nodes["a"], client.Options{User: invitation.User(fmt.Sprint("caller", i)), Device: "d"})
		}
		synctest.Wait()
		slow.Store(true)
		began := time.Now()
		calls := make([]*client.LocalInvitation, len(callers))
		for i, c := range callers {
			calls[i] = c.NewLocalInvitation(invitation.User(fmt.Sprint("nobody", i)))
			go func() { _ = calls[i].Send(t.Context()) }()
		}
		time.Sleep(2 * held)
		synctest.Wait()
		for i, call := range calls {
			if left, want := call.Remaining(), invitation.DefaultTimers.NoResponse-time.Since(began); left.Round(100*time.Millisecond) != want {
				t.Errorf("caller %d takes it that %v are left, want %v", i, left, want)
			}
		}
	})
}
