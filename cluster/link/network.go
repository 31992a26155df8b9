package link

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ringfleet/ringfleet/cluster"
)

// Receive takes an envelope from a peer, of which it must keep nothing. age is for how long it was held back on its way,
// as far as that can be told: 0 if it was for no longer than is usual. It must not block.
type Receive func(from string, envelope []byte, age time.Duration)

// DefaultQueue is how many envelopes may be on their way from one node of a [Network] to another.
const DefaultQueue = 4_096

// NetworkOptions configure a [Network]. The zero value is a perfect network.
type NetworkOptions struct {
	// Queue is how many envelopes may be on their way from one node to another; over it, Send returns
	// cluster.ErrBusy. The default value is 4,096.
	Queue int
	// Fault, if set, decides about each envelope. It is called by the sender, one call at a time.
	Fault func(from, to string, envelope []byte) Fate
}

// Fate is what becomes of an envelope. The zero Fate is to arrive once, at once and in order.
type Fate struct {
	Lost  bool
	Twice bool
	Delay time.Duration // over 0: whatever is sent meanwhile may overtake it
}

// Network is a network in memory: it lets several nodes live in one process, and tests break it. Envelopes
// are bytes on it, as between processes, so that codecs are used, and are told their age. Without a Fault that delays, what one node
// sends to another arrives in order. Each node that has joined has one goroutine, which ends when it
// leaves. Safe for concurrent use, and usable in a testing/synctest bubble if it was made there.
type Network struct {
	options NetworkOptions
	fault   sync.Mutex // held while Fault decides

	mu    sync.Mutex
	nodes map[string]*Memory
	cuts  map[[2]string]bool
}

// NewNetwork returns a network without nodes.
func NewNetwork(options NetworkOptions) *Network {
	if options.Queue == 0 {
		options.Queue = DefaultQueue
	}
	return &Network{options: options, nodes: map[string]*Memory{}, cuts: map[[2]string]bool{}}
}

// Join adds a node and returns its link. Until the link is started, what is sent to it cannot reach it. The error says
// that a node of this name is there.
func (n *Network) Join(name string) (*Memory, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.nodes[name] != nil {
		return nil, fmt.Errorf("link: a node named %s is in this network", name)
	}
	m := &Memory{network: n, name: name, wake: make(chan struct{}, 1), waiting: map[string]int{}}
	n.nodes[name] = m
	return m, nil
}

// Cut loses what one node sends to another from now on; in one direction only, so a full cut takes two
// calls. Nobody is told, as with a cable that is pulled.
func (n *Network) Cut(from, to string) { n.setCut(from, to, true) }

// Mend ends a cut.
func (n *Network) Mend(from, to string) { n.setCut(from, to, false) }

func (n *Network) setCut(from, to string, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if cut {
		n.cuts[[2]string{from, to}] = true
	} else {
		delete(n.cuts, [2]string{from, to})
	}
}

// to returns the node that an envelope goes to; nil: there is none.
func (n *Network) to(from, to string) (node *Memory, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.nodes[to], n.cuts[[2]string{from, to}]
}

func (n *Network) fate(from, to string, envelope []byte) Fate {
	if n.options.Fault == nil {
		return Fate{}
	}
	n.fault.Lock()
	defer n.fault.Unlock()
	return n.options.Fault(from, to, envelope)
}

// Memory is one node's link in a [Network].
type Memory struct {
	network *Network
	name    string
	wake    chan struct{} // a hint that queue is not empty, or that the node has left

	mu      sync.Mutex
	receive Receive // nil before Start and after Close
	queue   []delivery
	waiting map[string]int // envelopes on their way to this node, by sender
	closed  bool
	done    chan struct{} // closed by the goroutine; nil before Start
}

type delivery struct {
	from     string
	envelope []byte
	sent     time.Time
}

// Start begins to take what others send. The error says that it was called before, or after Close.
func (m *Memory) Start(receive Receive) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.receive != nil || m.closed {
		return errors.New("link: started twice, or after it was closed")
	}
	m.receive, m.done = receive, make(chan struct{})
	go m.run(receive, m.done)
	return nil
}

// SetPeers does nothing: whoever is in the network can be reached.
func (m *Memory) SetPeers([]cluster.Member) {}

// Send implements cluster.Link. A node that has left, or that has not started, cannot be reached.
func (m *Memory) Send(to cluster.Member, envelope []byte) error {
	peer, cut := m.network.to(m.name, to.Name)
	if peer == nil {
		return cluster.ErrUnreachable
	}
	fate := m.network.fate(m.name, to.Name, envelope)
	if fate.Lost || cut {
		return nil
	}
	copies := 1
	if fate.Twice {
		copies = 2
	}
	if err := peer.reserve(m.name, copies); err != nil {
		return err
	}
	d := delivery{m.name, append([]byte(nil), envelope...), time.Now()}
	for range copies {
		if fate.Delay > 0 {
			time.AfterFunc(fate.Delay, func() { peer.post(d) })
		} else {
			peer.post(d)
		}
	}
	return nil
}

// reserve takes room for envelopes of a sender.
func (m *Memory) reserve(from string, n int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.receive == nil:
		return cluster.ErrUnreachable
	case m.waiting[from]+n > m.network.options.Queue:
		return cluster.ErrBusy
	}
	m.waiting[from] += n
	return nil
}

func (m *Memory) post(d delivery) {
	m.mu.Lock()
	if !m.closed {
		m.queue = append(m.queue, d)
	}
	m.mu.Unlock()
	m.hint()
}

func (m *Memory) hint() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// run hands over what arrives, until the node leaves.
func (m *Memory) run(receive Receive, done chan struct{}) {
	defer close(done)
	var batch []delivery
	for range m.wake {
		m.mu.Lock()
		batch, m.queue = m.queue, batch[:0]
		closed := m.closed
		for _, d := range batch {
			m.waiting[d.from]--
		}
		m.mu.Unlock()
		if closed {
			return
		}
		for i, d := range batch {
			age := time.Since(d.sent)
			if age <= tolerance {
				age = 0
			}
			receive(d.from, d.envelope, age)
			batch[i] = delivery{}
		}
	}
}

// Close takes the node out of the network, as a crash would: what is on its way to it is lost. When it
// returns, nothing is received any more, so it must not be called while receiving.
func (m *Memory) Close() {
	m.network.mu.Lock()
	if m.network.nodes[m.name] == m {
		delete(m.network.nodes, m.name)
	}
	m.network.mu.Unlock()
	m.mu.Lock()
	m.closed, m.receive, m.queue = true, nil, nil
	done := m.done
	m.mu.Unlock()
	m.hint()
	if done != nil {
		<-done
	}
}
