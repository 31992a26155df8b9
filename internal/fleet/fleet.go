package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ringfleet/ringfleet/internal/faultproxy"
)

// Config configures a [Fleet].
type Config struct {
	// Binary is the program of the nodes, see [Build]. Required.
	Binary string
	// Dir is where the logs go, a file for each node. The default is a folder for temporary files, which Close
	// removes.
	Dir string
	// Args and Env are flags and variables of all nodes. Variables of this process that are settings of
	// nodes are not passed on.
	Args, Env []string
	// Proxied leads what nodes say to each other through a proxy.
	Proxied bool
	// Framing is of the links between the nodes. The default is [PeerFraming].
	Framing *faultproxy.Framing
	// Seed is of the proxy's draws.
	Seed uint64
	// ReadyIn is how long a node may take until it is ready. The default value is 30 s.
	ReadyIn time.Duration
}

// The kinds of doors between nodes, for faultproxy.Rule.Only.
const (
	Gossip = "gossip" // by which nodes find each other: UDP and TCP
	Peers  = "peers"  // for messages between actors: TCP
)

// Fleet is nodes on this machine that find each other. Make one with [New].
type Fleet struct {
	config Config
	proxy  *faultproxy.Proxy // nil: the nodes speak to each other directly
	seeds  string            // a file with the gossip addresses of all
	remove bool              // config.Dir is ours

	mu     sync.Mutex
	nodes  []*Node // ascending by name
	doors  map[string][]string
	closed bool
}

// New returns a fleet without nodes. Close must be called.
func New(config Config) (*Fleet, error) {
	f := &Fleet{config: config, doors: map[string][]string{}}
	if f.config.ReadyIn == 0 {
		f.config.ReadyIn = 30 * time.Second
	}
	if f.config.Framing == nil {
		f.config.Framing = PeerFraming()
	}
	if config.Proxied {
		if err := canTell(); err != nil {
			return nil, err
		}
	}
	var err error
	if f.config.Dir == "" {
		f.remove = true
		f.config.Dir, err = os.MkdirTemp("", "ringfleet-fleet-")
	} else {
		err = os.MkdirAll(f.config.Dir, 0o755)
	}
	if err != nil {
		return nil, fmt.Errorf("fleet: %w", err)
	}
	if f.seeds, err = filepath.Abs(filepath.Join(f.config.Dir, "seeds")); err != nil {
		return nil, fmt.Errorf("fleet: %w", err)
	}
	if config.Proxied {
		f.proxy = faultproxy.New(faultproxy.Config{Seed: config.Seed, Who: f.who})
	}
	return f, nil
}

// Dir returns where the logs are.
func (f *Fleet) Dir() string { return f.config.Dir }

// Seeds returns the path of the file with the gossip addresses of all nodes, one a line.
func (f *Fleet) Seeds() string { return f.seeds }

// Proxy returns the proxy between the nodes, whose names are theirs; nil without Config.Proxied.
func (f *Fleet) Proxy() *faultproxy.Proxy { return f.proxy }

// Add adds a node, starts it, and waits until it is ready. With an error the node, if it is not nil, has been added, and
// does not run.
func (f *Fleet) Add(ctx context.Context, o NodeOptions) (*Node, error) {
	if o.Binary == "" {
		o.Binary = f.config.Binary
	}
	if o.Name == "" || f.Node(o.Name) != nil {
		return nil, fmt.Errorf("fleet: the name %q is taken or none", o.Name)
	}
	log, err := newLog(filepath.Join(f.config.Dir, o.Name+".log"))
	if err != nil {
		return nil, err
	}
	n := &Node{fleet: f, name: o.Name, log: log, options: o}
	f.mu.Lock()
	f.nodes = append(f.nodes, n)
	slices.SortFunc(f.nodes, func(a, b *Node) int { return cmp.Compare(a.name, b.name) })
	f.mu.Unlock()
	if o.Hasty {
		return n, n.Launch(StartOptions{})
	}
	return n, n.Start(ctx, StartOptions{})
}

// Node returns the node of a name, nil if there is none.
func (f *Fleet) Node(name string) *Node {
	for _, n := range f.Nodes() {
		if n.name == name {
			return n
		}
	}
	return nil
}

// Nodes returns all nodes that were added, ascending by name.
func (f *Fleet) Nodes() []*Node {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.nodes)
}

// Live returns the nodes whose processes run, ascending by name.
func (f *Fleet) Live() []*Node {
	return slices.DeleteFunc(f.Nodes(), func(n *Node) bool { return !n.Running() })
}

// Partition cuts what nodes of one side and of the other send to each other, both ways.
func (f *Fleet) Partition(one, other []*Node) {
	f.Cut(one, other)
	f.Cut(other, one)
}

// Cut cuts what nodes of one side send to those of the other, this way only.
func (f *Fleet) Cut(from, to []*Node) {
	for _, a := range from {
		for _, b := range to {
			f.proxy.Set(a.name, b.name, faultproxy.Rule{Cut: true})
		}
	}
}

// Heal removes all rules of the proxy.
func (f *Fleet) Heal() { f.proxy.Clear() }

// Settled waits until all nodes that run see each other, and nobody else, as serving members, each has the shards
// that it owns, and none is under way.
func (f *Fleet) Settled(ctx context.Context) error {
	return Until(ctx, func(ctx context.Context) error {
		live := f.Live()
		var errs []error
		for _, n := range live {
			errs = append(errs, settled(ctx, n, live))
		}
		return errors.Join(errs...)
	})
}

// settled returns what n still waits for.
func settled(ctx context.Context, n *Node, live []*Node) error {
	s, err := n.Status(ctx)
	switch {
	case err != nil:
		return err
	case s.Cluster == nil:
		return fmt.Errorf("fleet: %s is in no cluster", n.name)
	}
	var sees, want []string
	for _, m := range s.Cluster.Members {
		sees = append(sees, m.Name+" "+m.Lifecycle)
	}
	for _, m := range live {
		want = append(want, m.name+" "+serving)
	}
	slices.Sort(sees)
	if !slices.Equal(sees, want) {
		return fmt.Errorf("fleet: %s sees %v, not %v", n.name, sees, want)
	}
	if h := s.Cluster.Handoffs; s.Cluster.Shards.Awaited+h.Taking+h.Giving > 0 {
		return fmt.Errorf("fleet: %s waits for %d shards, takes from %d and gives to %d members", n.name, s.Cluster.Shards.Awaited, h.Taking, h.Giving)
	}
	return nil
}

// open opens the doors of a node at new addresses, shuts the ones it had, and returns what the others are told.
func (f *Fleet) open(n *Node, at addresses) (gossip, peer string, err error) {
	if f.proxy == nil {
		return at.gossip, at.peer, nil
	}
	f.mu.Lock()
	old := f.doors[n.name]
	f.mu.Unlock()
	for _, door := range old {
		f.proxy.Shut(door)
	}
	gossip, err = f.proxy.Open(faultproxy.Door{Node: n.name, Kind: Gossip, Listen: sameHost(at.gossip), Target: at.gossip, Datagrams: true})
	if err != nil {
		return "", "", err
	}
	peer, err = f.proxy.Open(faultproxy.Door{Node: n.name, Kind: Peers, Listen: sameHost(at.peer), Target: at.peer, Framing: f.config.Framing})
	if err != nil {
		f.proxy.Shut(gossip)
		return "", "", err
	}
	f.mu.Lock()
	f.doors[n.name] = []string{gossip, peer}
	f.mu.Unlock()
	return gossip, peer, nil
}

// writeSeeds writes where all nodes are, for those that look for others.
func (f *Fleet) writeSeeds() error {
	var text strings.Builder
	for _, n := range f.Nodes() {
		if gossip, _ := n.Advertised(); gossip != "" {
			text.WriteString(gossip + "\n")
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	next := f.seeds + ".next"
	err := os.WriteFile(next, []byte(text.String()), 0o644)
	if err == nil {
		err = os.Rename(next, f.seeds) // nobody reads half a file
	}
	if err != nil {
		return fmt.Errorf("fleet: seeds: %w", err)
	}
	return nil
}

// environ returns the environment of all nodes.
func (f *Fleet) environ() []string {
	return append(slices.DeleteFunc(os.Environ(), ours), f.config.Env...)
}

// who returns the node whose process has made a connection.
func (f *Fleet) who(maker, door netip.AddrPort) string {
	inode, err := socketOf(maker, door)
	if err != nil {
		return "" // it has closed it already
	}
	for _, n := range f.Nodes() {
		if pid := n.PID(); pid != 0 && has(pid, inode) {
			return n.name
		}
	}
	return ""
}

func (f *Fleet) isClosed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.closed
}

// Close kills all nodes and ends the proxy. No node can be started any more.
func (f *Fleet) Close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	for _, n := range f.Nodes() {
		n.starts.Lock() // until one that is being started can be killed
		_ = n.Kill()    // it does not run if that fails
		n.starts.Unlock()
		n.log.close()
	}
	if f.proxy != nil {
		f.proxy.Close()
	}
	if f.remove {
		_ = os.RemoveAll(f.config.Dir) // in the folder for temporary files
	}
}
