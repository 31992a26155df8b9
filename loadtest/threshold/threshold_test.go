package threshold

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/ringfleet/ringfleet/loadtest/figures"
	"github.com/ringfleet/ringfleet/loadtest/stats"
)

// result makes a run whose set-ups all took so long.
func result(setup time.Duration, throughput float64) *figures.Run {
	r := &figures.Run{Calls: 1000, CallsPerS: throughput, Histograms: map[string]*stats.Histogram{}}
	for _, step := range []string{figures.Ringing, figures.CallerAccepted, figures.CalleeAccepted} {
		h := &stats.Histogram{}
		for range 100 {
			h.Record(setup)
		}
		r.Histograms[step] = h
	}
	cpu, rss := 200.0, float64(100<<20)
	r.CPUPerCall, r.NodeRSS = &cpu, &rss
	r.Close()
	return r
}

func TestRules(t *testing.T) {
	r := result(4*time.Millisecond, 500)
	r.Failed = 2
	for text, fails := range map[string]bool{
		"setup.p99 > 5ms":      false,
		"setup.p99>3.9ms":      true,
		"setup.p99 > 3900us":   true,
		"setup.p99 > 3900 µs":  true,
		"setup.p50 >= 0.004s":  true,
		"accept.max > 1s":      false,
		"throughput < 450/s":   false,
		"throughput <= 500/s":  true,
		"failed > 2":           false,
		"failed >= 2":          true,
		"failed-rate > 0.1%":   true,
		"failed-rate > 0.3%":   false,
		"node-cpu > 240us":     false,
		"node-cpu > 0.1ms":     true,
		"node-rss > 99MiB":     true,
		"node-rss > 0.2GiB":    false,
		"cancel-caller.p50>1s": true, // not measured
	} {
		rule, err := Parse(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if c := rule.Check(r); c.Fails != fails || c.Rule != text {
			t.Errorf("%q: %+v, want %v", text, c, fails)
		}
	}
}

func TestWhatWasNotMeasuredFails(t *testing.T) {
	rule, err := Parse("cancel.p99 > 1s")
	if err != nil {
		t.Fatal(err)
	}
	if c := rule.Check(result(time.Millisecond, 1)); !c.Fails || c.Value != nil || c.Shown != "not measured" {
		t.Errorf("%+v", c)
	}
}

func TestWrongRules(t *testing.T) {
	for text, want := range map[string]string{
		"":                      "none of",
		"setup.p99":             "none of",
		"setup.p99 = 5ms":       "none of",
		"setup.p99 >":           "no value",
		"setup.p99 > fast":      "no number",
		"setup.p99 > 5":         `the unit ""`,
		"setup.p99 > 5MiB":      `the unit "MiB"`,
		"throughput < 450":      `the unit ""`,
		"failed > 1%":           `the unit "%"`,
		"setup.p99 > +5ms":      "in percent",
		"setup.p99 > Inf ms":    "no number",
		"setup.p99 > 1e999 ms":  "no number",
		"setup.p98 > 5ms":       "there is no figure",
		"set-up.p99 > 5ms":      "setup",
		"violation > 0":         "violations",
		"setup.p99 > 5ms > 6ms": "no number",
	} {
		_, err := Parse(text)
		var syntax *SyntaxError
		var name *figures.NameError
		if !errors.As(err, &syntax) && !errors.As(err, &name) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q in it", text, err, want)
		}
	}
}

func compare(t *testing.T, from, to *figures.Run, rules ...string) (*Comparison, string) {
	t.Helper()
	var parsed []Rule
	for _, text := range rules {
		r, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, r)
	}
	c := Compare(from, to, parsed, 0.2)
	var out bytes.Buffer
	c.Print(&out)
	return c, out.String()
}

func TestCompare(t *testing.T) {
	before := result(10*time.Millisecond, 500)
	for _, test := range []struct {
		name  string
		to    *figures.Run
		rules []string
		fails bool
		says  string
	}{
		{"the same", result(10*time.Millisecond, 500), nil, false, "not worse"},
		{"within the tolerance", result(11*time.Millisecond, 450), nil, false, "+10"},
		{"slower", result(13*time.Millisecond, 500), nil, true, "WORSE"},
		{"less", result(10*time.Millisecond, 390), nil, true, "-22.0 %  WORSE"},
		{"better", result(time.Millisecond, 900), nil, false, "-90"},
		{"slower, as a rule allows", result(13*time.Millisecond, 500), []string{"setup.p99 > +50%"}, false, "threshold holds"},
		{"slower, as a rule does not", result(13*time.Millisecond, 500), []string{"setup.p99 > +25%"}, true, "threshold FAILED"},
		{"by an absolute rule", result(13*time.Millisecond, 500), []string{"setup.p99 > 12ms"}, true, "threshold FAILED"},
		{"what was not measured", result(10*time.Millisecond, 500), []string{"cancel.p99 > +5%"}, true, "not measured"},
	} {
		if c, text := compare(t, before, test.to, test.rules...); c.Fails != test.fails || !strings.Contains(text, test.says) {
			t.Errorf("%s: fails %v\n%s", test.name, c.Fails, text)
		}
	}
	broken := result(10*time.Millisecond, 500)
	broken.Violations = 1
	if c, _ := compare(t, before, broken, "setup.p99 > +500%"); !c.Fails {
		t.Error("a violation does not fail the comparison")
	}
}

// TestSmallLatenciesMayMove has a change of less than a millisecond, which is no news.
func TestSmallLatenciesMayMove(t *testing.T) {
	if c, text := compare(t, result(100*time.Microsecond, 500), result(300*time.Microsecond, 500)); c.Fails {
		t.Error(text)
	}
}

func TestNotes(t *testing.T) {
	a, b := result(time.Millisecond, 1), result(time.Millisecond, 1)
	a.Users, b.Users, b.Loop = 10, 20, "open"
	b.Latency[figures.Sent] = stats.Percentiles{Count: 1, P99: 7}
	_, text := compare(t, a, b)
	for _, want := range []string{"users: 10 and 20", "loop", "second run made one call in a hundred 7.0 ms late"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

func TestChange(t *testing.T) {
	for _, test := range []struct {
		from, to, change float64
		shown            string
	}{{100, 120, 0.2, "+20.0 %"}, {0, 0, 0, "="}, {0, 5, math.Inf(1), "new"}, {4, 4, 0, "="}, {10, 5, -0.5, "-50.0 %"}} {
		if got := Change(test.from, test.to); math.Abs(got-test.change) > 1e-9 || Percent(got) != test.shown {
			t.Errorf("from %v to %v: %v, %s", test.from, test.to, got, Percent(got))
		}
	}
}
