package gateway_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"github.com/ringfleet/ringfleet/gateway"
	"github.com/ringfleet/ringfleet/gateway/auth"
	"github.com/ringfleet/ringfleet/internal/wire"
	"github.com/ringfleet/ringfleet/invitation"
)

// backend is a Backend that writes down what it is told and welcomes everybody. With echo it
// answers every call with OK.
type backend struct {
	g    *gateway.Gateway
	echo bool

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
	b.log = append(b.log, fmt.Sprintf("attach %d %s/%s", conn, login.User, login.Device))
	b.logins = append(b.logins, login)
	if b.attachErr != nil {
		return b.attachErr
	}
	go b.g.Deliver(conn, invitation.Down{Welcome: &invitation.Welcome{Stamp: conn}})
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

// client is the other end of a WebSocket, which checks what it is sent.
type client struct {
	t     *testing.T
	nc    net.Conn
	r     io.Reader
	codec wire.Codec
	pings int
}

// connect upgrades a new connection.
func (w *world) connect(codec wire.Codec, header ...string) *client {
	w.t.Helper()
	nc, err := w.dial()
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { nc.Close() })
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	d := ws.Dialer{Protocols: []string{codec.Subprotocol()}, Header: ws.HandshakeHeaderHTTP(h)}
	br, hs, err := d.Upgrade(nc, mustURL("ws://node"+gateway.Path))
	if err != nil {
		w.t.Fatal(err)
	}
	if hs.Protocol != codec.Subprotocol() || len(hs.Extensions) > 0 {
		w.t.Fatalf("handshake gave %q with %v", hs.Protocol, hs.Extensions)
	}
	c := &client{t: w.t, nc: nc, r: nc, codec: codec}
	if br != nil {
		c.r = br
	}
	return c
}

// online connects and logs in.
func (w *world) online(user invitation.User) *client {
	w.t.Helper()
	c := w.connect(wire.Binary)
	c.login(user)
	return c
}

func loginFrame(user invitation.User, token string) wire.ClientFrame {
	return wire.ClientFrame{Login: &wire.Login{
		Login: invitation.Login{User: user, Device: "phone"}, Token: token, MinVersion: 1, MaxVersion: 1,
	}}
}

func (c *client) login(user invitation.User) wire.ServerFrame {
	c.t.Helper()
	c.say(loginFrame(user, ""))
	f := c.hear()
	if f.Down.Welcome == nil {
		c.t.Fatalf("login of %q: got %+v", user, f.Down)
	}
	return f
}

func (c *client) op() ws.OpCode {
	if c.codec.Text() {
		return ws.OpText
	}
	return ws.OpBinary
}

// say sends one frame of the protocol.
func (c *client) say(f wire.ClientFrame) {
	c.t.Helper()
	data, err := wire.EncodeUp(nil, c.codec, f)
	if err != nil {
		c.t.Fatal(err)
	}
	c.write(ws.NewFrame(c.op(), true, data))
}

func (c *client) call(call invitation.Call) {
	c.t.Helper()
	c.say(wire.ClientFrame{Up: invitation.Up{Call: &call}})
}

// write sends a frame, masked.
func (c *client) write(f ws.Frame) {
	c.t.Helper()
	c.bytes(bytesOf(ws.MaskFrame(f)))
}

func bytesOf(f ws.Frame) []byte {
	data, err := ws.CompileFrame(f)
	if err != nil {
		panic(err)
	}
	return data
}

// bytes sends data as it is. A node that has ended the connection may be done with reading.
func (c *client) bytes(data []byte) {
	c.t.Helper()
	if _, err := c.nc.Write(data); err != nil {
		c.t.Logf("write: %v", err)
	}
}

// frame reads the next WebSocket frame, and answers pings.
func (c *client) frame() (ws.Frame, error) {
	for {
		f, err := ws.ReadFrame(c.r) //nolint:staticcheck // the gateway is trusted with lengths
		if err != nil {
			return f, err
		}
		if f.Header.Masked {
			c.t.Error("a masked frame from a server")
		}
		if f.Header.OpCode != ws.OpPing {
			return f, nil
		}
		c.pings++
		c.write(ws.NewPongFrame(f.Payload))
	}
}

// hear reads the next frame of the protocol.
func (c *client) hear() wire.ServerFrame {
	c.t.Helper()
	f, err := c.frame()
	if err != nil {
		c.t.Fatalf("hear: %v", err)
	}
	if f.Header.OpCode != c.op() {
		c.t.Fatalf("hear: got a frame of kind %x: %q", f.Header.OpCode, f.Payload)
	}
	down, err := wire.DecodeDown(c.codec, f.Payload)
	if err != nil {
		c.t.Fatalf("hear: %v", err)
	}
	return down
}

// answer reads an answer.
func (c *client) answer(id uint64) *invitation.Answer {
	c.t.Helper()
	a := c.hear().Down.Answer
	if a == nil || a.RequestID != id {
		c.t.Fatalf("got %+v, want the answer to request %d", a, id)
	}
	return a
}

// ends reads an Ending, the close frame that repeats its code, answers it, and sees the socket closed.
func (c *client) ends(want invitation.End) *invitation.Ending {
	c.t.Helper()
	e := c.hear().Down.Ending
	if e == nil || e.End != want {
		c.t.Fatalf("got %+v, want %d %s", e, want, want)
	}
	f, err := c.frame()
	if err != nil || f.Header.OpCode != ws.OpClose {
		c.t.Fatalf("after the Ending: got %x, %v", f.Header.OpCode, err)
	}
	if code, reason := ws.ParseCloseFrameData(f.Payload); invitation.End(code) != want || reason != want.String() {
		c.t.Errorf("close frame says %d %q, want %d %s", code, reason, want, want)
	}
	c.write(ws.NewCloseFrame(f.Payload))
	c.closed()
	return e
}

// closed sees the socket closed.
func (c *client) closed() {
	c.t.Helper()
	if f, err := c.frame(); err == nil {
		c.t.Errorf("got a frame of kind %x, want the end of the stream", f.Header.OpCode)
	}
}

// collectAll reads in the background until the socket closes.
func (c *client) drain() <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(io.Discard, bufio.NewReader(c.r))
	}()
	return done
}

func send(id uint64, callee invitation.User) invitation.Call {
	return invitation.Call{Request: invitation.Send, RequestID: id, Key: fmt.Sprint("k", id), Callee: callee}
}

func sendFrame(id uint64, callee invitation.User) wire.ClientFrame {
	call := send(id, callee)
	return wire.ClientFrame{Up: invitation.Up{Call: &call}}
}

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
