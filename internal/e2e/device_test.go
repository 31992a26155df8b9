package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/ringfleet/ringfleet/gateway"
	"github.com/ringfleet/ringfleet/internal/wire"
	"github.com/ringfleet/ringfleet/invitation"
)

// device speaks the protocol over a WebSocket, and says nothing by itself but pongs.
type device struct {
	w      *world
	conn   net.Conn
	codec  wire.Codec
	frames chan wire.ServerFrame
	gone   chan struct{} // closed after the last frame
	code   ws.StatusCode // of the close frame, once gone
	last   uint64        // the request id
	write  sync.Mutex
}

// upgrade opens a WebSocket, of which nothing is read.
func (w *world) upgrade(codec wire.Codec, header http.Header) (net.Conn, io.Reader) {
	w.t.Helper()
	conn, err := w.connection()
	w.must(err)
	w.t.Cleanup(func() { conn.Close() })
	u := &url.URL{Scheme: "ws", Host: "127.0.0.1", Path: gateway.Path}
	d := ws.Dialer{Protocols: []string{codec.Subprotocol()}, Header: ws.HandshakeHeaderHTTP(header)}
	early, _, err := d.Upgrade(conn, u)
	w.must(err)
	if early != nil {
		return conn, early
	}
	return conn, conn
}

// connect opens a WebSocket without a login.
func (w *world) connect(codec wire.Codec) *device {
	w.t.Helper()
	conn, r := w.upgrade(codec, nil)
	d := &device{w: w, conn: conn, codec: codec, frames: make(chan wire.ServerFrame, 4_096), gone: make(chan struct{})}
	go d.read(r)
	return d
}

// online opens a WebSocket and logs in.
func (w *world) online(user invitation.User, name invitation.Device) *device {
	w.t.Helper()
	d := w.connect(wire.Binary)
	d.login(invitation.Login{User: user, Device: name})
	return d
}

func (d *device) login(l invitation.Login) *invitation.Welcome {
	d.w.t.Helper()
	token := ""
	if d.w.token != nil {
		token = d.w.token(l.User)
	}
	d.say(loginFrame(l, token))
	f := d.next()
	if f.Down.Welcome == nil {
		d.w.t.Fatalf("the login was answered with %+v", f.Down)
	}
	return f.Down.Welcome
}

func loginFrame(l invitation.Login, token string) wire.ClientFrame {
	return wire.ClientFrame{Login: &wire.Login{
		Login: l, Token: token, MinVersion: wire.ProtocolVersion, MaxVersion: wire.ProtocolVersion,
	}}
}

func (d *device) read(r io.Reader) {
	defer close(d.gone)
	defer close(d.frames)
	for {
		f, err := ws.ReadFrame(r) //nolint:staticcheck // the node is trusted with lengths
		if err != nil {
			return
		}
		switch f.Header.OpCode {
		case ws.OpPing:
			d.frame(ws.NewPongFrame(f.Payload))
			continue
		case ws.OpClose:
			d.code, _ = ws.ParseCloseFrameData(f.Payload)
			d.frame(ws.NewCloseFrame(f.Payload))
			d.conn.Close()
			return
		}
		down, err := wire.DecodeDown(d.codec, f.Payload)
		if err != nil {
			d.w.t.Errorf("the node said %q: %v", f.Payload, err)
			return
		}
		select {
		case d.frames <- down:
		default:
			d.w.t.Error("a device was told more than any test expects")
			return
		}
	}
}

// frame writes a WebSocket frame, masked. The node may have hung up: what it said shows elsewhere.
func (d *device) frame(f ws.Frame) { d.bytes(compile(f)) }

func compile(f ws.Frame) []byte {
	data, err := ws.CompileFrame(ws.MaskFrame(f))
	if err != nil {
		panic(err)
	}
	return data
}

func (d *device) bytes(data []byte) {
	d.write.Lock()
	defer d.write.Unlock()
	_, _ = d.conn.Write(data)
}

// payload writes a message of the kind agreed on.
func (d *device) payload(data []byte) {
	op := ws.OpBinary
	if d.codec.Text() {
		op = ws.OpText
	}
	d.frame(ws.NewFrame(op, true, data))
}

func (d *device) say(f wire.ClientFrame) {
	d.w.t.Helper()
	data, err := wire.EncodeUp(nil, d.codec, f)
	d.w.must(err)
	d.payload(data)
}

func (d *device) word(word invitation.Word) { d.say(wire.ClientFrame{Up: invitation.Up{Word: &word}}) }

func (d *device) seen(id invitation.ID) {
	d.word(invitation.Word{ID: id, Side: invitation.Callee, Kind: invitation.WordSeen})
}

// request makes a call and waits for its answer. What comes before it is dropped.
func (d *device) request(call invitation.Call) *invitation.Answer {
	d.w.t.Helper()
	d.last++
	call.RequestID = d.last
	d.say(wire.ClientFrame{Up: invitation.Up{Call: &call}})
	return d.answer(call.RequestID)
}

func (d *device) answer(id uint64) *invitation.Answer {
	d.w.t.Helper()
	return d.until("an answer", func(f wire.ServerFrame) bool {
		return f.Down.Answer != nil && f.Down.Answer.RequestID == id
	}).Down.Answer
}

// invite makes the call that sends an invitation, with a key of its own.
func (d *device) invite(callee invitation.User) invitation.Call {
	return invitation.Call{Request: invitation.Send, Key: fmt.Sprint("key-", d.last+1), Callee: callee}
}

// send sends an invitation that must be taken.
func (d *device) send(callee invitation.User) invitation.ID {
	d.w.t.Helper()
	a := d.request(d.invite(callee))
	if a.Error != invitation.OK || a.ID.IsZero() {
		d.w.t.Fatalf("the send was answered with %+v", a)
	}
	return a.ID
}

// next returns the next frame.
func (d *device) next() wire.ServerFrame {
	d.w.t.Helper()
	return d.until("a frame", func(wire.ServerFrame) bool { return true })
}

// until drops frames until one matches.
func (d *device) until(what string, match func(wire.ServerFrame) bool) wire.ServerFrame {
	d.w.t.Helper()
	timeout := time.NewTimer(d.w.patience)
	defer timeout.Stop()
	for {
		select {
		case f, ok := <-d.frames:
			if !ok {
				d.w.t.Fatalf("the connection was closed with %d, before %s", d.code, what)
			}
			if match(f) {
				return f
			}
		case <-timeout.C:
			d.w.t.Fatalf("%s did not come", what)
		}
	}
}

// notice drops frames until a view matches.
func (d *device) notice(match func(*invitation.Notice) bool) *invitation.Notice {
	d.w.t.Helper()
	return d.until("a view", func(f wire.ServerFrame) bool { return f.Down.Notice != nil && match(f.Down.Notice) }).Down.Notice
}

// rings waits until the device is offered an invitation.
func (d *device) rings() invitation.ID {
	d.w.t.Helper()
	return d.notice(func(n *invitation.Notice) bool { return n.Remote == invitation.RemoteInvitationReceived }).ID
}

// ends waits for the end of the connection: the Ending, and the same code in the close frame.
func (d *device) ends(want invitation.End) {
	d.w.t.Helper()
	e := d.until("an Ending", func(f wire.ServerFrame) bool { return f.Down.Ending != nil }).Down.Ending
	if e.End != want {
		d.w.t.Errorf("the connection ended with %v, want %v", e.End, want)
	}
	await(d.w, d.gone, "the end of the connection")
	if invitation.End(d.code) != want {
		d.w.t.Errorf("the close frame says %d, want %d", d.code, want)
	}
}
