package faultproxy

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
)

// Config configures a [Proxy]. Its zero value knows no senders of connections.
type Config struct {
	// Seed of the draws. Which draw falls to which datagram depends on the processes all the same.
	Seed uint64
	// Who returns the node that has made a connection, whose two ends are given, "" if it is not known. It is
	// called once for each connection, from several goroutines at once. The default knows nobody.
	Who func(maker, door netip.AddrPort) string
}

// Proxy is a network that can be broken. Safe for concurrent use.
type Proxy struct {
	config  Config
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu      sync.Mutex
	random  *rand.Rand
	rules   map[Pair]Rule
	changed chan struct{} // closed with each change of the rules
	stats   map[Pair]*Stats
	doors   map[string]*door // by the address in front
	senders map[netip.AddrPort]*door
	waiting int // datagrams that are under way
}

// Door is an address of the proxy for one address of a node.
type Door struct {
	// Node is the name of the node behind the door. There may be several doors for one.
	Node string
	// Kind is what the door is for, in words of the caller's; see [Rule].Only.
	Kind string
	// Listen is the address in front, IP:port, which the others are told. Port 0 takes a free one.
	Listen string
	// Target is the address of the node, IP:port. Nothing need listen there yet.
	Target string
	// Datagrams opens the door for UDP, too, at the same port.
	Datagrams bool
	// Framing of the streams, nil if they have none that is known.
	Framing *Framing
}

// door is an open door.
type door struct {
	Door
	proxy  *Proxy
	tcp    net.Listener
	udp    *net.UDPConn   // nil: TCP only
	target netip.AddrPort // the node's own address
	ctx    context.Context
	cancel context.CancelFunc
}

// New returns a proxy without doors and rules. Close must be called.
func New(config Config) *Proxy {
	if config.Who == nil {
		config.Who = func(_, _ netip.AddrPort) string { return "" }
	}
	p := &Proxy{
		config: config, random: rand.New(rand.NewPCG(config.Seed, 0)), rules: map[Pair]Rule{}, changed: make(chan struct{}),
		stats: map[Pair]*Stats{}, doors: map[string]*door{}, senders: map[netip.AddrPort]*door{},
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// attempts to find a port that is free for both TCP and UDP.
const attempts = 20

// Open opens a door and returns the address in front. The error says what cannot be listened on.
func (p *Proxy) Open(d Door) (string, error) {
	target, err := netip.ParseAddrPort(d.Target)
	if err != nil {
		return "", fmt.Errorf("faultproxy: target: %w", err)
	}
	o := &door{Door: d, proxy: p, target: target}
	for attempt := 1; ; attempt++ {
		if err = o.listen(); err == nil {
			break
		}
		if port, parseErr := netip.ParseAddrPort(d.Listen); parseErr != nil || port.Port() != 0 || attempt == attempts {
			return "", fmt.Errorf("faultproxy: listen: %w", err)
		}
	}
	o.ctx, o.cancel = context.WithCancel(p.ctx)
	front := o.tcp.Addr().String()
	p.mu.Lock()
	p.doors[front] = o
	if o.udp != nil {
		p.senders[target] = o
	}
	p.mu.Unlock()
	p.running.Go(o.accept)
	if o.udp != nil {
		p.running.Go(o.pass)
	}
	return front, nil
}

// listen opens the sockets.
func (d *door) listen() error {
	var err error
	if d.tcp, err = net.Listen("tcp", d.Listen); err != nil || !d.Datagrams {
		return err
	}
	front, err := netip.ParseAddrPort(d.tcp.Addr().String())
	if err == nil {
		d.udp, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(front))
	}
	if err != nil {
		_ = d.tcp.Close() // the first error tells more
	}
	return err
}

// Shut closes the door at an address that Open has returned, and resets its connections.
func (p *Proxy) Shut(front string) {
	p.mu.Lock()
	d := p.doors[front]
	delete(p.doors, front)
	if d != nil && p.senders[d.target] == d {
		delete(p.senders, d.target)
	}
	p.mu.Unlock()
	if d != nil {
		d.close()
	}
}

func (d *door) close() {
	d.cancel()
	_ = d.tcp.Close() // nothing to tell
	if d.udp != nil {
		_ = d.udp.Close() // nothing to tell
	}
}

// Close closes all doors, resets all connections, and waits until everything has ended.
func (p *Proxy) Close() {
	p.cancel()
	p.mu.Lock()
	doors := p.doors
	p.doors = map[string]*door{}
	p.mu.Unlock()
	for _, d := range doors {
		d.close()
	}
	p.running.Wait()
}

// closed reports whether an error of a socket means that it was closed here.
func closed(err error) bool { return errors.Is(err, net.ErrClosed) }
