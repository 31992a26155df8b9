package fleet_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/internal/fleet"
)

// idle is for how long nodes are watched that have nothing to do.
const idle = 5 * time.Second

// TestCost prints what calls cost with different numbers of nodes, at the same load.
func TestCost(t *testing.T) {
	if *size != "cost" {
		t.Skip("make cluster-cost runs this")
	}
	t.Logf("%5s %8s %14s %15s %10s %15s %18s %10s %10s", "nodes", "calls/s", "CPU when idle", "per accepted", "against 1",
		"bytes to peers", "messages to peers", "set-up p50", "p99")
	var alone float64
	for _, n := range []int{1, 3, 5} {
		b := newBed(t, fleet.Config{}, numbered("node-", n)...)
		before := b.cpu()
		<-time.After(idle)
		quiet := b.cpu() - before
		l := startLoad(t, b.Nodes(), "--users", "1000", "--rate", strconv.Itoa(*rate), "--duration", "30s", "--mix", "accept=1")
		l.running()
		l.phase("calls")
		r := l.wait()
		if r.Violations+r.Errors+r.Failed > 0 || r.CPUPerCall == nil || len(r.Phases) == 0 {
			t.Fatalf("%v\n%s", r, l.said.String())
		}
		if n == 1 {
			alone = *r.CPUPerCall
		}
		all := r.Phases[len(r.Phases)-1]
		t.Logf("%5d %8.0f %9.1f ms/s %12.0f µs %10.2f %15s %18s %7.1f ms %7.1f ms", n, r.CallsPerS,
			float64(quiet.Microseconds())/1000/idle.Seconds(), *r.CPUPerCall, *r.CPUPerCall/alone, orDash(r.Bytes), orDash(r.Messages),
			all.Setup.P50, all.Setup.P99)
		b.Close()
	}
}

func orDash(value *float64) string {
	if value == nil {
		return "-"
	}
	return fmt.Sprintf("%.1f", *value)
}
