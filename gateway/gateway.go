package gateway

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringfleet/ringfleet/gateway/auth"
	"github.com/ringfleet/ringfleet/internal/logonce"
	"github.com/ringfleet/ringfleet/internal/wire"
	"github.com/ringfleet/ringfleet/invitation"
)

// Gateway holds the connections of one node. All its methods are safe for concurrent use.
type Gateway struct {
	config   Config
	backend  Backend
	log      *slog.Logger
	faults   *logonce.Logger // what clients can cause at any rate
	started  time.Time       // the origin of the gateway's clock, which is monotonic
	lastID   atomic.Uint64
	conns    registry
	wheel    wheel
	flushers []flusher
	stats    stats
	timing   timing
	buffered atomic.Int64 // bytes of unfinished frames and stalled queues

	admission admission
	draining  atomic.Bool
	shed      shedder
	probed    func() // what becomes of a probe that has come through a poller

	reattacher reattacher

	pollMu  sync.Mutex
	pollers []*poller // made with the first connection that can use one
	noPoll  bool

	emptyMu sync.Mutex
	empty   chan struct{} // closed by the last connection to go while Shutdown waits
}

// New returns a gateway in front of backend, or what is wrong with config.
func New(config Config, backend Backend) (*Gateway, error) {
	config = config.WithDefaults()
	if err := config.Check(); err != nil {
		return nil, err
	}
	if backend == nil {
		return nil, errors.New("gateway: no Backend")
	}
	g := &Gateway{
		config:   config,
		backend:  backend,
		log:      config.Logger,
		faults:   logonce.New(config.Logger),
		started:  time.Now().Add(-time.Second), // so that no time is the zero Time, "never"
		timing:   newTiming(),
		flushers: make([]flusher, min(runtime.GOMAXPROCS(0), 16)),
		admission: admission{
			maxSockets: config.MaxConnections, maxPending: config.MaxPending, maxPerAddress: config.MaxPerAddress,
			sources:   map[netip.Prefix]int{},
			loginRate: config.LoginRate, addresses: rates[netip.Prefix]{rate: config.LoginRatePerAddress},
			users: rates[invitation.User]{rate: config.LoginRatePerUser},
		},
	}
	g.lastID.Store(config.FirstConnection)
	g.reattacher.stop = make(chan struct{})
	g.wheel.now = g.now
	g.wheel.look = (*conn).look
	g.startShedding()
	return g, nil
}

// now tells the time since a second before the gateway was made.
func (g *Gateway) now() invitation.Time { return invitation.Time(time.Since(g.started)) }

func (g *Gateway) flusher(id uint64) *flusher { return &g.flushers[id%uint64(len(g.flushers))] }

// Deliver tells the device at the other end of a connection something. An Ending is the last that it
// is told. Deliver does not block, whatever state the connection is in; what cannot be delivered,
// because the connection is gone or its queue is full, is dropped. What down points to must not
// change afterwards: an in-process connection hands it on as it is.
//
// It reports whether there is such a connection. If not, whoever believes in it is to be told a Detach:
// the gateway has said one, or its node was started anew since. Of one that is about to end the Detach
// follows by itself.
//
// A Welcome behind the first on a connection, the answer to a re-attach, goes to the device only with
// Tell; its stamp counts either way.
func (g *Gateway) Deliver(conn uint64, down invitation.Down) bool {
	c := g.conns.get(conn)
	if c == nil {
		return false
	}
	c.deliver(down)
	return true
}

// info completes a Welcome.
func (c *conn) info() *wire.Info {
	g := c.g
	c.mu.Lock()
	left := c.lease.remaining(g.now())
	c.mu.Unlock()
	return &wire.Info{
		Version:      wire.ProtocolVersion,
		User:         c.user,
		PingInterval: g.config.PingInterval,
		IdleTimeout:  g.config.IdleTimeout,
		MaxFrame:     uint32(g.config.MaxFrame),
		Timers:       g.config.Timers,
		Node:         g.config.Node,

		TokenRemaining: left,
	}
}

// begin makes a connection of an upgraded socket; first is what came behind the request.
func (g *Gateway) begin(nc net.Conn, first []byte, codec wire.Codec, hello auth.Request) {
	c := &conn{
		g: g, id: g.lastID.Add(1), fd: -1, codec: codec, hello: &hello, addr: hello.Address,
		opened: g.now(), pending: true, reading: true,
	}
	c.heard.Store(int64(c.opened))
	if tcp, ok := nc.(*net.TCPConn); ok {
		c.poll = g.poller(c.id)
		if c.poll != nil {
			c.poll.adopt(c, tcp)
		}
	}
	if c.fd < 0 {
		c.poll, c.nc = nil, nc
	}
	g.stats.opened.Add(1)
	g.wheel.put(c, c.opened.Add(g.config.LoginTimeout))
	g.conns.add(c.id, c) // from here on others see c
	switch {
	case c.nc != nil:
		go c.readLoop(first)
	case !c.poll.watch(c):
		c.endStrand()
	case len(first) > 0 || !c.pauseStrand():
		go c.readAlone(func() { c.feedAll(first) })
	}
	if g.draining.Load() { // Shutdown may have begun before it could see c
		c.finish(g.shutdownEnding(), "")
	}
}

// forget is the last of a connection.
func (g *Gateway) forget(c *conn, end invitation.End, pending bool) {
	g.conns.remove(c.id)
	g.admission.leave(c.addr, pending)
	g.stats.end(end)
	g.checkEmpty()
}

// poller returns the poller of a connection, nil where there are none.
func (g *Gateway) poller(id uint64) *poller {
	g.pollMu.Lock()
	defer g.pollMu.Unlock()
	for len(g.pollers) < len(g.flushers) && !g.noPoll {
		p, err := newPoller(g)
		if err != nil {
			g.noPoll = len(g.pollers) == 0
			g.log.Warn("connections will cost a goroutine each", slog.Any("error", err))
			break
		}
		g.pollers = append(g.pollers, p)
	}
	if len(g.pollers) == 0 {
		return nil
	}
	return g.pollers[id%uint64(len(g.pollers))]
}
