package gateway_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"github.com/ringfleet/ringfleet/gateway"
	"github.com/ringfleet/ringfleet/internal/wire"
	"github.com/ringfleet/ringfleet/invitation"
)

// TestFrameRate: 10 frames at once and 5 a second; then calls are refused with the time to wait;
// after 10 more the connection ends.
func TestFrameRate(t *testing.T) {
	configure := func(c *gateway.Config) { c.FrameRate, c.FrameBurst = 5, 10 }
	bubble(t, configure, func(w *world) {
		c := w.online("alice")
		time.Sleep(20 * time.Second) // silence gives no more than a burst
		for range 10 {
			c.call(send(1, "bob"))
			if a := c.answer(1); a.Error != invitation.OK {
				t.Fatalf("in the burst: got %s", a.Error)
			}
		}
		c.call(send(1, "bob"))
		a := c.answer(1)
		if a.Error != invitation.LimitExceeded || a.RetryAfter != 200*time.Millisecond {
			t.Fatalf("over the burst: got %s, retry after %v", a.Error, a.RetryAfter)
		}
		time.Sleep(2 * a.RetryAfter) // the refused one counted too
		c.call(send(1, "bob"))
		if a := c.answer(1); a.Error != invitation.OK {
			t.Fatalf("after waiting: got %s", a.Error)
		}
		for range 10 {
			c.call(send(1, "bob"))
			if a := c.answer(1); a.Error != invitation.LimitExceeded {
				t.Fatalf("over the burst: got %s", a.Error)
			}
		}
		c.call(send(1, "bob"))
		c.ends(invitation.EndRateExceeded)
	})
}

// TestWordsAreNotRefused: a word over the rate is passed on, since a lost one costs more.
func TestWordsAreNotRefused(t *testing.T) {
	bubble(t, func(c *gateway.Config) { c.FrameRate, c.FrameBurst = 5, 1 }, func(w *world) {
		c := w.online("alice")
		time.Sleep(time.Second)
		for range 2 {
			c.say(wire.ClientFrame{Up: invitation.Up{Word: &invitation.Word{Side: invitation.Callee, Kind: invitation.WordSeen}}})
		}
		synctest.Wait()
		w.wantLog("attach 1 alice/phone", "say 1 word SEEN", "say 1 word SEEN")
	})
}

// TestFloodOfControlFrames and of empty fragments count like any other.
func TestFloodOfControlFrames(t *testing.T) {
	for _, f := range []ws.Frame{ws.NewPingFrame(nil), ws.NewPongFrame(nil), ws.NewFrame(ws.OpContinuation, false, nil)} {
		bubble(t, nil, func(w *world) {
			c := w.online("alice")
			done := c.drain()
			if f.Header.OpCode == ws.OpContinuation {
				c.write(ws.NewFrame(ws.OpBinary, false, nil))
			}
			start := time.Now()
			for range 400 {
				c.write(f)
			}
			<-done
			after(t, start, 5*time.Second) // the client does not answer the close frame
			w.wantLog("attach 1 alice/phone", "detach 1")
		})
	}
}

func TestLoginRate(t *testing.T) {
	bubble(t, func(c *gateway.Config) { c.LoginRate = 10 }, func(w *world) {
		for range 10 {
			w.online("alice")
		}
		c := w.connect(wire.Binary)
		c.say(loginFrame("alice", ""))
		if e := c.ends(invitation.EndOverloaded); e.RetryAfter != 100*time.Millisecond {
			t.Errorf("retry after %v", e.RetryAfter)
		}
		time.Sleep(100 * time.Millisecond)
		w.online("alice")
	})
}

// refused asks for an upgrade that is to be refused.
func (w *world) refused(status int, header ...string) string {
	w.t.Helper()
	client := http.Client{Transport: &http.Transport{
		DialContext: w.dialContext, DisableKeepAlives: true,
	}}
	r, err := http.NewRequest(http.MethodGet, "http://node"+gateway.Path, http.NoBody)
	if err != nil {
		w.t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
		"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": wire.SubprotocolJSON,
	} {
		r.Header.Set(name, value)
	}
	for i := 0; i < len(header); i += 2 {
		if r.Header.Set(header[i], header[i+1]); header[i+1] == "" {
			r.Header.Del(header[i])
		}
		if header[i] == "method" {
			r.Method = header[i+1]
		}
	}
	response, err := client.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	if response.StatusCode != status {
		w.t.Fatalf("got %s: %s; want %d", response.Status, text, status)
	}
	retry := status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests
	if (response.Header.Get("Retry-After") != "") != retry {
		w.t.Errorf("%d: Retry-After is %q", status, response.Header.Get("Retry-After"))
	}
	return string(text)
}

func TestRequestsThatAreNotUpgraded(t *testing.T) {
	bubble(t, nil, func(w *world) {
		if text := w.refused(http.StatusUpgradeRequired, "Upgrade", ""); !strings.Contains(text, "wscat") {
			t.Errorf("the text helps nobody: %q", text)
		}
		w.refused(http.StatusMethodNotAllowed, "method", http.MethodPost)
		if text := w.refused(http.StatusBadRequest, "Sec-WebSocket-Protocol", "chat"); !strings.Contains(text, "ringfleet.v1.json") {
			t.Errorf("the text helps nobody: %q", text)
		}
		w.refused(http.StatusForbidden, "Origin", "https://evil.example")
		w.refused(http.StatusForbidden, "Origin", "null")
		w.refused(http.StatusUpgradeRequired, "Sec-WebSocket-Version", "8")
		w.refused(http.StatusBadRequest, "Sec-WebSocket-Key", "short")
		w.connect(wire.Binary, "Origin", "http://node").login("alice")
	})
	bubble(t, func(c *gateway.Config) { c.Origins = []string{"https://app.example"} }, func(w *world) {
		w.refused(http.StatusForbidden, "Origin", "https://evil.example")
		w.connect(wire.Binary, "Origin", "https://app.example").login("alice")
	})
	bubble(t, func(c *gateway.Config) { c.Origins = []string{"*"} }, func(w *world) {
		w.connect(wire.Binary, "Origin", "https://any.example").login("alice")
	})
}

// TestConnectionsAreBounded, and a connection that ends makes room.
func TestConnectionsAreBounded(t *testing.T) {
	bubble(t, func(c *gateway.Config) { c.MaxConnections = 3 }, func(w *world) {
		first := w.online("alice")
		w.online("bob")
		w.online("carol")
		w.refused(http.StatusServiceUnavailable)
		first.nc.Close()
		synctest.Wait()
		w.online("alice")
		w.refused(http.StatusServiceUnavailable)
	})
}

// TestPendingConnectionsAreBounded: connections that do not log in cannot take every place.
func TestPendingConnectionsAreBounded(t *testing.T) {
	bubble(t, func(c *gateway.Config) { c.MaxPending = 2 }, func(w *world) {
		abandoned := w.connect(wire.Binary)
		other := w.connect(wire.Binary)
		w.refused(http.StatusServiceUnavailable)
		other.login("alice")
		synctest.Wait() // the client may know before the place is free
		third := w.connect(wire.Binary)
		w.refused(http.StatusServiceUnavailable)
		third.nc.Close()
		abandoned.ends(invitation.EndLoginTimeout)
		synctest.Wait()
		w.online("bob")
		w.online("carol")
	})
}

func TestConnectionsPerAddress(t *testing.T) {
	address := func(r *http.Request) netip.Addr { a, _ := netip.ParseAddr(r.Header.Get("From")); return a }
	bubble(t, func(c *gateway.Config) { c.MaxPerAddress, c.ClientAddress = 2, address }, func(w *world) {
		first := w.connect(wire.Binary, "From", "192.0.2.1")
		w.connect(wire.Binary, "From", "::ffff:192.0.2.1")
		w.refused(http.StatusTooManyRequests, "From", "192.0.2.1")
		w.connect(wire.Binary, "From", "192.0.2.2")
		w.connect(wire.Binary, "From", "2001:db8::1")
		w.connect(wire.Binary, "From", "2001:db8::ffff:1")
		w.refused(http.StatusTooManyRequests, "From", "2001:db8:0:0:1::")
		w.connect(wire.Binary, "From", "2001:db8:0:1::")
		first.nc.Close()
		synctest.Wait()
		w.connect(wire.Binary, "From", "192.0.2.1")
		w.refused(http.StatusTooManyRequests, "From", "192.0.2.1")
	})
}

func TestMayInvite(t *testing.T) {
	configure := func(c *gateway.Config) {
		c.MayInvite = func(ctx context.Context, caller, callee invitation.User) (bool, error) {
			switch callee {
			case "never":
				return false, nil
			case "error":
				return true, errors.New("the directory is away")
			case "slow":
				<-ctx.Done()
				return false, ctx.Err()
			}
			return caller == "alice", nil
		}
	}
	bubble(t, configure, func(w *world) {
		c := w.online("alice")
		start := time.Now()
		for i, callee := range []invitation.User{"bob", "never", "error", "slow", "a/b"} {
			c.call(send(uint64(i+1), callee))
		}
		c.call(invitation.Call{Request: invitation.Query, RequestID: 9}) // waits for those before it
		answers := map[uint64]*invitation.Answer{}                       // those of the backend come in their own time
		for range 6 {
			a := c.hear().Down.Answer
			if a == nil {
				t.Fatal("heard something else than an answer")
			}
			answers[a.RequestID] = a
		}
		for i, want := range []invitation.CallError{
			invitation.OK, invitation.Forbidden, invitation.Unavailable, invitation.Unavailable, invitation.InvalidArgument,
		} {
			a := answers[uint64(i+1)]
			if a.Error != want || (a.RetryAfter > 0) != (want == invitation.Unavailable) {
				t.Errorf("request %d: got %s, retry after %v", i+1, a.Error, a.RetryAfter)
			}
		}
		if answers[9] == nil {
			t.Error("no answer to the query")
		}
		after(t, start, 5*time.Second)
		w.wantLog("attach 1 alice/phone", "say 1 send", "say 1 query")
	})
}

func TestBackendErrors(t *testing.T) {
	bubble(t, nil, func(w *world) {
		c := w.online("alice")
		for _, tt := range []struct {
			err  error
			want invitation.CallError
		}{
			{errors.New("full"), invitation.Unavailable},
			{invitation.Unavailable, invitation.Unavailable},
			{invitation.LimitExceeded, invitation.LimitExceeded},
			{invitation.NotFound, invitation.NotFound},
		} {
			w.backend.fail(nil, tt.err)
			c.call(invitation.Call{Request: invitation.Query, RequestID: 1})
			a := c.answer(1)
			if a.Error != tt.want || (a.RetryAfter > 0) != (tt.want != invitation.NotFound) {
				t.Errorf("%v: got %s, retry after %v", tt.err, a.Error, a.RetryAfter)
			}
		}
		w.backend.fail(nil, errors.New("full"))
		c.say(wire.ClientFrame{Up: invitation.Up{Word: &invitation.Word{Side: invitation.Callee, Kind: invitation.WordSeen}}})
		c.alive()
		c.say(wire.ClientFrame{Up: invitation.Up{Logout: true}})
		if e := c.ends(invitation.EndOverloaded); e.RetryAfter != time.Second {
			t.Errorf("retry after %v", e.RetryAfter)
		}
	})
}
