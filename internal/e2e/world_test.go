package e2e

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet"
	"github.com/ringfleet/ringfleet/client"
	"github.com/ringfleet/ringfleet/gateway"
	"github.com/ringfleet/ringfleet/gateway/auth"
	"github.com/ringfleet/ringfleet/invitation"
)

// world is a node, and the way to it.
type world struct {
	t        *testing.T
	config   ringfleet.Config
	patience time.Duration // after which what is waited for will not come
	token    func(invitation.User) string

	mu   sync.Mutex
	node *ringfleet.Node
	dial func() (net.Conn, error)
	stop func()

	seen map[any]bool // codes and reasons that a device was told
}

// bubble runs f in a bubble of fake time, with a node whose connections are pipes.
func bubble(t *testing.T, config ringfleet.Config, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, config: config, patience: 20 * time.Minute, seen: map[any]bool{}}
		w.startPiped()
		time.Sleep(config.Session.Timers.Or(invitation.DefaultTimers).Grace) // until nothing is doubted that a node before it may have known
		t.Cleanup(func() { w.stop() })
		f(w)
	})
}

// loopback returns a world in real time, with a node that listens on a port of this machine.
func loopback(t *testing.T, config ringfleet.Config) *world {
	t.Helper()
	config.ClientAddress = "127.0.0.1:0"
	w := &world{t: t, config: config, patience: 30 * time.Second, seen: map[any]bool{}}
	w.node = w.startNode()
	t.Cleanup(func() { shutDown(t, w.node) })
	w.dial = func() (net.Conn, error) { return net.Dial("tcp", w.node.ClientAddress().String()) }
	return w
}

func (w *world) startNode() *ringfleet.Node {
	w.t.Helper()
	config := w.config
	if config.Gateway.Authenticator == nil {
		config.Gateway.Authenticator = auth.Development{}
	}
	node, err := ringfleet.Start(config)
	if err != nil {
		w.t.Fatal(err)
	}
	return node
}

func shutDown(t *testing.T, node *ringfleet.Node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := node.Shutdown(ctx); err != nil {
		t.Error("shut down:", err)
	}
}

// startPiped starts a node behind an HTTP server that takes pipes.
func (w *world) startPiped() {
	w.t.Helper()
	node := w.startNode()
	l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := gateway.NewServer("", node.Handler())
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.node, w.dial = node, l.dial
	w.stop = func() {
		w.t.Helper()
		shutDown(w.t, node)
		if err := server.Close(); err != nil {
			w.t.Error(err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			w.t.Error("server:", err)
		}
	}
}

// connection opens a connection to the node that there is.
func (w *world) connection() (net.Conn, error) {
	w.mu.Lock()
	dial := w.dial
	w.mu.Unlock()
	return dial()
}

// pipes is a listener whose connections are pipes.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) dial() (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }

// line is the network of one client of the SDK: it can be cut, and be down.
type line struct {
	w    *world
	mu   sync.Mutex
	down bool
	open []net.Conn
	cuts int
}

var errDown = errors.New("e2e: the line is down")

func (l *line) dial(context.Context, string, string) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return nil, errDown
	}
	c, err := l.w.connection()
	if err == nil {
		l.open = append(l.open, c)
	}
	return c, err
}

// cut closes every connection of the line, which stays down or not.
func (l *line) cut(down bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = down
	for _, c := range l.open {
		c.Close()
	}
	l.open, l.cuts = nil, l.cuts+1
}

func (l *line) up() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = false
}

// phone is a client of the SDK, and what it was shown.
type phone struct {
	*client.Client
	line  *line
	rings chan *client.RemoteInvitation
	ended chan error // why its session ended
}

// newPhone returns a client that is not logged in.
func (w *world) newPhone(options client.Options) *phone {
	p := &phone{
		line: &line{w: w}, rings: make(chan *client.RemoteInvitation, 64), ended: make(chan error, 1),
	}
	carrier := &client.WebSocket{URLs: []string{"ws://127.0.0.1"}, NetDial: p.line.dial}
	if w.token != nil {
		carrier.Token = client.StaticToken(w.token(options.User))
	}
	p.Client = client.New(carrier, options)
	p.OnRemoteInvitation(func(r *client.RemoteInvitation) { p.rings <- r })
	p.OnEvent(func(e client.Event) {
		if e.Kind == client.SessionEnded {
			p.ended <- e.Err
		}
	})
	w.t.Cleanup(func() {
		if err := p.Close(); err != nil {
			w.t.Error(err)
		}
	})
	return p
}

// phone returns a client that is logged in.
func (w *world) phone(user invitation.User, device invitation.Device) *phone {
	w.t.Helper()
	p := w.newPhone(client.Options{User: user, Device: device})
	if err := p.Login(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	return p
}

// send sends an invitation that must be taken.
func (w *world) send(from *phone, to invitation.User) *client.LocalInvitation {
	w.t.Helper()
	l := from.NewLocalInvitation(to)
	if err := l.Send(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	return l
}

// ring waits until the phone rings.
func (w *world) ring(p *phone) *client.RemoteInvitation {
	w.t.Helper()
	return await(w, p.rings, "a ring")
}

// call sends an invitation that rings.
func (w *world) call(from, to *phone) (*client.LocalInvitation, *client.RemoteInvitation) {
	w.t.Helper()
	l := w.send(from, to.User())
	return l, w.ring(to)
}

// wholeCall shows that the node is well.
func (w *world) wholeCall(alice, bob invitation.User) {
	w.t.Helper()
	caller, callee := w.phone(alice, "phone"), w.phone(bob, "phone")
	l, r := w.call(caller, callee)
	w.must(r.Accept(w.t.Context(), "yes"))
	w.wantLocal(localOf(w, l), localEnd{State: invitation.LocalAcceptedByRemote})
	w.wantRemote(remoteOf(w, r), remoteEnd{State: invitation.RemoteAccepted})
	w.must(caller.Logout(w.t.Context()))
	w.must(callee.Logout(w.t.Context()))
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// await receives from ch, while there is patience.
func await[T any](w *world, ch <-chan T, what string) T {
	w.t.Helper()
	timeout := time.NewTimer(w.patience)
	defer timeout.Stop()
	select {
	case v := <-ch:
		return v
	case <-timeout.C:
		w.t.Fatalf("%s did not come", what)
		panic("unreachable")
	}
}

// lateness is how much later than exactly a deadline may be kept (docs/spec.md §6).
const lateness = 100 * time.Millisecond

// after checks that d, and no more than lateness, has passed since start.
func (w *world) after(start time.Time, d time.Duration) {
	w.t.Helper()
	if got := time.Since(start); got < d || got > d+lateness {
		w.t.Errorf("it took %v, want %v", got, d)
	}
}
