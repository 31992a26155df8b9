package ringfleet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/ringfleet/ringfleet/actors"
	"github.com/ringfleet/ringfleet/actors/engine"
	"github.com/ringfleet/ringfleet/cluster/link"
	"github.com/ringfleet/ringfleet/events"
	"github.com/ringfleet/ringfleet/gateway"
	"github.com/ringfleet/ringfleet/internal/bearer"
	"github.com/ringfleet/ringfleet/internal/observe"
	"github.com/ringfleet/ringfleet/internal/tracing"
	"github.com/ringfleet/ringfleet/invitation"
)

// Node is a running node. Make it with [Start].
type Node struct {
	config      Config
	host        *actors.Host
	gateway     *gateway.Gateway
	invitations *observe.Invitations
	registry    *prometheus.Registry
	member      *member                     // nil for a node that is alone
	stream      atomic.Pointer[link.Stream] // nil until a link over TCP is open
	servers     []*server
	tokens      *bearer.Tokens // for the admin address; nil for none
	cert        *clientCert    // for clients; nil for none
	apiCert     *clientCert    // for the API; nil for none, or one that does not change
	boot        uint64         // new, and higher, with each start
	failed      chan struct{}  // closed with failure set
	failing     sync.Once
	failure     error
	attaches    attaches
	events      *events.Stream  // nil: there is nobody to tell
	standings   atomic.Int32    // questions that wait
	tracer      *tracing.Tracer // nil: there are no traces
	began       invitation.Time // of a node that is alone: it may have been started again
	halted      chan struct{}   // closed when the actors are to stop
	dropped     atomic.Uint64   // messages that an actor's full mailbox refused; the protocol repeats them
	stopping    atomic.Bool
	drained     atomic.Bool
	stop        sync.Once
	stopped     error
	desks
}

// Why a node is not ready.
var (
	ErrStopping = errors.New("ringfleet: the node is shutting down")
	ErrJoining  = errors.New("ringfleet: the node is joining its cluster")
)

// Start starts a node. The error says all that is wrong with the configuration, or which address the
// node could not listen on.
func Start(config Config) (*Node, error) {
	if err := config.Check(); err != nil {
		return nil, err
	}
	n := &Node{
		config: config.withDefaults(), invitations: observe.NewInvitations(), registry: prometheus.NewRegistry(),
		failed: make(chan struct{}), halted: make(chan struct{}),
	}
	n.boot = uint64(n.config.WallClock().UnixNano())
	n.config.Gateway.FirstConnection, n.config.Gateway.Turns = n.boot, turns{n}
	gw, err := gateway.New(n.config.Gateway, backend{n})
	if err != nil {
		return nil, err
	}
	n.gateway = gw
	if n.tokens, err = n.config.adminTokens(); err != nil {
		return nil, fmt.Errorf("ringfleet: admin tokens: %w", err)
	}
	if n.config.ClientTLS != nil {
		if n.cert, err = n.config.ClientTLS.open(n.config.Logger); err != nil {
			return nil, err
		}
	}
	if err := n.startEvents(); err != nil {
		return nil, err
	}
	if n.tracer, err = tracing.New(n.config.Trace.tracing(&n.config)); err != nil {
		return nil, err
	}
	n.prepareAPI()
	options := actors.Options{
		Network:        network{n},
		Observer:       observer{n.invitations, config.OnOutcome, n},
		Events:         n.told(),
		Session:        n.config.Session,
		WallClock:      n.config.WallClock,
		Engine:         engine.Options{Logger: slog.New(warnings{n.config.Logger.Handler()}), Stall: n.stalled, Settle: n.settle},
		MaxSessions:    config.MaxSessions,
		MaxInvitations: config.MaxInvitations,
	}
	if n.outcomes != nil {
		options.Outcome = n.remember
	}
	n.host = actors.New(options)
	n.makeDesk()
	n.began = n.host.Now()
	n.registerMetrics()
	for _, begin := range []func() error{n.joinCluster, n.openAPI, n.listen, n.announce, n.reconcile} {
		if err := begin(); err != nil {
			return nil, errors.Join(err, n.Shutdown(context.Background()))
		}
	}
	return n, nil
}

func (n *Node) registerMetrics() {
	if a, ok := n.config.Gateway.Authenticator.(interface{ Collector() prometheus.Collector }); ok {
		if c := a.Collector(); c != nil {
			n.registry.MustRegister(c)
		}
	}
	if n.cert != nil {
		n.registry.MustRegister(n.cert.collector())
	}
	if n.tracer != nil {
		n.registry.MustRegister(n.tracer)
	}
	n.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		n.invitations,
		observe.NewActors(n.host),
		observe.NewCluster(n.clusterState),
		n.gateway.Collector(),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "ringfleet_messages_dropped_total", Help: "Messages between actors that a full mailbox refused; they are repeated.",
		}, func() float64 { return float64(n.dropped.Load()) }),
	)
}

// server is an HTTP server and the address it listens on.
type server struct {
	name     string
	http     *http.Server
	listener net.Listener
}

// listen opens the addresses of the configuration.
func (n *Node) listen() error {
	for _, s := range []struct {
		name, address string
		handler       http.Handler
	}{
		{"client", n.config.ClientAddress, n.Handler()},
		{"admin", n.config.AdminAddress, n.AdminHandler()},
	} {
		if s.address == "" {
			continue
		}
		listener, err := net.Listen("tcp", s.address)
		if err != nil {
			return fmt.Errorf("ringfleet: %s address: %w", s.name, err)
		}
		srv := &server{name: s.name, http: gateway.NewServer(s.address, s.handler), listener: listener}
		if s.name == "client" && n.cert != nil {
			listener = tls.NewListener(listener, n.cert.config())
			srv.http.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){} // no HTTP/2
		}
		n.servers = append(n.servers, srv)
		go n.run(srv, func() error { return srv.http.Serve(listener) })
	}
	return nil
}

// run serves until the server is shut down.
func (n *Node) run(srv *server, serve func() error) {
	if err := serve(); !errors.Is(err, http.ErrServerClosed) {
		n.config.Logger.Error("server ended", "server", srv.name, "error", err)
	}
}

// ClientAddress returns the address the node listens on for devices, nil if it does not.
func (n *Node) ClientAddress() net.Addr { return n.address("client") }

// AdminAddress returns the address of the admin server, nil if there is none.
func (n *Node) AdminAddress() net.Addr { return n.address("admin") }

func (n *Node) address(name string) net.Addr {
	for _, s := range n.servers {
		if s.name == name {
			return s.listener.Addr()
		}
	}
	return nil
}

// Name returns the node's name.
func (n *Node) Name() string { return n.config.Name }

// Handler returns the handler for devices: WebSockets at /v1/connect and, with Config.Events.Links, the answers to
// signed links at [events.ValidPath].
func (n *Node) Handler() http.Handler {
	if n.config.Events.Links == nil {
		return n.gateway.Handler()
	}
	mux := http.NewServeMux()
	mux.Handle("/", n.gateway.Handler())
	mux.HandleFunc("GET "+events.ValidPath, n.serveLink)
	return mux
}

// AdminHandler returns the handler of health, metrics, status and profiles. It is for operators only; see
// [Config.AdminTokenFile].
func (n *Node) AdminHandler() http.Handler {
	return observe.Admin{
		Gatherer: n.registry, Ready: n.Ready, Status: func() any { return n.Status() }, Agree: n.Agree, Events: n.eventsHandler(),
		Tokens: n.tokens, OpenMetrics: n.config.AdminOpenMetrics,
	}.Handler()
}

// Reload reads the files that the configuration names at once. They are read again when they have changed anyway;
// this tells what is wrong with them, if something is. What cannot be read stays as it was.
func (n *Node) Reload() error {
	var errs []error
	if n.tokens != nil {
		if err := n.tokens.Reload(); err != nil {
			errs = append(errs, fmt.Errorf("ringfleet: admin tokens: %w", err))
		}
	}
	if n.cert != nil {
		errs = append(errs, n.cert.source.Reload())
	}
	if n.apiCert != nil {
		errs = append(errs, n.apiCert.source.Reload())
	}
	return errors.Join(errs...)
}

// Registry returns where the node's metrics are registered, for programs that serve their own.
func (n *Node) Registry() prometheus.Gatherer { return n.registry }

// Ready returns nil while the node serves, else why it does not.
func (n *Node) Ready() error {
	switch {
	case n.stopping.Load():
		return ErrStopping
	case n.drained.Load():
		return ErrDrained
	case n.member != nil && !n.member.joined.Load():
		return ErrJoining
	case n.member != nil && n.member.isOff.Load():
		return ErrCutOff
	}
	return nil
}

// Failed is closed when the node cannot go on, as [Node.Failure] then says: the program should shut it down.
func (n *Node) Failed() <-chan struct{} { return n.failed }

// Failure returns why the node cannot go on; nil while it can.
func (n *Node) Failure() error {
	select {
	case <-n.failed:
		return n.failure
	default:
		return nil
	}
}

func (n *Node) fail(err error) {
	n.failing.Do(func() {
		n.failure = err
		close(n.failed)
	})
}

// Shutdown ends the node: it is not ready any more and takes no connections, hands what lives on it to the
// other members of its cluster, tells every device to reconnect elsewhere, leaves the cluster and stops
// its actors. It waits until ctx is done, then leaves the rest undone and returns an error. A node that is
// alone, or the last of its cluster, has nobody to hand to: devices bring their words to the next node
// they reach. Calling it again returns the same error.
func (n *Node) Shutdown(ctx context.Context) error {
	n.stop.Do(func() {
		n.stopping.Store(true)
		close(n.ending)
		n.gateway.StopAccepting()
		var errs []error
		if n.member != nil {
			errs = append(errs, n.drain(ctx))
		}
		n.closeDesk(ctx)
		errs = append(errs, n.gateway.Shutdown(ctx))
		for _, s := range n.servers {
			errs = append(errs, s.http.Shutdown(ctx))
		}
		errs = append(errs, n.drainEvents(ctx))
		if n.member != nil {
			errs = append(errs, n.member.leave(ctx))
		}
		close(n.halted)
		n.asker.Close()
		errs = append(errs, n.host.Stop(ctx), n.tracer.Shutdown(ctx))
		if n.events != nil {
			n.events.Close()
		}
		n.stopped = errors.Join(errs...)
	})
	return n.stopped
}

// drain hands over what lives on the node, in at most half of the time that there is: the devices need the
// rest.
func (n *Node) drain(ctx context.Context) error {
	ctx, cancel := half(ctx)
	defer cancel()
	return n.member.drain(ctx)
}

// closeDesk waits for the calls that this node makes on behalf of users, likewise. Those of a node that is alone are
// canceled.
func (n *Node) closeDesk(ctx context.Context) {
	patience, cancel := half(ctx)
	defer cancel()
	if n.member == nil {
		cancel()
	}
	n.desk.Close(ctx, patience)
}

// half returns a context with half of the time that there is.
func half(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)/2)
}

// warnings is a log handler that lets through what is at least a warning: what protoactor says below
// that is of no use to an operator.
type warnings struct{ slog.Handler }

// Enabled implements slog.Handler.
func (w warnings) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && w.Handler.Enabled(ctx, level)
}

// WithAttrs implements slog.Handler.
func (w warnings) WithAttrs(attrs []slog.Attr) slog.Handler {
	return warnings{w.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (w warnings) WithGroup(name string) slog.Handler { return warnings{w.Handler.WithGroup(name)} }
