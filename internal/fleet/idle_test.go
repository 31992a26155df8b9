package fleet_test

import (
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/internal/fleet"
)

// TestIdle prints what three nodes without a client use: their gossip, their timers, and the metrics that are read
// at both ends of the time.
func TestIdle(t *testing.T) {
	if *size != "cost" {
		t.Skip("scripts/measure runs this")
	}
	const watched = time.Minute
	b := newBed(t, fleet.Config{}, numbered("node-", 3)...)
	defer b.Close()
	<-time.After(5 * time.Second) // what a start takes
	before := b.cpu()
	<-time.After(watched)
	used := b.cpu() - before
	t.Logf("idle: %.2f %% of a processor for each node", 100*used.Seconds()/3/watched.Seconds())
}
