package gateway_test

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/ringfleet/ringfleet/gateway"
	"github.com/ringfleet/ringfleet/internal/wire"
	"github.com/ringfleet/ringfleet/invitation"
)

// alive shows that a connection goes on.
func (c *client) alive() {
	c.t.Helper()
	number := uint64(7)
	c.say(wire.ClientFrame{Ping: &number})
	if pong := c.hear().Pong; pong == nil || *pong != number {
		c.t.Fatalf("pong is %v", pong)
	}
}

// TestCallsThatNobodyTakes shows bad values in good frames: the call is refused, the connection
// lives, the backend is not asked.
func TestCallsThatNobodyTakes(t *testing.T) {
	bubble(t, nil, func(w *world) {
		c := w.online("alice")
		for name, spoil := range map[string]func(*invitation.Call){
			"content of 8,193 bytes":   func(c *invitation.Call) { c.Content = strings.Repeat("x", 8193) },
			"channel id of 65 bytes":   func(c *invitation.Call) { c.ChannelID = strings.Repeat("x", 65) },
			"no callee":                func(c *invitation.Call) { c.Callee = "" },
			"callee with a slash":      func(c *invitation.Call) { c.Callee = "a/b" },
			"callee of 65 bytes":       func(c *invitation.Call) { c.Callee = invitation.User(strings.Repeat("x", 65)) },
			"oneself":                  func(c *invitation.Call) { c.Callee = "alice" },
			"no key":                   func(c *invitation.Call) { c.Key = "" },
			"key of 65 bytes":          func(c *invitation.Call) { c.Key = strings.Repeat("x", 65) },
			"expire of 11 min":         func(c *invitation.Call) { c.Timers.Expire = 11 * time.Minute },
			"response of 8,193 bytes":  func(c *invitation.Call) { c.Request, c.Response = invitation.Accept, strings.Repeat("x", 8193) },
			"response of 8,193 bytes.": func(c *invitation.Call) { c.Request, c.Response = invitation.Refuse, strings.Repeat("x", 8193) },
		} {
			call := send(9, "bob")
			spoil(&call)
			c.call(call)
			if a := c.answer(9); a.Error != invitation.InvalidArgument {
				t.Errorf("%s: got %s", name, a.Error)
			}
		}
		c.write(ws.NewBinaryFrame(notUTF8()))
		if a := c.answer(3); a.Error != invitation.InvalidArgument {
			t.Errorf("content that is not UTF-8: got %s", a.Error)
		}
		c.alive()
		w.wantLog("attach 1 alice/phone")
	})
}

// notUTF8 is a Send of request id 3 whose content no encoder would write.
func notUTF8() []byte {
	body := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 3)
	for number, text := range []string{2: "k3", 3: "bob", 4: "\xff\xfe"} {
		if text != "" {
			body = protowire.AppendString(protowire.AppendTag(body, protowire.Number(number), protowire.BytesType), text)
		}
	}
	return protowire.AppendBytes(protowire.AppendTag(nil, 2, protowire.BytesType), body)
}

// TestLongestContent shows that what is allowed fits in a frame, however JSON writes it.
func TestLongestContent(t *testing.T) {
	bubble(t, nil, func(w *world) {
		c := w.connect(wire.JSON)
		c.login("alice")
		call := send(1, "bob")
		call.Content = strings.Repeat("\x01", invitation.MaxContent)
		c.call(call)
		if a := c.answer(1); a.Error != invitation.OK {
			t.Errorf("got %s", a.Error)
		}
	})
}

// TestBadFrames shows what ends a connection with BAD_FRAME, and one that is too large.
func TestBadFrames(t *testing.T) {
	bubble(t, nil, func(w *world) {
		masked := func(f ws.Frame) []byte { return bytesOf(ws.MaskFrame(f)) }
		frame := func(op ws.OpCode, fin bool, data string) []byte { return masked(ws.NewFrame(op, fin, []byte(data))) }
		for name, data := range map[string][]byte{
			"unknown frame":            frame(ws.OpBinary, true, "\xa2\x06\x00"), // field 100
			"empty frame":              frame(ws.OpBinary, true, ""),
			"truncated frame":          frame(ws.OpBinary, true, "\x12\x20k"),
			"text for binary":          frame(ws.OpText, true, "{}"),
			"call without request id":  frame(ws.OpBinary, true, "\x12\x00"),
			"second login":             frame(ws.OpBinary, true, "\x0a\x00"),
			"not masked":               bytesOf(ws.NewBinaryFrame([]byte("x"))),
			"reserved bit":             append([]byte{0xc2}, masked(ws.NewBinaryFrame([]byte("x")))[1:]...),
			"reserved opcode":          frame(0x3, true, "x"),
			"reserved control":         frame(0xb, true, "x"),
			"ping in parts":            frame(ws.OpPing, false, "x"),
			"ping of 126 bytes":        masked(ws.NewPingFrame(make([]byte, 126))),
			"continuation of nothing":  frame(ws.OpContinuation, true, "x"),
			"message within a message": append(frame(ws.OpBinary, false, "x"), frame(ws.OpBinary, true, "x")...),
			"negative length":          {0x82, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0},
		} {
			c := w.online("alice")
			c.bytes(data)
			if e := c.ends(invitation.EndBadFrame); e.RetryAfter != 0 {
				t.Errorf("%s: retry after %v", name, e.RetryAfter)
			}
		}
		c := w.connect(wire.JSON)
		c.login("alice")
		c.write(ws.NewTextFrame([]byte(`{"send": {"requestId": "1", "content": "` + "\xff" + `"}}`)))
		c.ends(invitation.EndBadFrame)
		c = w.connect(wire.JSON)
		c.login("alice")
		c.write(ws.NewBinaryFrame([]byte("x")))
		c.ends(invitation.EndBadFrame)
	})
}

// TestRandomBytes sends noise, over both kinds of socket, and finds the gateway unharmed.
func TestRandomBytes(t *testing.T) {
	noise := func(w *world) {
		random := rand.New(rand.NewPCG(1, 2))
		for range 50 {
			c := w.online("alice")
			done := c.drain()
			b := make([]byte, random.IntN(4000)+2)
			for i := range b {
				b[i] = byte(random.Uint32())
			}
			c.bytes(b)
			c.nc.Close()
			<-done
		}
		w.online("bob").alive()
	}
	bubble(t, nil, noise)
	noise(loopback(t, nil))
}

// TestDeclaredLengthIsNotAllocated declares a frame of 1 GiB, as one and as the second half of a
// message: the connection ends by the header, before memory is taken for it.
func TestDeclaredLengthIsNotAllocated(t *testing.T) {
	bubble(t, nil, func(w *world) {
		for _, op := range []byte{0x82, 0x80} {
			c := w.online("alice")
			if op == 0x80 {
				c.write(ws.NewFrame(ws.OpBinary, false, []byte("x")))
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			c.bytes([]byte{op, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0, 1, 2, 3, 4})
			c.ends(invitation.EndFrameTooLarge)
			runtime.ReadMemStats(&after)
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
				t.Errorf("allocated %d bytes", grown)
			}
		}
		w.online("bob").alive()
	})
}

func TestFrameLimitIsExact(t *testing.T) {
	bubble(t, nil, func(w *world) {
		for _, parts := range []int{1, 2, 3} {
			for _, over := range []int{0, 1} {
				c := w.connect(wire.JSON)
				c.login("alice")
				number := `{"ping": {"number": "7"}}`
				text := number + strings.Repeat(" ", 128<<10-len(number)+over)
				rest := []byte(text)
				for i := parts; i > 0; i-- {
					op := ws.OpText
					if i < parts {
						op = ws.OpContinuation
					}
					n := len(rest) / i
					c.write(ws.NewFrame(op, i == 1, rest[:n]))
					rest = rest[n:]
				}
				if over > 0 {
					c.ends(invitation.EndFrameTooLarge)
				} else if pong := c.hear().Pong; pong == nil || *pong != 7 {
					t.Errorf("in %d parts: got %v", parts, pong)
				}
			}
		}
	})
}

// TestFragments takes a message apart in every place, with control frames between the parts.
func TestFragments(t *testing.T) {
	bubble(t, func(c *gateway.Config) { c.FrameRate, c.FrameBurst = 10_000, 10_000 }, func(w *world) {
		c := w.online("alice")
		data, err := wire.EncodeUp(nil, wire.Binary, sendFrame(5, "bob"))
		if err != nil {
			t.Fatal(err)
		}
		for i := range len(data) + 1 {
			c.write(ws.NewFrame(ws.OpBinary, false, data[:i]))
			c.write(ws.NewPingFrame([]byte("x")))
			if f, err := c.frame(); err != nil || f.Header.OpCode != ws.OpPong {
				t.Fatalf("got %+v, %v", f, err)
			}
			c.write(ws.NewFrame(ws.OpContinuation, false, nil))
			c.write(ws.NewFrame(ws.OpContinuation, true, data[i:]))
			c.answer(5)
		}
	})
}

// TestBytesOneByOne also sends several frames at once.
func TestBytesOneByOne(t *testing.T) {
	chunks := func(w *world) {
		c := w.online("alice")
		data, err := wire.EncodeUp(nil, wire.Binary, sendFrame(5, "bob"))
		if err != nil {
			w.t.Fatal(err)
		}
		three := bytes.Repeat(bytesOf(ws.MaskFrame(ws.NewBinaryFrame(data))), 3)
		for _, b := range three {
			c.bytes([]byte{b})
		}
		c.bytes(three)
		for range 6 {
			c.answer(5)
		}
	}
	bubble(t, nil, chunks)
	chunks(loopback(t, nil))
}
