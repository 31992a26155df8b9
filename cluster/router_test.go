package cluster_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/cluster/link"
	"github.com/ringfleet/ringfleet/invitation"
)

const kind cluster.Kind = 1

// texts is a codec whose payloads are strings. "?" is a message that it does not know.
type texts struct{}

var errText = errors.New("not a text")

func (texts) Append(buf []byte, _ cluster.Kind, payload any) ([]byte, error) {
	text, ok := payload.(string)
	if !ok {
		return buf, errText
	}
	return append(buf, text...), nil
}

func (texts) Decode(_ cluster.Kind, _ string, data []byte) (any, error) {
	switch string(data) {
	case "?":
		return nil, fmt.Errorf("a text: %w", cluster.ErrUnknown)
	case "!":
		return nil, errText
	}
	return string(data), nil
}

// DecodeOlder implements cluster.Ager.
func (c texts) DecodeOlder(kind cluster.Kind, key string, data []byte, age time.Duration) (any, error) {
	payload, err := c.Decode(kind, key, data)
	return fmt.Sprint(payload, " after ", age), err
}

// node is a router with what it has delivered.
type node struct {
	name   string
	router *cluster.Router
	link   *link.Memory

	mu  sync.Mutex
	got []cluster.Envelope
	err error // what Deliver returns
}

func (n *node) deliver(e cluster.Envelope) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if e.Payload == "panic" {
		panic("told to")
	}
	if n.err == nil {
		n.got = append(n.got, e)
	}
	return n.err
}

func (n *node) take() []cluster.Envelope {
	n.mu.Lock()
	defer n.mu.Unlock()
	got := n.got
	n.got = nil
	return got
}

func serving(names ...string) []cluster.Member {
	var list []cluster.Member
	for _, name := range names {
		list = append(list, cluster.Member{Name: name, Lifecycle: cluster.Serving})
	}
	return list
}

// world is some nodes in a network; each has all of them in its view.
type world struct {
	t     *testing.T
	nodes map[string]*node
	names []string
	epoch uint64
}

func newWorld(t *testing.T, network *link.Network, n int) *world {
	w := &world{t: t, nodes: map[string]*node{}}
	for i := range n {
		made := &node{name: fmt.Sprintf("node-%d", i)}
		var err error
		if made.link, err = network.Join(made.name); err != nil {
			t.Fatal(err)
		}
		made.router, err = cluster.NewRouter(cluster.Config{
			Self: made.name, Codec: texts{}, Deliver: made.deliver, Link: made.link, MaxEnvelope: 1_000,
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := made.link.Start(made.router.Receive); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(made.link.Close)
		w.nodes[made.name] = made
		w.names = append(w.names, made.name)
	}
	w.setViews(w.names...)
	return w
}

// setViews gives every node the view of these members; or only the node given in only.
func (w *world) setViews(members ...string) {
	for _, n := range w.nodes {
		w.setView(n, members...)
	}
}

func (w *world) setView(n *node, members ...string) {
	w.t.Helper()
	w.epoch++
	if err := n.router.SetView(cluster.NewView(w.epoch, serving(members...)...)); err != nil {
		w.t.Fatal(err)
	}
}

// where returns the names of the nodes that have got a text since they were asked last.
func (w *world) where(text string) []string {
	var names []string
	for _, name := range w.names {
		for _, e := range w.nodes[name].take() {
			if e.Payload == text {
				names = append(names, name)
			}
		}
	}
	return names
}

// TestRouting sends from every node to identities on all shards: each arrives once, at the owner, as it
// was sent.
func TestRouting(t *testing.T) {
	for _, n := range []int{1, 2, 5, 50} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, link.NewNetwork(link.NetworkOptions{}), n)
				type arrival struct{ owner, key, text string }
				want, got := map[arrival]int{}, map[arrival]int{}
				for i := range 2_000 {
					user := invitation.User(fmt.Sprintf("user-%d", i))
					from := w.nodes[w.names[i%n]]
					shard, text := invitation.ShardOf(user), fmt.Sprintf("%s says %d", from.name, i)
					owner, self := from.router.Owner(shard)
					if self != (owner == from.name) {
						t.Fatalf("%s owns shard %d: %v", owner, shard, self)
					}
					if err := from.router.Send(shard, kind, string(user), text); err != nil {
						t.Fatal(err)
					}
					want[arrival{owner, string(user), text}]++
				}
				synctest.Wait()
				local, remote := uint64(0), uint64(0)
				for _, name := range w.names {
					for _, e := range w.nodes[name].take() {
						got[arrival{name, e.Key, e.Payload.(string)}]++
						if e.Kind != kind || e.Hops != 0 || e.Shard != invitation.ShardOf(invitation.User(e.Key)) {
							t.Errorf("%+v has changed on its way", e)
						}
					}
					stats := w.nodes[name].router.Stats()
					local, remote = local+stats.Local, remote+stats.Received
				}
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Error("what arrived is not what was sent")
				}
				if local+remote != 2_000 || n == 1 && remote != 0 || n > 1 && remote < 500 {
					t.Errorf("%d local and %d remote messages", local, remote)
				}
			})
		})
	}
}

// TestLocalDeliveryIsDirect: on one node a payload is handed over as it is, before Send returns, and the
// receiver's refusal is the sender's error.
func TestLocalDeliveryIsDirect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, link.NewNetwork(link.NetworkOptions{}), 1)
		n := w.nodes["node-0"]
		payload := &struct{ x int }{7} // not a string: encoding it would fail
		if err := n.router.Send(3, kind, "alice", payload); err != nil {
			t.Fatal(err)
		}
		got := n.take()
		if len(got) != 1 || got[0] != (cluster.Envelope{Kind: kind, Shard: 3, Key: "alice", Payload: payload}) {
			t.Errorf("delivered %+v", got)
		}
		if err := n.router.SendNode("", kind, "", payload); err != nil || len(n.take()) != 1 {
			t.Errorf("to this node without a name: %v", err)
		}
		n.err = errors.New("full")
		if err := n.router.Send(3, kind, "alice", payload); !errors.Is(err, n.err) {
			t.Errorf("refused with %v", err)
		}
		if s := n.router.Stats(); s.Local != 2 || s.Refused != 1 || s.Remote != 0 {
			t.Errorf("counted %+v", s)
		}
	})
}

func TestSendNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, link.NewNetwork(link.NetworkOptions{}), 3)
		r := w.nodes["node-0"].router
		for _, name := range w.names {
			if err := r.SendNode(name, kind, "conn", "to "+name); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		for _, name := range w.names {
			if got := w.nodes[name].take(); len(got) != 1 || got[0].Payload != "to "+name || got[0].Key != "conn" || got[0].Node != name {
				t.Errorf("%s has got %+v", name, got)
			}
		}
		if err := r.SendNode("node-9", kind, "", "x"); !errors.Is(err, cluster.ErrNoNode) {
			t.Errorf("to a node that is not there: %v", err)
		}
	})
}

// TestRefusals: what cannot be sent is an error at once, and counted.
func TestRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func(string, string, []byte) link.Fate { return link.Fate{Delay: time.Second} }
		w := newWorld(t, link.NewNetwork(link.NetworkOptions{Queue: 1, Fault: slow}), 2)
		n := w.nodes["node-0"].router
		theirs := shardOf(t, "node-1", w.names, "node-1", w.names)
		for _, c := range []struct {
			name    string
			payload any
			key     string
			want    error
		}{
			{"too large", strings.Repeat("x", 1_000), "", cluster.ErrTooLarge},
			{"not for the codec", 7, "", errText},
			{"key too long", "x", strings.Repeat("k", cluster.MaxKey+1), nil},
		} {
			if err := n.Send(theirs, kind, c.key, c.payload); err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", c.name, err, c.want)
			}
		}
		if err := n.Send(theirs, 0, "", "x"); err == nil {
			t.Error("an envelope without a kind is sent")
		}
		if err := n.Send(theirs, kind, "", "one"); err != nil {
			t.Fatal(err)
		}
		if err := n.Send(theirs, kind, "", "two"); !errors.Is(err, cluster.ErrBusy) {
			t.Errorf("over the queue: %v", err)
		}
		if err := n.Send(invitation.Shards, kind, "", "x"); !errors.Is(err, cluster.ErrNoOwner) {
			t.Errorf("to a shard that is none: %v", err)
		}
		w.setViews()
		if err := n.Send(theirs, kind, "", "x"); !errors.Is(err, cluster.ErrNoOwner) {
			t.Errorf("to nobody: %v", err)
		}
		if name, self := n.Owner(theirs); name != "" || self {
			t.Errorf("%q owns a shard of nobody", name)
		}
		if s := n.Stats(); s.TooLarge != 1 || s.Busy != 1 || s.NoOwner != 2 || s.Remote != 1 {
			t.Errorf("counted %+v", s)
		}
	})
}

// TestAlone: without a link there is this node, and what is for others is refused.
func TestAlone(t *testing.T) {
	got := 0
	r, err := cluster.NewRouter(cluster.Config{
		Self: "a", Codec: texts{}, Deliver: func(cluster.Envelope) error { got++; return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Send(1, kind, "", "x"); !errors.Is(err, cluster.ErrNoOwner) {
		t.Errorf("before the first view: %v", err)
	}
	if err := r.SetView(cluster.NewView(1, serving("a")...)); err != nil {
		t.Fatal(err)
	}
	if err := r.Send(1, kind, "", "x"); err != nil || got != 1 {
		t.Errorf("delivered %d times, %v", got, err)
	}
	if err := r.SetView(cluster.NewView(2, serving("b")...)); err != nil {
		t.Fatal(err)
	}
	if err := r.Send(1, kind, "", "x"); !errors.Is(err, cluster.ErrUnreachable) {
		t.Errorf("to another node: %v", err)
	}
}

// TestReceiveIsTotal: whatever a peer sends is counted, and harms nothing.
func TestReceiveIsTotal(t *testing.T) {
	var logged bytes.Buffer
	n := &node{name: "a"}
	r, err := cluster.NewRouter(cluster.Config{
		Self: "a", Codec: texts{}, Deliver: n.deliver, Logger: slog.New(slog.NewTextHandler(&logged, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.SetView(cluster.NewView(1, serving("a")...)); err != nil {
		t.Fatal(err)
	}
	envelope := func(version, kind byte, payload string) []byte {
		return append([]byte{1 << 3, version, 2 << 3, kind, 7<<3 | 2, byte(len(payload))}, payload...)
	}
	for _, data := range [][]byte{
		nil, []byte("\xff\xff\xff"), envelope(0, 1, "x"), envelope(1, 0, "x"), envelope(1, 1, "!"), envelope(1, 1, "x")[:6],
	} {
		r.Receive("b", data, 0)
	}
	r.Receive("b", envelope(9, 1, "x"), 0)
	r.Receive("b", envelope(1, 1, "?"), 0)
	r.Receive("b", envelope(1, 1, "panic"), 0)
	r.Receive("b", envelope(1, 1, "good"), 0)
	n.err = cluster.ErrBusy
	r.Receive("b", envelope(1, 1, "refused"), 0)
	if s := r.Stats(); s.Malformed != 6 || s.Unknown != 2 || s.Panics != 1 || s.Received != 3 || s.Refused != 1 {
		t.Errorf("counted %+v", s)
	}
	if got := n.take(); len(got) != 1 || got[0].Payload != "good" {
		t.Errorf("delivered %+v", got)
	}
	if text := logged.String(); strings.Count(text, "panic while") != 1 || !strings.Contains(text, "told to") {
		t.Errorf("logged %s", text)
	}
}

// TestViewsAreSwapped sends while views change: each message goes to a member of some view, and nothing
// is delivered twice.
func TestViewsAreSwapped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, link.NewNetwork(link.NetworkOptions{Queue: 1 << 20}), 5)
		r := rand.New(rand.NewPCG(1, 2))
		var senders sync.WaitGroup
		for _, name := range w.names {
			senders.Go(func() {
				for i := range 500 {
					user := fmt.Sprintf("%s-%d", name, i)
					err := w.nodes[name].router.Send(invitation.ShardOf(invitation.User(user)), kind, user, "x")
					if err != nil {
						t.Errorf("%s: %v", user, err)
					}
				}
			})
		}
		for range 50 {
			members := slices.Clone(w.names)
			r.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
			w.setView(w.nodes[w.names[r.IntN(5)]], members[:2+r.IntN(4)]...)
		}
		senders.Wait()
		time.Sleep(time.Second)
		seen := map[string]bool{}
		dropped := uint64(0)
		for _, name := range w.names {
			for _, e := range w.nodes[name].take() {
				if seen[e.Key] {
					t.Errorf("%s has arrived twice", e.Key)
				}
				seen[e.Key] = true
			}
			dropped += w.nodes[name].router.Stats().HopLimit
		}
		if len(seen)+int(dropped) != 2_500 {
			t.Errorf("%d of 2500 messages arrived, and %d went in circles", len(seen), dropped)
		}
	})
}

func TestSetView(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, link.NewNetwork(link.NetworkOptions{}), 2)
		r := w.nodes["node-0"].router
		newer := cluster.NewView(100, serving("node-0")...)
		if err := errors.Join(r.SetView(newer), r.SetView(cluster.NewView(99, serving("node-1")...))); err != nil {
			t.Fatal(err)
		}
		if v := r.View(); v.Epoch != 100 || len(v.Members) != 1 || len(r.Placement().Members()) != 1 {
			t.Errorf("an older view is taken: %+v", v)
		}
		many := make([]string, 2_000)
		for i := range many {
			many[i] = fmt.Sprint(i)
		}
		if err := r.SetView(cluster.NewView(101, serving(many...)...)); err == nil || r.View().Epoch != 100 {
			t.Errorf("too many members: %v", err)
		}
	})
}

// TestWhoOwns: members that join own nothing yet; those that drain own only when nobody serves.
func TestWhoOwns(t *testing.T) {
	member := func(name string, l cluster.Lifecycle) cluster.Member { return cluster.Member{Name: name, Lifecycle: l} }
	for _, c := range []struct {
		members []cluster.Member
		want    []string
	}{
		{[]cluster.Member{member("b", cluster.Serving), member("a", cluster.Serving), member("c", cluster.Joining), member("d", cluster.Draining)}, []string{"a", "b"}},
		{[]cluster.Member{member("a", cluster.Draining), member("c", cluster.Joining)}, []string{"a"}},
		{[]cluster.Member{member("c", cluster.Joining), member("d", cluster.Left)}, nil},
		{nil, nil},
	} {
		v := cluster.NewView(1, c.members...)
		if got := v.Owners(); !slices.Equal(got, c.want) {
			t.Errorf("%+v: owners %v, want %v", c.members, got, c.want)
		}
		for _, m := range c.members {
			if found, ok := v.Member(m.Name); !ok || found != m {
				t.Errorf("%s is found as %+v", m.Name, found)
			}
		}
		if _, ok := v.Member("z"); ok {
			t.Error("a stranger is found")
		}
	}
}

func TestConfig(t *testing.T) {
	good := cluster.Config{Self: "a", Codec: texts{}, Deliver: func(cluster.Envelope) error { return nil }}
	for name, change := range map[string]func(*cluster.Config){
		"no name":       func(c *cluster.Config) { c.Self = "" },
		"long name":     func(c *cluster.Config) { c.Self = strings.Repeat("n", cluster.MaxName+1) },
		"no codec":      func(c *cluster.Config) { c.Codec = nil },
		"no deliver":    func(c *cluster.Config) { c.Deliver = nil },
		"negative hops": func(c *cluster.Config) { c.MaxHops = -1 },
		"negative size": func(c *cluster.Config) { c.MaxEnvelope = -1 },
	} {
		bad := good
		change(&bad)
		if _, err := cluster.NewRouter(bad); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := cluster.NewRouter(good); err != nil {
		t.Error(err)
	}
}

func BenchmarkSend(b *testing.B) {
	r, err := cluster.NewRouter(cluster.Config{
		Self: "a", Codec: texts{}, Deliver: func(cluster.Envelope) error { return nil }, Link: nowhere{},
	})
	if err != nil {
		b.Fatal(err)
	}
	var payload any = strings.Repeat("x", 100)
	for name, members := range map[string][]string{"local": {"a"}, "remote": {"b"}} {
		if err := r.SetView(cluster.NewView(1, serving(members...)...)); err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := r.Send(7, kind, "alice", payload); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// nowhere is a link that takes everything.
type nowhere struct{}

func (nowhere) Send(cluster.Member, []byte) error { return nil }
func (nowhere) SetPeers([]cluster.Member)         {}
