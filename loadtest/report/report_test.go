package report

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/loadtest/figures"
	"github.com/ringfleet/ringfleet/loadtest/stats"
)

var rewrite = flag.Bool("rewrite", false, "write the golden file again")

// sampleRun makes a result of twenty seconds on two nodes, with a fault, a threshold and a gap.
func sampleRun() *figures.Run {
	cpu := 210.0
	run := &figures.Run{
		Version: figures.Version, Mode: "chaos", Loop: "open", Arrivals: "poisson", Stages: []figures.Stage{{From: 10, To: 100}},
		Started: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Seconds: 20, Seed: 7, Targets: []string{"ws://a:1", "ws://b:2"}, Users: 40,
		Calls: 1200, Completed: 1199, CallsPerS: 60, Violations: 1, Failed: 2, FailedBy: map[string]int64{"accept: <no end>": 2},
		Outcomes: map[string]int64{"accepted": 1000, "refused": 199}, CPUPerCall: &cpu, Verdict: figures.Fail,
		Scenarios: map[string]map[string]int64{"accept": {"accepted": 1000}, "refuse": {"refused": 199}},
		Checks:    []figures.Check{{Rule: "setup.p99 > 5ms", Shown: "9.00 ms", Fails: true}},
		Chaos:     &figures.Chaos{Faults: []figures.Fault{{T: 5, Kind: "kill", Node: "node-1", What: "kill node-1", Seconds: 2, Settled: 1}}},
		Command:   []string{"--chaos", "--about", "<script>alert(1)</script>"},
		Latency:   map[string]stats.Percentiles{}, Histograms: map[string]*stats.Histogram{},
	}
	h := &stats.Histogram{}
	for i := range 1199 {
		h.Record(time.Duration(i+100) * 10 * time.Microsecond)
	}
	run.Histograms[figures.Ringing], run.Latency[figures.Ringing] = h, h.Percentiles()
	for i := range 20 {
		w := figures.Window{T: float64(i), Seconds: 1, Begun: 60, Completed: int64(50 + i), InFlight: 3, Online: 40}
		if i != 8 {
			w.Setup = stats.Quick{Count: 60, P50: 1, P90: 2, P99: float64(3 + i%4), Max: 20}
		}
		run.Windows = append(run.Windows, w)
	}
	for n, name := range []string{"ws://a:1", "ws://b:2"} {
		node := figures.Node{Target: name}
		for i := range 20 {
			node.Samples = append(node.Samples, figures.Sample{T: float64(i) + 0.2*float64(n), CPU: 0.5, RSS: float64(100+i) * (1 << 20), Goroutines: 30})
		}
		run.Nodes = append(run.Nodes, node)
	}
	return run
}

func rendered(t *testing.T, run *figures.Run) string {
	t.Helper()
	var b bytes.Buffer
	if err := Render(&b, run); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestGolden compares the page, without its style and script, with one that was looked at. After a change, run it with
// -rewrite and look at it again: go test ./loadtest/report -rewrite.
func TestGolden(t *testing.T) {
	file := filepath.Join("testdata", "page.golden.html")
	got := rendered(t, sampleRun())
	got = strings.Replace(strings.Replace(got, style, "", 1), script, "", 1)
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		at := 0
		for at < min(len(got), len(want)) && got[at] == want[at] {
			at++
		}
		t.Errorf("the page is another from byte %d on: %.200q, want %.200q", at, got[max(at-50, 0):], want[max(at-50, 0):])
	}
}

// TestPageIsSelfContained has nothing loaded, and nothing of the result taken for HTML.
func TestPageIsSelfContained(t *testing.T) {
	p := rendered(t, sampleRun())
	for _, bad := range []string{"http://", "https://", "src=", "<link", "@import", "url(", "<script>alert", "<no end>"} {
		if strings.Contains(p, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	for _, want := range []string{
		"✗", "1 call broke a promise", "2 calls failed", "setup.p99 &gt; 5ms: it is 9.00 ms", "kill node-1", "prefers-color-scheme: dark", "a:1", "b:2",
		"default-src 'none'",
	} {
		if !strings.Contains(p, want) {
			t.Errorf("the page has no %q", want)
		}
	}
}

// TestNothingIsDrawnOutside wants every coordinate to be in its picture, whatever the result has.
func TestNothingIsDrawnOutside(t *testing.T) {
	empty := &figures.Run{Latency: map[string]stats.Percentiles{}}
	long := sampleRun()
	for i := range 5_000 {
		long.Windows = append(long.Windows, figures.Window{T: float64(20 + i), Seconds: 1, Begun: 1, Setup: stats.Quick{Count: 1, P50: 0.001, Max: 600_000}})
	}
	long.Seconds = 5_020
	for name, run := range map[string]*figures.Run{"sample": sampleRun(), "empty": empty, "long": long} {
		p := rendered(t, run)
		if strings.Contains(p, "NaN") || strings.Contains(p, "Inf") {
			t.Errorf("%s: a number is none", name)
		}
		for _, m := range regexp.MustCompile(`[ML]([\d.-]+) ([\d.-]+)`).FindAllStringSubmatch(p, -1) {
			var x, y float64
			if _, err := fmt.Sscan(m[1], &x); err != nil {
				t.Fatal(err)
			}
			if _, err := fmt.Sscan(m[2], &y); err != nil {
				t.Fatal(err)
			}
			if x < left-1 || x > wide || y < 0 || y > heightWide {
				t.Fatalf("%s: a line goes to %v, %v", name, x, y)
			}
		}
		if n := strings.Count(p, "L"); name == "long" && n > 60_000 {
			t.Errorf("the lines have %d points", n)
		}
	}
}

// TestPeakIsKept puts one slow second among many, which sharing points must not hide.
func TestPeakIsKept(t *testing.T) {
	run := sampleRun()
	run.Seconds = 10_000
	run.Windows = nil
	for i := range 10_000 {
		w := figures.Window{T: float64(i), Seconds: 1, Begun: 1, Setup: stats.Quick{Count: 1, P99: 1, Max: 1}}
		if i == 5_432 {
			w.Setup.Max = 777
		}
		run.Windows = append(run.Windows, w)
	}
	ch := newCourse(run).latency("x", "setup", func(w figures.Window) stats.Quick { return w.Setup })
	if _, most := ch.extremes(); most != 777 || len(ch.xs) > maxPoints {
		t.Errorf("the longest is %v, of %d points", most, len(ch.xs))
	}
}

func TestScales(t *testing.T) {
	for _, most := range []float64{0, 0.003, 1, 7, 99, 101, 12_345} {
		s := linear(most)
		if s.to < most || len(s.ticks) < 3 || len(s.ticks) > 7 {
			t.Errorf("linear(%v) is %+v", most, s)
		}
	}
	for _, c := range [][2]float64{{0.1, 0.1}, {0.03, 4}, {1, 600_000}, {0, 0}, {5, 5.1}} {
		s := logarithmic(c[0], c[1])
		if s.from > max(c[0], 0.1) && c[0] > 0 || s.to < c[1] || len(s.ticks) < 2 || len(s.ticks) > 10 || math.IsNaN(s.place(c[1])) {
			t.Errorf("logarithmic(%v) is %+v", c, s)
		}
	}
	for seconds, want := range map[float64]string{3: "3 s", 75: "1:15", 3_700: "1:01:40"} {
		if got := clock(seconds); got != want {
			t.Errorf("clock(%v) is %s, want %s", seconds, got, want)
		}
	}
}
