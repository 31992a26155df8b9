package attack

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/golang-jwt/jwt/v5"

	"github.com/ringfleet/ringfleet"
	"github.com/ringfleet/ringfleet/gateway"
	"github.com/ringfleet/ringfleet/internal/wire"
	"github.com/ringfleet/ringfleet/invitation"
)

// The attacks of docs/security.md, from outside: over sockets, against a node that authenticates. Each has the
// documented code, and the node works as before.

// TestForgedLogins logs in with everything that is no token of that user: UNAUTHORIZED.
func TestForgedLogins(t *testing.T) {
	a := newTarget(t, nil)
	with := func(name string, value any) string {
		c := a.claims("alice")
		c[name] = value
		return signed(t, jwt.SigningMethodEdDSA, a.key, c)
	}
	part := strings.Split(a.token("alice"), ".")
	public, _ := a.key.Public().(ed25519.PublicKey)
	_, stranger, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(a.claims("alice"))
	if err != nil {
		t.Fatal(err)
	}
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + base64.RawURLEncoding.EncodeToString(text) + "."
	for name, token := range map[string]string{
		"none":                     "",
		"garbage":                  "garbage",
		"signed by a stranger":     signed(t, jwt.SigningMethodEdDSA, stranger, a.claims("alice")),
		"expired":                  with("exp", time.Now().Add(-time.Minute).Unix()),
		"not yet valid":            with("nbf", time.Now().Add(time.Minute).Unix()),
		"for another audience":     with("aud", "mail"),
		"of another issuer":        with("iss", "them"),
		"for another user":         a.token("eve"),
		"alg none":                 none,
		"alg none, with signature": none + part[2],
		"public key as secret":     signed(t, jwt.SigningMethodHS256, []byte(public), a.claims("alice")),
		"signature of another":     part[0] + "." + strings.Split(a.token("eve"), ".")[1] + "." + part[2],
		"no signature":             part[0] + "." + part[1] + ".",
		"of 100 KB":                part[0] + "." + strings.Repeat("A", 100_000) + "." + part[2],
	} {
		s, _ := a.upgrade()
		s.login("alice", token, invitation.Login{})
		if end := s.end(); end != invitation.EndUnauthorized {
			t.Errorf("a token, %s: %d %s", name, end, end)
		}
	}
	a.works()
}

// denied reports whether an answer tells what that about no invitation does: NOT_FOUND or, while a node before this one may
// have known of it, UNAVAILABLE.
func denied(a *invitation.Answer) bool {
	return (a.Error == invitation.NotFound || a.Error == invitation.Unavailable) && a.Notice == nil
}

// ring has alice ring bob, who has seen it.
func (a *target) ring(alice, bob *socket) invitation.ID {
	a.t.Helper()
	alice.call(invitation.Call{Request: invitation.Send, RequestID: 1, Key: "k", Callee: "bob"})
	id := alice.answer(1).ID
	bob.until(func(f wire.ServerFrame) bool { return f.Down.Notice != nil && f.Down.Notice.ID == id })
	bob.word(invitation.Word{ID: id, Side: invitation.Callee, Kind: invitation.WordSeen})
	alice.until(func(f wire.ServerFrame) bool {
		return f.Down.Notice != nil && f.Down.Notice.Local == invitation.LocalReceivedByRemote
	})
	return id
}

// TestOthersInvitation has eve, who knows its id, do everything with an invitation of alice to bob: she is answered as if
// there were none, her words count for nothing, and the call goes on.
func TestOthersInvitation(t *testing.T) {
	a := newTarget(t, nil)
	alice, bob, eve := a.online("alice"), a.online("bob"), a.online("eve")
	id := a.ring(alice, bob)
	for i, request := range []invitation.Request{invitation.Cancel, invitation.Accept, invitation.Refuse, invitation.Query} {
		eve.call(invitation.Call{Request: request, RequestID: uint64(i + 1), ID: id})
		if answer := eve.answer(uint64(i + 1)); !denied(answer) {
			t.Errorf("%s is answered with %+v", request, answer)
		}
	}
	for _, w := range []invitation.Word{
		{ID: id, Side: invitation.Callee, Kind: invitation.WordSeen},
		{ID: id, Side: invitation.Caller, Kind: invitation.WordConfirmed, Named: "d"},
		{ID: id, Side: invitation.Caller, Kind: invitation.WordDone, Local: invitation.LocalCanceled},
		{ID: id, Side: invitation.Callee, Kind: invitation.WordDone, Remote: invitation.RemoteRefused},
		{ID: id, Side: invitation.Callee, Kind: invitation.WordDone, Remote: invitation.RemoteAccepted},
	} {
		eve.word(w)
	}
	if answer := eve.query(9, id); !denied(answer) {
		t.Errorf("after her words eve is answered with %+v", answer)
	}
	// Neither may the callee cancel, nor the caller accept.
	bob.call(invitation.Call{Request: invitation.Cancel, RequestID: 1, ID: id})
	if answer := bob.answer(1); answer.Error == invitation.OK {
		t.Error("the callee canceled")
	}
	alice.call(invitation.Call{Request: invitation.Accept, RequestID: 2, ID: id})
	if answer := alice.answer(2); answer.Error == invitation.OK {
		t.Error("the caller accepted")
	}
	bob.call(invitation.Call{Request: invitation.Accept, RequestID: 2, ID: id, Response: "yes"})
	if n := alice.until(confirming(id)).Down.Notice; n.Confirm != "d" || n.Response != "yes" {
		t.Errorf("alice is told %+v", n)
	}
	alice.word(invitation.Word{ID: id, Side: invitation.Caller, Kind: invitation.WordConfirmed, Named: "d"})
	bob.until(func(f wire.ServerFrame) bool {
		return f.Down.Notice != nil && f.Down.Notice.Remote == invitation.RemoteAccepted
	})
	a.works()
}

// confirming looks for a view that asks to confirm an accept.
func confirming(id invitation.ID) func(wire.ServerFrame) bool {
	return func(f wire.ServerFrame) bool {
		return f.Down.Notice != nil && f.Down.Notice.ID == id && f.Down.Notice.Confirm != ""
	}
}

// TestInventedResume brings words about invitations that never were, or are others', with a login that resumes. Nobody
// else is told of them, and none of them lives.
func TestInventedResume(t *testing.T) {
	a := newTarget(t, nil)
	alice, bob := a.online("alice"), a.online("bob")
	rings := a.ring(alice, bob)
	invented := invitation.NewID("alice", "d", "never sent")
	var words []invitation.Word
	for _, id := range []invitation.ID{rings, invented, invitation.NewID("bob", "d", "never sent")} {
		words = append(words,
			invitation.Word{ID: id, Side: invitation.Callee, Kind: invitation.WordAccepting, Response: "mine", Remaining: time.Minute},
			invitation.Word{ID: id, Side: invitation.Callee, Kind: invitation.WordDone, Remote: invitation.RemoteAccepted},
			invitation.Word{ID: id, Side: invitation.Caller, Kind: invitation.WordSent, Remaining: time.Minute},
			invitation.Word{ID: id, Side: invitation.Caller, Kind: invitation.WordConfirmed, Named: "d"},
			invitation.Word{ID: id, Side: invitation.Caller, Kind: invitation.WordDone, Local: invitation.LocalAcceptedByRemote})
	}
	for _, stamp := range []uint64{0, 1, 1 << 63} {
		eve, _ := a.upgrade()
		eve.login("eve", a.token("eve"), invitation.Login{Resume: true, Stamp: stamp, Words: words})
		if f := eve.hear(); f.Down.Welcome == nil {
			t.Fatalf("eve is told %+v", f.Down)
		}
		for i, id := range []invitation.ID{rings, invented} {
			if answer := eve.query(uint64(i+1), id); !denied(answer) {
				t.Errorf("stamp %d: a query of %v is answered with %+v", stamp, id, answer)
			}
		}
		// A Send that claims to have been confirmed by bob's device: it is a new one, which bob is shown as any other.
		eve.call(invitation.Call{
			Request: invitation.Send, RequestID: 9, Key: fmt.Sprint("claimed", stamp), Callee: "carol",
			Resumed: &invitation.Resumed{Local: invitation.LocalReceivedByRemote, Remaining: time.Minute, Confirmed: "d"},
		})
		if answer := eve.answer(9); answer.Notice != nil && answer.Notice.Local == invitation.LocalAcceptedByRemote {
			t.Errorf("a claimed Send is answered with %+v", answer.Notice)
		}
		eve.conn.Close()
	}
	// What alice and bob are told next is about their own call.
	bob.call(invitation.Call{Request: invitation.Refuse, RequestID: 1, ID: rings, Response: "no"})
	n := alice.until(func(f wire.ServerFrame) bool { return f.Down.Notice != nil }).Down.Notice
	if n.ID != rings || n.Local != invitation.LocalRefusedByRemote || n.Response != "no" {
		t.Errorf("alice is told %+v", n)
	}
	if n := bob.until(func(f wire.ServerFrame) bool { return f.Down.Notice != nil }).Down.Notice; n.ID != rings {
		t.Errorf("bob is told %+v", n)
	}
	a.works()
}

// TestFloods sends too many of everything that a client can.
func TestFloods(t *testing.T) {
	a := newTarget(t, func(c *ringfleet.Config) {
		g := &c.Gateway
		g.FrameRate, g.FrameBurst, g.MaxPerAddress, g.LoginRatePerAddress = 50, 50, 20, 3
		c.Session.SendRate, c.Session.SendBurst, c.Session.MaxOutgoing, c.Session.MaxDevices = 1, 10, 5, 3
	})
	// Sends, and live invitations: five ring, then LIMIT_EXCEEDED.
	eve := a.online("eve")
	limited := 0
	for i := range uint64(20) {
		eve.call(invitation.Call{Request: invitation.Send, RequestID: i + 1, Key: fmt.Sprint(i), Callee: "bob"})
		if eve.answer(i+1).Error == invitation.LimitExceeded {
			limited++
		}
	}
	if limited < 10 {
		t.Errorf("of 20 sends %d are answered with LIMIT_EXCEEDED", limited)
	}
	// Frames: RATE_EXCEEDED.
	for range 500 {
		eve.frame(ws.NewPingFrame(nil))
	}
	if end := eve.end(); end != invitation.EndRateExceeded {
		t.Errorf("500 frames at once: %d %s", end, end)
	}
	// Devices of a user: TOO_MANY_DEVICES.
	var ends []invitation.End
	for i := range 5 {
		s, _ := a.upgrade()
		s.login("mallory", a.token("mallory"), invitation.Login{Device: invitation.Device(fmt.Sprint("d", i))})
		if f := s.hear(); f.Down.Ending != nil {
			ends = append(ends, f.Down.Ending.End)
		}
	}
	if len(ends) != 2 || ends[0] != invitation.EndTooMany {
		t.Errorf("five devices of a user: %v", ends)
	}
	a.floodAddress()
}

// floodAddress logs in too often from one address, and opens too many connections.
func (a *target) floodAddress() {
	a.t.Helper()
	ends := map[invitation.End]int{}
	for range 40 {
		s, status := a.upgrade()
		if status != 0 {
			a.t.Fatalf("refused with %d", status)
		}
		s.login("trent", a.token("trent"), invitation.Login{})
		if f := s.hear(); f.Down.Ending != nil {
			ends[f.Down.Ending.End]++
		}
		s.conn.Close()
	}
	if ends[invitation.EndOverloaded] == 0 || len(ends) != 1 {
		a.t.Errorf("40 logins at once of an address end with %v", ends)
	}
	refused := map[int]int{}
	for range 40 {
		_, status := a.upgrade()
		refused[status]++
	}
	if refused[429] == 0 || refused[0] == 0 {
		a.t.Errorf("40 connections of an address are answered with %v", refused)
	}
}

// TestStranger has eve ring bob as often as she may, with the default bounds: alice still reaches him.
func TestStranger(t *testing.T) {
	a := newTarget(t, func(c *ringfleet.Config) { c.Session.SendRate, c.Session.SendBurst = 1_000, 1_000 })
	alice, bob, eve := a.online("alice"), a.online("bob"), a.online("eve")
	refused := 0
	for i := range uint64(64) {
		eve.call(invitation.Call{Request: invitation.Send, RequestID: i + 1, Key: fmt.Sprint(i), Callee: "bob"})
		if answer := eve.answer(i + 1); answer.Error == invitation.LimitExceeded {
			refused++
		}
	}
	if refused != 64-8 {
		t.Errorf("of 64 sends to one user %d are answered with LIMIT_EXCEEDED", refused)
	}
	a.ring(alice, bob)
	a.works()
}

// TestSlowLoris keeps connections open that never get anywhere.
func TestSlowLoris(t *testing.T) {
	a := newTarget(t, func(c *ringfleet.Config) {
		c.Gateway.LoginTimeout, c.Gateway.PingInterval, c.Gateway.IdleTimeout = time.Second, time.Second, 2*time.Second
	})
	header := a.raw()
	if _, err := header.Write([]byte("GET /v1/connect HTTP/1.1\r\nHost: node\r\nX-A: ")); err != nil {
		t.Fatal(err)
	}
	silent, _ := a.upgrade()
	half := a.online("alice")
	if _, err := half.conn.Write([]byte{0x82, 0xfe, 0x10, 0x00, 1, 2, 3, 4, 5}); err != nil { // of 4,096 masked bytes
		t.Fatal(err)
	}
	began := time.Now()
	if end := silent.end(); end != invitation.EndLoginTimeout {
		t.Errorf("a login that never comes: %d %s", end, end)
	}
	if end := half.end(); end != invitation.EndIdle {
		t.Errorf("half a frame: %d %s", end, end)
	}
	if answer, err := io.ReadAll(header); err != nil || time.Since(began) > 4*gateway.HeaderTimeout {
		t.Errorf("half a header: %q, %v, after %v", answer, err, time.Since(began))
	}
	a.works()
}

func write(t *testing.T, w io.Writer, format string, values ...any) {
	t.Helper()
	if _, err := fmt.Fprintf(w, format, values...); err != nil {
		t.Fatal(err)
	}
}

// TestBombs send what is small and wants to become large, and what is large.
func TestBombs(t *testing.T) {
	a := newTarget(t, nil)
	request := a.raw()
	write(t, request, "GET %s HTTP/1.1\r\nHost: node\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: %s\r\n"+
		"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n", gateway.Path, wire.SubprotocolBinary)
	answer := make([]byte, 4096)
	n, err := request.Read(answer)
	if err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 101")) || bytes.Contains(bytes.ToLower(answer[:n]), []byte("extensions")) {
		t.Errorf("an offer to compress is answered with %q, %v", answer[:n], err)
	}
	for name, tt := range map[string]struct {
		bytes []byte
		want  invitation.End
	}{
		"a compressed frame nobody agreed on": {[]byte{0xc2, 0x80, 0, 0, 0, 0}, invitation.EndBadFrame},
		"a frame of 4 GB":                     {[]byte{0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}, invitation.EndFrameTooLarge},
		"a frame of 8 EB":                     {[]byte{0x82, 0xff, 0x7f, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0}, invitation.EndFrameTooLarge},
		"many words in a login":               {nil, invitation.EndBadFrame},
		"parts that add up":                   {nil, invitation.EndFrameTooLarge},
	} {
		s, _ := a.upgrade()
		switch name {
		case "many words in a login":
			login := []byte{0x0a, 0x90, 0x4e} // field 1 of a ClientFrame, 10,000 bytes: 5,000 empty words (field 8)
			s.frame(ws.NewBinaryFrame(append(login, bytes.Repeat([]byte{0x42, 0x00}, 5_000)...)))
		case "parts that add up":
			part := bytes.Repeat([]byte{0}, 60<<10)
			s.frame(ws.NewFrame(ws.OpBinary, false, part))
			s.frame(ws.NewFrame(ws.OpContinuation, false, part))
			s.frame(ws.NewFrame(ws.OpContinuation, false, part))
		default:
			if _, err := s.conn.Write(tt.bytes); err != nil {
				t.Fatal(err)
			}
		}
		if end := s.end(); end != tt.want {
			t.Errorf("%s: %d %s, want %d", name, end, end, tt.want)
		}
	}
	large := a.raw()
	write(t, large, "GET %s HTTP/1.1\r\nHost: node\r\nX-A: %s\r\n\r\n", gateway.Path, strings.Repeat("a", 100_000))
	n, err = large.Read(answer)
	if err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 431")) {
		t.Errorf("a header of 100 KB is answered with %q, %v", answer[:n], err)
	}
	a.works()
}
