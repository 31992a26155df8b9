//go:build !race

package wire_test

import (
	"testing"

	"github.com/ringfleet/ringfleet/internal/wire"
)

// The race detector makes sync.Pool forget at random, so that what is counted here has no meaning
// under it.

// TestEncodeDownAllocates nothing but the text of the invitation's id, per message that has one.
func TestEncodeDownAllocates(t *testing.T) {
	for name, ids := range map[string]float64{"server_local_asked": 1, "server_remote_received": 1, "server_answer_ok": 2} {
		frame := serverSamples[name]
		buf := make([]byte, 0, 1024)
		got := testing.AllocsPerRun(1000, func() {
			if _, err := wire.EncodeDown(buf, wire.Binary, frame); err != nil {
				t.Fatal(err)
			}
		})
		if got > ids {
			t.Errorf("%s: %v allocations, want at most %v", name, got, ids)
		}
	}
}
