package attack

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"io"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/golang-jwt/jwt/v5"

	"github.com/ringfleet/ringfleet"
	"github.com/ringfleet/ringfleet/gateway"
	"github.com/ringfleet/ringfleet/gateway/auth"
	"github.com/ringfleet/ringfleet/internal/wire"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// target is a node on loopback that authenticates, with small limits, and attackers' ways to it.
type target struct {
	t    *testing.T
	node *ringfleet.Node
	key  ed25519.PrivateKey
}

func newTarget(t *testing.T, configure func(*ringfleet.Config)) *target {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := auth.PublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	authenticator, err := auth.NewJWT(auth.JWTConfig{Keys: []auth.Key{key}, Issuer: "us", Audience: "calls"})
	if err != nil {
		t.Fatal(err)
	}
	config := ringfleet.Config{
		ClientAddress: "127.0.0.1:0", Gateway: gateway.Config{Authenticator: authenticator}, Session: session.Config{Policy: session.Multi},
	}
	if configure != nil {
		configure(&config)
	}
	node, err := ringfleet.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := node.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	return &target{t, node, private}
}

// claims are those of a good token.
func (a *target) claims(user invitation.User) jwt.MapClaims {
	return jwt.MapClaims{"sub": string(user), "iss": "us", "aud": "calls", "exp": time.Now().Add(time.Hour).Unix()}
}

func signed(t *testing.T, method jwt.SigningMethod, key any, claims jwt.MapClaims) string {
	t.Helper()
	text, err := jwt.NewWithClaims(method, claims).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (a *target) token(user invitation.User) string {
	a.t.Helper()
	return signed(a.t, jwt.SigningMethodEdDSA, a.key, a.claims(user))
}

// raw opens a connection and says nothing.
func (a *target) raw() net.Conn {
	a.t.Helper()
	c, err := net.Dial("tcp", a.node.ClientAddress().String())
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// socket is one WebSocket connection, without a client's manners.
type socket struct {
	t    *testing.T
	conn net.Conn
}

// upgrade makes a WebSocket, or returns the HTTP status with which it is refused.
func (a *target) upgrade() (*socket, int) {
	a.t.Helper()
	conn := a.raw()
	status := 0
	d := ws.Dialer{
		Protocols:     []string{wire.SubprotocolBinary},
		OnStatusError: func(code int, _ []byte, _ io.Reader) { status = code },
	}
	_, _, err := d.Upgrade(conn, &url.URL{Scheme: "ws", Host: "node", Path: gateway.Path})
	if err != nil && status == 0 {
		a.t.Fatal(err)
	}
	return &socket{a.t, conn}, status
}

func (s *socket) frame(f ws.Frame) {
	s.t.Helper()
	if err := ws.WriteFrame(s.conn, ws.MaskFrameInPlace(f)); err != nil {
		s.t.Log(err) // the node may have hung up; what it said shows
	}
}

func (s *socket) say(f wire.ClientFrame) {
	s.t.Helper()
	data, err := wire.EncodeUp(nil, wire.Binary, f)
	if err != nil {
		s.t.Fatal(err)
	}
	s.frame(ws.NewBinaryFrame(data))
}

func (s *socket) call(c invitation.Call) { s.say(wire.ClientFrame{Up: invitation.Up{Call: &c}}) }

func (s *socket) word(w invitation.Word) { s.say(wire.ClientFrame{Up: invitation.Up{Word: &w}}) }

func (s *socket) login(user invitation.User, token string, more invitation.Login) {
	more.User = user
	if more.Device == "" {
		more.Device = "d"
	}
	s.say(wire.ClientFrame{Login: &wire.Login{Login: more, Token: token, MinVersion: 1, MaxVersion: 1}})
}

// hear reads a frame of the protocol; the code of a close frame, or 1006 (RFC 6455 §7.4.1) for none, is an Ending.
func (s *socket) hear() wire.ServerFrame {
	s.t.Helper()
	for {
		f, err := ws.ReadFrame(s.conn) //nolint:staticcheck // the node is trusted with lengths
		switch {
		case err != nil:
			return wire.ServerFrame{Down: invitation.Down{Ending: &invitation.Ending{End: 1006}}}
		case f.Header.OpCode == ws.OpPing || f.Header.OpCode == ws.OpPong:
			continue
		case f.Header.OpCode == ws.OpClose:
			code, _ := ws.ParseCloseFrameData(f.Payload)
			return wire.ServerFrame{Down: invitation.Down{Ending: &invitation.Ending{End: invitation.End(code)}}}
		}
		down, err := wire.DecodeDown(wire.Binary, f.Payload)
		if err != nil {
			s.t.Fatal(err)
		}
		return down
	}
}

// until reads until a frame is what is looked for.
func (s *socket) until(want func(wire.ServerFrame) bool) wire.ServerFrame {
	s.t.Helper()
	for {
		f := s.hear()
		if want(f) {
			return f
		}
		if f.Down.Ending != nil {
			s.t.Fatalf("the connection ended with %d %s", f.Down.Ending.End, f.Down.Ending.End)
		}
	}
}

func (s *socket) answer(id uint64) *invitation.Answer {
	s.t.Helper()
	return s.until(func(f wire.ServerFrame) bool { return f.Down.Answer != nil && f.Down.Answer.RequestID == id }).Down.Answer
}

// query asks how an invitation stands, and returns the answer.
func (s *socket) query(id uint64, of invitation.ID) *invitation.Answer {
	s.t.Helper()
	s.call(invitation.Call{Request: invitation.Query, RequestID: id, ID: of})
	return s.answer(id)
}

// end reads to the end of the connection, and returns why it ended.
func (s *socket) end() invitation.End {
	for {
		if f := s.hear(); f.Down.Ending != nil {
			return f.Down.Ending.End
		}
	}
}

// online logs a user in.
func (a *target) online(user invitation.User) *socket {
	a.t.Helper()
	s, status := a.upgrade()
	if status != 0 {
		a.t.Fatalf("refused with %d", status)
	}
	s.login(user, a.token(user), invitation.Login{})
	if f := s.hear(); f.Down.Welcome == nil {
		a.t.Fatalf("%s is told %+v", user, f.Down)
	}
	return s
}

// works makes a whole call, to see that the node does as before.
func (a *target) works() {
	a.t.Helper()
	caller, callee := a.online("well-1"), a.online("well-2")
	caller.call(invitation.Call{Request: invitation.Send, RequestID: 1, Key: "works", Callee: "well-2"})
	id := caller.answer(1).ID
	callee.until(func(f wire.ServerFrame) bool { return f.Down.Notice != nil && f.Down.Notice.ID == id })
	callee.word(invitation.Word{ID: id, Side: invitation.Callee, Kind: invitation.WordSeen})
	callee.call(invitation.Call{Request: invitation.Refuse, RequestID: 1, ID: id})
	caller.until(func(f wire.ServerFrame) bool {
		return f.Down.Notice != nil && f.Down.Notice.Local == invitation.LocalRefusedByRemote
	})
	for _, s := range []*socket{caller, callee} {
		s.conn.Close()
	}
}
