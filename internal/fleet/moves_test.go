package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/internal/faultproxy"
	"github.com/ringfleet/ringfleet/internal/fleet"
)

// steady starts a load on schedule, which goes on until it is stopped, and lets it run for a while.
func (b *bed) steady(full bool, calm time.Duration) *load {
	b.Helper()
	l := startLoad(b.T, b.Nodes(), "--users", pick(full, "600", "150"), "--rate", pick(full, "200", "60"), "--duration", longest.String(),
		"--allow-reconnects", "--takeover", "1s") // docs/spec.md P2: 1 s more while shards move
	l.running()
	l.phase("calm")
	l.lasts(calm)
	return l
}

// TestMoves: under load, a node joins, one leaves, one comes back at a new address, and all are replaced one after
// the other. No call fails.
func TestMoves(t *testing.T) {
	full := asked(t)
	calm := pick(full, 30*time.Second, 4*time.Second)
	between := pick(full, 5*time.Second, time.Second)
	b := newBed(t, fleet.Config{}, numbered("node-", 3)...)
	l := b.steady(full, calm)
	l.phase("join of a 4th")
	b.add("node-4")
	b.settled()
	l.lasts(between)
	l.phase("drain of one")
	b.drain(b.Node("node-2"))
	l.lasts(between)
	l.phase("back at a new address")
	b.start(b.Node("node-2"), fleet.StartOptions{NewAddress: true})
	l.lasts(between)
	for _, name := range []string{"node-1", "node-3", "node-4"} {
		l.phase("roll: " + name)
		b.drain(b.Node(name))
		b.start(b.Node(name), fleet.StartOptions{})
		l.lasts(between)
	}
	l.phase("calm after")
	l.lasts(calm)
	l.flawless(l.stop())
	b.quiet()
}

// TestViewsDisagree: the news of who is there reaches one node seconds late, while another joins and a third leaves;
// nothing of it is lost, and no call has two outcomes.
func TestViewsDisagree(t *testing.T) {
	full := asked(t)
	b := newBed(t, fleet.Config{Proxied: true}, numbered("node-", 3)...)
	l := b.steady(full, 2*time.Second)
	late := b.Node("node-3")
	for round := range pick(full, 5, 1) {
		name := fmt.Sprintf("joiner-%d", round+1)
		l.phase(fmt.Sprintf("late news %d: join", round+1))
		watch := b.watch()
		b.delayNews(late)
		if round%2 == 1 {
			l.lasts(time.Second) // the others suspect it by now, and do not tell who joins of it
		}
		b.add(name)
		l.lasts(4 * time.Second)
		b.Heal()
		b.settled()
		b.Logf("while %s joined, views disagreed for %v", name, watch())
		l.phase(fmt.Sprintf("late news %d: leave", round+1))
		watch = b.watch()
		b.delayNews(late)
		exit, err := b.Node(name).Term(within(t, time.Minute))
		if err != nil || exit.Code != 0 {
			t.Fatalf("drain: %+v, %v", exit, err)
		}
		l.lasts(time.Second)
		b.Heal()
		b.settled()
		b.Logf("while %s left, in %v, views disagreed for %v", name, exit.Took.Round(10*time.Millisecond), watch())
	}
	l.phase("calm after")
	l.lasts(2 * time.Second)
	l.flawless(l.stop())
	b.quiet()
}

// newsDelay is as long as news can be late without the others taking the node for dead: they suspect it, it hears of
// that and denies it in time.
const newsDelay = 1200 * time.Millisecond

// delayNews delays the gossip to one node.
func (b *bed) delayNews(to *fleet.Node) {
	b.Proxy().Set(faultproxy.Any, to.Name(), faultproxy.Rule{Only: fleet.Gossip, Delay: newsDelay, Jitter: 300 * time.Millisecond})
}

// watch looks at the nodes' views until the function that it returns is called, which returns for how long
// they were not all the same.
func (b *bed) watch() func() time.Duration {
	ctx, cancel := context.WithCancel(b.Context())
	var disagreed time.Duration
	var group sync.WaitGroup
	group.Go(func() {
		last := time.Now()
		_ = fleet.Until(ctx, func(ctx context.Context) error { // until it is canceled
			same := b.sameViews(ctx)
			if now := time.Now(); ctx.Err() == nil {
				if !same {
					disagreed += now.Sub(last)
				}
				last = now
			}
			return errors.New("watching")
		})
	})
	return func() time.Duration {
		cancel()
		group.Wait()
		return disagreed.Round(10 * time.Millisecond)
	}
}

// sameViews reports whether all nodes that answer see the same members.
func (b *bed) sameViews(ctx context.Context) bool {
	first := ""
	for _, n := range b.Live() {
		s, err := n.Status(ctx)
		if err != nil || s.Cluster == nil {
			continue
		}
		var members []string
		for _, m := range s.Cluster.Members {
			members = append(members, m.Name+" "+m.Lifecycle)
		}
		switch view := strings.Join(members, ", "); {
		case first == "":
			first = view
		case first != view:
			return false
		}
	}
	return true
}

// TestUpgrade: nodes of an older commit and of this one are one cluster, and each old one is replaced by a new one,
// under load.
func TestUpgrade(t *testing.T) {
	full := asked(t)
	commit := *old
	if commit == "" {
		var err error
		// The first one whose actors move with their shards: an older one loses calls by itself.
		if commit, err = fleet.FirstWith(t.Context(), "peerwire.KindHandoff", "member.go"); err != nil {
			t.Skipf("an older commit cannot be had: %v", err)
		}
	}
	before, err := fleet.Build(t.Context(), fleet.BuildOptions{Commit: commit})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(before.Remove)
	b := newBed(t, fleet.Config{})
	for _, name := range numbered("node-", 3) {
		n, err := b.Add(within(t, limit), fleet.NodeOptions{Name: name, Binary: before.Path("node")})
		if err != nil {
			t.Fatal(err)
		}
		_ = n
	}
	b.settled()
	t.Logf("the older nodes are of commit %s", commit)
	l := b.steady(full, 3*time.Second)
	for i, n := range b.Nodes() {
		l.phase(fmt.Sprintf("%d of 3 is new", i+1))
		b.drain(n)
		b.start(n, fleet.StartOptions{Binary: built(t).Path("node")})
		l.lasts(pick(full, 10*time.Second, 2*time.Second))
	}
	l.flawless(l.stop())
	b.quiet()
}
