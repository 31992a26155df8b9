package ringfleet_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet"
	"github.com/ringfleet/ringfleet/client"
	peers "github.com/ringfleet/ringfleet/cluster/link"
	"github.com/ringfleet/ringfleet/invitation"
)

// BenchmarkRecoveryStorm kills one of three nodes that have STORM users, by default 9,000, spread at random,
// all in this process over links and gossip in memory, with one SDK client each. A third of the sessions is
// made anew by re-attaching, and a third of the clients connects to another node. Meanwhile others call each
// other. Run it with -benchtime 1x. It reports
//
//   - s/notice: from the kill until a living node counts the dead one out,
//   - s/sessions: from the kill until each user has a session,
//   - s/recovered: from the kill until each client has a connection, too,
//   - cpu-µs/user: the CPU time of the process from the kill until then, per session and per connection that was lost,
//     the clients' and that of the calls beside it included,
//   - B/user: the memory of the process before the kill, per user, clients included,
//   - MB/peak: the most memory that the process was seen to have, before and after the kill,
//   - ms/set-up: how long the slowest of the calls made meanwhile took to be accepted, whomever the loss hit,
//   - calls-late: of these calls, those that were not accepted, as a side was away for longer than their timers allow, or
//     the machine too busy; how they ended is printed.
func BenchmarkRecoveryStorm(b *testing.B) {
	users := 9_000
	if n, err := strconv.Atoi(os.Getenv("STORM")); err == nil {
		users = n
	}
	for range b.N {
		storm(b, users)
	}
}

func storm(b *testing.B, users int) {
	f := newFleet(b, peers.NetworkOptions{})
	for _, name := range []string{"a", "b", "c"} {
		f.start(name)
	}
	defer f.end()
	empty := residentMemory(os.Getpid())
	clients := f.crowd(users)
	defer closeAll(clients)
	before := residentMemory(os.Getpid())
	b.ReportMetric(float64(before-empty)/float64(users), "B/user")
	lost := f.sessionsOn("b") + len(f.lines["b"])

	beside := callBeside(b, clients)
	atKill, start := cpu(), time.Now()
	f.kill("b")
	peak := before
	var noticed, sessions time.Duration
	for back := 0; back < users || sessions == 0; {
		peak = max(peak, residentMemory(os.Getpid()))
		if noticed == 0 && len(f.nodes[0].Status().Cluster.Members) < 3 {
			noticed = time.Since(start)
		}
		if sessions == 0 && f.sessions() >= users {
			sessions = time.Since(start)
		}
		for back < users && clients[back].Connected() { // who is back stays
			back++
		}
		if time.Since(start) > 5*time.Minute {
			b.Fatalf("after %v, %d sessions of %d users", time.Since(start), f.sessions(), users)
		}
		time.Sleep(20 * time.Millisecond) // polling
	}
	took, used := time.Since(start), cpu()-atKill
	b.ReportMetric(noticed.Seconds(), "s/notice")
	b.ReportMetric(sessions.Seconds(), "s/sessions")
	b.ReportMetric(took.Seconds(), "s/recovered")
	b.ReportMetric(float64(used.Microseconds())/float64(lost), "cpu-µs/user")
	b.ReportMetric(float64(before)/1e6, "MB/before")
	b.ReportMetric(float64(peak)/1e6, "MB/peak")
	calls, late, slowest := beside()
	b.ReportMetric(float64(slowest.Milliseconds()), "ms/set-up")
	b.ReportMetric(float64(calls), "calls")
	b.ReportMetric(float64(late), "calls-late")
}

// crowd connects users with an SDK client each.
func (f *fleet) crowd(users int) []*client.Client {
	clients := make([]*client.Client, users)
	var dialing sync.WaitGroup
	const parallel = 64
	for part := range parallel {
		dialing.Go(func() {
			for i := part; i < users; i += parallel {
				c, err := client.Dial(f.t.Context(), f, client.Options{
					User: invitation.User(fmt.Sprint("user", i)), Device: "d",
					OnRemoteInvitation: func(r *client.RemoteInvitation) { go func() { _ = r.Accept(context.Background(), "yes") }() },
				})
				if err != nil {
					f.t.Error(err)
					return
				}
				clients[i] = c
			}
		})
	}
	dialing.Wait()
	if slices.Contains(clients, nil) {
		f.t.Fatal("not all users could connect")
	}
	return clients
}

func closeAll(clients []*client.Client) {
	for _, c := range clients {
		_ = c.Close()
	}
}

// sessionsOn counts those of one node.
func (f *fleet) sessionsOn(name string) int {
	i := slices.IndexFunc(f.nodes, func(n *ringfleet.Node) bool { return n.Name() == name })
	return f.nodes[i].Status().Sessions
}

// callBeside lets some pairs of clients call each other, one call after the other for each pair, until the function is
// called that it returns: that tells how many calls there were, how many of them were not accepted, and the longest
// that one took to be accepted.
func callBeside(b *testing.B, clients []*client.Client) func() (calls, late int, slowest time.Duration) {
	const pairs = 100
	var (
		mu          sync.Mutex
		calls, late int
		slowest     time.Duration
		running     sync.WaitGroup
	)
	stop := make(chan struct{})
	for i := range pairs {
		caller, callee := clients[i], clients[len(clients)-1-i].User()
		running.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(250 * time.Millisecond):
				}
				start, call := time.Now(), caller.NewLocalInvitation(callee)
				ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
				err := call.Send(ctx)
				if err == nil {
					err = call.Wait(ctx)
				}
				cancel()
				mu.Lock()
				calls++
				switch {
				case err == nil && call.State() == invitation.LocalAcceptedByRemote:
					slowest = max(slowest, time.Since(start))
				case err == nil && call.State().Terminal():
					late++
					b.Logf("a call ended as %v, %v", call.State(), call.Reason())
				default:
					b.Errorf("a call is %v, %v: %v", call.State(), call.Reason(), err)
				}
				mu.Unlock()
			}
		})
	}
	return func() (int, int, time.Duration) {
		close(stop)
		running.Wait()
		return calls, late, slowest
	}
}
