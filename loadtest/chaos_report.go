package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// chaosResult is what a run with --chaos came to. Its JSON names are stable.
type chaosResult struct {
	Seed     uint64        `json:"seed"`
	Nodes    int           `json:"nodes"`
	Repeat   string        `json:"repeat"`        // the command that repeats the schedule
	NormalMs float64       `json:"normal_p99_ms"` // of the set-up: that of the worst second before the first fault
	Faults   []faultResult `json:"faults"`
	After    []afterwards  `json:"afterwards"`
	Left     int           `json:"nodes_with_leftovers"`
	Hold     *holdResult   `json:"hold,omitempty"`
}

// faultResult is a fault on the time line of the run. Its JSON names are stable.
type faultResult struct {
	T         float64  `json:"t"` // seconds from the begin of the run
	Kind      string   `json:"kind"`
	Node      string   `json:"node"` // "": all
	What      string   `json:"what"`
	Seconds   float64  `json:"seconds"`               // until it was ended, with the start of the node
	Settled   float64  `json:"settled_s"`             // from then on, until all nodes saw each other again, with all their shards
	Recovered *float64 `json:"recovered_s,omitempty"` // from its begin until set-ups were as before; left out: not before the next fault
	Again     *float64 `json:"recovered_after_end_s,omitempty"`
}

// result returns what came of the faults.
func (c *chaosRun) result(begin time.Time) *chaosResult {
	all := c.log.All()
	normal := c.setups.normal(begin, all)
	res := &chaosResult{
		Seed: c.options.seed, Nodes: c.options.nodes, Repeat: c.repeat(), NormalMs: float64(normal.Microseconds()) / 1000, Faults: []faultResult{},
	}
	for i := range all {
		f := &all[i]
		one := faultResult{
			T: f.Began.Sub(begin).Seconds(), Kind: f.Kind.String(), Node: f.Node, What: f.String(), Seconds: span(f.Began, f.Ended),
			Settled: span(f.Ended, f.Settled),
		}
		until := time.Now()
		if i+1 < len(all) {
			until = all[i+1].Began
		}
		one.Recovered = seconds(c.setups.recovery(f.Began, until, normal))
		if !f.Ended.IsZero() {
			one.Again = seconds(c.setups.recovery(f.Ended, until, normal))
		}
		res.Faults = append(res.Faults, one)
	}
	return res
}

// span returns the seconds between two times, 0 if one of them never was.
func span(from, to time.Time) float64 {
	if from.IsZero() || to.IsZero() {
		return 0
	}
	return to.Sub(from).Seconds()
}

func seconds(d time.Duration, known bool) *float64 {
	if !known {
		return nil
	}
	s := d.Seconds()
	return &s
}

// print writes the faults for people.
func (res *chaosResult) print(w io.Writer) {
	fmt.Fprintf(w, "\n%-48s %8s %9s %9s %11s %11s   (p99 of a second's set-ups was up to %.1f ms before)\n", "fault", "at, s", "lasted, s", "settled",
		"recovered", "since end", res.NormalMs)
	for i := range res.Faults {
		f := &res.Faults[i]
		fmt.Fprintf(w, "%-48s %8.1f %9.1f %9.1f %11s %11s\n", f.What, f.T, f.Seconds, f.Settled, number(f.Recovered, "%.0f s", 1),
			number(f.Again, "%.0f s", 1))
	}
	if res.Hold != nil {
		res.Hold.print(w)
	}
	fmt.Fprintf(w, "%d faults, seed %d; to repeat the schedule:\n  %s\n", len(res.Faults), res.Seed, res.Repeat)
}

// printSummary writes how many calls met how many faults, and what of them the contract excuses.
func (res *chaosResult) printSummary(w io.Writer, all *result) {
	kinds := map[string]int{}
	for i := range res.Faults {
		kinds[res.Faults[i].Kind]++
	}
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		parts = append(parts, fmt.Sprintf("%s %d", kind, kinds[kind]))
	}
	fmt.Fprintf(w, "\nsummary: %d calls of %d users in %.0f s, %d nodes, %d faults (%s), seed %d\n", all.Completed, all.Users, all.Seconds,
		res.Nodes, len(res.Faults), strings.Join(parts, ", "), res.Seed)
	causes, total := excuses(all.ExcusedBy, all.AllowedBy)
	thousandths := func(n int64) float64 { return 1000 * float64(n) / float64(max(all.Completed, 1)) }
	fmt.Fprintf(w, "%d calls excused by the contract, %.3f ‰\n", total, thousandths(total))
	for _, cause := range slices.Sorted(maps.Keys(causes)) {
		fmt.Fprintf(w, "  %6d, %.3f ‰: %s\n", causes[cause], thousandths(causes[cause]), cause)
	}
	printAfterwards(w, res.After)
}

// excuses returns how many calls are excused for each cause, and in all.
func excuses(counts ...map[string]int64) (causes map[string]int64, total int64) {
	causes = map[string]int64{}
	for _, by := range counts {
		for text, n := range by {
			_, cause, _ := strings.Cut(text, ": ")
			causes[cause] += n
			total += n
		}
	}
	return causes, total
}

// judgeExcuses counts it as an error if more calls are excused than may be.
func (c *chaosRun) judgeExcuses(r *run) {
	r.mu.Lock()
	_, total := excuses(r.excused, r.allowed)
	r.mu.Unlock()
	if most := c.options.excused; most > 0 && float64(total) > most*float64(r.completed.Load())/1000 {
		r.fail(fmt.Errorf("chaos: more than %v ‰ of the calls are excused", most))
	}
}
