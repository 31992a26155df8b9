package membership_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/cluster/membership"
)

var errBroken = errors.New("the connection broke")

func TestAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		m := w.start("node-0", 0, func(c *membership.Config) { c.Lifecycle = cluster.Joining })
		want := cluster.Member{
			Name: "node-0", Boot: m.Self().Boot, Peer: "node-0:7947", Gateway: "node-0:8080", Gossip: "10.0.0.1:7946", Build: "v1",
		}
		if v := m.View(); v.Epoch != 1 || len(v.Members) != 1 || v.Members[0] != want || len(m.views) != 1 {
			t.Errorf("the first view is %+v", v)
		}
		if err := m.SetLifecycle(cluster.Serving); err != nil {
			t.Fatal(err)
		}
		w.await("serving", time.Second, func() bool { return m.View().Members[0].Lifecycle == cluster.Serving })
		if v := m.View(); v.Epoch != 2 || !reflect.DeepEqual(m.views[1], v) {
			t.Errorf("the second view is %+v of %+v", v, m.views)
		}
	})
}

// TestJoin: all see all, with what each says of itself; changes of lifecycle and farewells get around.
func TestJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		all := w.startAll(3)
		took := w.await("joined", 10*time.Second, see(all, "node-0", "node-1", "node-2"))
		t.Logf("three nodes have joined after %v", took)
		for _, m := range all {
			for _, other := range all {
				if boot := other.Self().Boot; m.Knows(other.Self().Name, boot) == (m == other) || m.Knows(other.Self().Name, boot+1) {
					t.Errorf("%s does not know whether %s is a member", m.Self().Name, other.Self().Name)
				}
				if got, ok := m.View().Member(other.Self().Name); !ok || got != other.Self() {
					t.Errorf("%s sees %+v, want %+v", m.Self().Name, got, other.Self())
				}
			}
		}
		if err := all[2].SetLifecycle(cluster.Draining); err != nil {
			t.Fatal(err)
		}
		w.await("draining", 2*time.Second, func() bool {
			got, _ := all[0].View().Member("node-2")
			return got.Lifecycle == cluster.Draining
		})
		if err := all[2].Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		took = w.await("left", 2*time.Second, see(all[:2], "node-0", "node-1"))
		t.Logf("a farewell got around after %v", took)
		if err := all[2].SetLifecycle(cluster.Serving); !errors.Is(err, membership.ErrStopped) {
			t.Errorf("after the farewell: %v", err)
		}
		epoch := all[0].View().Epoch
		time.Sleep(time.Minute)
		if now := all[0].View().Epoch; now != epoch {
			t.Errorf("nothing has changed, and the epoch went from %d to %d", epoch, now)
		}
	})
}

// TestCrash: without evidence, memberlist finds out by itself.
func TestCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		all := w.startAll(3)
		w.await("joined", 10*time.Second, see(all, namesOf(all)...))
		w.crash(all[1])
		took := w.await("found", 15*time.Second, see([]*member{all[0], all[2]}, "node-0", "node-2"))
		t.Logf("a crash was found without evidence after %v", took)
	})
}

// TestEvidence: a broken connection is checked by a probe, and a death is acted on after two rounds of probes, or up to four by a
// node that doubts itself, as it has just missed the answer to a probe of memberlist's; a false alarm changes nothing.
func TestEvidence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		all := w.startAll(5)
		w.await("joined", 10*time.Second, see(all, namesOf(all)...))
		all[0].Evidence("node-1", 0, errBroken)
		all[0].Evidence("node-1", 99, errBroken) // another start of it: not there
		all[0].Evidence("node-7", 0, errBroken)  // nobody
		all[0].Evidence("node-0", 0, errBroken)  // itself
		time.Sleep(2 * time.Second)
		if s := all[0].Stats(); s.Verdicts != 0 || s.Probes == 0 {
			t.Errorf("after a false alarm: %+v", s)
		}
		w.crash(all[1])
		rest := []*member{all[0], all[2], all[3], all[4]}
		for _, m := range rest {
			m.Evidence("node-1", 0, errBroken)
		}
		const round = 300 * time.Millisecond
		took := w.await("acted on", 4*round+100*time.Millisecond, see(rest, namesOf(rest)...))
		t.Logf("a crash was acted on after %v", took)
	})
}

// TestSecondChance: a node that lets the first probes go unanswered, as it does not get a processor, is not dead.
func TestSecondChance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		all := w.startAll(3)
		w.await("joined", 10*time.Second, see(all, namesOf(all)...))
		rest := []*member{all[0], all[2]}
		w.cutAll(all[1:2], rest, true)
		for _, m := range rest {
			m.Evidence("node-1", 0, errBroken)
		}
		time.Sleep(200 * time.Millisecond)
		w.cutAll(all[1:2], rest, false)
		for range 20 {
			time.Sleep(100 * time.Millisecond)
			if !see(all, namesOf(all)...)() {
				t.Fatalf("a node is out that answered the second probe:%s", w.views())
			}
		}
		for _, m := range rest {
			if s := m.Stats(); s.Verdicts != 0 {
				t.Errorf("%+v", s)
			}
		}
	})
}

// TestOneWayIsNotDeath: a node that this one cannot reach, and others can, stays.
func TestOneWayIsNotDeath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		all := w.startAll(4)
		w.await("joined", 10*time.Second, see(all, namesOf(all)...))
		w.cutAll(all[:1], all[1:2], true)
		for range 30 {
			all[0].Evidence("node-1", 0, errBroken)
			all[1].Evidence("node-0", 0, errBroken)
			time.Sleep(time.Second)
			if len(all[0].names()) != 4 || len(all[1].names()) != 4 {
				t.Fatalf("two that cannot reach each other have parted:%s", w.views())
			}
		}
	})
}

// TestPause: a node that does not answer for a while is out of the view, and back as soon as it
// answers, whatever memberlist thinks.
func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		all := w.startAll(3)
		w.await("joined", 10*time.Second, see(all, namesOf(all)...))
		for _, pause := range []time.Duration{time.Second, time.Minute} {
			w.cutAll(all[1:2], []*member{all[0], all[2]}, true)
			all[0].Evidence("node-1", all[1].Self().Boot, errBroken)
			all[2].Evidence("node-1", all[1].Self().Boot, errBroken)
			w.await("out", time.Second, see([]*member{all[0], all[2]}, "node-0", "node-2"))
			time.Sleep(pause)
			w.cutAll(all[1:2], []*member{all[0], all[2]}, false)
			took := w.await("back", 30*time.Second, see(all, namesOf(all)...))
			t.Logf("after %v away, it was back after %v", pause, took)
		}
	})
}

// TestRestart: a node that comes back under its old name, at its old address or another one, takes its place
// at once, and is known to be another one.
func TestRestart(t *testing.T) {
	for what, machine := range map[string]int{"same address": 1, "other address": 7} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				all := w.startAll(3)
				w.await("joined", 10*time.Second, see(all, namesOf(all)...))
				old := all[1].Self()
				w.crash(all[1])
				again := w.start("node-1", machine, nil)
				nodes := []*member{all[0], again, all[2]}
				took := w.await("replaced", time.Second, func() bool {
					for _, m := range nodes {
						if got, ok := m.View().Member("node-1"); !ok || got != again.Self() {
							return false
						}
					}
					return see(nodes, "node-0", "node-1", "node-2")()
				})
				t.Logf("a restart was seen after %v", took)
				if again.Self().Boot <= old.Boot {
					t.Errorf("boot %d after %d", again.Self().Boot, old.Boot)
				}
				time.Sleep(time.Minute)
				if err := again.conflict(); len(err) != 0 || !see(nodes, "node-0", "node-1", "node-2")() {
					t.Errorf("a minute later: %v%s", err, w.views())
				}
			})
		})
	}
}

// TestNameInUse: a second node of a name is in nobody's view, and is told; the first one is not harmed.
func TestNameInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		all := w.startAll(3)
		w.await("joined", 10*time.Second, see(all, namesOf(all)...))
		epochs := all[0].View().Epoch
		thief := w.start("node-1", 9, nil)
		w.await("told", 5*time.Second, func() bool { return len(thief.conflict()) > 0 })
		time.Sleep(time.Minute)
		for _, m := range all {
			if got, ok := m.View().Member("node-1"); !ok || got != all[1].Self() {
				t.Errorf("%s sees %+v", m.Self().Name, got)
			}
		}
		if _, ok := thief.View().Member("node-1"); ok {
			t.Error("it sees itself, or the other one, under the name they share")
		}
		if got := thief.conflict(); len(got) != 1 || !strings.Contains(got[0].Error(), "node-1") {
			t.Errorf("told %v", got)
		}
		if n := strings.Count(all[0].logged(), "a name that is in use"); n != 1 {
			t.Errorf("logged %d times", n)
		}
		if now := all[0].View().Epoch; now != epochs {
			t.Errorf("the epoch went from %d to %d", epochs, now)
		}
		thief.Stop()
		w.crash(all[1])
		again := w.start("node-1", 1, nil)
		w.await("the name is free", 20*time.Second, see([]*member{all[0], again}, "node-0", "node-1", "node-2"))
	})
}

// TestSeedsComeLate: a node keeps looking until somebody is there, also after all others were lost.
func TestSeedsComeLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		one := w.start("node-1", 1, nil)
		time.Sleep(5 * time.Minute)
		zero := w.start("node-0", 0, nil)
		took := w.await("joined", 15*time.Second, see([]*member{zero, one}, "node-0", "node-1"))
		t.Logf("a seed that came late was found after %v", took)
		w.crash(zero)
		w.await("alone", 20*time.Second, see([]*member{one}, "node-1"))
		zero = w.start("node-0", 0, func(c *membership.Config) { c.Seeds = nil }) // must be found
		took = w.await("joined again", 15*time.Second, see([]*member{zero, one}, "node-0", "node-1"))
		t.Logf("a seed that came back was found after %v", took)
	})
}

// TestLoss: with a tenth of all packets lost nobody is thrown out for long.
func TestLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		n := 0
		w.network.Lose(func(_, _ string) bool { n++; return n%10 == 0 })
		all := w.startAll(5)
		w.await("joined", 30*time.Second, see(all, namesOf(all)...))
		whole := 0
		for range 300 {
			time.Sleep(time.Second)
			for _, m := range all {
				if len(m.names()) == 5 {
					whole++
				}
			}
		}
		if whole < 1_485 {
			t.Errorf("views were whole in %d of 1500 looks", whole)
		}
	})
}
