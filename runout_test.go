package ringfleet_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet/client"
	peers "github.com/ringfleet/ringfleet/cluster/link"
	"github.com/ringfleet/ringfleet/invitation"
)

// slowFleet lets nobody connect for some of the time until a point in it.
type slowFleet struct {
	*fleet
	mu    sync.Mutex
	rand  *rand.Rand
	until time.Time // set while nobody connects
}

// Dial implements client.Carrier.
func (f *slowFleet) Dial(ctx context.Context, login invitation.Login, receiver client.Receiver) (client.Link, error) {
	f.mu.Lock()
	until := f.until.Add(-time.Duration(f.rand.Int64N(int64(8 * time.Second))))
	f.mu.Unlock()
	if wait := time.Until(until); wait > 0 {
		select {
		case <-ctx.Done():
			return nil, errors.New("the network is slow")
		case <-time.After(wait):
		}
	}
	return f.fleet.Dial(ctx, login, receiver)
}

// TestRunOutWhileAway: invitations whose time is over while the devices of a lost node are away end on both sides as run
// out, also where messages between the nodes that are left take long, and come in any order.
func TestRunOutWhileAway(t *testing.T) {
	for name, longest := range map[string]time.Duration{"quick": 2 * time.Millisecond, "slow": 1200 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { runOut(t, longest) })
		})
	}
}

func runOut(t *testing.T, longest time.Duration) {
	random, delays := rand.New(rand.NewPCG(4, 5)), rand.New(rand.NewPCG(6, 7))
	var slow atomic.Bool
	f := &slowFleet{rand: random, fleet: newFleet(t, peers.NetworkOptions{Fault: func(string, string, []byte) peers.Fate {
		if !slow.Load() {
			return peers.Fate{}
		}
		return peers.Fate{Delay: time.Duration(delays.Int64N(int64(longest)))}
	}})}
	for _, name := range []string{"a", "b", "c"} {
		f.start(name)
	}
	ends := endings{counts: map[string]int{}}
	const pairs, each = 200, 3
	var clients []*client.Client
	for i := range 2 * pairs {
		cl, err := client.Dial(t.Context(), f, client.Options{
			User: invitation.User(fmt.Sprint("user", i)), Device: "d",
			OnRemoteInvitation: func(r *client.RemoteInvitation) {
				r.OnEvent(func(client.Event) {
					if r.State().Terminal() {
						ends.add("callee", r.Reason())
					}
				})
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		clients = append(clients, cl)
	}
	var calls sync.WaitGroup
	for i := range pairs * each {
		l := clients[i%pairs].NewLocalInvitation(clients[pairs+i%pairs].User())
		_ = l.SetTimers(invitation.Timers{Expire: 3*time.Second + time.Duration(random.Int64N(int64(12*time.Second)))})
		calls.Go(func() {
			if err := l.Send(t.Context()); err != nil {
				t.Error(err)
			}
			if err := l.Wait(t.Context()); err != nil {
				t.Error(err)
			}
			ends.add("caller", l.Reason())
		})
	}
	time.Sleep(time.Second)
	slow.Store(true)
	f.until = time.Now().Add(9 * time.Second)
	f.kill("b")
	time.Sleep(15 * time.Second)
	slow.Store(false)
	calls.Wait()
	time.Sleep(time.Minute)
	if ends.counts["caller EXPIRED"] != pairs*each || ends.counts["callee EXPIRED"] != pairs*each {
		t.Errorf("%d ended as %v", pairs*each, ends.counts)
	}
	for _, cl := range clients {
		_ = cl.Close()
	}
	f.end()
}

// endings counts how invitations ended.
type endings struct {
	mu     sync.Mutex
	counts map[string]int
}

func (e *endings) add(side string, reason invitation.Reason) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.counts[side+" "+reason.String()]++
}
