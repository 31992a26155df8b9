package gateway_test

import (
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"github.com/ringfleet/ringfleet/gateway"
	"github.com/ringfleet/ringfleet/internal/wire"
	"github.com/ringfleet/ringfleet/invitation"
)

func mustURL(text string) *url.URL {
	u, err := url.Parse(text)
	if err != nil {
		panic(err)
	}
	return u
}

var codecs = []wire.Codec{wire.Binary, wire.JSON}

func TestConversation(t *testing.T) {
	for _, codec := range codecs {
		t.Run(codec.String(), func(t *testing.T) {
			bubble(t, nil, func(w *world) { conversation(w, codec) })
		})
	}
}

func TestConversationOverLoopback(t *testing.T) {
	for _, codec := range codecs {
		t.Run(codec.String(), func(t *testing.T) {
			w := loopback(t, nil)
			conversation(w, codec)
		})
	}
}

// conversation says each kind of thing once.
func conversation(w *world, codec wire.Codec) {
	c := w.connect(codec)
	info := c.login("alice").Info
	if info.User != "alice" || info.Node != "n1" || info.Version != 1 || info.PingInterval != 25*time.Second ||
		info.IdleTimeout != time.Minute || info.MaxFrame != 128<<10 || info.Timers != invitation.DefaultTimers {
		w.t.Errorf("welcome says %+v", info)
	}
	c.call(send(1, "bob"))
	if a := c.answer(1); a.Error != invitation.OK {
		w.t.Errorf("got %+v", a)
	}
	c.say(wire.ClientFrame{Up: invitation.Up{Word: &invitation.Word{Side: invitation.Callee, Kind: invitation.WordSeen}}})
	number := uint64(42)
	c.say(wire.ClientFrame{Ping: &number})
	if pong := c.hear().Pong; pong == nil || *pong != 42 {
		w.t.Errorf("pong is %v", pong)
	}
	c.write(ws.NewPingFrame([]byte("hello")))
	if f, err := c.frame(); err != nil || f.Header.OpCode != ws.OpPong || string(f.Payload) != "hello" {
		w.t.Errorf("got %+v, %v", f, err)
	}
	w.g.Deliver(1, invitation.Down{Notice: &invitation.Notice{Side: invitation.Callee, Peer: "bob", Content: "hi", Remaining: time.Second}})
	if n := c.hear().Down.Notice; n == nil || n.Peer != "bob" || n.Content != "hi" {
		w.t.Errorf("got %+v", n)
	}
	c.say(wire.ClientFrame{Up: invitation.Up{Logout: true}})
	number++
	c.say(wire.ClientFrame{Ping: &number})
	c.hear()
	w.g.Deliver(1, invitation.Down{Ending: &invitation.Ending{End: invitation.EndLoggedOut}})
	c.ends(invitation.EndLoggedOut)
	w.wantLog("attach 1 alice/phone", "say 1 send", "say 1 word SEEN", "say 1 logout", "detach 1")
}

func TestClientCloses(t *testing.T) {
	bubble(t, nil, func(w *world) {
		for _, tt := range []struct{ payload, want string }{
			{"\x03\xe8bye", "\x03\xe8"},  // 1000
			{"\x03\xe9", "\x03\xe9"},     // 1001
			{"", "\x03\xe8"},             // no code
			{"\x0f\xa0", "\x0f\xa0"},     // 4000
			{"\x03", "\x03\xea"},         // half a code: 1002
			{"\x03\xed", "\x03\xea"},     // 1005 may not be sent
			{"\x03\xe8\xff", "\x03\xea"}, // the reason is not UTF-8
		} {
			c := w.online("alice")
			c.write(ws.NewFrame(ws.OpClose, true, []byte(tt.payload)))
			f, err := c.frame()
			if err != nil || f.Header.OpCode != ws.OpClose || string(f.Payload) != tt.want {
				t.Errorf("close %q: got %x %q, %v", tt.payload, f.Header.OpCode, f.Payload, err)
			}
			c.closed()
		}
		synctest.Wait()
		log := w.backend.said()
		if len(log) != 14 || log[13] != "detach 7" {
			t.Errorf("the backend was told %q", log)
		}
	})
}

func TestConnectionLost(t *testing.T) {
	bubble(t, nil, func(w *world) {
		c := w.online("alice")
		c.nc.Close()
		synctest.Wait()
		w.wantLog("attach 1 alice/phone", "detach 1")
	})
}

// TestTokenInTheFrameOrTheRequest also shows that the frame's token goes first.
func TestDeliverToNobody(t *testing.T) {
	bubble(t, nil, func(w *world) {
		w.g.Deliver(99, invitation.Down{Welcome: &invitation.Welcome{}})
		w.g.Deliver(99, invitation.Down{Ending: &invitation.Ending{End: invitation.EndShutdown}})
	})
}

// TestFramesOfAllSizes crosses the borders of the three forms of header, in both directions.
func TestFramesOfAllSizes(t *testing.T) {
	for name, w := range map[string]func(f func(*world)){
		"pipe":     func(f func(*world)) { bubble(t, nil, f) },
		"loopback": func(f func(*world)) { f(loopback(t, nil)) },
	} {
		w(func(w *world) {
			c := w.connect(wire.JSON)
			c.login("alice")
			for _, n := range []int{0, 1, 100, 125, 126, 127, 1000, 8192} {
				content := string(make([]byte, n)) // JSON makes six bytes of each
				call := send(uint64(n+1), "bob")
				call.Content = content
				c.call(call)
				if a := c.answer(uint64(n + 1)); a.Error != invitation.OK {
					t.Errorf("%s: content of %d bytes: got %+v", name, n, a)
				}
				w.backend.mu.Lock()
				got := w.backend.ups[len(w.backend.ups)-1].Call.Content
				w.backend.mu.Unlock()
				if got != content {
					t.Errorf("%s: content of %d bytes came as %d", name, n, len(got))
				}
				w.g.Deliver(1, invitation.Down{Notice: &invitation.Notice{
					Side: invitation.Callee, Content: content, Response: content, Remaining: time.Second,
				}})
				if got := c.hear().Down.Notice; got == nil || got.Content != content || got.Response != content {
					t.Errorf("%s: notice of %d bytes came wrong", name, n)
				}
			}
		})
	}
}

func TestConfigIsChecked(t *testing.T) {
	good := gateway.Config{Authenticator: trusting{}}
	if _, err := gateway.New(good, &backend{}); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*gateway.Config){
		"authenticator": func(c *gateway.Config) { c.Authenticator = nil },
		"negative":      func(c *gateway.Config) { c.LoginTimeout = -1 },
		"ping idle":     func(c *gateway.Config) { c.PingInterval = time.Minute },
		"small frames":  func(c *gateway.Config) { c.MaxFrame = 100 },
		"small queue":   func(c *gateway.Config) { c.QueueBytes = 1000 },
		"rate":          func(c *gateway.Config) { c.FrameRate = -1 },
		"timers":        func(c *gateway.Config) { c.Timers.Expire = time.Millisecond },
	} {
		c := good
		spoil(&c)
		if _, err := gateway.New(c, &backend{}); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := gateway.New(good, nil); err == nil {
		t.Error("no backend: taken")
	}
}
