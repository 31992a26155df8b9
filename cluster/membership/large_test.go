package membership_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// TestFifty: fifty nodes converge after their start, after ten are lost at once, and after a split into
// halves heals. It prints how long that takes and what it costs, all together and for each node a second;
// docs/capacity.md has the figures.
func TestFifty(t *testing.T) {
	if testing.Short() {
		t.Skip("half a minute under the race detector")
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		meter := meter{world: w, at: time.Now()}
		all := w.startAll(50)
		w.await("converged", time.Minute, see(all, namesOf(all)...))
		meter.report("50 nodes have found each other", 50)
		meter.rest("50 nodes at rest", 50)

		for _, m := range all[20:30] {
			w.crash(m)
		}
		rest := append(all[:20:20], all[30:]...)
		w.await("converged without ten", time.Minute, see(rest, namesOf(rest)...))
		meter.report("10 lost at once, without evidence", 40)
		meter.rest("the minute after that", 40)

		for _, m := range all[30:35] {
			w.crash(m)
		}
		rest = append(all[:20:20], all[35:]...)
		for _, m := range rest {
			for i := 30; i < 35; i++ {
				m.Evidence(all[i].Self().Name, 0, errBroken)
			}
		}
		w.await("converged without five", 3*time.Second, see(rest, namesOf(rest)...))
		meter.report("5 lost at once, with evidence", 35)

		for i := 20; i < 35; i++ {
			all[i] = w.start(all[i].Self().Name, i, nil)
		}
		w.await("converged again", time.Minute, see(all, namesOf(all)...))
		meter.report("15 are back", 50)

		one, other := all[:25], all[25:]
		w.cutAll(one, other, true)
		w.await("split", 2*time.Minute, func() bool { return see(one, namesOf(one)...)() && see(other, namesOf(other)...)() })
		meter.report("split 25/25, both halves agree", 50)
		meter.rest("a minute in halves", 50)
		meter.rest("another minute in halves", 50)
		w.cutAll(one, other, false)
		w.await("healed", 2*time.Minute, see(all, namesOf(all)...))
		meter.report("the split has healed", 50)
		meter.rest("the minute after that", 50)
		for _, m := range all[1:] {
			for i, member := range m.View().Members {
				if member != all[0].View().Members[i] {
					t.Fatalf("%s sees %+v", m.Self().Name, member)
				}
			}
		}
	})
}

// TestTraffic holds what docs/capacity.md says: at rest a node sends as much in a large cluster as in a small one, but for
// the list of members, which is compared with one other each 15 s.
func TestTraffic(t *testing.T) {
	if testing.Short() {
		t.Skip("some seconds under the race detector")
	}
	synctest.Test(t, func(t *testing.T) {
		for _, n := range []int{3, 10, 50} {
			w := newWorld(t)
			all := w.startAll(n)
			w.await("converged", time.Minute, see(all, namesOf(all)...))
			time.Sleep(30 * time.Second)
			meter := meter{world: w, at: time.Now()}
			meter.settle()
			packets, bytes := meter.rest(fmt.Sprint(n, " nodes at rest"), n)
			if packets > 10 {
				t.Errorf("of %d nodes, each sends %.1f packets a second at rest", n, packets)
			}
			if most := 500 + 40*float64(n); bytes > most {
				t.Errorf("of %d nodes, each sends %.0f bytes a second at rest, more than %.0f", n, bytes, most)
			}
			for _, m := range all {
				w.crash(m)
			}
		}
	})
}

// meter prints what the nodes of a world have sent since it was asked last.
type meter struct {
	world                   *world
	at                      time.Time
	packets, streams, bytes uint64
}

// rest lets a minute pass and reports it.
func (m *meter) rest(what string, nodes int) (packets, bytes float64) {
	m.world.t.Helper()
	time.Sleep(time.Minute)
	return m.report(what, nodes)
}

// report returns how many packets and bytes each node has sent a second, those that were lost included.
func (m *meter) report(what string, nodes int) (packets, bytes float64) {
	m.world.t.Helper()
	before := *m
	m.settle()
	took := m.at.Sub(before.at)
	p, s, b := m.packets-before.packets, m.streams-before.streams, m.bytes-before.bytes
	each := took.Seconds() * float64(nodes)
	packets, bytes = float64(p)/each, float64(b)/each
	m.world.t.Logf("%-36s %8v, %7d packets, %5d streams, %6d KiB; each node a second: %5.1f packets, %5.2f streams, %7.0f B",
		what+":", took, p, s, b>>10, packets, float64(s)/each, bytes)
	return packets, bytes
}

// settle forgets what was sent so far.
func (m *meter) settle() {
	m.packets, m.streams, m.bytes = m.world.network.Counts()
	m.at = time.Now()
}
