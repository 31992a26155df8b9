package ringfleet_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet"
	"github.com/ringfleet/ringfleet/client"
	peers "github.com/ringfleet/ringfleet/cluster/link"
	"github.com/ringfleet/ringfleet/cluster/membership"
	"github.com/ringfleet/ringfleet/events"
	"github.com/ringfleet/ringfleet/gateway"
	"github.com/ringfleet/ringfleet/gateway/auth"
	"github.com/ringfleet/ringfleet/invitation"
)

// fleet is some nodes of one process that find each other by gossip in memory. As a client.Carrier it is a
// load balancer in front of them.
type fleet struct {
	t      testing.TB
	links  *peers.Network
	gossip *membership.Network

	mu      sync.Mutex
	rand    *rand.Rand
	nodes   []*ringfleet.Node
	starts  int
	cuts    bool // nodes will be cut off
	events  events.Config
	gossips map[string]string  // the gossip address of each node that was started last under a name
	lines   map[string][]*line // the clients' connections to each node
}

// line is a client's connection, which breaks when its node is killed.
type line struct {
	client.Link
	receiver client.Receiver
	mu       sync.Mutex
	dead     bool
}

func (l *line) isDead() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dead
}

// Receive implements client.Receiver.
func (l *line) Receive(down invitation.Down) {
	if !l.isDead() {
		l.receiver.Receive(down)
	}
}

// Lost implements client.Receiver.
func (l *line) Lost(err error) {
	if !l.isDead() {
		l.receiver.Lost(err)
	}
}

// Say implements client.Link.
func (l *line) Say(up invitation.Up) error {
	if l.isDead() {
		return errors.New("the node is dead")
	}
	return l.Link.Say(up)
}

func (l *line) die() {
	l.mu.Lock()
	l.dead = true
	l.mu.Unlock()
	l.receiver.Lost(errors.New("the node is dead"))
}

func newFleet(t testing.TB, options peers.NetworkOptions) *fleet {
	return &fleet{
		t: t, links: peers.NewNetwork(options), gossip: membership.NewNetwork(), rand: rand.New(rand.NewPCG(1, 2)),
		gossips: map[string]string{}, lines: map[string][]*line{},
	}
}

// start starts a node, at an address of its own, and waits until it serves.
func (f *fleet) start(name string) *ringfleet.Node {
	f.t.Helper()
	memory, err := f.links.Join(name)
	if err != nil {
		f.t.Fatal(err)
	}
	f.starts++
	n, err := ringfleet.Start(ringfleet.Config{
		Name: name, API: &ringfleet.APIConfig{},
		Cluster: &ringfleet.ClusterConfig{Link: memory, Gossip: ringfleet.GossipConfig{
			Network: f.gossip, Address: fmt.Sprintf("10.0.0.%d:7946", f.starts), Join: f.seeds(),
		}},
		Gateway: gateway.Config{Authenticator: auth.Development{}},
		Events:  f.events,
	})
	if err != nil {
		f.t.Fatal(err)
	}
	for n.Ready() != nil {
		time.Sleep(10 * time.Millisecond) // in the bubble
	}
	f.mu.Lock()
	f.nodes = append(f.nodes, n)
	f.gossips[name] = n.GossipAddress()
	f.mu.Unlock()
	return n
}

// seeds are the addresses of all nodes that were started.
func (f *fleet) seeds() []string {
	var seeds []string
	for i := 1; i < f.starts; i++ {
		seeds = append(seeds, fmt.Sprintf("10.0.0.%d:7946", i))
	}
	return seeds
}

// stop shuts the node of a name down in order.
func (f *fleet) stop(name string) {
	f.t.Helper()
	node, _ := f.take(name)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := node.Shutdown(ctx); err != nil {
		f.t.Errorf("%s: %v", name, err)
	}
}

// end stops all nodes.
func (f *fleet) end() {
	for len(f.nodes) > 0 {
		f.stop(f.nodes[0].Name())
	}
	time.Sleep(10 * time.Second) // until the last probe of the gossip has timed out, in the bubble
}

// Dial implements client.Carrier.
func (f *fleet) Dial(ctx context.Context, login invitation.Login, receiver client.Receiver) (client.Link, error) {
	f.mu.Lock()
	n := f.nodes[f.rand.IntN(len(f.nodes))]
	l := &line{receiver: receiver}
	f.lines[n.Name()] = append(f.lines[n.Name()], l)
	f.mu.Unlock()
	link, err := n.Dial(ctx, login, l)
	l.Link = link
	return l, err
}

// take takes the node of a name from those that clients are sent to.
func (f *fleet) take(name string) (node *ringfleet.Node, lines []*line) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(f.nodes, func(n *ringfleet.Node) bool { return n.Name() == name })
	node, lines = f.nodes[i], f.lines[name]
	f.nodes, f.lines[name] = slices.Delete(f.nodes, i, i+1), nil
	return node, lines
}

// kill ends a node without a word: nobody hears of it any more, and its clients' connections break.
func (f *fleet) kill(name string) {
	node, lines := f.take(name)
	f.cut(name, true, true)
	for _, l := range lines {
		l.die()
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = node.Shutdown(ctx) // it says farewell to nobody
	for other := range f.gossips {
		f.links.Mend(name, other)
		f.links.Mend(other, name)
	}
}

// cut loses what a node says to the others, what they say to it, or both.
func (f *fleet) cut(name string, from, to bool) {
	at := f.gossips[name]
	for other, address := range f.gossips {
		if other != name && from {
			f.links.Cut(name, other)
			f.gossip.Cut(at, address)
		}
		if other != name && to {
			f.links.Cut(other, name)
			f.gossip.Cut(address, at)
		}
	}
}

// mend ends the cuts of a node.
func (f *fleet) mend(name string) {
	at := f.gossips[name]
	for other, address := range f.gossips {
		f.links.Mend(name, other)
		f.links.Mend(other, name)
		f.gossip.Mend(at, address)
		f.gossip.Mend(address, at)
	}
}

// calls are clients that call each other until they are told to stop. Each call must be accepted.
type calls struct {
	t       testing.TB
	clients []*client.Client
	done    atomic.Int64
	cuts    bool         // nodes are cut off for longer than there is to confirm an accept
	late    atomic.Int64 // accepts that were not confirmed in time
	ids     sync.Map     // of the calls that were accepted
	stop    chan struct{}
	running sync.WaitGroup
}

func (f *fleet) calls(users int) *calls {
	f.t.Helper()
	if testing.Short() {
		users /= 4 // under the race detector
	}
	c := &calls{t: f.t, stop: make(chan struct{}), cuts: f.cuts}
	for i := range users {
		options := client.Options{
			User: invitation.User(fmt.Sprint("user", i)), Device: "d",
			OnRemoteInvitation: func(r *client.RemoteInvitation) { go func() { _ = r.Accept(context.Background(), r.Content()) }() },
		}
		cl, err := client.Dial(f.t.Context(), f, options)
		for err != nil {
			f.t.Log(err)
			cl, err = client.Dial(f.t.Context(), f, options)
		}
		c.clients = append(c.clients, cl)
	}
	for i := range c.clients {
		c.running.Go(func() { c.call(i, rand.New(rand.NewPCG(uint64(i), 3))) })
	}
	return c
}

// call lets one user call others, one after the other.
func (c *calls) call(i int, random *rand.Rand) {
	for n := 0; ; n++ {
		select {
		case <-c.stop:
			return
		case <-time.After(time.Duration(random.Int64N(int64(400 * time.Millisecond)))):
		}
		j := (i + 1 + random.IntN(len(c.clients)-1)) % len(c.clients)
		call := c.clients[i].NewLocalInvitation(c.clients[j].User())
		content := fmt.Sprintf("%d of %d", n, i)
		_ = call.SetContent(content)
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		err := call.Send(ctx)
		if err == nil {
			err = call.Wait(ctx)
		}
		cancel()
		if unconfirmed := call.Reason() == invitation.AcceptNotConfirmed || call.Reason() == invitation.CallerOffline; c.cuts && err == nil && unconfirmed {
			c.late.Add(1)
			continue
		}
		if err != nil || call.State() != invitation.LocalAcceptedByRemote || call.Response() != content {
			c.t.Errorf("call %s from %s to %s ended as %v %v %v, response %q: %v", content, c.clients[i].User(),
				c.clients[j].User(), call.State(), call.Code(), call.Reason(), call.Response(), err)
		}
		c.done.Add(1)
		c.ids.Store(call.ID().String(), nil)
	}
}

func (c *calls) end() {
	close(c.stop)
	c.running.Wait()
	for _, cl := range c.clients {
		_ = cl.Close()
	}
}

// TestMovesUnderLoad lets a node join, drains one and rolls all of them, while users call each other: every
// call is accepted, as without.
func TestMovesUnderLoad(t *testing.T) {
	for name, options := range map[string]peers.NetworkOptions{
		"a good link": {},
		"a bad link": {Fault: func() func(string, string, []byte) peers.Fate {
			random := rand.New(rand.NewPCG(7, 7))
			return func(string, string, []byte) peers.Fate {
				x := random.Float64()
				return peers.Fate{Lost: x < 0.02, Twice: x > 0.98, Delay: time.Duration(random.Int64N(int64(20 * time.Millisecond)))}
			}
		}()},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, options)
				for _, name := range []string{"a", "b", "c"} {
					f.start(name)
				}
				c := f.calls(40)
				phase := func(what string, move func()) {
					before, start := c.done.Load(), time.Now()
					move()
					time.Sleep(5 * time.Second)
					t.Logf("%-10s %5d calls in %v", what, c.done.Load()-before, time.Since(start).Round(time.Millisecond))
				}
				phase("steady", func() {})
				phase("join d", func() { f.start("d") })
				phase("drain b", func() { f.stop("b") })
				phase("b is back", func() { f.start("b") })
				for _, name := range []string{"a", "b", "c", "d"} {
					phase("roll "+name, func() {
						f.stop(name)
						f.start(name)
					})
				}
				c.end()
				time.Sleep(10 * time.Minute) // until all has been forgotten
				for _, n := range f.nodes {
					s := n.Status()
					if s.Sessions != 0 || s.Invitations["RINGING"]+s.Invitations["ENDED"] != 0 {
						t.Errorf("%s is left with %+v", s.Node, s)
					}
				}
				f.end()
			})
		})
	}
}
