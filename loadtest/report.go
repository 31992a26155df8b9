package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"
)

// result is what a run came to. Its JSON names are stable.
type result struct {
	Started    time.Time                   `json:"started"`
	Seconds    float64                     `json:"seconds"`
	Seed       uint64                      `json:"seed"`
	Targets    []string                    `json:"targets"`
	SelfHosted bool                        `json:"self_hosted"` // node_… is of node and generator together
	Users      int                         `json:"users"`
	Calls      int64                       `json:"calls"`
	Completed  int64                       `json:"completed"`
	Abandoned  int64                       `json:"abandoned"` // not begun when the time was over
	CallsPerS  float64                     `json:"calls_per_s"`
	Outcomes   map[string]int64            `json:"outcomes"`
	Scenarios  map[string]map[string]int64 `json:"scenarios"`
	Violations int64                       `json:"violations"`
	Errors     int64                       `json:"errors"`
	ErrorTexts map[string]int64            `json:"error_texts"`
	Limited    int64                       `json:"limited"`    // sends that were told LIMIT_EXCEEDED and came again
	Repeats    int64                       `json:"repeats"`    // requests that were repeated for want of an answer
	Reconnects int64                       `json:"reconnects"` // connections lost
	Losses     map[string]int64            `json:"reconnect_causes"`
	Delayed    int64                       `json:"delayed"` // calls during which a side was without a connection
	Failed     int64                       `json:"failed"`
	FailedBy   map[string]int64            `json:"failed_causes"`
	Excused    int64                       `json:"excused"`
	ExcusedBy  map[string]int64            `json:"excused_causes"`
	AllowedBy  map[string]int64            `json:"allowed_causes"` // calls that ended as a fault of the nodes allows
	KeptBy     map[string]int64            `json:"kept_causes"`    // calls of which a client kept something from its application
	LagMs      float64                     `json:"generator_lag_ms"`
	Latency    map[string]percentiles      `json:"latency"`
	Nodes      []nodeResult                `json:"nodes"`
	Windows    []window                    `json:"windows"`
	Phases     []window                    `json:"phases,omitempty"`
	Slowest    []slowCall                  `json:"slowest,omitempty"`
	NodeCPU    *float64                    `json:"node_cpu_us_per_call,omitempty"` // completed
	NodeRSS    *float64                    `json:"node_rss_bytes,omitempty"`
	CPUPerCall *float64                    `json:"cpu_us_per_call,omitempty"` // accepted
	Chaos      *chaosResult                `json:"chaos,omitempty"`
	Bytes      *float64                    `json:"peer_bytes_per_call,omitempty"`
	Messages   *float64                    `json:"peer_messages_per_call,omitempty"`
}

// result returns the result of a run that took took.
func (r *run) result(took time.Duration) *result {
	r.mu.Lock()
	defer r.mu.Unlock()
	res := &result{
		Started: r.begin.UTC(), Seconds: took.Seconds(), Seed: r.options.seed, Targets: r.options.targets, SelfHosted: r.options.selfHost,
		Users: r.options.users,
		Calls: r.started.Load(), Completed: r.completed.Load(), Abandoned: r.abandoned.Load(),
		CallsPerS: float64(r.completed.Load()) / took.Seconds(), Outcomes: maps.Clone(r.outcomes), Scenarios: r.scenarios,
		Violations: r.violations, Errors: sum(r.errors), ErrorTexts: maps.Clone(r.errors), Limited: r.limited.Load(),
		Repeats: r.repeats.Load(), Reconnects: r.reconnects.Load(), Losses: maps.Clone(r.losses), Delayed: r.delayed,
		Failed: sum(r.failed), FailedBy: maps.Clone(r.failed), Excused: sum(r.excused), ExcusedBy: maps.Clone(r.excused), AllowedBy: maps.Clone(r.allowed),
		KeptBy: maps.Clone(r.kept),
		LagMs:  float64(r.lag.worst().Microseconds()) / 1000, Latency: map[string]percentiles{}, Slowest: r.slowest.report(),
	}
	for s := range r.steps {
		res.Latency[stepNames[s]] = r.steps[s].percentiles()
	}
	res.Windows, res.Phases = r.series.report()
	for _, n := range r.all {
		res.Nodes = append(res.Nodes, n.result())
	}
	res.share()
	return res
}

// print writes the result for people.
func (res *result) print(w io.Writer) {
	fmt.Fprintf(w, "\n%d calls, %d completed in %.1f s: %.0f calls/s (%d users, seed %d)\n",
		res.Calls, res.Completed, res.Seconds, res.CallsPerS, res.Users, res.Seed)
	fmt.Fprintf(w, "\n%-16s %s\n", "scenario", "outcomes")
	for _, name := range slices.Sorted(maps.Keys(res.Scenarios)) {
		fmt.Fprintf(w, "%-16s", name)
		for _, outcome := range slices.Sorted(maps.Keys(res.Scenarios[name])) {
			fmt.Fprintf(w, " %s %d", outcome, res.Scenarios[name][outcome])
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "\n%-28s %9s %9s %9s %9s %9s %9s\n", "latency, ms", "count", "p50", "p90", "p99", "p99.9", "max")
	for _, name := range stepNames {
		if p := res.Latency[name]; p.Count > 0 {
			fmt.Fprintf(w, "%-28s %9d %9.2f %9.2f %9.2f %9.2f %9.2f\n", name, p.Count, p.P50, p.P90, p.P99, p.P999, p.Max)
		}
	}
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
	fmt.Fprintf(w, "%d violations, %d failed calls, %d errors\n", res.Violations, res.Failed, res.Errors)
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
