package membership_test

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestFifty: fifty nodes converge after their start, after ten are lost at once, and after a split into
// halves heals. It prints how long that takes and what it costs.
func TestFifty(t *testing.T) {
	if testing.Short() {
		t.Skip("half a minute under the race detector")
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		packets, streams, bytes := uint64(0), uint64(0), uint64(0)
		report := func(what string, took time.Duration) {
			p, s, b := w.network.Counts()
			t.Logf("%-42s %8v, %7d packets, %5d streams, %6d KiB", what, took, p-packets, s-streams, (b-bytes)>>10)
			packets, streams, bytes = p, s, b
		}
		start := time.Now()
		all := w.startAll(50)
		w.await("converged", time.Minute, see(all, namesOf(all)...))
		report("50 nodes have found each other:", time.Since(start))

		for _, m := range all[20:30] {
			w.crash(m)
		}
		rest := append(all[:20:20], all[30:]...)
		took := w.await("converged without ten", time.Minute, see(rest, namesOf(rest)...))
		report("10 lost at once, without evidence:", took)

		for _, m := range all[30:35] {
			w.crash(m)
		}
		rest = append(all[:20:20], all[35:]...)
		for _, m := range rest {
			for i := 30; i < 35; i++ {
				m.Evidence(all[i].Self().Name, 0, errBroken)
			}
		}
		took = w.await("converged without five", 3*time.Second, see(rest, namesOf(rest)...))
		report("5 lost at once, with evidence:", took)

		for i := 20; i < 35; i++ {
			all[i] = w.start(all[i].Self().Name, i, nil)
		}
		took = w.await("converged again", time.Minute, see(all, namesOf(all)...))
		report("15 are back:", took)

		one, other := all[:25], all[25:]
		w.cutAll(one, other, true)
		took = w.await("split", 2*time.Minute, func() bool { return see(one, namesOf(one)...)() && see(other, namesOf(other)...)() })
		report("split 25/25, both halves agree:", took)
		time.Sleep(2 * time.Minute)
		report("two minutes in halves:", 2*time.Minute)
		w.cutAll(one, other, false)
		took = w.await("healed", 2*time.Minute, see(all, namesOf(all)...))
		report("the split has healed:", took)
		for _, m := range all[1:] {
			for i, member := range m.View().Members {
				if member != all[0].View().Members[i] {
					t.Fatalf("%s sees %+v", m.Self().Name, member)
				}
			}
		}
	})
}
