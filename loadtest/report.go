package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/ringfleet/ringfleet/loadtest/figures"
	"github.com/ringfleet/ringfleet/loadtest/stats"
	"github.com/ringfleet/ringfleet/loadtest/threshold"
)

// result is what a run came to, with all that is known of its faults.
type result struct {
	figures.Run
	Chaos *chaosResult `json:"chaos,omitempty"`
}

// figures returns what the run has counted, when it took took. Nothing is counted afterwards.
func (r *run) figures(took time.Duration) *figures.Run {
	windows, phases := r.series.report()
	r.mu.Lock()
	defer r.mu.Unlock()
	f := &figures.Run{
		Version: figures.Version, Started: r.begin.UTC(), Seconds: took.Seconds(), Users: r.options.users,
		Calls: r.started.Load(), Completed: r.completed.Load(), Abandoned: r.abandoned.Load(),
		CallsPerS: float64(r.completed.Load()) / took.Seconds(), Outcomes: maps.Clone(r.outcomes), Scenarios: r.scenarios,
		Violations: r.violations, Errors: sum(r.errors), ErrorTexts: maps.Clone(r.errors), Codes: maps.Clone(r.codes),
		Limited: r.limited.Load(), Repeats: r.repeats.Load(), Reconnects: r.reconnects.Load(), Losses: maps.Clone(r.losses),
		Delayed: r.delayed, Failed: sum(r.failed), FailedBy: maps.Clone(r.failed), Excused: sum(r.excused), ExcusedBy: maps.Clone(r.excused),
		AllowedBy: maps.Clone(r.allowed), KeptBy: maps.Clone(r.kept), LagMs: stats.Ms(r.lag.worst()), Windows: windows, Phases: phases,
		Latency: map[string]stats.Percentiles{}, Histograms: r.steps, Slowest: r.slowest.report(), Storm: r.storm, Held: r.held,
	}
	r.options.describe(f)
	for step, h := range r.steps {
		f.Latency[step] = h.Percentiles()
	}
	for _, n := range r.nodes {
		f.Nodes = append(f.Nodes, n.counted(r.series.parts))
	}
	return f
}

// describe tells what was asked for.
func (o *options) describe(f *figures.Run) {
	f.Build, f.Command, f.About = build(), o.shown(), o.about
	f.Mode, f.Loop, f.Seed, f.Targets, f.SelfHosted = o.mode(), "closed", o.seed, o.targets, o.selfHost
	if o.open() {
		f.Loop, f.Arrivals = "open", o.process.String()
		f.Stages = nil
		for _, s := range o.plan().Stages {
			f.Stages = append(f.Stages, figures.Stage{From: s.From, To: s.To, Seconds: s.Lasts.Seconds()})
		}
	}
}

// finish adds what the nodes used and what the thresholds say, and passes the verdict.
func (res *result) finish(nodes meters, o *options) {
	for i, n := range nodes {
		if i == len(res.Nodes) {
			res.Nodes = append(res.Nodes, figures.Node{Target: n.target})
		}
		if n.meter != nil {
			n.meter.Report(&res.Nodes[i])
		}
	}
	res.share()
	res.Verdict = figures.Pass
	for _, rule := range o.rules {
		check := rule.Check(&res.Run)
		res.Checks = append(res.Checks, check)
		if check.Fails {
			res.Verdict = figures.Fail
		}
	}
	if res.Violations+res.Failed+res.Errors > 0 {
		res.Verdict = figures.Fail
	}
}

// print writes the result for people.
func (res *result) print(w io.Writer) {
	fmt.Fprintf(w, "\n%d calls, %d completed in %.1f s: %.0f calls/s (%d users, seed %d)\n",
		res.Calls, res.Completed, res.Seconds, res.CallsPerS, res.Users, res.Seed)
	if len(res.Scenarios) > 0 {
		fmt.Fprintf(w, "\n%-16s %s\n", "scenario", "outcomes")
	}
	for _, name := range slices.Sorted(maps.Keys(res.Scenarios)) {
		fmt.Fprintf(w, "%-16s", name)
		for _, outcome := range slices.Sorted(maps.Keys(res.Scenarios[name])) {
			fmt.Fprintf(w, " %s %d", outcome, res.Scenarios[name][outcome])
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "\n%-28s %9s %9s %9s %9s %9s %9s\n", "latency, ms", "count", "p50", "p90", "p99", "p99.9", "max")
	for _, name := range figures.Steps {
		if p := res.Latency[name]; p.Count > 0 {
			fmt.Fprintf(w, "%-28s %9d %9.2f %9.2f %9.2f %9.2f %9.2f\n", name, p.Count, p.P50, p.P90, p.P99, p.P999, p.Max)
		}
	}
	res.printModes(w)
	res.printNodes(w)
	res.printPhases(w)
	printSlowest(w, res.Slowest)
	if res.Chaos != nil {
		res.Chaos.print(w)
	}
	fmt.Fprintf(w, "\n%d sends limited, %d requests repeated, %d connections lost, %d calls with a side away, the generator lagged %.1f ms at most\n",
		res.Limited, res.Repeats, res.Reconnects, res.Delayed, res.LagMs)
	printCounts(w, "connections lost", res.Losses)
	printCounts(w, "excused", res.ExcusedBy)
	printCounts(w, "allowed", res.AllowedBy)
	printCounts(w, "kept from the application", res.KeptBy)
	printCounts(w, "failed", res.FailedBy)
	printCounts(w, "error", res.ErrorTexts)
	if res.Chaos != nil {
		res.Chaos.printSummary(w, res)
	}
	threshold.PrintChecks(w, res.Checks)
	fmt.Fprintf(w, "%d violations, %d failed calls, %d errors\n", res.Violations, res.Failed, res.Errors)
}

// printModes writes what a storm, or invitations that were held, came to.
func (res *result) printModes(w io.Writer) {
	if s := res.Storm; s != nil {
		fmt.Fprintf(w, "\nconnected %d users in %.2f s: %.0f/s\n", res.Users, s.Seconds, float64(res.Users)/max(s.Seconds, 1e-3))
		for i, c := range s.Cuts {
			fmt.Fprintf(w, "cut %d, at %.1f s: %d connections, %d users back within %.2f s\n", i+1, c.T, c.Users, c.Back, c.Seconds)
		}
	}
	if h := res.Held; h != nil {
		fmt.Fprintf(w, "\nheld %d invitations, %d rang at once after %.1f s, for %.1f s; %d were answered then\n", h.Invitations, h.Rang, h.UntilS,
			h.Seconds, h.Answered)
	}
}

func printCounts(w io.Writer, what string, counts map[string]int64) {
	for _, text := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(w, "%s, %d times: %s\n", what, counts[text], text)
	}
}

// write writes the result as JSON to a file.
func (res *result) write(path string) error {
	text, err := json.MarshalIndent(res, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the result: %w", err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}
