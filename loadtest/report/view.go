package report

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ringfleet/ringfleet/loadtest/figures"
	"github.com/ringfleet/ringfleet/loadtest/stats"
)

// fact is something about the run as a whole.
type fact struct{ Name, Text string }

// tile is a figure that one looks for first.
type tile struct {
	Name, Value, More string
	Bad               bool
}

type stepRow struct {
	Name string
	P    stats.Percentiles
}

type scenarioRow struct {
	Name   string
	Counts []string // by outcome
	Sum    string
}

type causeRow struct {
	Kind, Text string
	Count      int64
}

// title says in a line what was done.
func title(run *figures.Run) string {
	what := map[string]string{
		"calls": "Calls", "hold": "Invitations held", "storm": "Connection storm", "chaos": "Calls while nodes were hurt",
	}[run.Mode]
	if what == "" {
		what = "Calls"
	}
	if n := len(run.Stages); n == 1 && run.Stages[0].From == run.Stages[0].To {
		what += fmt.Sprintf(", %s a second", short(run.Stages[0].From))
	} else if n > 0 {
		least, most := run.Stages[0].From, 0.0
		for _, s := range run.Stages {
			least, most = min(least, s.From, s.To), max(most, s.From, s.To)
		}
		what += fmt.Sprintf(", %s to %s a second", short(least), short(most))
	}
	return what
}

func facts(run *figures.Run) []fact {
	nodes := fmt.Sprintf("%d nodes", len(run.Targets))
	if len(run.Targets) == 1 {
		nodes = "one node"
	}
	if run.SelfHosted {
		nodes = "one node, in the generator's own process"
	}
	loop := "closed: as fast as calls end"
	if run.Loop == "open" {
		loop = "open, arrivals " + run.Arrivals
	}
	all := []fact{
		{"begun", run.Started.Format("2006-01-02 15:04:05 MST")},
		{"lasted", (time.Duration(run.Seconds*10) * 100 * time.Millisecond).String()},
		{"against", nodes},
		{"users", thousands(int64(run.Users))},
		{"loop", loop},
	}
	if run.Workers > 1 {
		all = append(all, fact{"generators", fmt.Sprintf("%d processes", run.Workers)})
	}
	return append(all, fact{"seed", strconv.FormatUint(run.Seed, 10)})
}

// reasons tell why the run failed.
func reasons(run *figures.Run) []string {
	var all []string
	add := func(n int64, one, many string) {
		if n == 1 {
			all = append(all, "1 "+one)
		} else if n > 1 {
			all = append(all, thousands(n)+" "+many)
		}
	}
	add(run.Violations, "call broke a promise", "calls broke a promise")
	add(run.Failed, "call failed", "calls failed")
	add(run.Errors, "error", "errors")
	for _, c := range run.Checks {
		if c.Fails {
			all = append(all, fmt.Sprintf("%s: it is %s", c.Rule, c.Shown))
		}
	}
	return all
}

func tiles(run *figures.Run) []tile {
	all := []tile{
		{"calls that ended", thousands(run.Completed), fmt.Sprintf("%s begun, %.0f/s", thousands(run.Calls), run.CallsPerS), run.Completed < run.Calls},
		{"broken promises", thousands(run.Violations), "P1–P5, judged on every call", run.Violations > 0},
		{"failed calls, errors", fmt.Sprintf("%s, %s", thousands(run.Failed), thousands(run.Errors)), "", run.Failed+run.Errors > 0},
	}
	if run.Chaos != nil {
		all[1].More = "P1–P7, judged on every call"
		all = append(all, tile{"faults", strconv.Itoa(len(run.Chaos.Faults)), fmt.Sprintf("%s calls excused by the contract", thousands(run.Excused)), false})
	}
	latency := func(name, step string) {
		if p := run.Latency[step]; p.Count > 0 {
			all = append(all, tile{name, milliseconds(p.P50), "99 %: " + milliseconds(p.P99), false})
		}
	}
	latency("set-up, median", figures.Ringing)
	latency("accept, median", figures.CallerAccepted)
	latency("login, median", figures.Connect)
	latency("coming back, median", figures.Reconnect)
	if run.CPUPerCall != nil {
		more := "of all nodes"
		if run.SelfHosted {
			more = "node and generator together"
		}
		all = append(all, tile{"CPU per accepted call", fmt.Sprintf("%.0f µs", *run.CPUPerCall), more, false})
	}
	if f, err := figures.Named("node-rss-most"); err == nil {
		if most := f.Of(run); most != nil {
			all = append(all, tile{"memory of a node", fmt.Sprintf("%.0f MiB", *most/(1<<20)), "at most", false})
		}
	}
	if h := run.Held; h != nil {
		all = append(all, tile{"rang at once", thousands(h.Rang), fmt.Sprintf("for %.0f s", h.Seconds), h.Rang < h.Invitations})
	}
	return all
}

// notes tell what one has to know to trust the figures.
func notes(run *figures.Run) []string {
	var all []string
	if run.Loop == "open" {
		all = append(all, "Calls were made on schedule, whether or not earlier ones had ended, and every latency counts from when its step was due, not from when "+
			"the generator came to it. A node that stands still cannot hide it (coordinated omission).")
	} else {
		all = append(all, "Each call began when an earlier one had ended (closed loop), so a slow node was given fewer calls: its latencies cannot be compared with those "+
			"of an open loop, and look better than users would find them.")
	}
	if late := run.Latency[figures.Sent]; late.P99 > 1 {
		all = append(all, fmt.Sprintf("The generator made one call in a hundred %s late or more, for want of CPU: that much of the latencies is its own. "+
			"Give it a processor of its own, or more of them.", milliseconds(late.P99)))
	}
	if run.SelfHosted {
		all = append(all, "Node and generator shared one process: CPU and memory are of both.")
	}
	return all
}

// scenarios returns a table of what became of which.
func scenarios(run *figures.Run) ([]scenarioRow, []string) {
	outcomes := slices.Sorted(maps.Keys(run.Outcomes))
	var rows []scenarioRow
	for _, name := range slices.Sorted(maps.Keys(run.Scenarios)) {
		row, sum := scenarioRow{Name: name}, int64(0)
		for _, o := range outcomes {
			n := run.Scenarios[name][o]
			sum += n
			if n == 0 {
				row.Counts = append(row.Counts, "")
			} else {
				row.Counts = append(row.Counts, thousands(n))
			}
		}
		row.Sum = thousands(sum)
		rows = append(rows, row)
	}
	return rows, outcomes
}

// causes returns everything that was counted by a text.
func causes(run *figures.Run) []causeRow {
	var rows []causeRow
	for _, c := range []struct {
		kind   string
		counts map[string]int64
	}{
		{"failed call", run.FailedBy},
		{"error", run.ErrorTexts},
		{"error by code", run.Codes},
		{"connection lost", run.Losses},
		{"excused", run.ExcusedBy},
		{"allowed", run.AllowedBy},
		{"kept from the application", run.KeptBy},
	} {
		for _, text := range slices.Sorted(maps.Keys(c.counts)) {
			rows = append(rows, causeRow{c.kind, text, c.counts[text]})
		}
	}
	return rows
}

// milliseconds writes a time that is given in milliseconds.
func milliseconds(ms float64) string {
	switch {
	case ms >= 10_000:
		return fmt.Sprintf("%.1f s", ms/1000)
	case ms >= 100:
		return fmt.Sprintf("%.0f ms", ms)
	case ms >= 10:
		return fmt.Sprintf("%.1f ms", ms)
	default:
		return fmt.Sprintf("%.2f ms", ms)
	}
}

// thousands writes a number with its thousands apart.
func thousands(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	var parts []string
	for len(digits) > 3 {
		parts = append([]string{digits[len(digits)-3:]}, parts...)
		digits = digits[:len(digits)-3]
	}
	return sign + strings.Join(append([]string{digits}, parts...), ",")
}
