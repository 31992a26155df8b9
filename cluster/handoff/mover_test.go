package handoff

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/invitation"
)

// world is some movers and the network between them. What lives on a shard is a text for each key, which
// says how many messages it has got.
type world struct {
	t     *testing.T
	mu    sync.Mutex
	rand  *rand.Rand
	loss  float64 // of messages; as many come twice, or late
	nodes map[string]*node
	epoch uint64
	told  map[string]int // messages that were accepted, by key
}

type node struct {
	world *world
	name  string
	boot  uint64
	mover *Mover

	mu   sync.Mutex
	keys map[string]int      // messages that each key has got
	cold invitation.ShardSet // that it was told it has without what lived there
	lost invitation.ShardSet // that it was told somebody has so
	back []string            // members that had thought it gone
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, rand: rand.New(rand.NewPCG(seed, 1)), nodes: map[string]*node{}, told: map[string]int{}}
	t.Cleanup(func() {
		for _, n := range w.nodes {
			n.mover.Close()
		}
	})
	return w
}

func (w *world) start(name string, boot uint64) *node {
	n := &node{world: w, name: name, boot: boot, keys: map[string]int{}}
	mover, err := New(Config{
		Self: name, Store: n, Deliver: n.deliver, First: boot << 32,
		Send: func(to string, msg *Message) { w.carry(name, to, msg) },
		Cold: func(shards invitation.ShardSet) { n.note(&n.cold, shards) },
		Lost: func(shards invitation.ShardSet) { n.note(&n.lost, shards) },
		Parted: func(member string) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.back = append(n.back, member)
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	n.mover = mover
	w.mu.Lock()
	w.nodes[name] = n
	w.mu.Unlock()
	return n
}

// kill ends a node without a word.
func (w *world) kill(name string) {
	w.nodes[name].mover.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.nodes, name)
}

// carry brings a message to a mover, if it does not get lost.
func (w *world) carry(from, to string, msg *Message) {
	w.mu.Lock()
	defer w.mu.Unlock()
	times, delay := 1, time.Millisecond
	switch x := w.rand.Float64(); {
	case x < w.loss:
		times = 0
	case x < 2*w.loss:
		times = 2
	case x < 3*w.loss:
		delay = time.Duration(w.rand.Int64N(int64(400 * time.Millisecond)))
	}
	for range times {
		time.AfterFunc(delay, func() {
			w.mu.Lock()
			n := w.nodes[to]
			w.mu.Unlock()
			if n != nil {
				n.mover.Receive(from, msg)
			}
		})
	}
}

// see gives a node, or all, the view of these members.
func (w *world) see(who string, names ...string) {
	w.epoch++
	members := make([]cluster.Member, 0, len(names))
	for _, name := range names {
		name, draining := strings.CutSuffix(name, " draining")
		m := cluster.Member{Name: name, Boot: w.nodes[name].boot, Lifecycle: cluster.Serving}
		if draining {
			m.Lifecycle = cluster.Draining
		}
		members = append(members, m)
	}
	view := cluster.NewView(w.epoch, members...)
	for _, name := range slices.Sorted(maps.Keys(w.nodes)) {
		if who == "all" || who == name {
			if err := w.nodes[name].mover.Take(view, func(cluster.View) error { return nil }); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

func shardOf(key string) invitation.Shard { return invitation.ShardOf(invitation.User(key)) }

// tell gives a message for a key to a node, which brings it to where the key is.
func (w *world) tell(n *node, key string) {
	for range 8 {
		switch n.mover.Place(shardOf(key)) {
		case Held:
			n.deliver(cluster.Envelope{Key: key}, 0)
			w.told[key]++
			return
		case Awaited:
			if kept, err := n.mover.Keep(cluster.Envelope{Key: key, Shard: shardOf(key), Payload: time.Now()}); err != nil {
				return // refused: the sender knows
			} else if kept {
				w.told[key]++
				return
			}
		case Gone:
			next := n.mover.Moved(shardOf(key))
			if next == "" {
				n.mover.mu.Lock()
				next, _ = n.mover.table.Owner(shardOf(key))
				n.mover.mu.Unlock()
			}
			if w.nodes[next] == nil || next == n.name {
				return
			}
			n = w.nodes[next]
		}
	}
}

func (n *node) deliver(e cluster.Envelope, kept time.Duration) {
	if since, ok := e.Payload.(time.Time); ok && time.Since(since) != kept {
		n.world.t.Errorf("a message that was kept for %v is said to have waited %v", time.Since(since), kept)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.keys[e.Key]++
}

func (n *node) note(set *invitation.ShardSet, shards invitation.ShardSet) {
	n.mu.Lock()
	defer n.mu.Unlock()
	set.Union(&shards)
}

// losses returns what the node was told was lost since it was asked last.
func (n *node) losses() (cold, lost invitation.ShardSet) {
	n.mu.Lock()
	defer n.mu.Unlock()
	cold, lost = n.cold, n.lost
	n.cold, n.lost = invitation.ShardSet{}, invitation.ShardSet{}
	return cold, lost
}

func (n *node) size() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.keys)
}

// Export implements Store.
func (n *node) Export(_ context.Context, shards *invitation.ShardSet, add func([]byte)) error {
	time.Sleep(time.Duration(shards.Len()%7) * 10 * time.Millisecond) // it takes its time; in a bubble
	n.mu.Lock()
	defer n.mu.Unlock()
	for key, count := range n.keys {
		if shards.Has(shardOf(key)) {
			add([]byte(key + " " + strconv.Itoa(count) + " " + strconv.FormatInt(time.Now().UnixNano(), 10) + strings.Repeat(" ", 3_000)))
			delete(n.keys, key)
		}
	}
	return nil
}

// Import implements Store.
func (n *node) Import(record []byte, age time.Duration) error {
	fields := strings.Fields(string(record))
	if len(fields) != 3 {
		return errors.New("not a record")
	}
	written, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil {
		return err
	}
	late := time.Since(time.Unix(0, written)) - age // by so much its deadlines move
	if late < 0 || late > 400*time.Millisecond || n.world.loss == 0 && late > time.Millisecond {
		n.world.t.Errorf("a record that was written %v ago is said to be %v old", late+age, age)
	}
	count, err := strconv.Atoi(fields[1])
	n.mu.Lock()
	defer n.mu.Unlock()
	n.keys[fields[0]] += count
	return err
}

// check compares what the nodes have with what was told.
func (w *world) check(what string) {
	w.t.Helper()
	got := map[string]int{}
	for _, n := range w.nodes {
		for key, count := range n.keys {
			got[key] += count
			if n.mover.Place(shardOf(key)) != Held {
				w.t.Errorf("%s: %s is on %s, which does not hold its shard", what, key, n.name)
			}
		}
	}
	if !maps.Equal(got, w.told) {
		w.t.Errorf("%s: %d keys with what was told, want %d; or counts differ", what, len(got), len(w.told))
	}
}

// placed reports how many shards are held by the owner that these members' table gives, and nowhere else.
func (w *world) placed(names ...string) int {
	right := 0
	table := w.nodes[names[0]].mover.table
	for shard := range invitation.Shard(invitation.Shards) {
		owner, _ := table.Owner(shard)
		ok := true
		for _, name := range names {
			want := Gone
			if name == owner {
				want = Held
			}
			ok = ok && w.nodes[name].mover.Place(shard) == want
		}
		if ok {
			right++
		}
	}
	return right
}

func (w *world) mustBePlaced(what string, names ...string) {
	w.t.Helper()
	if got := w.placed(names...); got != invitation.Shards {
		w.t.Errorf("%s: %d of %d shards are where they belong", what, got, invitation.Shards)
	}
}

// mustHaveLost checks that so many shards were opened cold since it was asked last, that each node was told
// of all of them, and that none was told of others.
func (w *world) mustHaveLost(what string, want int) {
	w.t.Helper()
	var cold invitation.ShardSet
	told := map[string]invitation.ShardSet{}
	for name, n := range w.nodes {
		c, lost := n.losses()
		cold.Union(&c)
		told[name] = lost
	}
	for name, lost := range told {
		if lost != cold || lost.Len() != want {
			w.t.Errorf("%s: %s was told of %d lost shards; %d were opened cold, want %d", what, name, lost.Len(), cold.Len(), want)
		}
	}
}

// load tells n messages to keys, from nodes at random, over a time.
func (w *world) load(n int, over time.Duration, from ...string) {
	for i := range n {
		w.mu.Lock()
		via := w.nodes[from[w.rand.IntN(len(from))]]
		w.mu.Unlock()
		w.tell(via, fmt.Sprintf("key-%d", i%500))
		time.Sleep(over / time.Duration(n))
	}
}

// TestMoves joins, drains and rolls nodes under load, on networks that are perfect and on bad ones: no key
// and no message is lost, and each shard ends where it belongs.
func TestMoves(t *testing.T) {
	for _, loss := range []float64{0, 0.1, 0.25} {
		t.Run(fmt.Sprint(loss), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 1)
				w.loss = loss
				for _, name := range []string{"a", "b", "c"} {
					w.start(name, 1)
				}
				w.see("all", "a", "b", "c")
				w.load(1_000, 5*time.Second, "a", "b", "c")
				time.Sleep(10 * time.Second)
				w.mustBePlaced("start", "a", "b", "c")
				w.check("start")
				w.mustHaveLost("start", invitation.Shards)

				w.start("d", 1)
				w.see("all", "a", "b", "c", "d")
				w.load(2_000, 2*time.Second, "a", "b", "c", "d")
				time.Sleep(10 * time.Second)
				w.mustBePlaced("join", "a", "b", "c", "d")
				w.check("join")

				w.see("all", "a", "b draining", "c", "d")
				w.load(2_000, 2*time.Second, "a", "b", "c", "d")
				if err := w.nodes["b"].mover.Given(t.Context()); err != nil {
					t.Fatal(err)
				}
				if s := w.nodes["b"].mover.Stats(); s.Held+s.Awaited+s.Giving != 0 || s.Given == 0 {
					t.Errorf("b has given all, and is left with %+v", s)
				}
				w.see("all", "a", "c", "d")
				time.Sleep(10 * time.Second)
				w.mustBePlaced("drain", "a", "c", "d")
				w.check("drain")
				w.mustHaveLost("moves that were planned", 0)

				w.kill("b")
				clear(w.told)
				w.kill("c")
				theirs := 0
				for shard := range invitation.Shard(invitation.Shards) {
					if owner, _ := w.nodes["a"].mover.table.Owner(shard); owner == "c" {
						theirs++
					}
				}
				w.see("all", "a", "d")
				time.Sleep(10 * time.Second)
				w.mustBePlaced("death", "a", "d")
				w.mustHaveLost("death", theirs)
			})
		})
	}
}

// TestDisagreement gives nodes different views for seconds: each thinks other nodes own the shards. Nothing
// is lost meanwhile, and all is where it belongs once they agree.
func TestDisagreement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		for _, name := range []string{"a", "b", "c", "d"} {
			w.start(name, 1)
		}
		w.see("all", "a", "b", "c", "d")
		w.load(1_000, time.Second, "a", "b", "c", "d")
		time.Sleep(5 * time.Second)
		w.check("start")
		for round := range 6 {
			w.see("a", "a", "b", "c", "d draining")
			w.see("b", "a", "b", "c", "d")
			w.see("c", "a draining", "b", "c", "d")
			w.see("d", "a", "b", "c draining", "d")
			w.load(500, 3*time.Second, "a", "b", "c", "d")
			w.check(fmt.Sprint("disagreement ", round))
		}
		w.see("all", "a", "b", "c", "d")
		time.Sleep(10 * time.Second)
		w.mustBePlaced("agreement", "a", "b", "c", "d")
		w.check("agreement")
	})
}

// TestStranger: a node that joins and does not know of all members yet waits for those that others name.
func TestStranger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 6)
		for _, name := range []string{"a", "b", "c"} {
			w.start(name, 1)
		}
		w.see("all", "a", "b", "c")
		w.load(1_000, time.Second, "a", "b", "c")
		time.Sleep(2 * time.Second)
		w.mustHaveLost("start", invitation.Shards)
		w.start("d", 1)
		w.see("d", "a", "b", "d")
		time.Sleep(500 * time.Millisecond)
		if s := w.nodes["d"].mover.Stats(); s.Awaited == 0 {
			t.Error("d does not wait for c")
		}
		w.see("a", "a", "b", "c", "d")
		w.see("b", "a", "b", "c", "d")
		w.load(500, time.Second, "a", "b")
		w.see("all", "a", "b", "c", "d")
		time.Sleep(5 * time.Second)
		w.mustBePlaced("join", "a", "b", "c", "d")
		w.check("join")
		w.mustHaveLost("a join", 0)
	})
}

// TestClaimantDies: what was frozen for a node that dies before it has it is taken back.
func TestClaimantDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.start("a", 1)
		w.see("all", "a")
		w.load(1_000, time.Second, "a")
		b := w.start("b", 1)
		w.see("all", "a", "b")
		for b.size() == 0 {
			time.Sleep(time.Millisecond)
		}
		w.kill("b")
		if w.nodes["a"].mover.Stats().Giving == 0 {
			t.Fatal("b did not die in the middle of the move")
		}
		w.see("all", "a")
		time.Sleep(5 * time.Second)
		w.mustBePlaced("b has died", "a")
		s := w.nodes["a"].mover.Stats()
		if s.Returned == 0 || s.Giving != 0 {
			t.Errorf("a has %+v", s)
		}
		w.check("b has died")
	})
}

// TestOfferAfterHeal: a node that others thought dead, and that comes back with what it had, gets what they
// have made meanwhile, too.
func TestOfferAfterHeal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4)
		w.start("a", 1)
		w.start("b", 1)
		w.see("all", "a", "b")
		w.load(1_000, time.Second, "a", "b")
		time.Sleep(2 * time.Second)
		w.see("a", "a") // it thinks that b has died; b has noticed nothing
		w.load(500, time.Second, "a")
		w.see("a", "a", "b")
		time.Sleep(5 * time.Second)
		w.mustBePlaced("healed", "a", "b")
		w.check("healed")
	})
}

// TestForgottenWhileAlone: a node that has forgotten while it saw nobody tells the others when it sees them, who may
// not have noticed anything, of its own shards; and a member that it had thought gone that it had.
func TestForgottenWhileAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 5)
		w.loss = 0.1
		for _, name := range []string{"a", "b", "c"} {
			w.start(name, 1)
		}
		w.see("all", "a", "b", "c")
		time.Sleep(10 * time.Second)
		for _, n := range w.nodes {
			n.losses()
		}
		a := w.nodes["a"]
		w.see("a", "a")
		a.mover.Forget()
		a.losses()
		for _, members := range [][]string{{"a", "b"}, {"a", "b", "c"}} {
			w.see("a", members...)
			a.mover.Back(members[len(members)-1])
			time.Sleep(10 * time.Second)
		}
		w.mustBePlaced("healed", "a", "b", "c")
		own := invitation.ShardSet{}
		for shard := range invitation.Shard(invitation.Shards) {
			if owner, _ := a.mover.table.Owner(shard); owner == "a" {
				own.Add(shard)
			}
		}
		for _, name := range []string{"b", "c"} {
			_, lost := w.nodes[name].losses()
			missed := own
			missed.Remove(&lost)
			if !missed.Empty() || name == "c" && lost != own {
				t.Errorf("%s was told of %d lost shards, want %d", name, lost.Len(), own.Len())
			}
			if back := w.nodes[name].back; !slices.Equal(back, []string{"a"}) {
				t.Errorf("%s was told by %v that they had thought it gone", name, back)
			}
		}
	})
}

// TestKept: what waits is bounded, and the shards of a member that goes before it answered are held.
func TestKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 5)
		a := w.start("a", 1)
		a.mover.kept.max = 10
		w.start("b", 1)
		w.loss = 1 // b never answers
		w.see("all", "a", "b")
		refused := 0
		for i := range 1_000 {
			key := fmt.Sprint(i)
			if a.mover.Place(shardOf(key)) != Awaited {
				continue
			}
			kept, err := a.mover.Keep(cluster.Envelope{Key: key, Shard: shardOf(key)})
			switch {
			case errors.Is(err, cluster.ErrBusy):
				refused++
			case kept:
				w.told[key]++
			}
		}
		if refused == 0 || len(w.told) != 10 || a.mover.Stats().Waiting != 10 {
			t.Errorf("%d refused, %d kept: %+v", refused, len(w.told), a.mover.Stats())
		}
		w.kill("b")
		w.see("a", "a")
		w.check("b has gone")
		w.mustBePlaced("b has gone", "a")
	})
}
