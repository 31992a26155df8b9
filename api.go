package ringfleet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/ringfleet/ringfleet/api"
	"github.com/ringfleet/ringfleet/cluster"
	"github.com/ringfleet/ringfleet/cluster/ask"
	"github.com/ringfleet/ringfleet/cluster/handoff"
	"github.com/ringfleet/ringfleet/gateway/auth"
	"github.com/ringfleet/ringfleet/internal/bearer"
	"github.com/ringfleet/ringfleet/internal/desk"
	"github.com/ringfleet/ringfleet/internal/fault"
	"github.com/ringfleet/ringfleet/internal/outcomes"
	"github.com/ringfleet/ringfleet/internal/peerwire"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// APIConfig is about the API for back ends and operators (docs/api.md).
type APIConfig struct {
	// Address is where it is served, host:port. The default, "", is not to listen: mount [Node.APIHandler].
	Address string
	// Listener, if set, is used instead of listening on Address. The node closes it.
	Listener net.Listener
	// TokensFile has the tokens that may use it, one a line: name, scopes (read, call, admin), token or its hash. Without
	// one everybody may do everything, and Address must be on loopback.
	TokensFile string
	// TLS, if set, is what Address is served with. Its NextProtos are set.
	TLS *tls.Config
	// CertFile and KeyFile, if set, have Address served with TLS 1.2 or newer and the certificate, and the chain to its
	// authority, in these PEM files instead of TLS. They are read again when they have changed, as those of [ClientTLS].
	CertFile, KeyFile string
	// Rate is how many requests per second each token may make. The default is 100.
	Rate float64
	// MaxOutcomes bounds the outcomes that the node remembers for it; each is kept for the linger at most. The default
	// is 100,000, some 40 MB.
	MaxOutcomes int
}

// check returns what is wrong with c.
func (c *APIConfig) check() error {
	if c == nil {
		return nil
	}
	var errs []error
	address := c.Address
	if c.Listener != nil {
		address = c.Listener.Addr().String()
	}
	if c.TokensFile == "" && address != "" {
		if err := auth.CheckLoopback(address); err != nil {
			errs = append(errs, fmt.Errorf("ringfleet: API.Address without API.TokensFile: %w", err))
		}
	}
	if c.Rate < 0 || c.MaxOutcomes < 0 {
		errs = append(errs, errors.New("ringfleet: API.Rate and API.MaxOutcomes: want 0 (the default) or more"))
	}
	return errors.Join(errs...)
}

// learning is for how long a node that has taken over a shard of one that was lost does not say what it knows of it: the
// devices, and the other nodes, tell it meanwhile.
const learning = 5 * time.Second

const (
	askTimeout = 5 * time.Second        // the wait for another node, so that one that is dead shows soon
	askAgain   = 300 * time.Millisecond // after this it is asked again, for what only looks
)

// desks are what the API needs of a node.
type desks struct {
	desk     *desk.Desk
	outcomes *outcomes.Store // nil where there is no API: nothing is remembered
	asker    *ask.Asker
	server   *api.Server // nil as well
	ending   chan struct{}
	views    broadcast
}

// broadcast tells who waits that something has changed.
type broadcast struct {
	mu      sync.Mutex
	changed chan struct{}
}

// wait returns a channel that is closed with the next change.
func (b *broadcast) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.changed == nil {
		b.changed = make(chan struct{})
	}
	return b.changed
}

func (b *broadcast) tell() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
}

// prepareAPI makes what remembers outcomes, before there are actors.
func (n *Node) prepareAPI() {
	n.ending = make(chan struct{})
	n.asker = ask.New(ask.Config{Self: n.config.Name, First: n.boot, Logger: n.config.Logger, Reply: n.answer})
	if c := n.config.API; c != nil {
		n.outcomes = outcomes.New(outcomes.Config{Linger: n.config.Session.Timers.Linger, Max: c.MaxOutcomes})
	}
}

// makeDesk makes what answers, also to nodes that have an API where this one has none.
func (n *Node) makeDesk() {
	remembered := n.outcomes
	if remembered == nil {
		remembered = outcomes.New(outcomes.Config{Max: 1})
	}
	n.desk = desk.New(desk.Config{
		Node: n.config.Name, Host: n.host, Outcomes: remembered, WallClock: n.config.WallClock, Tell: n.tellSession, Carrier: n,
		Elsewhere: n.elsewhere, State: n.nodeState, Remember: n.rememberMirrors, Drain: n.beginDrain,
	})
}

// openAPI makes what is asked, and opens its address.
func (n *Node) openAPI() error {
	c := n.config.API
	if c == nil {
		return nil
	}
	var tokens *bearer.Tokens
	var err error
	if c.TokensFile != "" {
		tokens, err = bearer.Open(bearer.Config{File: c.TokensFile, Scopes: api.Scopes, Logger: n.config.Logger})
		if err != nil {
			return fmt.Errorf("ringfleet: API.TokensFile: %w", err)
		}
	}
	n.server, err = api.New(api.Config{Backend: apiBackend{n}, Tokens: tokens, Rate: c.Rate, Logger: n.config.Logger})
	if err != nil {
		return err
	}
	n.registry.MustRegister(n.server.Collector())
	listener := c.Listener
	switch {
	case listener != nil:
	case c.Address == "":
		return nil
	default:
		if listener, err = net.Listen("tcp", c.Address); err != nil {
			return fmt.Errorf("ringfleet: api address: %w", err)
		}
	}
	handler := n.server.Handler()
	if tokens == nil {
		handler = forThisMachine(handler)
	}
	srv := &server{name: "api", http: api.NewHTTPServer(handler), listener: listener}
	n.servers = append(n.servers, srv)
	serve := func() error { return srv.http.Serve(listener) }
	config, err := n.apiTLS()
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	if config != nil {
		srv.http.TLSConfig = config
		serve = func() error { return srv.http.ServeTLS(listener, "", "") }
	}
	go n.run(srv, serve)
	return nil
}

// apiTLS returns what the API's address is served with, nil for no TLS, and opens the certificate.
func (n *Node) apiTLS() (*tls.Config, error) {
	c := n.config.API
	if c.CertFile == "" && c.KeyFile == "" {
		return c.TLS.Clone(), nil
	}
	var err error
	files := ClientTLS{Cert: c.CertFile, Key: c.KeyFile}
	if n.apiCert, err = files.openAs("the API's certificate", n.config.Logger); err != nil {
		return nil, err
	}
	config := n.apiCert.config()
	config.NextProtos = nil // HTTP/2, too: the server adds its own
	return config, nil
}

// forThisMachine refuses what was meant for another host: a web page whose name was made to lead here could do
// everything, where no tokens are needed.
func forThisMachine(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		ip := net.ParseIP(strings.Trim(host, "[]"))
		if host != "localhost" && !ip.IsLoopback() {
			http.Error(w, "without tokens the API is for this machine: ask 127.0.0.1 or localhost", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// APIAddress returns the address that the API is served at, nil if it is not.
func (n *Node) APIAddress() net.Addr { return n.address("api") }

// APIHandler returns the handler of the API: gRPC, gRPC-Web, and HTTP with JSON. It answers nothing without Config.API.
// gRPC needs a server that speaks HTTP/2.
func (n *Node) APIHandler() http.Handler {
	if n.server == nil {
		return http.NotFoundHandler()
	}
	return n.server.Handler()
}

func (n *Node) tellSession(user invitation.User, in *session.Input) error { return n.session(user, in) }

// remember implements actors.Options.Outcome.
func (n *Node) remember(user invitation.User, v *invitation.View, _ invitation.Time) {
	n.outcomes.Add(user, v, time.Time{}, n.config.WallClock())
}

// apiBackend is what the API serves. It implements api.Backend.
type apiBackend struct{ node *Node }

// Do implements api.Backend.
func (b apiBackend) Do(ctx context.Context, to api.Target, method string, request proto.Message) (proto.Message, error) {
	n := b.node
	switch {
	case to.Node == n.config.Name:
		return n.desk.Do(ctx, method, request)
	case to.Node != "":
		response, err := n.elsewhere(ctx, to.Node, method, request)
		if response == nil && err == nil {
			err = fault.Call(invitation.NotFound, "the cluster has no node of that name")
		}
		return response, err
	case n.holdsFor(to.Shard) == nil:
		response, err := n.desk.Do(ctx, method, request)
		if lost := n.holdsFor(to.Shard); lost != nil {
			return nil, lost // it was given away meanwhile
		}
		return response, err
	case n.member == nil || n.member.place(to.Shard) != handoff.Gone:
		return nil, n.holdsFor(to.Shard)
	}
	return n.forward(ctx, method, request, func(r *ask.Request) error {
		return n.member.router.Send(to.Shard, peerwire.KindRequest, "", r)
	})
}

// holdsFor returns why this node cannot say what there is of a shard; nil: it can.
func (n *Node) holdsFor(shard invitation.Shard) error {
	m := n.member
	switch {
	case m == nil:
		return nil
	case m.isOff.Load():
		return fault.Unavailable("the node is cut off from most of its cluster: ask another one, or try again")
	case m.place(shard) != handoff.Held:
		return fault.Unavailable("it is on its way from one node to another: try again")
	}
	if lostAt := invitation.Time(m.lostAt[shard].Load()); lostAt != 0 && n.host.Now() < lostAt.Add(learning) {
		return fault.Unavailable("the node that knew was lost or started anew, and who has it now is learning for 5 s: try again")
	}
	return nil
}

// forward has a method done by another node.
func (n *Node) forward(ctx context.Context, method string, request proto.Message, send func(*ask.Request) error) (proto.Message, error) {
	response := n.desk.Response(method)
	body, err := proto.Marshal(request)
	if err != nil || response == nil {
		return nil, fmt.Errorf("ringfleet: ask another node for %s: %w", method, err)
	}
	waited, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	again := askAgain
	if !n.desk.Looks(method) {
		again = 0
	}
	answer, err := n.asker.AskAgain(waited, again, send, method, body)
	if err != nil {
		return nil, fault.FromNode(err)
	}
	if err := proto.Unmarshal(answer, response); err != nil {
		return nil, fmt.Errorf("ringfleet: the answer of another node to %s: %w", method, err)
	}
	return response, nil
}

// elsewhere implements desk.Config.Elsewhere.
func (n *Node) elsewhere(ctx context.Context, node, method string, request proto.Message) (proto.Message, error) {
	if n.member == nil {
		return nil, nil //nolint:nilnil // there are no others
	}
	if _, ok := n.member.router.View().Member(node); !ok {
		return nil, nil //nolint:nilnil // it has gone
	}
	return n.forward(ctx, method, request, func(r *ask.Request) error {
		return n.member.router.SendNode(node, peerwire.KindRequest, "", r)
	})
}

// asked takes what another node asks for.
func (n *Node) asked(e cluster.Envelope, r *ask.Request) {
	n.asker.Take(r, func(ctx context.Context, method string, body []byte) ([]byte, error) {
		if e.Node != "" {
			answer, err := n.desk.Serve(ctx, method, body)
			return answer, toNode(err)
		}
		if err := n.holdsFor(e.Shard); err != nil {
			return nil, toNode(err)
		}
		answer, err := n.desk.Serve(ctx, method, body)
		if lost := n.holdsFor(e.Shard); lost != nil {
			err = lost
		}
		return answer, toNode(err)
	})
}

func toNode(err error) error {
	if err == nil {
		return nil
	}
	return fault.ToNode(err)
}

// answer implements ask.Config.Reply. An answer that is too large for the way there is told as an error.
func (n *Node) answer(node string, r *ask.Response) error {
	err := n.member.router.SendNode(node, peerwire.KindResponse, "", r)
	if errors.Is(err, cluster.ErrTooLarge) {
		tooLarge := fault.ToNode(fault.Call(invitation.LimitExceeded, "the answer is too large: ask for a smaller page"))
		err = n.member.router.SendNode(node, peerwire.KindResponse, "", &ask.Response{
			ID: r.ID, Code: tooLarge.Code, Message: tooLarge.Message, Detail: tooLarge.Detail,
		})
	}
	return err
}
