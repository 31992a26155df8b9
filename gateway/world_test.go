package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringfleet/ringfleet/gateway"
	"github.com/ringfleet/ringfleet/gateway/auth"
	"github.com/ringfleet/ringfleet/invitation"
)

// backend is a Backend that writes down what it is told and welcomes everybody. With echo it
// answers every call with OK.
type backend struct {
	g    *gateway.Gateway
	echo bool
	tell bool // those that are re-attached

	mu        sync.Mutex
	log       []string // "attach 1 alice/phone", "say 1 send", "say 1 word SEEN", "detach 1"
	ups       []invitation.Up
	logins    []invitation.Login
	attachErr error
	sayErr    error
}

func (b *backend) Attach(conn uint64, login invitation.Login) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	verb := "attach"
	if login.Reattach {
		verb = "reattach"
	}
	b.log = append(b.log, fmt.Sprintf("%s %d %s/%s", verb, conn, login.User, login.Device))
	b.logins = append(b.logins, login)
	if b.attachErr != nil {
		return b.attachErr
	}
	go b.g.Deliver(conn, invitation.Down{Welcome: &invitation.Welcome{Stamp: conn, Tell: b.tell && login.Reattach}})
	return nil
}

func (b *backend) Say(conn uint64, _ invitation.User, _ invitation.Device, up invitation.Up) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ups = append(b.ups, up)
	switch {
	case up.Call != nil:
		b.log = append(b.log, fmt.Sprintf("say %d %s", conn, up.Call.Request))
	case up.Word != nil:
		b.log = append(b.log, fmt.Sprintf("say %d word %s", conn, up.Word.Kind))
	default:
		b.log = append(b.log, fmt.Sprintf("say %d logout", conn))
	}
	if b.sayErr == nil && b.echo && up.Call != nil {
		go b.g.Deliver(conn, invitation.Down{Answer: &invitation.Answer{Request: up.Call.Request, RequestID: up.Call.RequestID}})
	}
	return b.sayErr
}

func (b *backend) Detach(conn uint64, _ invitation.User, _ invitation.Device) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.log = append(b.log, fmt.Sprintf("detach %d", conn))
}

func (b *backend) said() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.log)
}

func (b *backend) fail(attach, say error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.attachErr, b.sayErr = attach, say
}

// trusting believes everybody, wherever from.
type trusting struct{}

func (trusting) Authenticate(_ context.Context, r auth.Request) (auth.Identity, error) {
	return auth.Identity{User: r.User}, nil
}

// world is a gateway with a backend, an HTTP server and a listener.
type world struct {
	t       *testing.T
	g       *gateway.Gateway
	backend *backend
	dial    func() (net.Conn, error)
}

// bubble runs f with a gateway whose connections are pipes, in a bubble of fake time.
func bubble(t *testing.T, configure func(*gateway.Config), f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
		f(newWorld(t, configure, l, l.dial))
	})
}

// loopback returns a gateway on a port of this machine, in real time.
func loopback(t *testing.T, configure func(*gateway.Config)) *world {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return newWorld(t, configure, l, func() (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) })
}

func newWorld(t *testing.T, configure func(*gateway.Config), l net.Listener, dial func() (net.Conn, error)) *world {
	t.Helper()
	config := gateway.Config{Authenticator: trusting{}, Node: "n1"}
	if configure != nil {
		configure(&config)
	}
	b := &backend{echo: true}
	g, err := gateway.New(config, b)
	if err != nil {
		t.Fatal(err)
	}
	b.g = g
	server := gateway.NewServer("", g.Handler())
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = g.Shutdown(ctx) // most tests leave their clients silent
		_ = server.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("server: %v", err)
		}
	})
	return &world{t: t, g: g, backend: b, dial: dial}
}

// pipeListener accepts pipes.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) dial() (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }

func (w *world) dialContext(context.Context, string, string) (net.Conn, error) { return w.dial() }

// wantLog waits until the backend was told as much as is wanted, and compares.
func (w *world) wantLog(want ...string) {
	w.t.Helper()
	w.eventually(func() bool { return len(w.backend.said()) >= len(want) })
	if got := w.backend.said(); !slices.Equal(got, want) {
		w.t.Errorf("the backend was told\n\t%q, want\n\t%q", got, want)
	}
}

// eventually waits until ok, for at most 20 s: of fake time in a bubble.
func (w *world) eventually(ok func() bool) {
	w.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 20_000 {
		if ok() {
			return
		}
		<-tick.C
	}
	w.t.Error("it did not come about in 20 s")
}
