package membership

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/ringfleet/ringfleet/cluster"
)

// The bounds of what a [Config] may say; together they fit in the 512 bytes that gossip carries.
const (
	MaxCluster = 64  // bytes of a cluster's name
	MaxName    = 100 // bytes of a member's name
	MaxAddress = 100 // bytes of an address
	MaxBuild   = 40  // bytes of a build's name
	maxMeta    = 512
)

// DefaultPort is the port of seeds that name none.
const DefaultPort = 7946

// Timing says how fast changes are seen, and what that costs.
type Timing struct {
	// Probe is how often memberlist probes one other member. The default value is 500 ms.
	Probe time.Duration
	// ProbeTimeout is how long the answer to a probe may take. The default value is 300 ms; it must be
	// shorter than Probe.
	ProbeTimeout time.Duration
	// Gossip is how often news is sent to three others. The default value is 100 ms.
	Gossip time.Duration
	// Sync is how often the whole list is compared with one other member's. The default value is 15 s.
	Sync time.Duration
	// Rejoin is how often seeds and lost members are looked for while there are others; a node that is
	// alone begins with 200 ms and doubles up to this. The default value is 10 s.
	Rejoin time.Duration
}

const (
	// firstJoin is the first wait of a node that found nobody.
	firstJoin = 200 * time.Millisecond
	// settle is how long changes are collected before a view is made of them.
	settle = 20 * time.Millisecond
	// secondLook is how often a member that was judged dead, and is still in the gossip, is probed.
	secondLook = time.Second
)

// Config says who this node is and how it finds others.
type Config struct {
	// Cluster is the name of the cluster; nodes of another one are refused. The default value is
	// "ringfleet".
	Cluster string
	// Name is this node's, kept over restarts. Required.
	Name string
	// Boot is new with every start, and higher. The default is the time, in nanoseconds.
	Boot uint64
	// Bind is the address of the gossip, IP:port, UDP and TCP. Port 0 takes a free one. The default value is
	// "127.0.0.1:7946".
	Bind string
	// Advertise is the IP:port at which others reach Bind. The default is Bind, or for 0.0.0.0 the first
	// private address of the machine.
	Advertise string
	// Peer and Gateway are told to others: where peers and where clients connect to, host:port. Where the host
	// is none, or that of every interface, others are told the host of the gossip.
	Peer, Gateway string
	// Build is told to others, for people.
	Build string
	// Lifecycle is what this node starts as. The default is cluster.Joining.
	Lifecycle cluster.Lifecycle
	// Seeds are where to look for others: IP:port; name:port, where the name may resolve to several
	// addresses; file:PATH, a file with one of these on each line. All are looked up anew each time. A
	// missing port is 7946. The default is none: others find this node.
	Seeds []string
	// Keys encrypt the gossip: 16, 24 or 32 bytes each. The first one encrypts, all of them decrypt. The
	// default is none: the gossip is neither secret nor authenticated.
	Keys [][]byte
	// OnView is given each new view, the first one before Start returns. It should not take long.
	OnView func(cluster.View)
	// OnConflict is told when another node of this name, which started earlier, was found alive. This
	// node is in nobody's view then, and should end. The default is to log only.
	OnConflict func(error)
	// Timing of the gossip.
	Timing Timing
	// Logger gets changes at level Info and refusals, once for each cause, at level Warn. The default discards.
	Logger *slog.Logger
	// Resolver looks up the names of seeds. The default is net.DefaultResolver.
	Resolver Resolver
	// Network carries the gossip in memory instead of over sockets. The default is none.
	Network *Network
}

// withDefaults returns c with its defaults, or an error that says what is wrong with it.
func (c Config) withDefaults() (Config, error) {
	setDefault(&c.Cluster, "ringfleet")
	setDefault(&c.Bind, net.JoinHostPort("127.0.0.1", strconv.Itoa(DefaultPort)))
	setDefault(&c.Boot, uint64(time.Now().UnixNano()))
	setDefault(&c.Timing.Probe, 500*time.Millisecond)
	setDefault(&c.Timing.ProbeTimeout, 300*time.Millisecond)
	setDefault(&c.Timing.Gossip, 100*time.Millisecond)
	setDefault(&c.Timing.Sync, 15*time.Second)
	setDefault(&c.Timing.Rejoin, 10*time.Second)
	if c.OnView == nil {
		c.OnView = func(cluster.View) {}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Resolver == nil {
		c.Resolver = net.DefaultResolver
	}
	return c, c.check()
}

func setDefault[T comparable](value *T, other T) {
	var zero T
	if *value == zero {
		*value = other
	}
}

// Check returns the first thing that is wrong with the configuration, nil if nothing is; [Start] looks as well.
func (c Config) Check() error {
	_, err := c.withDefaults()
	return err
}

func (c *Config) check() error {
	for _, f := range []struct {
		what, value string
		most        int
	}{
		{"cluster", c.Cluster, MaxCluster},
		{"name", c.Name, MaxName},
		{"peer address", c.Peer, MaxAddress},
		{"gateway address", c.Gateway, MaxAddress},
		{"build", c.Build, MaxBuild},
	} {
		if len(f.value) > f.most {
			return fmt.Errorf("membership: the %s has %d bytes; at most %d", f.what, len(f.value), f.most)
		}
	}
	if c.Name == "" {
		return errors.New("membership: a node needs a name that it keeps over restarts")
	}
	if c.Timing.ProbeTimeout >= c.Timing.Probe {
		return fmt.Errorf("membership: the probe timeout %v is not shorter than the time between probes, %v",
			c.Timing.ProbeTimeout, c.Timing.Probe)
	}
	for i, key := range c.Keys {
		if err := checkKey(key); err != nil {
			return fmt.Errorf("membership: gossip key %d: %w", i+1, err)
		}
	}
	for _, seed := range c.Seeds {
		if err := checkSeed(seed); err != nil {
			return err
		}
	}
	return nil
}

func checkKey(key []byte) error {
	if n := len(key); n != 16 && n != 24 && n != 32 {
		return fmt.Errorf("has %d bytes; want 16, 24 or 32", n)
	}
	return nil
}

// splitAddress reads an IP:port; what names it in the error.
func splitAddress(what, address string) (ip string, port int, err error) {
	ip, text, err := net.SplitHostPort(address)
	if err == nil && net.ParseIP(ip) == nil {
		err = fmt.Errorf("%q is not an IP address", ip)
	}
	if err == nil {
		var n uint64
		n, err = strconv.ParseUint(text, 10, 16)
		port = int(n)
	}
	if err != nil {
		return "", 0, fmt.Errorf("membership: %s %q is not IP:port: %w", what, address, err)
	}
	return ip, port, nil
}
