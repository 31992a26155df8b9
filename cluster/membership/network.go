package membership

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

// The bounds of the queues of a node in a [Network]. What is over them is lost, as on a socket.
const (
	packetQueue = 1_024
	streamQueue = 64
)

// Network carries gossip in memory, for tests and for several nodes in one process. It loses what a test says,
// and nobody waits for a node that is gone. Safe for concurrent use, and usable in a testing/synctest bubble
// if the nodes were made there.
type Network struct {
	packets, streams, bytes atomic.Uint64

	mu    sync.Mutex
	nodes map[string]*transport // by address
	cuts  map[[2]string]bool    // by addresses, from and to
	lose  func(from, to string) bool
}

// NewNetwork returns a network without nodes.
func NewNetwork() *Network {
	return &Network{nodes: map[string]*transport{}, cuts: map[[2]string]bool{}}
}

// Cut loses what the node at one address sends to another from now on, in one direction.
func (n *Network) Cut(from, to string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cuts[[2]string{from, to}] = true
}

// Mend ends a cut.
func (n *Network) Mend(from, to string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.cuts, [2]string{from, to})
}

// Lose decides about each packet that is not cut off; nil, the default, loses none. It is called under a
// lock.
func (n *Network) Lose(lose func(from, to string) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lose = lose
}

// Counts returns how many packets, streams and bytes were sent, lost ones included.
func (n *Network) Counts() (packets, streams, bytes uint64) {
	return n.packets.Load(), n.streams.Load(), n.bytes.Load()
}

// listen opens an address.
func (n *Network) listen(address string) (*transport, error) {
	ip, port, err := splitAddress("the gossip's address", address)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.nodes[address] != nil {
		return nil, fmt.Errorf("membership: address %s is in use", address)
	}
	t := &transport{
		network: n, address: address, ip: net.ParseIP(ip), port: port,
		packets: make(chan *memberlist.Packet, packetQueue), streams: make(chan net.Conn, streamQueue),
		closed: make(chan struct{}),
	}
	n.nodes[address] = t
	return t, nil
}

// way returns who gets what is sent to an address; nil: nobody. cut tells that the way is cut.
func (n *Network) way(from, to string, packet bool) (t *transport, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	cut = n.cuts[[2]string{from, to}] || packet && n.lose != nil && n.lose(from, to)
	return n.nodes[to], cut
}

// transport is one node's end of a [Network]. It implements memberlist.NodeAwareTransport.
type transport struct {
	network *Network
	address string
	ip      net.IP
	port    int
	packets chan *memberlist.Packet
	streams chan net.Conn
	once    sync.Once
	closed  chan struct{}
}

var _ memberlist.NodeAwareTransport = (*transport)(nil)

func (t *transport) FinalAdvertiseAddr(string, int) (net.IP, int, error) { return t.ip, t.port, nil }
func (t *transport) PacketCh() <-chan *memberlist.Packet                 { return t.packets }
func (t *transport) StreamCh() <-chan net.Conn                           { return t.streams }

func (t *transport) WriteTo(b []byte, to string) (time.Time, error) {
	t.network.packets.Add(1)
	t.network.bytes.Add(uint64(len(b)))
	now := time.Now()
	peer, cut := t.network.way(t.address, to, true)
	if peer == nil || cut {
		return now, nil // as with UDP, nobody knows
	}
	p := &memberlist.Packet{
		Buf: append([]byte(nil), b...), From: &net.UDPAddr{IP: t.ip, Port: t.port}, Timestamp: now,
	}
	select {
	case peer.packets <- p:
	default:
	}
	return now, nil
}

func (t *transport) WriteToAddress(b []byte, to memberlist.Address) (time.Time, error) {
	return t.WriteTo(b, to.Addr)
}

var errRefusedConn = errors.New("connection refused")

func (t *transport) DialTimeout(to string, timeout time.Duration) (net.Conn, error) {
	t.network.streams.Add(1)
	peer, cut := t.network.way(t.address, to, false)
	back := false
	if peer != nil {
		_, back = t.network.way(to, t.address, false)
	}
	if cut || back {
		wait := time.NewTimer(timeout)
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-t.closed:
		}
		return nil, fmt.Errorf("dial %s: i/o timeout", to)
	}
	if peer == nil {
		return nil, fmt.Errorf("dial %s: %w", to, errRefusedConn)
	}
	here, there := net.Pipe()
	select {
	case peer.streams <- stream{there, peer, t.address}:
		return stream{here, t, to}, nil
	default:
		return nil, fmt.Errorf("dial %s: %w", to, errRefusedConn)
	}
}

func (t *transport) DialAddressTimeout(to memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return t.DialTimeout(to.Addr, timeout)
}

// Shutdown takes the node out of the network, as a crash would.
func (t *transport) Shutdown() error {
	t.once.Do(func() {
		t.network.mu.Lock()
		if t.network.nodes[t.address] == t {
			delete(t.network.nodes, t.address)
		}
		t.network.mu.Unlock()
		close(t.closed)
	})
	return nil
}

// stream is one end of a connection in memory. What is written into a cut is lost, so that the other end
// waits until its deadline.
type stream struct {
	net.Conn
	from *transport
	to   string
}

func (s stream) Write(b []byte) (int, error) {
	s.from.network.bytes.Add(uint64(len(b)))
	if _, cut := s.from.network.way(s.from.address, s.to, false); cut {
		return len(b), nil
	}
	return s.Conn.Write(b)
}

func (s stream) RemoteAddr() net.Addr {
	address, err := net.ResolveTCPAddr("tcp", s.to) // an IP:port
	if err != nil {
		return s.Conn.RemoteAddr()
	}
	return address
}
