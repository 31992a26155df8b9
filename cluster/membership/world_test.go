package membership_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/cluster/membership"
)

// member is a node of a world.
type member struct {
	*membership.Membership
	address string

	mu        sync.Mutex
	views     []cluster.View
	conflicts []error
	log       bytes.Buffer
}

func (m *member) Write(b []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.log.Write(b)
}

func (m *member) logged() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.log.String()
}

func (m *member) conflict() []error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.conflicts
}

// names returns the names in the newest view.
func (m *member) names() []string {
	var names []string
	for _, n := range m.View().Members {
		names = append(names, n.Name)
	}
	return names
}

// world is some nodes on a network in memory, in a bubble.
type world struct {
	t       *testing.T
	network *membership.Network
	members map[string]*member // by address
	seeds   []string
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, network: membership.NewNetwork(), members: map[string]*member{}, seeds: []string{"10.0.0.1:7946"}}
	t.Cleanup(func() {
		var stopping sync.WaitGroup
		for _, m := range w.members {
			stopping.Go(m.Stop)
		}
		stopping.Wait()
		time.Sleep(10 * time.Second) // memberlist's last probes end by their timeouts
	})
	return w
}

// address returns the address of the i-th machine.
func address(i int) string { return fmt.Sprintf("10.0.%d.%d:7946", i/250, i%250+1) }

// start starts a node on the i-th machine; change, if not nil, changes its configuration.
func (w *world) start(name string, i int, change func(*membership.Config)) *member {
	w.t.Helper()
	m, err := w.tryStart(name, i, change)
	if err != nil {
		w.t.Fatal(err)
	}
	return m
}

func (w *world) tryStart(name string, i int, change func(*membership.Config)) (*member, error) {
	m := &member{address: address(i)}
	config := membership.Config{
		Cluster: "test", Name: name, Bind: m.address, Peer: name + ":7947", Gateway: name + ":8080", Build: "v1",
		Lifecycle: cluster.Serving, Seeds: w.seeds, Network: w.network, Logger: slog.New(slog.NewTextHandler(m, nil)),
		OnView: func(v cluster.View) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.views = append(m.views, v)
		},
		OnConflict: func(err error) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.conflicts = append(m.conflicts, err)
		},
	}
	if change != nil {
		change(&config)
	}
	var err error
	if m.Membership, err = membership.Start(config); err != nil {
		return nil, err
	}
	w.members[m.address] = m
	return m, nil
}

// startAll starts n nodes, node-0 to node-(n-1).
func (w *world) startAll(n int) []*member {
	w.t.Helper()
	var all []*member
	for i := range n {
		all = append(all, w.start(fmt.Sprintf("node-%d", i), i, nil))
	}
	return all
}

// crash ends a node without a word.
func (w *world) crash(m *member) {
	m.Stop()
	delete(w.members, m.address)
}

// cutAll cuts, or mends, every way between two groups, both ways.
func (w *world) cutAll(one, other []*member, cut bool) {
	for _, a := range one {
		for _, b := range other {
			if cut {
				w.network.Cut(a.address, b.address)
				w.network.Cut(b.address, a.address)
			} else {
				w.network.Mend(a.address, b.address)
				w.network.Mend(b.address, a.address)
			}
		}
	}
}

// await waits until a condition holds, and returns for how long.
func (w *world) await(what string, limit time.Duration, holds func() bool) time.Duration {
	w.t.Helper()
	start := time.Now()
	for !holds() {
		if time.Since(start) > limit {
			w.t.Fatalf("after %v: not yet %s%s", limit, what, w.views())
		}
		time.Sleep(20 * time.Millisecond)
		synctest.Wait()
	}
	return time.Since(start)
}

func (w *world) views() string {
	var b strings.Builder
	for _, m := range w.members {
		if b.Len() < 2_000 {
			fmt.Fprintf(&b, "\n%s sees %v", m.Self().Name, m.names())
		}
	}
	return b.String()
}

// see returns a condition: each of these nodes has exactly these names in its view.
func see(nodes []*member, names ...string) func() bool {
	slices.Sort(names)
	return func() bool {
		return !slices.ContainsFunc(nodes, func(m *member) bool { return !slices.Equal(m.names(), names) })
	}
}

func namesOf(nodes []*member) []string {
	var names []string
	for _, m := range nodes {
		names = append(names, m.Self().Name)
	}
	return names
}
