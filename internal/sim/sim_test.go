package sim

import (
	"flag"
	"testing"
	"time"
)

var (
	seedFlag  = flag.Uint64("sim.seed", 0, "repeat the run of this seed (TestSeed)")
	seedsFlag = flag.Int("sim.seeds", 0, "how many random seeds TestRandom runs")
	callsFlag = flag.Int("sim.calls", 1_000, "how many calls each run makes")
)

func run(t *testing.T, p Params) Result {
	t.Helper()
	start := time.Now()
	r := Run(p, Hooks{})
	took := time.Since(start)
	t.Logf("%v\n%d faults, %d calls, %d events, %v simulated in %v: %.0f calls/s; caller told: %v",
		p, r.Faults, r.Calls, r.Events, r.Time.Round(time.Second), took.Round(time.Millisecond), float64(r.Calls)/took.Seconds(), r.Ends)
	if r.Failure != nil {
		t.Fatal(r.Failure)
	}
	return r
}

// TestSeed repeats a run.
func TestSeed(t *testing.T) {
	if *seedFlag == 0 {
		t.Skip("-sim.seed is not set")
	}
	run(t, Draw(*seedFlag, *callsFlag))
}

// TestCalm is a world in which nothing goes wrong.
func TestCalm(t *testing.T) {
	run(t, Calm(1, 5**callsFlag))
}

// TestFixed runs the same few worlds every time.
func TestFixed(t *testing.T) {
	for seed := uint64(1); seed <= 16; seed++ {
		run(t, Draw(seed, *callsFlag))
	}
}

// TestRandom runs worlds that nobody has run before: for make sim, as what it finds is news, and not of a change.
func TestRandom(t *testing.T) {
	if *seedsFlag == 0 {
		t.Skip("-sim.seeds is not set")
	}
	seed := uint64(time.Now().UnixNano())
	for i := range *seedsFlag {
		run(t, Draw(seed+uint64(i), *callsFlag))
	}
}
