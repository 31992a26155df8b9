package gateway_test

import (
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"github.com/ringfleet/ringfleet/gateway"
	"github.com/ringfleet/ringfleet/invitation"
)

func notice(content string) invitation.Down {
	return invitation.Down{Notice: &invitation.Notice{Side: invitation.Callee, Content: content, Remaining: time.Second}}
}

// lastFrame reads what is left, up to a close frame, and returns the last frame.
func (c *client) lastFrame() (last ws.Frame, frames int) {
	for last.Header.OpCode != ws.OpClose {
		f, err := ws.ReadFrame(c.r) //nolint:staticcheck // the gateway is trusted with lengths
		if err != nil {
			return last, frames
		}
		last = f
		frames++
	}
	return last, frames
}

// TestReaderThatStops fills the queue of a client that does not read: it ends, the backend is told at
// once, and a client that reads again in time finds the reason.
func TestReaderThatStops(t *testing.T) {
	for name, configure := range map[string]func(*gateway.Config){
		"by frames": func(c *gateway.Config) { c.QueueFrames = 10 },
		"by bytes":  func(c *gateway.Config) { c.QueueBytes = 256 << 10 },
	} {
		bubble(t, configure, func(w *world) {
			c := w.online("alice")
			delivered := 0
			for len(w.backend.said()) == 1 && delivered < 1000 {
				w.g.Deliver(1, notice(strings.Repeat("x", 8000)))
				delivered++
				synctest.Wait()
			}
			w.wantLog("attach 1 alice/phone", "detach 1")
			if want := map[string]int{"by frames": 12, "by bytes": 33}[name]; delivered != want {
				t.Errorf("%s: ended after %d frames, want %d", name, delivered, want)
			}
			last, frames := c.lastFrame()
			code, _ := ws.ParseCloseFrameData(last.Payload)
			if last.Header.OpCode != ws.OpClose || invitation.End(code) != invitation.EndSlowReader || frames != 3 {
				t.Errorf("%s: %d frames were left, the last is %x %d", name, frames, last.Header.OpCode, code)
			}
		})
	}
}

// TestReaderThatStopsForGood is cut off when one write makes no progress.
func TestReaderThatStopsForGood(t *testing.T) {
	bubble(t, nil, func(w *world) {
		c := w.online("alice")
		w.g.Deliver(1, notice("x"))
		time.Sleep(10*time.Second - time.Nanosecond)
		synctest.Wait()
		w.wantLog("attach 1 alice/phone")
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		w.wantLog("attach 1 alice/phone", "detach 1")
		if _, err := c.nc.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("read: %v", err)
		}
	})
}

// TestSlowReaderOverLoopback stops reading a real socket until both ends' buffers are full; a client
// that then reads on finds what was sent, and at its end the reason.
func TestSlowReaderOverLoopback(t *testing.T) {
	w := loopback(t, nil)
	c := w.online("alice")
	content := strings.Repeat("x", 8000)
	for i := 0; len(w.backend.said()) == 1; i++ {
		if i > 100_000 {
			t.Fatal("800 MB were taken for a client that does not read")
		}
		w.g.Deliver(1, notice(content))
	}
	w.wantLog("attach 1 alice/phone", "detach 1")
	last, frames := c.lastFrame()
	code, _ := ws.ParseCloseFrameData(last.Payload)
	if last.Header.OpCode != ws.OpClose || invitation.End(code) != invitation.EndSlowReader {
		t.Errorf("%d frames were left, the last is %x %d", frames, last.Header.OpCode, code)
	}
}

// TestStalledSocketOverLoopback: a client that stops reading for longer than the write timeout.
func TestStalledSocketOverLoopback(t *testing.T) {
	w := loopback(t, func(c *gateway.Config) {
		c.WriteTimeout, c.CloseTimeout, c.QueueFrames, c.QueueBytes = 300*time.Millisecond, 300*time.Millisecond, 100_000, 1<<30
	})
	c := w.online("alice")
	for range 2_000 { // 16 MB: more than the kernel takes
		w.g.Deliver(1, notice(strings.Repeat("x", 8000)))
	}
	w.wantLog("attach 1 alice/phone", "detach 1")
	if _, frames := c.lastFrame(); frames >= 2_000 {
		t.Errorf("%d frames: nothing stalled", frames)
	}
}

// TestReaderThatPauses loses nothing: the queue waits for the socket.
func TestReaderThatPauses(t *testing.T) {
	w := loopback(t, func(c *gateway.Config) { c.QueueFrames, c.QueueBytes = 100_000, 1<<30 })
	c := w.online("alice")
	const frames = 3_000
	for range frames { // 24 MB: more than the kernel takes
		w.g.Deliver(1, notice(strings.Repeat("x", 8000)))
	}
	for i := range frames {
		if n := c.hear().Down.Notice; n == nil || len(n.Content) != 8000 {
			t.Fatalf("frame %d: got %+v", i, n)
		}
	}
	c.alive()
	w.wantLog("attach 1 alice/phone")
}

// TestResetOverLoopback: a client that vanishes with a reset, while frames are on their way.
func TestResetOverLoopback(t *testing.T) {
	w := loopback(t, nil)
	for range 20 {
		c := w.online("alice")
		raw, err := c.nc.(syscall.Conn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		if err := raw.Control(func(fd uintptr) {
			_ = syscall.SetsockoptLinger(int(fd), syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
		}); err != nil {
			t.Fatal(err)
		}
		c.call(send(1, "bob"))
		c.nc.Close()
	}
	detached := func() (n int) {
		for _, line := range w.backend.said() {
			if strings.HasPrefix(line, "detach") {
				n++
			}
		}
		return n
	}
	w.eventually(func() bool { return detached() == 20 })
}
