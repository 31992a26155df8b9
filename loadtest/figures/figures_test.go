package figures

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/loadtest/stats"
)

// part is what one generator counted: so many calls of a second each window, which took so long.
func part(calls int64, took time.Duration, phase string) *Run {
	h := func() *stats.Histogram {
		h := &stats.Histogram{}
		for range calls {
			h.Record(took)
		}
		return h
	}
	counted := func() *Counted {
		c := NewCounted(0)
		c.Setup = h()
		return c
	}
	return &Run{
		Seconds: 2, Calls: calls, Completed: calls, Violations: 1, Errors: 2, ErrorTexts: map[string]int64{"x": 2}, LagMs: float64(calls),
		Outcomes: map[string]int64{"accepted": calls}, Scenarios: map[string]map[string]int64{"accept": {"accepted": calls}},
		Users: 10, Histograms: map[string]*stats.Histogram{Ringing: h()}, Targets: []string{"a"},
		Nodes:   []Node{{Target: "a", Calls: calls, Counted: counted()}},
		Windows: []Window{{T: 0, Seconds: 1, Completed: calls, InFlight: 1, Phase: phase, Counted: counted()}},
		Phases:  []Window{{Phase: phase, Seconds: 1, Completed: calls, Counted: counted()}},
		Slowest: []SlowCall{{Ms: float64(took.Milliseconds())}},
		Storm:   &Storm{Rate: 5, Cuts: []Cut{{Users: calls, Back: calls, Seconds: took.Seconds()}}},
		Held:    &Held{Invitations: calls, Rang: calls},
	}
}

func TestMerge(t *testing.T) {
	fast, slow := part(900, time.Millisecond, "both"), part(100, time.Second, "both")
	slow.Phases = append(slow.Phases, Window{Phase: "only one", Completed: 5, Seconds: 1, Counted: NewCounted(0)})
	slow.Windows = append(slow.Windows, Window{T: 1, Seconds: 0.5, Completed: 7, Counted: NewCounted(stats.Coarse)})
	var parts []*Run
	for _, p := range []*Run{fast, slow} { // over the wire
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		one := &Run{}
		if err := json.Unmarshal(text, one); err != nil {
			t.Fatal(err)
		}
		parts = append(parts, one)
	}
	sum := Merge(parts)
	if sum.Calls != 1000 || sum.Violations != 2 || sum.Errors != 4 || sum.ErrorTexts["x"] != 4 || sum.LagMs != 900 || sum.Users != 20 ||
		sum.Outcomes["accepted"] != 1000 || sum.Scenarios["accept"]["accepted"] != 1000 || sum.CallsPerS != 500 || sum.Workers != 2 {
		t.Errorf("%+v", sum)
	}
	// A tenth took a second: the mean of the parts' percentiles would say otherwise.
	if p := sum.Latency[Ringing]; p.Count != 1000 || p.P50 > 2 || p.P90 > 2 || p.P99 < 990 {
		t.Errorf("%+v", p)
	}
	if n := sum.Nodes[0]; len(sum.Nodes) != 1 || n.Calls != 1000 || n.Setup.P99 < 990 || n.Counted != nil {
		t.Errorf("%+v", sum.Nodes)
	}
	if w := sum.Windows; len(w) != 2 || w[0].Setup.Count != 1000 || w[0].CallsPerS != 1000 || w[0].InFlight != 2 || w[1].CallsPerS != 14 || w[0].Counted != nil {
		t.Errorf("%+v", w)
	}
	if p := sum.Phases; len(p) != 2 || p[0].Setup.Count != 1000 || p[1].Completed != 5 {
		t.Errorf("%+v", p)
	}
	if len(sum.Slowest) != 2 || sum.Slowest[0].Ms != 1000 || sum.Storm.Rate != 10 || sum.Storm.Cuts[0].Back != 1000 || sum.Storm.Cuts[0].Seconds != 1 || sum.Held.Rang != 1000 {
		t.Errorf("%+v, %+v, %+v", sum.Slowest, sum.Storm, sum.Held)
	}
}

func TestMergeBoundsTexts(t *testing.T) {
	many := &Run{ErrorTexts: map[string]int64{}}
	for i := range 3 * maxTexts {
		many.ErrorTexts[strings.Repeat("x", i+1)] = 1
	}
	sum := Merge([]*Run{many})
	if len(sum.ErrorTexts) > maxTexts+1 || sum.ErrorTexts["others"] != 2*maxTexts {
		t.Errorf("%d texts, %d others", len(sum.ErrorTexts), sum.ErrorTexts["others"])
	}
}

func TestFigures(t *testing.T) {
	r := part(100, 4*time.Millisecond, "")
	r.Failed = 5
	r.Close()
	for name, want := range map[string]string{
		"setup.p99": "4.00 ms", "setup.max": "4.00 ms", "failed-rate": "5.000 %", "violations": "1", "throughput": "0.0/s", "back": "0.00 s",
	} {
		f, err := Named(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if value := f.Of(r); value == nil || f.Show(*value) != want {
			t.Errorf("%s is %v, want %s", name, value, want)
		}
	}
	if f, err := Named("accept.p50"); err != nil || f.Of(r) != nil {
		t.Errorf("accept.p50 was measured: %v", err)
	}
	var unknown *NameError
	for _, name := range []string{"", "setup", "setup.p12", "nothing.p99"} {
		if _, err := Named(name); !errors.As(err, &unknown) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestOldResults reads a result from before there were versions and histograms.
func TestOldResults(t *testing.T) {
	file := filepath.Join(t.TempDir(), "old.json")
	text := `{"seconds": 1, "latency": {"send_to_ringing": {"count": 5, "p50_ms": 1, "p99_ms": 7}}, "windows": [{"setup_ms": {"count": 5, "p50": 1, "p99": 7, "max": 9}}]}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Read(file)
	if err != nil {
		t.Fatal(err)
	}
	if f, _ := Named("setup.p99"); *f.Of(r) != 7 || r.Windows[0].Setup.Max != 9 {
		t.Errorf("%+v", r)
	}
}

func TestOthersAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		`{"version": 99, "latency": {}}`: "version 99",
		`{}`:                             "no latencies",
		`[]`:                             "no result of loadtest",
		`{"latency": {}, "histograms": {"x": "!"}}`: "histogram",
	} {
		if _, err := Decode([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", text, err, want)
		}
	}
	if _, err := Read("no-such-file"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
