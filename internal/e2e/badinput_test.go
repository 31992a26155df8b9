package e2e

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/golang-jwt/jwt/v5"

	"github.com/ringfleet/ringfleet"
	"github.com/ringfleet/ringfleet/gateway"
	"github.com/ringfleet/ringfleet/gateway/auth"
	"github.com/ringfleet/ringfleet/internal/wire"
	"github.com/ringfleet/ringfleet/invitation"
)

var secret = []byte("a secret of the tests, of 32 bytes or more")

// tokened returns a world on loopback whose clients need tokens.
func tokened(t *testing.T, config ringfleet.Config) *world {
	t.Helper()
	key, err := auth.SecretKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	authenticator, err := auth.NewJWT(auth.JWTConfig{Keys: []auth.Key{key}})
	if err != nil {
		t.Fatal(err)
	}
	config.Gateway.Authenticator = authenticator
	w := loopback(t, config)
	w.token = func(user invitation.User) string { return sign(t, secret, user, time.Now().Add(time.Hour)) }
	return w
}

func sign(t *testing.T, secret []byte, user invitation.User, expires time.Time) string {
	t.Helper()
	claims := jwt.RegisteredClaims{Subject: string(user), ExpiresAt: jwt.NewNumericDate(expires)}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(secret)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// TestBadInput gives a node all kinds of bad input. Each has its answer or its end, and the node goes
// on as before.
func TestBadInput(t *testing.T) {
	w := tokened(t, ringfleet.Config{Session: quick})
	before := healthOf(w)
	w.run("requests", w.badRequests)
	w.run("frames", w.badFrames)
	w.run("random bytes", w.randomBytes)
	w.run("truncated streams", w.truncatedStreams)
	w.run("logins", w.badLogins)
	w.run("a token that expires", w.tokenExpires)
	w.run("no WebSocket", w.notAWebSocket)
	before.unharmed(w)
}

// badRequests says what is wrong within the protocol: the answer tells so, and the connection goes on.
func (w *world) badRequests(t *testing.T) {
	alice := w.online("alice", "phone")
	for name, change := range map[string]func(*invitation.Call){
		"content of 8,193 bytes":   func(c *invitation.Call) { c.Content = strings.Repeat("x", 8_193) },
		"channel id of 65 bytes":   func(c *invitation.Call) { c.ChannelID = strings.Repeat("x", 65) },
		"key of 65 bytes":          func(c *invitation.Call) { c.Key = strings.Repeat("x", 65) },
		"no user":                  func(c *invitation.Call) { c.Callee = "" },
		"user of 65 bytes":         func(c *invitation.Call) { c.Callee = invitation.User(strings.Repeat("x", 65)) },
		"user with a slash":        func(c *invitation.Call) { c.Callee = "no/body" },
		"user with a backslash":    func(c *invitation.Call) { c.Callee = `no\body` },
		"user with a quote":        func(c *invitation.Call) { c.Callee = `no"body` },
		"user with an apostrophe":  func(c *invitation.Call) { c.Callee = "no'body" },
		"user with an asterisk":    func(c *invitation.Call) { c.Callee = "no*body" },
		"user with a line break":   func(c *invitation.Call) { c.Callee = "no\nbody" },
		"user with a zero byte":    func(c *invitation.Call) { c.Callee = "no\x00body" },
		"user that is not ASCII":   func(c *invitation.Call) { c.Callee = "nöbody" },
		"oneself":                  func(c *invitation.Call) { c.Callee = "alice" },
		"a timer that is too long": func(c *invitation.Call) { c.Timers.NoResponse = 601 * time.Second },
	} {
		call := alice.invite("bob")
		change(&call)
		if a := alice.request(call); a.Error != invitation.InvalidArgument || !a.ID.IsZero() && a.Notice != nil {
			t.Errorf("%s: %+v, want INVALID_ARGUMENT", name, a)
		}
	}
	for _, call := range []invitation.Call{{Content: "0123"}, {ChannelID: "0123"}, {Callee: "0123"}, {Key: "0123"}} {
		call.Request = invitation.Send
		if a := alice.request0123(call, "\xff\xfe\xfd\xfc"); a.Error != invitation.InvalidArgument {
			t.Errorf("invalid UTF-8: %+v, want INVALID_ARGUMENT", a)
		}
	}
	bob, eve := w.online("bob", "tablet"), w.online("eve", "phone")
	id := alice.send("bob")
	bob.rings()
	unknown := invitation.NewID("alice", "phone", "never sent")
	for _, request := range []invitation.Request{invitation.Cancel, invitation.Accept, invitation.Refuse, invitation.Query} {
		if a := alice.request(invitation.Call{Request: request, ID: unknown}); a.Error != invitation.NotFound {
			t.Errorf("%v of an unknown id: %+v, want NOT_FOUND", request, a)
		}
		if a := eve.request(invitation.Call{Request: request, ID: id}); a.Error != invitation.NotFound || a.Notice != nil {
			t.Errorf("%v of someone else's: %+v, want NOT_FOUND", request, a)
		}
		if a := eve.request(invitation.Call{Request: request}); a.Error != invitation.NotFound {
			t.Errorf("%v of a malformed id: %+v, want NOT_FOUND", request, a)
		}
	}
	if a := eve.request(invitation.Call{Request: invitation.Query, ID: id}); a.Error != invitation.NotFound {
		t.Errorf("a query of someone else's: %+v", a)
	}
	eve.seen(id) // words about someone else's invitation change nothing
	eve.word(invitation.Word{ID: id, Side: invitation.Caller, Kind: invitation.WordConfirmed, Named: "tablet"})
	eve.word(invitation.Word{ID: id, Side: invitation.Caller, Kind: invitation.WordDone, Local: invitation.LocalCanceled})
	eve.word(invitation.Word{ID: id, Side: invitation.Callee, Kind: invitation.WordDone, Remote: invitation.RemoteRefused})
	if a := alice.request(invitation.Call{Request: invitation.Query, ID: id}); a.Notice == nil || a.Notice.Local != invitation.LocalSentToRemote {
		t.Errorf("after a stranger's words the invitation is at %+v", a)
	}
}

// request0123 makes a call in which a text of four digits is replaced behind the encoder's back.
func (d *device) request0123(call invitation.Call, text string) *invitation.Answer {
	d.w.t.Helper()
	d.last++
	call.RequestID = d.last
	if call.Callee == "" {
		call.Callee = "bob"
	}
	if call.Key == "" {
		call.Key = "key"
	}
	data, err := wire.EncodeUp(nil, d.codec, wire.ClientFrame{Up: invitation.Up{Call: &call}})
	d.w.must(err)
	d.payload(bytes.ReplaceAll(data, []byte("0123"), []byte(text)))
	return d.answer(call.RequestID)
}

// badFrames says what is not of the protocol: the connection ends with a code that says so.
func (w *world) badFrames(t *testing.T) {
	whole := encode(t, wire.Binary, wire.ClientFrame{Up: invitation.Up{Call: &invitation.Call{
		Request: invitation.Send, RequestID: 1, Key: "key", Callee: "bob", Content: "hello",
	}}})
	bad, large := invitation.EndBadFrame, invitation.EndFrameTooLarge
	for _, tt := range []struct {
		name  string
		codec wire.Codec
		data  []byte // as a message
		raw   []byte // as bytes
		want  invitation.End
	}{
		{name: "unknown frame", data: []byte{0x9a, 0x06, 0x00}, want: bad},
		{name: "unknown frame", codec: wire.JSON, data: []byte(`{"dance":{}}`), want: bad},
		{name: "empty frame", data: nil, want: bad},
		{name: "empty frame", codec: wire.JSON, data: []byte(`{}`), want: bad},
		{name: "not JSON", codec: wire.JSON, data: []byte(`{"send":`), want: bad},
		{name: "invalid UTF-8", codec: wire.JSON, data: []byte("{\"send\":{\"requestId\":\"1\",\"content\":\"\xff\"}}"), want: bad},
		{name: "truncated frame", data: whole[:len(whole)-3], want: bad},
		{name: "request without an id", codec: wire.JSON, data: []byte(`{"send":{"key":"k","callee":"bob"}}`), want: bad},
		{name: "word of no kind", codec: wire.JSON, data: []byte(`{"word":{"invitationId":"13q2g10vbs2no0l5kf2r32d3uk"}}`), want: bad},
		{name: "second login", codec: wire.JSON, data: []byte(`{"login":{"minVersion":1,"maxVersion":1,"user":"alice","device":"x"}}`), want: bad},
		{name: "text where binary was agreed on", raw: compile(ws.NewTextFrame([]byte("{}"))), want: bad},
		{name: "binary where text was agreed on", codec: wire.JSON, raw: compile(ws.NewBinaryFrame(whole)), want: bad},
		{name: "frame without a mask", raw: ws.MustCompileFrame(ws.NewBinaryFrame(whole)), want: bad},
		{name: "frame over the limit, of which only the header comes", raw: header(128<<10 + 1), want: large},
		{name: "frame of 2^63-1 bytes", raw: header(1<<63 - 1), want: large},
		{name: "fragments over the limit", raw: append(
			compile(ws.NewFrame(ws.OpBinary, false, make([]byte, 100<<10))),
			compile(ws.NewFrame(ws.OpContinuation, true, make([]byte, 29<<10)))...), want: large},
	} {
		d := w.connect(tt.codec)
		d.login(invitation.Login{User: "alice", Device: "phone"})
		if tt.raw != nil {
			d.bytes(tt.raw)
		} else {
			d.payload(tt.data)
		}
		t.Log(tt.codec, tt.name) // of an end that is wrong
		d.ends(tt.want)
	}
}

func encode(t *testing.T, codec wire.Codec, f wire.ClientFrame) []byte {
	t.Helper()
	data, err := wire.EncodeUp(nil, codec, f)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// header returns the header of a masked binary frame.
func header(length uint64) []byte {
	h := binary.BigEndian.AppendUint64([]byte{0x82, 0xff}, length)
	return append(h, 1, 2, 3, 4)
}

// randomBytes sends noise, before and after a login, in WebSocket frames and without.
func (w *world) randomBytes(t *testing.T) {
	random := rand.NewChaCha8([32]byte{1})
	noise := func(n int) []byte {
		b := make([]byte, n)
		_, _ = random.Read(b) // never fails
		return b
	}
	for i := range 60 {
		d := w.connect(wire.Codec(i % 2))
		if i%4 < 2 {
			d.login(invitation.Login{User: "alice", Device: "phone"})
		}
		if i%3 == 0 {
			d.payload(noise(1 + i*10))
			d.ends(invitation.EndBadFrame)
			continue
		}
		d.bytes(noise(256 << 10)) // any frame that it seems to begin is complete or too long
		e := d.until("an Ending", func(f wire.ServerFrame) bool { return f.Down.Ending != nil }).Down.Ending
		if e.End != invitation.EndBadFrame && e.End != invitation.EndFrameTooLarge {
			t.Errorf("noise ended a connection with %v", e.End)
		}
		d.conn.Close()
	}
}

// truncatedStreams breaks off in each byte of a frame, before and after a login.
func (w *world) truncatedStreams(t *testing.T) {
	number := uint64(1)
	frame := compile(ws.NewBinaryFrame(encode(t, wire.Binary, wire.ClientFrame{Ping: &number})))
	for n := range frame {
		for _, online := range []bool{false, true} {
			d := w.connect(wire.Binary)
			if online {
				d.login(invitation.Login{User: "alice", Device: "phone"})
			}
			d.bytes(frame[:n])
			d.conn.Close()
		}
	}
}

// badLogins gives tokens and names that are refused.
func (w *world) badLogins(t *testing.T) {
	login := func(user invitation.User, device invitation.Device, token string) wire.ClientFrame {
		return loginFrame(invitation.Login{User: user, Device: device}, token)
	}
	newer := login("alice", "phone", w.token("alice"))
	newer.Login.MinVersion, newer.Login.MaxVersion = 2, 3
	other := []byte("another secret, of 32 bytes or more")
	unauthorized := invitation.EndUnauthorized
	for _, tt := range []struct {
		name  string
		frame wire.ClientFrame
		want  invitation.End
	}{
		{"no token", login("alice", "phone", ""), unauthorized},
		{"not a token", login("alice", "phone", "alice"), unauthorized},
		{"expired token", login("alice", "phone", sign(t, secret, "alice", time.Now().Add(-time.Minute))), unauthorized},
		{"token for another user", login("alice", "phone", w.token("bob")), unauthorized},
		{"token of another key", login("alice", "phone", sign(t, other, "alice", time.Now().Add(time.Hour))), unauthorized},
		{"token for a bad user", login("", "phone", w.token("no/body")), unauthorized},
		{"bad user", login("no/body", "phone", w.token("no/body")), invitation.EndBadLogin},
		{"bad device", login("alice", "no*phone", w.token("alice")), invitation.EndBadLogin},
		{"no device", login("alice", "", w.token("alice")), invitation.EndBadLogin},
		{"newer version", newer, invitation.EndBadVersion},
	} {
		d := w.connect(wire.Binary)
		d.say(tt.frame)
		t.Log(tt.name) // of an end that is wrong
		d.ends(tt.want)
	}
	d := w.connect(wire.Binary) // the token names the user
	d.say(login("", "phone", w.token("carol")))
	if f := d.next(); f.Down.Welcome == nil || f.Info.User != "carol" {
		t.Errorf("a login with a token alone: %+v", f)
	}
	d.conn.Close()
}

// tokenExpires ends the connection when the token that it logged in with has expired.
func (w *world) tokenExpires(t *testing.T) {
	d := w.connect(wire.Binary)
	left := time.Second // of the leeway of 10 s
	token := sign(t, secret, "alice", time.Now().Truncate(time.Second).Add(left-auth.DefaultLeeway+time.Second))
	d.say(loginFrame(invitation.Login{User: "alice", Device: "phone"}, token))
	if f := d.next(); f.Down.Welcome == nil {
		t.Fatalf("the login was answered with %+v", f.Down)
	}
	d.ends(invitation.EndTokenExpired)
}

// TestLoginNeverSent opens connections and says nothing.
func TestLoginNeverSent(t *testing.T) {
	w := tokened(t, ringfleet.Config{Session: quick, Gateway: gateway.Config{LoginTimeout: time.Second}})
	before := healthOf(w)
	silent, half := w.connect(wire.JSON), w.connect(wire.Binary)
	half.bytes(header(1_000))
	silent.ends(invitation.EndLoginTimeout)
	half.ends(invitation.EndLoginTimeout)
	before.unharmed(w)
}

// notAWebSocket asks the client address for what it does not serve.
func (w *world) notAWebSocket(t *testing.T) {
	for _, tt := range []struct {
		method, path string
		header       map[string]string
		want         int
	}{
		{"GET", gateway.Path, nil, http.StatusUpgradeRequired},
		{"POST", gateway.Path, nil, http.StatusMethodNotAllowed},
		{"GET", "/", nil, http.StatusNotFound},
		{"GET", gateway.Path, map[string]string{"Upgrade": "websocket", "Connection": "Upgrade"}, http.StatusBadRequest},
		{"GET", gateway.Path, map[string]string{
			"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Protocol": "chat",
		}, http.StatusBadRequest},
		{"GET", gateway.Path, map[string]string{
			"Upgrade": "websocket", "Connection": "Upgrade", "Origin": "https://evil.example",
		}, http.StatusForbidden},
	} {
		r, err := http.NewRequestWithContext(t.Context(), tt.method, "http://"+w.node.ClientAddress().String()+tt.path, nil)
		w.must(err)
		for name, value := range tt.header {
			r.Header.Set(name, value)
		}
		r.Close = true
		answer, err := http.DefaultClient.Do(r)
		w.must(err)
		text, err := io.ReadAll(answer.Body)
		w.must(err)
		w.must(answer.Body.Close())
		if answer.StatusCode != tt.want || len(text) == 0 {
			t.Errorf("%s %s %v: %s %q, want %d and a reason", tt.method, tt.path, tt.header, answer.Status, text, tt.want)
		}
	}
}
