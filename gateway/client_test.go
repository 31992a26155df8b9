package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/gobwas/ws"

	"github.com/ringfleet/ringfleet/gateway"
	"github.com/ringfleet/ringfleet/internal/wire"
	"github.com/ringfleet/ringfleet/invitation"
)

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
