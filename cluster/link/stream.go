package link

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/internal/logonce"
	"github.com/ringfleet/ringfleet/internal/rawio"
)

// StreamConfig says who this node is on the link, and what a peer may cost.
type StreamConfig struct {
	// Cluster, Node and Boot are as in the membership. Node and Boot are required.
	Cluster string
	Node    string
	Boot    uint64
	// Listen is where peers connect to, host:port; port 0 takes a free one. The default value is
	// "127.0.0.1:7947".
	Listen string
	// TLS makes each side prove that it belongs to the cluster. The default is none: whoever reaches the
	// port and knows a member's boot number can claim to be it.
	TLS *TLS
	// Admit says whether a node is a member; others are refused. It must not block. The default admits
	// everybody.
	Admit func(node string, boot uint64) bool
	// Evidence is told when a connection to or from a peer was refused or broke, unless this node closed
	// it. It must not block. The default does nothing.
	Evidence func(node string, boot uint64, cause error)
	// Queue is how many bytes may wait for a peer; over it, Send returns cluster.ErrBusy. The default value
	// is 4 MiB.
	Queue int
	// MaxEnvelope is the largest envelope that is taken from a peer, in bytes. The default value is 256 KiB, at most
	// 8 MiB.
	MaxEnvelope int
	// MaxPeers is how many peers may be connected to this node. The default value is 1,024.
	MaxPeers int
	// Ping is how often a peer is pinged, and Timeout after what silence a connection is given up. The default
	// values are 1 s and 5 s: a process that is paused the gossip finds sooner, and one that is busy is not dead.
	Ping, Timeout time.Duration
	// Turns are those of whoever runs the actors. The default is none: what comes in is handed over one by one, and
	// what goes out is written by goroutines of the link.
	Turns Turns
	// Logger gets connections at level Debug and refusals, once for each cause, at level Warn. The
	// default discards.
	Logger *slog.Logger

	listener net.Listener                                             // tests: instead of Listen
	dial     func(ctx context.Context, addr string) (net.Conn, error) // tests: instead of TCP
}

// Turns let the goroutines that bring envelopes do the receivers' work as well, and those that work for them
// write what comes of it. Each saves waking another goroutine, which at low load costs more than the work.
type Turns interface {
	// Help calls tell, which hands over envelopes that came together, and may then work for their receivers for a
	// while.
	Help(tell func())
	// Settles reports whether [Stream.Flush] is going to be called soon, and will see what was sent before.
	Settles() bool
}

const (
	defaultQueue    = 4 << 20
	defaultMaxPeers = 1_024
	largestEnvelope = 8 << 20
	patience        = 20 * time.Millisecond // for how long SendLater may let an envelope wait
	maxStrangers    = 64                    // connections whose hello has not come
	firstBackoff    = 50 * time.Millisecond
	lastBackoff     = time.Second
	dialTimeout     = 2 * time.Second
)

func (c StreamConfig) withDefaults() (StreamConfig, error) {
	if c.Node == "" || len(c.Node) > cluster.MaxName || c.Boot == 0 {
		return c, fmt.Errorf("link: a node has a name of 1 to %d bytes and a boot number", cluster.MaxName)
	}
	if c.MaxEnvelope > largestEnvelope || c.MaxEnvelope < 0 || c.Queue < 0 || c.MaxPeers < 0 || c.Ping < 0 || c.Timeout < 0 {
		return c, errors.New("link: a bound is below 0, or the largest envelope over 8 MiB")
	}
	setDefault(&c.Listen, "127.0.0.1:7947")
	setDefault(&c.Queue, defaultQueue)
	setDefault(&c.MaxEnvelope, cluster.DefaultMaxEnvelope)
	setDefault(&c.MaxPeers, defaultMaxPeers)
	setDefault(&c.Ping, time.Second)
	setDefault(&c.Timeout, 5*time.Second)
	if c.Ping >= c.Timeout {
		return c, fmt.Errorf("link: the time between pings, %v, is not shorter than the timeout, %v", c.Ping, c.Timeout)
	}
	if c.Evidence == nil {
		c.Evidence = func(string, uint64, error) {}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.dial == nil {
		c.dial = func(ctx context.Context, addr string) (net.Conn, error) {
			var d net.Dialer
			conn, err := d.DialContext(ctx, "tcp", addr)
			if err != nil {
				return nil, err
			}
			return rawio.Conn(conn), nil
		}
	}
	return c, nil
}

func setDefault[T comparable](value *T, other T) {
	var zero T
	if *value == zero {
		*value = other
	}
}

// Stream is a link over TCP. Make one with [Listen].
type Stream struct {
	config   StreamConfig
	once     *logonce.Logger
	listener net.Listener
	receive  Receive
	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
	running  sync.WaitGroup
	peers    atomic.Pointer[map[string]*peer] // by name; replaced as a whole
	left     atomic.Bool                      // something was left to Flush
	waits    atomic.Bool                      // something waits for others to go with
	counts   streamCounts
	began    time.Time // the origin of the clock that stamps

	mu        sync.Mutex // for what follows, and for replacing peers
	started   bool
	strangers int
	inbound   map[string]*inbound // by name
	conns     map[net.Conn]bool   // accepted, to be closed by Close
	offsets   map[string]*offset  // by name
}

// Listen opens the port. Nothing is taken from it before Start; what is sent meanwhile goes out. The error
// says what is wrong with the configuration, or why the address cannot be bound.
func Listen(config StreamConfig) (*Stream, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	if config.TLS != nil {
		if err := config.TLS.Check(); err != nil {
			return nil, err
		}
	}
	s := &Stream{
		config: config, once: logonce.New(config.Logger), listener: config.listener,
		inbound: map[string]*inbound{}, conns: map[net.Conn]bool{}, offsets: map[string]*offset{}, began: time.Now(),
	}
	if s.listener == nil {
		if s.listener, err = net.Listen("tcp", config.Listen); err != nil {
			return nil, fmt.Errorf("link: open the port for peers: %w", err)
		}
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.peers.Store(&map[string]*peer{})
	return s, nil
}

// Addr returns the address that the port is open on.
func (s *Stream) Addr() net.Addr { return s.listener.Addr() }

// Start begins to take what peers send. The error says that it was called before, or after Close.
func (s *Stream) Start(receive Receive) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started || s.ctx.Err() != nil {
		return errors.New("link: started twice, or after it was closed")
	}
	s.started, s.receive = true, receive
	s.running.Go(s.accept)
	return nil
}

// SetPeers implements cluster.Link. It begins to connect to those that are new, and again to those that
// were started again or have another address.
func (s *Stream) SetPeers(members []cluster.Member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return
	}
	before, after := *s.peers.Load(), make(map[string]*peer, len(members))
	for _, m := range members {
		if m.Name == s.config.Node || m.Peer == "" {
			continue
		}
		if p := before[m.Name]; p != nil && p.member.Boot == m.Boot && p.member.Peer == m.Peer {
			after[m.Name] = p
			continue
		}
		p := newPeer(s, m)
		after[m.Name] = p
		s.running.Go(p.run)
	}
	s.peers.Store(&after)
	for name, p := range before {
		if after[name] != p {
			p.cancel()
		}
	}
}

// Send implements cluster.Link.
func (s *Stream) Send(to cluster.Member, envelope []byte) error { return s.send(to, envelope, false) }

// SendLater implements cluster.Patient.
func (s *Stream) SendLater(to cluster.Member, envelope []byte) error {
	return s.send(to, envelope, true)
}

func (s *Stream) send(to cluster.Member, envelope []byte, later bool) error {
	p := (*s.peers.Load())[to.Name]
	if p == nil || p.member.Boot != to.Boot {
		return cluster.ErrUnreachable
	}
	return p.send(envelope, later)
}

// wait sees to it that what waits goes out before long.
func (s *Stream) wait() {
	if !s.waits.Load() && s.waits.CompareAndSwap(false, true) {
		time.AfterFunc(patience, s.waited)
	}
}

// waited has written what nothing else has taken along.
func (s *Stream) waited() {
	s.waits.Store(false)
	for _, p := range *s.peers.Load() {
		if queued, up := p.load(); up && queued > 0 {
			if !p.flush(true) {
				p.rouse()
			}
		}
	}
}

// Flush writes what waits for the peers, as far as that goes without blocking. [Turns] that settle call it.
func (s *Stream) Flush() {
	if !s.left.Swap(false) {
		return
	}
	for _, p := range *s.peers.Load() {
		p.flush(false)
	}
}

// settles reports whether Flush is called soon.
func (s *Stream) settles() bool {
	if s.config.Turns == nil {
		return false
	}
	s.left.Store(true)
	return s.config.Turns.Settles()
}

// Close ends all connections; what waits is dropped. It returns when nothing is received any more, so it must
// not be called while receiving.
func (s *Stream) Close() {
	s.mu.Lock()
	s.cancel()
	for conn := range s.conns {
		_ = conn.Close() // to end its reader
	}
	s.mu.Unlock()
	_ = s.listener.Close()
	s.running.Wait()
}

// refuse logs why something was refused, once for each cause and host.
func (s *Stream) refuse(why string, remote net.Addr, err error, attrs ...slog.Attr) {
	s.counts.refused.Add(1)
	host := remote.String()
	if h, _, splitErr := net.SplitHostPort(host); splitErr == nil {
		host = h
	}
	attrs = append(attrs, slog.String("from", host), slog.Any("error", err))
	s.once.Log(slog.LevelWarn, why+" "+host, "a connection from a peer is refused", attrs...)
}
