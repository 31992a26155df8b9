package gateway_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"github.com/ringfleet/ringfleet/gateway"
	"github.com/ringfleet/ringfleet/internal/wire"
	"github.com/ringfleet/ringfleet/invitation"
)

// after checks the fake clock.
func after(t *testing.T, start time.Time, want time.Duration) {
	t.Helper()
	if got := time.Since(start); got != want {
		t.Errorf("after %v, want %v", got, want)
	}
}

func TestLoginNeverSent(t *testing.T) {
	bubble(t, nil, func(w *world) {
		start := time.Now()
		c := w.connect(wire.Binary)
		c.ends(invitation.EndLoginTimeout)
		after(t, start, 10*time.Second)
		c = w.connect(wire.Binary) // talking is not logging in
		start = time.Now()
		time.Sleep(9 * time.Second)
		c.alive()
		c.ends(invitation.EndLoginTimeout)
		after(t, start, 10*time.Second)
		w.wantLog()
	})
}

// TestPingsWhenIdle hears a ping after each 25 s of silence, and none while there is talk.
func TestPingsWhenIdle(t *testing.T) {
	bubble(t, nil, func(w *world) {
		c := w.online("alice")
		start := time.Now()
		for i := range 10 {
			f, err := ws.ReadFrame(c.r) //nolint:staticcheck // the gateway is trusted with lengths
			if err != nil || f.Header.OpCode != ws.OpPing {
				t.Fatalf("got %x, %v", f.Header.OpCode, err)
			}
			after(t, start, time.Duration(i+1)*25*time.Second)
			c.write(ws.NewPongFrame(nil))
		}
		for range 20 {
			time.Sleep(20 * time.Second)
			c.alive()
		}
		if c.pings != 0 {
			t.Errorf("%d pings while talking", c.pings)
		}
		w.wantLog("attach 1 alice/phone")
	})
}

// TestIdle ends a connection that answers no ping, 60 s after its last frame.
func TestIdle(t *testing.T) {
	bubble(t, nil, func(w *world) {
		c := w.online("alice")
		time.Sleep(7 * time.Second)
		c.alive()
		start := time.Now()
		for _, want := range []time.Duration{25 * time.Second, 50 * time.Second} {
			f, err := ws.ReadFrame(c.r) //nolint:staticcheck // the gateway is trusted with lengths
			if err != nil || f.Header.OpCode != ws.OpPing {
				t.Fatalf("got %x, %v", f.Header.OpCode, err)
			}
			after(t, start, want)
		}
		c.ends(invitation.EndIdle)
		after(t, start, time.Minute)
		synctest.Wait()
		w.wantLog("attach 1 alice/phone", "detach 1")
	})
}

// TestUnfinishedFrameIsIdle: bytes that complete no frame keep nothing alive.
func TestUnfinishedFrameIsIdle(t *testing.T) {
	bubble(t, nil, func(w *world) {
		c := w.online("alice")
		done := c.drain()
		c.bytes([]byte{0x82, 0xfe, 0xff, 0xff, 0, 0, 0, 0})
		start := time.Now()
		for time.Since(start) < 59*time.Second {
			c.bytes([]byte{1})
			time.Sleep(time.Second)
		}
		<-done
		after(t, start, time.Minute+5*time.Second) // and the close timeout, as nobody answered
		w.wantLog("attach 1 alice/phone", "detach 1")
	})
}

// TestCloseTimeout cuts off a client that does not answer the close frame; the backend hears at once.
func TestCloseTimeout(t *testing.T) {
	bubble(t, nil, func(w *world) {
		c := w.online("alice")
		start := time.Now()
		w.g.Deliver(1, invitation.Down{Ending: &invitation.Ending{End: invitation.EndRemoteLogin}})
		if e := c.hear().Down.Ending; e == nil || e.End != invitation.EndRemoteLogin {
			t.Fatalf("got %+v", e)
		}
		w.g.Deliver(1, invitation.Down{Welcome: &invitation.Welcome{}}) // too late
		if f, err := c.frame(); err != nil || f.Header.OpCode != ws.OpClose {
			t.Fatalf("got %x, %v", f.Header.OpCode, err)
		}
		synctest.Wait()
		w.wantLog("attach 1 alice/phone", "detach 1")
		after(t, start, 0)
		c.call(send(1, "bob")) // after the end: nobody hears
		c.closed()
		after(t, start, 5*time.Second)
		w.wantLog("attach 1 alice/phone", "detach 1")
	})
}

// TestEndedClientThatTalksOn may send a megabyte before it is cut off.
func TestEndedClientThatTalksOn(t *testing.T) {
	bubble(t, nil, func(w *world) {
		c := w.online("alice")
		start := time.Now()
		done := c.drain()
		c.bytes([]byte("this is not a frame"))
		sent := 0
		for chunk := make([]byte, 64<<10); ; sent += len(chunk) {
			if _, err := c.nc.Write(chunk); err != nil {
				break
			}
		}
		if sent < 1<<20-64<<10 || sent > 2<<20 {
			t.Errorf("cut off after %d bytes", sent)
		}
		<-done
		after(t, start, 0)
	})
}

// TestTimeoutsAreConfigurable halves everything.
func TestTimeoutsAreConfigurable(t *testing.T) {
	configure := func(c *gateway.Config) {
		c.LoginTimeout, c.PingInterval, c.IdleTimeout = 500*time.Millisecond, 200*time.Millisecond, 700*time.Millisecond
	}
	bubble(t, configure, func(w *world) {
		start := time.Now()
		w.connect(wire.Binary).ends(invitation.EndLoginTimeout)
		after(t, start, 500*time.Millisecond)
		start = time.Now()
		c := w.online("alice")
		pings := 0
		for {
			f, err := ws.ReadFrame(c.r) //nolint:staticcheck // the gateway is trusted with lengths
			if err != nil {
				t.Fatal(err)
			}
			if f.Header.OpCode != ws.OpPing {
				break
			}
			pings++
		}
		after(t, start, 700*time.Millisecond)
		if pings != 3 {
			t.Errorf("%d pings", pings)
		}
	})
}
