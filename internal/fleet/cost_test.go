package fleet_test

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/internal/fleet"
)

const (
	idle     = 5 * time.Second // for how long nodes are watched that have nothing to do
	costRuns = 3               // of each number of nodes, in turns, as what else the machine does changes the figures
)

// TestCost prints what calls cost with different numbers of nodes, at the same load, one after the other. What to
// go by is the ratio of neighboring runs.
func TestCost(t *testing.T) {
	if *size != "cost" {
		t.Skip("make cluster-cost runs this")
	}
	t.Logf("%5s %8s %14s %15s %10s %15s %18s %10s %10s %10s", "nodes", "calls/s", "CPU when idle", "per accepted", "against 1",
		"bytes to peers", "messages to peers", "set-up p50", "p99", "load")
	costs, ratios := map[int][]float64{}, map[int][]float64{}
	for range costRuns {
		var alone float64
		for _, n := range []int{1, 3, 5} {
			cost := costOf(t, n, alone)
			if n == 1 {
				alone = cost
			}
			costs[n], ratios[n] = append(costs[n], cost), append(ratios[n], cost/alone)
		}
	}
	for _, n := range []int{1, 3, 5} {
		t.Logf("%5d %s, %s times 1 node", n, spread(costs[n], "%.0f µs"), spread(ratios[n], "%.2f"))
	}
}

// costOf prints and returns what a call costs on some nodes, in µs. 0 stands for an alone that is not known yet.
func costOf(t *testing.T, nodes int, alone float64) float64 {
	t.Helper()
	b := newBed(t, fleet.Config{}, numbered("node-", nodes)...)
	defer b.Close()
	before := b.cpu()
	<-time.After(idle)
	quiet := b.cpu() - before
	l := startLoad(t, b.Nodes(), "--users", "1000", "--rate", strconv.Itoa(*rate), "--duration", "20s", "--mix", "accept=1")
	l.running()
	l.phase("calls")
	r := l.wait()
	if r.Violations+r.Errors+r.Failed > 0 || r.CPUPerCall == nil || len(r.Phases) == 0 {
		t.Fatalf("%v\n%s", r, l.said.String())
	}
	cost, all := *r.CPUPerCall, r.Phases[len(r.Phases)-1]
	if alone == 0 {
		alone = cost
	}
	t.Logf("%5d %8.0f %9.1f ms/s %12.0f µs %10.2f %15s %18s %7.1f ms %7.1f ms %10s", nodes, r.CallsPerS,
		float64(quiet.Microseconds())/1000/idle.Seconds(), cost, cost/alone, orDash(r.Bytes), orDash(r.Messages),
		all.Setup.P50, all.Setup.P99, machineLoad())
	return cost
}

// spread is the median of some values, and their extremes.
func spread(values []float64, format string) string {
	v := slices.Sorted(slices.Values(values))
	return fmt.Sprintf(format+" ("+format+" to "+format+")", v[len(v)/2], v[0], v[len(v)-1])
}

// machineLoad is how many threads want to run on this machine, over a minute, where the system tells.
func machineLoad() string {
	text, _, _ := strings.Cut(readOr("/proc/loadavg", "-"), " ")
	return text
}

func readOr(file, other string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return other
	}
	return string(text)
}

func orDash(value *float64) string {
	if value == nil {
		return "-"
	}
	return fmt.Sprintf("%.1f", *value)
}
