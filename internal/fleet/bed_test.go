package fleet_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/internal/fleet"
)

// The tests of real nodes take long, so they run only when they are asked for: make cluster-test.
var (
	size = flag.String("fleet.size", "", "test real nodes: short, full or cost")
	old  = flag.String("fleet.old", "", "the commit of the older nodes in the test of upgrades; default: the first that has a cluster")
	logs = flag.String("fleet.logs", "", "folder for the nodes' logs; default: none are kept")
	rate = flag.Int("fleet.rate", 300, "calls per second of the cost")
	race = flag.Bool("fleet.race", false, "build the nodes with the race detector")
	seed = flag.Uint64("fleet.seed", 1, "seed of the load and of the proxy")
)

// asked skips a test that was not asked for, and reports whether its long form was. The short forms run two at a time.
func asked(t *testing.T) (full bool) {
	t.Helper()
	if *size != "short" && *size != "full" {
		t.Skip("make cluster-test runs this")
	}
	if *size == "short" {
		t.Parallel()
	}
	return *size == "full"
}

// pick returns the value for the size of the tests.
func pick[T any](full bool, long, short T) T {
	if full {
		return long
	}
	return short
}

var programs struct {
	once sync.Once
	all  *fleet.Binaries
	err  error
}

// built returns the programs of this checkout, which are built once.
func built(t *testing.T) *fleet.Binaries {
	t.Helper()
	programs.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
		defer cancel()
		o := fleet.BuildOptions{Packages: []string{"./cmd/node", "./loadtest"}}
		if *race {
			o.Flags = []string{"-race"}
		}
		programs.all, programs.err = fleet.Build(ctx, o)
	})
	if programs.err != nil {
		t.Fatal(programs.err)
	}
	return programs.all
}

func removeBuilt() {
	if programs.all != nil {
		programs.all.Remove()
	}
}

// bed is a cluster of real nodes.
type bed struct {
	*testing.T
	*fleet.Fleet
}

// newBed starts nodes one after the other, and waits until they are a cluster.
func newBed(t *testing.T, config fleet.Config, names ...string) *bed {
	t.Helper()
	config.Binary, config.Seed = built(t).Path("node"), *seed
	if *size == "short" {
		config.Args = append([]string{"--reconnect-spread", "1s"}, config.Args...)
	}
	if *logs != "" {
		config.Dir = filepath.Join(*logs, t.Name())
		if err := os.RemoveAll(config.Dir); err != nil {
			t.Fatal(err)
		}
	}
	b := &bed{t, newFleet(t, config)}
	for _, name := range names {
		b.add(name)
	}
	b.settled()
	return b
}

func (b *bed) add(name string, args ...string) *fleet.Node {
	b.Helper()
	return add(b.T, b.Fleet, name, args...)
}

// settled waits until the nodes are one cluster, with nothing under way.
func (b *bed) settled() {
	b.Helper()
	if err := b.Settled(within(b.T, time.Minute)); err != nil {
		b.Fatal(err)
	}
}

// drain ends a node in order.
func (b *bed) drain(n *fleet.Node) {
	b.Helper()
	exit, err := n.Term(within(b.T, time.Minute))
	if err != nil || exit.Code != 0 {
		b.Fatalf("drain %s: %+v, %v; its last lines:\n%s", n.Name(), exit, err, n.Log().Tail(30))
	}
	b.Logf("%s was drained in %v", n.Name(), exit.Took.Round(10*time.Millisecond))
	b.settled()
}

// start starts a node again.
func (b *bed) start(n *fleet.Node, o fleet.StartOptions) {
	b.Helper()
	begin := time.Now()
	if err := n.Start(within(b.T, time.Minute), o); err != nil {
		b.Fatal(err)
	}
	ready := time.Since(begin)
	b.settled()
	b.Logf("%s was ready after %v, and had its shards after %v", n.Name(), ready.Round(10*time.Millisecond),
		time.Since(begin).Round(10*time.Millisecond))
}

// cpu returns the CPU time that all nodes have used.
func (b *bed) cpu() time.Duration {
	b.Helper()
	var sum float64
	for _, n := range b.Live() {
		m, err := n.Metrics(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		sum += m["process_cpu_seconds_total"]
	}
	return time.Duration(sum * float64(time.Second))
}

// quiet wants no panic and no data race in any node's log.
func (b *bed) quiet() {
	b.Helper()
	for _, n := range b.Nodes() {
		for _, bad := range []string{"panic:", "DATA RACE", "fatal error:"} {
			if lines, err := n.Log().Lines(bad); err != nil || len(lines) > 0 {
				b.Errorf("%s: %v, %v", n.Name(), lines, err)
			}
		}
	}
}

// names returns the names of nodes.
func names(nodes []*fleet.Node) []string {
	var list []string
	for _, n := range nodes {
		list = append(list, n.Name())
	}
	slices.Sort(list)
	return list
}

func numbered(prefix string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("%s%d", prefix, i+1)
	}
	return list
}
