package sim

import (
	"flag"
	"testing"
	"time"
)

var (
	seedFlag  = flag.Uint64("sim.seed", 0, "repeat the run of this seed (TestSeed)")
	seedsFlag = flag.Uint64("sim.seeds", 0, "how many runs TestMany makes")
	fromFlag  = flag.Uint64("sim.from", 0, "the first seed of TestMany; 0: one that nobody has run before")
	callsFlag = flag.Int("sim.calls", 1_000, "how many calls each run makes")
)

func run(t *testing.T, p Params) Result {
	t.Helper()
	start := time.Now()
	r := Run(p, Hooks{})
	took := time.Since(start)
	t.Logf("%v\n%d faults of nodes, %d calls, %d events, %v simulated in %v: %.0f calls/s; caller told: %v", p, r.Faults.Nodes(),
		r.Calls, r.Events, r.Time.Round(time.Second), took.Round(time.Millisecond), float64(r.Calls)/took.Seconds(), r.Ends)
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
	for _, seed := range []uint64{
		272,   // a report of presence and the last word after it are lost
		600,   // a device that comes back says its last word, which is lost with what says that it is back
		1022,  // an arbiter that recovers does not hear that the caller's device is there
		181,   // a device has accepted, its session is lost, and another device logs in
		479,   // an accept comes twice, and the second answer tells of the end
		346,   // the answer to a send is lost, its invitation ends, and so does what knew that
		444,   // a node that stood still hears that a device has accepted, and not that this was confirmed
		397,   // an arbiter awaits the word of a device whose login is over, about what is over for its session
		905,   // an arbiter's actor panics when it has learned that its invitation was accepted
		1175,  // a session forgets an accept that it has answered, and the answer was lost
		30263, // a session hears of an accept with its first view; that its device is here is lost, and its word
		40765, // a device is back just before its new session is offered an invitation, and that it was shown it is lost
		950,   // a device is away for longer than the grace, and the arbiter that needs its word is lost
		20353, // a device is back for a moment while the arbiter that awaits its word stands still
	} {
		run(t, Draw(seed, *callsFlag))
	}
}

// TestMany runs many worlds, and says what has happened in all of them together (make sim, make sim-million).
func TestMany(t *testing.T) {
	if *seedsFlag == 0 {
		t.Skip("-sim.seeds is not set")
	}
	from := *fromFlag
	if from == 0 {
		from = uint64(time.Now().UnixNano()) >> 10
	}
	start, simulated := time.Now(), time.Duration(0)
	var calls, events, unjudged, violations int
	faults, excused, ends := Tally{}, Tally{}, Tally{}
	for seed := from; seed < from+*seedsFlag; seed++ {
		r := Run(Draw(seed, *callsFlag), Hooks{})
		if r.Failure != nil {
			violations++
			t.Errorf("VIOLATION: %v", r.Failure)
		}
		calls, events, unjudged, simulated = calls+r.Calls, events+r.Events, unjudged+r.Unjudged, simulated+r.Time
		faults.Add(r.Faults)
		excused.Add(r.Excused)
		ends.Add(r.Ends)
		if done := seed - from + 1; done%100 == 0 {
			t.Logf("%d runs, %d calls, %d faults of nodes, %d violations, %v", done, calls, faults.Nodes(), violations, time.Since(start).Round(time.Second))
		}
	}
	t.Logf("seeds %d to %d: %d calls in %d runs, %v simulated in %v, %d events\n\nfaults of nodes: %d; all faults by kind:\n%v\n"+
		"callers were told:\n%v\ncalls with something that is not promised: %d (%.4f %%), by cause:\n%v\nviolations of P1 to P7: %d",
		from, from+*seedsFlag-1, calls, *seedsFlag, simulated.Round(time.Second), time.Since(start).Round(time.Second), events,
		faults.Nodes(), faults.Of(0), ends.Of(calls), unjudged, 100*float64(unjudged)/float64(max(calls, 1)), excused.Of(calls), violations)
}
