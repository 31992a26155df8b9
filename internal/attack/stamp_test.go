package attack

import (
	"math"
	"testing"

	"github.com/ringfleet/ringfleet"
	"github.com/ringfleet/ringfleet/invitation"
)

// heard is what a device was told.
type heard chan invitation.Down

func (h heard) Receive(d invitation.Down) { h <- d }
func (h heard) Lost(error)                {}

// TestForgedStamp checks that no device can make itself the newest login for ever (policy single): a
// stamp that no node gave counts for nothing.
func TestForgedStamp(t *testing.T) {
	node, err := ringfleet.Start(ringfleet.Config{Gateway: gatewayConfig()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := node.Shutdown(t.Context()); err != nil {
			t.Log(err)
		}
	})
	login := func(device invitation.Device, resume bool, stamp uint64) heard {
		t.Helper()
		h := make(heard, 10)
		if _, err := node.Dial(t.Context(), invitation.Login{User: "ann", Device: device, Resume: resume, Stamp: stamp}, h); err != nil {
			t.Fatal(err)
		}
		return h
	}
	liar := login("liar", true, math.MaxUint64)
	if d := <-liar; d.Welcome == nil {
		t.Fatalf("told %+v", d)
	}
	honest := login("honest", false, 0)
	if d := <-honest; d.Welcome == nil || d.Welcome.Stamp == 0 {
		t.Fatalf("told %+v", d)
	}
	if d := <-liar; d.Ending == nil || d.Ending.End != invitation.EndRemoteLogin {
		t.Fatalf("told %+v", d)
	}
	again := login("liar", true, math.MaxUint64)
	if d := <-again; d.Ending == nil || d.Ending.End != invitation.EndRemoteLogin {
		t.Fatalf("told %+v", d)
	}
}
