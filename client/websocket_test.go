package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"github.com/ringfleet/ringfleet/internal/wire"
	"github.com/ringfleet/ringfleet/invitation"
)

// peer is a node's end of a WebSocket, played by hand.
type peer struct {
	t     *testing.T
	conn  net.Conn
	codec wire.Codec
}

// upgrade takes a connection and its login.
func upgrade(t *testing.T, conn net.Conn) (*peer, *wire.Login) {
	p := &peer{t: t, conn: conn}
	u := ws.Upgrader{Protocol: func(name []byte) bool {
		codec, ok := wire.CodecOf(string(name))
		p.codec = codec
		return ok
	}}
	if _, err := u.Upgrade(conn); err != nil {
		t.Error("upgrade:", err)
		return p, nil
	}
	return p, p.hear().Login
}

// frame reads one WebSocket frame.
func (p *peer) frame() (ws.OpCode, []byte) {
	h, err := ws.ReadHeader(p.conn)
	if err != nil {
		return 0xff, nil
	}
	if !h.Masked {
		p.t.Error("the client does not mask its frames")
	}
	payload := make([]byte, h.Length)
	if _, err := io.ReadFull(p.conn, payload); err != nil {
		return 0xff, nil
	}
	ws.Cipher(payload, h.Mask, 0)
	return h.OpCode, payload
}

func drain(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

func (p *peer) hear() wire.ClientFrame {
	op, payload := p.frame()
	if want := map[bool]ws.OpCode{true: ws.OpText, false: ws.OpBinary}[p.codec.Text()]; op != want {
		p.t.Errorf("frame of opcode %v, want %v", op, want)
	}
	frame, err := wire.DecodeUp(p.codec, payload)
	if err != nil {
		p.t.Error("hear:", err)
	}
	return frame
}

func (p *peer) payload(down invitation.Down) []byte {
	f := wire.ServerFrame{Down: down}
	if down.Welcome != nil {
		f.Info = &wire.Info{Version: wire.ProtocolVersion}
	}
	payload, err := wire.EncodeDown(nil, p.codec, f)
	if err != nil {
		p.t.Error("say:", err)
	}
	return payload
}

func (p *peer) op() ws.OpCode {
	if p.codec.Text() {
		return ws.OpText
	}
	return ws.OpBinary
}

func (p *peer) say(down invitation.Down) { p.raw(ws.NewFrame(p.op(), true, p.payload(down))) }

func (p *peer) raw(frames ...ws.Frame) {
	for _, f := range frames {
		_ = ws.WriteFrame(p.conn, f) // the client may have hung up; what it heard shows elsewhere
	}
}

func (p *peer) welcome() { p.say(invitation.Down{Welcome: &invitation.Welcome{Stamp: 7}}) }

// piped is a carrier whose connections are pipes to serve.
func piped(carrier *WebSocket, serve func(conn net.Conn)) *WebSocket {
	carrier.URLs = []string{"ws://node"}
	carrier.NetDial = func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go serve(theirs)
		return ours, nil
	}
	return carrier
}

func TestWebSocketWholeCall(t *testing.T) {
	for _, codec := range []wire.Codec{wire.Binary, wire.JSON} {
		t.Run(codec.String(), func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			served := make(chan struct{})
			go func() {
				defer close(served)
				conn, err := listener.Accept()
				if err != nil {
					t.Error(err)
					return
				}
				playCallee(t, conn)
			}()
			e := new(events)
			c, err := Dial(ctx, &WebSocket{
				URLs: []string{"http://" + listener.Addr().String()}, Token: StaticToken("secret"), JSON: codec == wire.JSON,
			}, Options{User: "alice", Device: "phone", OnEvent: e.add})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			l := c.NewLocalInvitation("bob")
			if err := errors.Join(l.SetContent("lunch? 🍜"), l.SetChannelID("room 1"), l.SetTimers(invitation.Timers{Expire: time.Minute})); err != nil {
				t.Fatal(err)
			}
			if err := l.Send(ctx); err != nil {
				t.Fatal(err)
			}
			if err := l.Wait(ctx); err != nil {
				t.Fatal(err)
			}
			if l.State() != invitation.LocalAcceptedByRemote || l.Response() != "yes" {
				t.Fatal(l.State(), l.Response())
			}
			if err := c.Logout(ctx); err != nil {
				t.Fatal(err)
			}
			<-served
		})
	}
}

// playCallee plays a node whose callee accepts.
func playCallee(t *testing.T, conn net.Conn) {
	p, login := upgrade(t, conn)
	if login == nil || login.User != "alice" || login.Device != "phone" || login.Token != "secret" ||
		login.MinVersion != 1 || login.MaxVersion != 1 || login.Resume {
		t.Errorf("login %+v", login)
	}
	p.welcome()
	send := p.hear().Up.Call
	if send == nil || send.Content != "lunch? 🍜" || send.ChannelID != "room 1" || send.Timers.Expire != time.Minute || !invitation.ValidKey(send.Key) {
		t.Errorf("send %+v", send)
		return
	}
	id := invitation.NewID("alice", "phone", send.Key)
	n := invitation.Notice{ID: id, Side: invitation.Caller, Peer: "bob", Local: invitation.LocalSentToRemote}
	p.say(invitation.Down{Answer: &invitation.Answer{RequestID: send.RequestID, ID: id, Notice: &n}})
	n.Local, n.Confirm = invitation.LocalReceivedByRemote, "desk"
	p.say(invitation.Down{Notice: &n})
	if w := p.hear().Up.Word; w == nil || w.Kind != invitation.WordConfirmed || w.Named != "desk" {
		t.Errorf("word %+v", w)
	}
	n.Local, n.Confirm, n.Response, n.Verdict = invitation.LocalAcceptedByRemote, "", "yes", true
	p.say(invitation.Down{Notice: &n})
	if w := p.hear().Up.Word; w == nil || w.Kind != invitation.WordDone || w.Local != invitation.LocalAcceptedByRemote {
		t.Errorf("word %+v", w)
	}
	if !p.hear().Up.Logout {
		t.Error("no logout")
	}
	p.say(invitation.Down{Ending: &invitation.Ending{End: invitation.EndLoggedOut}})
	if op, _ := p.frame(); op != ws.OpClose {
		t.Errorf("opcode %v, want a close frame", op)
	}
	conn.Close()
}

func TestWebSocketPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peers := make(chan *peer, 2)
		carrier := piped(&WebSocket{PingAfter: 20 * time.Second, PongTimeout: 5 * time.Second}, func(conn net.Conn) {
			p, _ := upgrade(t, conn)
			p.welcome()
			peers <- p
		})
		e := new(events)
		c, err := Dial(t.Context(), carrier, Options{User: "alice", OnEvent: e.add})
		if err != nil {
			t.Fatal(err)
		}
		p := <-peers
		p.raw(ws.NewPingFrame([]byte("you?")))
		if op, payload := p.frame(); op != ws.OpPong || string(payload) != "you?" {
			t.Fatalf("%v %q", op, payload)
		}
		start := time.Now()
		if op, _ := p.frame(); op != ws.OpPing {
			t.Fatal(op)
		}
		if silence := time.Since(start); silence < 18*time.Second || silence > 20*time.Second {
			t.Fatalf("asked after %v", silence)
		}
		p.raw(ws.NewPongFrame(nil))
		if op, _ := p.frame(); op != ws.OpPing {
			t.Fatal(op)
		}
		asked := time.Now()
		e.session()
		<-peers // it connects again
		if lost := e.session(); len(lost) == 0 || lost[0].Kind != SessionReconnecting || lost[0].At.Sub(asked) != 5*time.Second {
			t.Fatalf("%+v", lost)
		}
		_ = c.Close()
		time.Sleep(writeTimeout) // for what was under way
	})
}

func TestWebSocketEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		end  func(p *peer)
		want string
	}{
		"ending": {func(p *peer) {
			p.say(invitation.Down{Ending: &invitation.Ending{End: invitation.EndShutdown, RetryAfter: time.Second}})
		}, "SHUTDOWN"},
		"close code": {func(p *peer) {
			p.raw(ws.NewCloseFrame(ws.NewCloseFrameBody(4001, "slow")))
		}, "SLOW_READER"},
		"new close code": {func(p *peer) {
			p.raw(ws.NewCloseFrame(ws.NewCloseFrameBody(4444, "")))
		}, "UNKNOWN"},
		"other close code": {func(p *peer) { p.raw(ws.NewCloseFrame(ws.NewCloseFrameBody(1001, "going"))) }, "1001 going"},
		"closed":           {func(p *peer) { p.conn.Close() }, "EOF"},
		"bad frame":        {func(p *peer) { p.raw(ws.NewBinaryFrame([]byte{0xff})) }, "cannot parse"},
		"masked":           {func(p *peer) { p.raw(ws.MaskFrame(ws.NewBinaryFrame([]byte{1}))) }, "must be not masked"},
		"reserved opcode":  {func(p *peer) { p.raw(ws.NewFrame(5, true, nil)) }, "reserved op code"},
		"over the limit":   {func(p *peer) { _ = ws.WriteHeader(p.conn, ws.Header{Fin: true, OpCode: ws.OpBinary, Length: 1 << 40}) }, "over the limit"},
		"truncated":        {func(p *peer) { _, _ = p.conn.Write([]byte{0x82, 5, 1, 2}); p.conn.Close() }, "EOF"},
		"stray part":       {func(p *peer) { p.raw(ws.NewFrame(ws.OpContinuation, true, nil)) }, "continuation"},
		"parts too long": {func(p *peer) {
			p.raw(ws.NewFrame(ws.OpBinary, false, make([]byte, 4<<10)))
			_ = ws.WriteHeader(p.conn, ws.Header{Fin: true, OpCode: ws.OpContinuation, Length: 1 << 20})
		}, "over the limit"},
		"unknown version": {func(p *peer) {
			payload, _ := wire.EncodeDown(nil, p.codec, wire.ServerFrame{Down: invitation.Down{Welcome: &invitation.Welcome{}}, Info: &wire.Info{Version: 9}})
			p.raw(ws.NewBinaryFrame(payload))
		}, "BAD_VERSION"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				lost := make(chan error, 1)
				var once bool
				carrier := piped(new(WebSocket), func(conn net.Conn) {
					if once {
						conn.Close()
						return
					}
					once = true
					p, _ := upgrade(t, conn)
					p.welcome()
					synctest.Wait()
					go drain(conn)
					tt.end(p)
				})
				c := New(carrier, Options{User: "alice"})
				c.OnEvent(func(ev Event) {
					if ev.Err != nil && len(lost) == 0 {
						lost <- ev.Err
					}
				})
				if err := c.Login(t.Context()); err != nil {
					t.Fatal(err)
				}
				if err := <-lost; !strings.Contains(err.Error(), tt.want) {
					t.Errorf("lost for %q, want %q", err, tt.want)
				}
				_ = c.Close()
				time.Sleep(writeTimeout) // for what was under way
			})
		})
	}
}

// A message may come in parts, with control frames between them; a frame of a newer node is ignored.
func TestWebSocketMessageInParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		offered := make(chan *RemoteInvitation, 1)
		seen := make(chan invitation.Word, 1)
		carrier := piped(new(WebSocket), func(conn net.Conn) {
			p, _ := upgrade(t, conn)
			p.welcome()
			p.raw(ws.NewBinaryFrame([]byte{0xfa, 0x06, 0x00})) // field 111
			offer := p.payload(invitation.Down{Notice: &invitation.Notice{
				ID: invitation.ID{1}, Side: invitation.Callee, Peer: "bob", Content: strings.Repeat("x", invitation.MaxContent),
				Remote: invitation.RemoteInvitationReceived,
			}})
			p.raw(ws.NewFrame(ws.OpBinary, false, offer[:1000]), ws.NewPingFrame(nil))
			if op, _ := p.frame(); op != ws.OpPong {
				t.Errorf("opcode %v, want a pong", op)
			}
			p.raw(ws.NewFrame(ws.OpContinuation, false, offer[1000:1001]), ws.NewFrame(ws.OpContinuation, true, offer[1001:]))
			seen <- *p.hear().Up.Word
			p.frame()
		})
		c, err := Dial(t.Context(), carrier, Options{User: "alice", OnRemoteInvitation: func(r *RemoteInvitation) { offered <- r }})
		if err != nil {
			t.Fatal(err)
		}
		if r := <-offered; len(r.Content()) != invitation.MaxContent || r.Caller() != "bob" {
			t.Fatal(len(r.Content()), r.Caller())
		}
		if w := <-seen; w.Kind != invitation.WordSeen {
			t.Fatalf("%+v", w)
		}
		_ = c.Close()
		time.Sleep(writeTimeout) // for what was under way
	})
}

// A node that does not read holds up nobody: the connection is given up when too much waits.
func TestWebSocketNodeThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		connections := make(chan *peer, 2)
		carrier := piped(new(WebSocket), func(conn net.Conn) {
			p, _ := upgrade(t, conn)
			p.welcome()
			connections <- p
		})
		lost := make(chan error, 1)
		c, err := Dial(t.Context(), carrier, Options{User: "alice", OnEvent: func(ev Event) {
			if ev.Kind == SessionReconnecting {
				lost <- ev.Err
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		<-connections
		ended := make(chan error)
		for range maxUnwritten / invitation.MaxContent {
			l := c.NewLocalInvitation("bob")
			if err := l.SetContent(strings.Repeat("x", invitation.MaxContent)); err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			go func() { ended <- l.Send(ctx) }()
			synctest.Wait()
			stop()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
		}
		if err := <-lost; !errors.Is(err, errBackedUp) {
			t.Fatal(err)
		}
		p := <-connections
		go drain(p.conn)
		_ = c.Close()
		time.Sleep(writeTimeout)
	})
}

func TestWebSocketWriteThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		connections := make(chan *peer, 2)
		carrier := piped(new(WebSocket), func(conn net.Conn) {
			p, _ := upgrade(t, conn)
			p.welcome()
			connections <- p
		})
		c, err := Dial(t.Context(), carrier, Options{User: "alice"})
		if err != nil {
			t.Fatal(err)
		}
		<-connections
		l, start := c.NewLocalInvitation("bob"), time.Now()
		sent := make(chan error, 1)
		go func() { sent <- l.Send(t.Context()) }()
		p := <-connections // the first one is given up
		if took := time.Since(start); took < writeTimeout || took > writeTimeout+firstBackoff {
			t.Fatalf("given up after %v", took)
		}
		send := p.hear().Up.Call
		p.say(invitation.Down{Answer: &invitation.Answer{RequestID: send.RequestID, ID: invitation.ID{1}}})
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		p.frame()
		time.Sleep(writeTimeout)
	})
}

func TestWebSocketRefusedByHTTP(t *testing.T) {
	answers := map[string]struct {
		answer string
		want   EndError
	}{
		"unauthorized": {"401 Unauthorized\r\n", EndError{End: invitation.EndUnauthorized}},
		"forbidden":    {"403 Forbidden\r\n", EndError{End: invitation.EndUnauthorized}},
		"busy":         {"503 Service Unavailable\r\nRetry-After: 7\r\n", EndError{End: invitation.EndOverloaded, RetryAfter: 7 * time.Second}},
		"too many":     {"429 Too Many Requests\r\nretry-after: 99999\r\n", EndError{End: invitation.EndOverloaded, RetryAfter: time.Hour}},
		"not found":    {"404 Not Found\r\n", EndError{}},
	}
	for name, tt := range answers {
		t.Run(name, func(t *testing.T) {
			carrier := piped(new(WebSocket), func(conn net.Conn) {
				reader := bufio.NewReader(conn)
				for {
					if line, err := reader.ReadString('\n'); err != nil || line == "\r\n" {
						break
					}
				}
				_, _ = fmt.Fprint(conn, "HTTP/1.1 "+tt.answer+"Content-Length: 0\r\n\r\n")
				conn.Close()
			})
			_, err := carrier.Dial(t.Context(), invitation.Login{User: "alice"}, nil)
			if err == nil {
				t.Fatal("no error")
			}
			if end, _ := endOf(err); end != tt.want {
				t.Fatalf("%v stands for %+v, want %+v", err, end, tt.want)
			}
		})
	}
}

func TestFrameHeader(t *testing.T) {
	for _, n := range []int{0, 125, 126, 65_535, 65_536} {
		mask := [4]byte{1, 2, 3, 4}
		h, err := ws.ReadHeader(bytes.NewReader(appendHeader(nil, ws.OpText, mask, n)))
		if want := (ws.Header{Fin: true, OpCode: ws.OpText, Masked: true, Mask: mask, Length: int64(n)}); err != nil || h != want {
			t.Errorf("%d bytes: %+v, %v", n, h, err)
		}
	}
}

func TestWebSocketURLs(t *testing.T) {
	for _, url := range []string{"", "ftp://x", "localhost:8080", "ws://x\x00"} {
		s := &WebSocket{URLs: []string{url}}
		if _, err := s.Dial(t.Context(), invitation.Login{}, nil); err == nil {
			t.Fatalf("%q is taken", url)
		}
	}
	if _, err := new(WebSocket).Dial(t.Context(), invitation.Login{}, nil); err == nil {
		t.Fatal("no URL is taken")
	}
	s := &WebSocket{URLs: []string{"ws://a", "https://b/", "wss://c/elsewhere"}}
	turns := map[string]int{}
	for range 6 {
		url, err := s.nextURL()
		if err != nil {
			t.Fatal(err)
		}
		turns[url]++
	}
	if turns["ws://a/v1/connect"] != 2 || turns["wss://b/v1/connect"] != 2 || turns["wss://c/elsewhere"] != 2 {
		t.Fatal(turns)
	}
	noToken := errors.New("no token")
	s = &WebSocket{URLs: []string{"ws://a"}, Token: func(context.Context) (string, error) { return "", noToken }}
	if _, err := s.Dial(t.Context(), invitation.Login{}, nil); !errors.Is(err, noToken) {
		t.Fatal(err)
	}
}

func TestWebSocketOtherSubprotocol(t *testing.T) {
	carrier := piped(new(WebSocket), func(conn net.Conn) {
		_, _ = ws.Upgrader{}.Upgrade(conn)
		drain(conn)
	})
	if _, err := carrier.Dial(t.Context(), invitation.Login{User: "alice"}, nil); err == nil || !strings.Contains(err.Error(), "does not speak") {
		t.Fatal(err)
	}
}
