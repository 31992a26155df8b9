package ringfleet_test

import (
	"testing"
	"testing/synctest"
	"time"

	peers "github.com/ringfleet/ringfleet/cluster/link"
)

// TestCrashUnderLoad kills nodes, one after the other, while users call each other: every call is accepted
// all the same.
func TestCrashUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, peers.NetworkOptions{})
		for _, name := range []string{"a", "b", "c"} {
			f.start(name)
		}
		c := f.calls(40)
		time.Sleep(5 * time.Second)
		for _, name := range []string{"b", "a", "c", "b"} {
			before, start := c.done.Load(), time.Now()
			f.kill(name)
			time.Sleep(10 * time.Second)
			f.start(name)
			time.Sleep(10 * time.Second)
			t.Logf("kill %s: %5d calls in %v", name, c.done.Load()-before, time.Since(start).Round(time.Millisecond))
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
}

// TestShortCutsUnderLoad brings a node that is cut off back while it still sends its clients elsewhere.
func TestShortCutsUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, peers.NetworkOptions{})
		for _, name := range []string{"a", "b", "c"} {
			f.start(name)
		}
		f.cuts = true
		c := f.calls(60)
		time.Sleep(5 * time.Second)
		for i := range 8 {
			lasts := 3200*time.Millisecond + time.Duration(i)*400*time.Millisecond
			before, name := c.done.Load(), []string{"a", "b", "c"}[i%3]
			f.cut(name, true, true)
			time.Sleep(lasts)
			f.mend(name)
			time.Sleep(20 * time.Second)
			t.Logf("cut %s for %v: %5d calls", name, lasts, c.done.Load()-before)
		}
		c.end()
		time.Sleep(10 * time.Minute) // until all has been forgotten
		f.end()
	})
}

// TestPartitionUnderLoad cuts a node off, and brings it back: its clients go on elsewhere, and when it is back
// it does no harm.
func TestPartitionUnderLoad(t *testing.T) {
	for _, way := range []struct {
		name     string
		from, to bool
	}{{"both ways", true, true}, {"from it", true, false}, {"to it", false, true}} {
		t.Run(way.name, func(t *testing.T) {
			if testing.Short() && way.name != "from it" {
				t.Skip("takes long under the race detector")
			}
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, peers.NetworkOptions{})
				for _, name := range []string{"a", "b", "c"} {
					f.start(name)
				}
				f.cuts = true
				c := f.calls(40)
				time.Sleep(5 * time.Second)
				for _, name := range []string{"b", "a", "c"} {
					before, start := c.done.Load(), time.Now()
					f.cut(name, way.from, way.to)
					time.Sleep(20 * time.Second)
					f.mend(name)
					time.Sleep(20 * time.Second)
					t.Logf("cut %s: %5d calls in %v", name, c.done.Load()-before, time.Since(start).Round(time.Millisecond))
				}
				c.end()
				if late := c.late.Load(); late > c.done.Load()/1_000 {
					t.Errorf("of %d accepts, %d were not confirmed in time", c.done.Load(), late)
				}
				time.Sleep(10 * time.Minute) // until all has been forgotten
				for _, n := range f.nodes {
					s := n.Status()
					if s.Sessions != 0 || s.Invitations["RINGING"]+s.Invitations["ENDED"] != 0 || !s.Ready {
						t.Errorf("%s is left with %+v", s.Node, s)
					}
				}
				f.end()
			})
		})
	}
}
