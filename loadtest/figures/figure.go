package figures

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ringfleet/ringfleet/loadtest/stats"
)

// Unit is what a figure is measured in.
type Unit uint8

// The units.
const (
	Number  Unit = iota
	Millis       // of time
	Micros       // of time
	Bytes        // of memory
	PerS         // a second
	Share        // 0 to 1
	Seconds      // of time
)

// kind is how a figure is got, and what it is in.
type kind struct {
	about  string
	unit   Unit
	better int // 1: more is better, -1: less
	value  func(*Run) *float64
}

// shortNames are those of steps in figures.
var shortNames = map[string]string{
	"connect": Connect, "reconnect": Reconnect, "generator": Sent, "taken": Taken, "setup": Ringing, "setup-said": Service,
	"accept-caller": CallerAccepted, "accept-callee": CalleeAccepted, "refuse-caller": CallerRefused, "refuse-callee": CalleeRefused,
	"cancel-caller": CallerCanceled, "cancel-callee": CalleeCanceled, "expiry": Late,
}

// both are steps that two sides make together.
var both = map[string][2]string{
	"accept": {CallerAccepted, CalleeAccepted}, "refuse": {CallerRefused, CalleeRefused}, "cancel": {CallerCanceled, CalleeCanceled},
}

// percentiles are what there is of a step.
var percentiles = map[string]func(stats.Percentiles) float64{
	"p50":   func(p stats.Percentiles) float64 { return p.P50 },
	"p90":   func(p stats.Percentiles) float64 { return p.P90 },
	"p99":   func(p stats.Percentiles) float64 { return p.P99 },
	"p99.9": func(p stats.Percentiles) float64 { return p.P999 },
	"max":   func(p stats.Percentiles) float64 { return p.Max },
}

func count(of func(*Run) int64) func(*Run) *float64 {
	return func(r *Run) *float64 {
		n := float64(of(r))
		return &n
	}
}

func share(of func(*Run) int64) func(*Run) *float64 {
	return func(r *Run) *float64 {
		if r.Calls == 0 {
			return nil
		}
		n := float64(of(r)) / float64(r.Calls)
		return &n
	}
}

func failed(r *Run) int64 { return r.Failed }

// kinds are the figures that are no latencies.
var kinds = map[string]kind{
	"calls":       {"calls that were begun", Number, 1, count(func(r *Run) int64 { return r.Calls })},
	"completed":   {"calls that ended on both sides", Number, 1, count(func(r *Run) int64 { return r.Completed })},
	"throughput":  {"completed calls a second", PerS, 1, func(r *Run) *float64 { return &r.CallsPerS }},
	"violations":  {"calls that broke a promise", Number, -1, count(func(r *Run) int64 { return r.Violations })},
	"failed":      {"failed calls", Number, -1, count(failed)},
	"failed-rate": {"their share of the calls", Share, -1, share(failed)},
	"errors":      {"errors", Number, -1, count(func(r *Run) int64 { return r.Errors })},
	"excused":     {"calls that an absence excuses", Number, -1, count(func(r *Run) int64 { return r.Excused })},
	"reconnects":  {"connections that were lost", Number, -1, count(func(r *Run) int64 { return r.Reconnects })},
	"limited":     {"sends that were told LIMIT_EXCEEDED", Number, -1, count(func(r *Run) int64 { return r.Limited })},
	"repeats":     {"requests that were repeated", Number, -1, count(func(r *Run) int64 { return r.Repeats })},
	"lag":         {"by how much the generator itself was late", Millis, -1, func(r *Run) *float64 { return &r.LagMs }},
	"node-cpu":    {"the nodes' CPU time per accepted call", Micros, -1, func(r *Run) *float64 { return r.CPUPerCall }},
	"node-rss":    {"the nodes' memory at the end", Bytes, -1, func(r *Run) *float64 { return r.NodeRSS }},
	"node-rss-most": {"the most memory of one node at any time", Bytes, -1, func(r *Run) *float64 {
		var most *float64
		for i := range r.Nodes {
			if of := r.Nodes[i].RSSMost; of != nil && (most == nil || *of > *most) {
				most = of
			}
		}
		return most
	}},
	"peer-bytes": {"bytes between nodes per accepted call", Bytes, -1, func(r *Run) *float64 { return r.Bytes }},
	"back": {"until all were back after a cut, at worst", Seconds, -1, func(r *Run) *float64 {
		if r.Storm == nil || len(r.Storm.Cuts) == 0 {
			return nil
		}
		worst := 0.0
		for _, c := range r.Storm.Cuts {
			worst = max(worst, c.Seconds)
		}
		return &worst
	}},
}

// Figure is one figure of a result.
type Figure struct {
	Name   string
	Unit   Unit
	Better int // 1: more is better, -1: less is

	value func(*Run) *float64
}

// Of returns the figure of a result, nil if it was not measured there.
func (f Figure) Of(r *Run) *float64 { return f.value(r) }

// NameError is a name that no figure has.
type NameError struct{ Name string }

// Error implements error.
func (e *NameError) Error() string {
	return fmt.Sprintf("there is no figure %q: want STEP.P of a step (%s) and P of p50, p90, p99, p99.9, max; or one of %s", e.Name,
		strings.Join(StepNames(), ", "), strings.Join(slices.Sorted(maps.Keys(kinds)), ", "))
}

// StepNames returns the names that steps have in figures.
func StepNames() []string {
	return slices.Sorted(func(yield func(string) bool) {
		for name := range shortNames {
			if !yield(name) {
				return
			}
		}
		for name := range both {
			if !yield(name) {
				return
			}
		}
	})
}

// Named returns the figure with a name, as setup.p99 or throughput. The error is a [*NameError].
func Named(name string) (Figure, error) {
	if k, ok := kinds[name]; ok {
		return Figure{Name: name, Unit: k.unit, Better: k.better, value: k.value}, nil
	}
	step, p, _ := strings.Cut(name, ".")
	at, known := percentiles[p]
	one, single := shortNames[step]
	two, pair := both[step]
	switch {
	case known && single:
		return Figure{Name: name, Unit: Millis, Better: -1, value: func(r *Run) *float64 { return r.percentile(at, one) }}, nil
	case known && pair:
		return Figure{Name: name, Unit: Millis, Better: -1, value: func(r *Run) *float64 { return r.percentile(at, two[:]...) }}, nil
	default:
		return Figure{}, &NameError{name}
	}
}

// percentile returns that of steps together, nil if none was taken.
func (r *Run) percentile(at func(stats.Percentiles) float64, steps ...string) *float64 {
	var h stats.Histogram
	for _, step := range steps {
		if one := r.Histograms[step]; one != nil {
			h.Merge(one)
		}
	}
	p := h.Percentiles()
	if p.Count == 0 && len(steps) == 1 { // a result without histograms
		p = r.Latency[steps[0]]
	}
	if p.Count == 0 {
		return nil
	}
	value := at(p)
	return &value
}

// Show writes a value of the figure for people.
func (f Figure) Show(value float64) string {
	switch f.Unit {
	case Millis:
		return fmt.Sprintf("%.2f ms", value)
	case Micros:
		return fmt.Sprintf("%.0f µs", value)
	case Bytes:
		if value < 1<<20 {
			return fmt.Sprintf("%.1f KiB", value/(1<<10))
		}
		return fmt.Sprintf("%.1f MiB", value/(1<<20))
	case PerS:
		return fmt.Sprintf("%.1f/s", value)
	case Share:
		return fmt.Sprintf("%.3f %%", 100*value)
	case Seconds:
		return fmt.Sprintf("%.2f s", value)
	case Number:
	}
	return fmt.Sprintf("%.0f", value)
}
