package threshold

import (
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/ringfleet/ringfleet/loadtest/figures"
)

// Compared are the figures that a comparison shows, in their order. Those in the second list decide, too, where no rule
// is given.
var (
	Compared = []string{
		"throughput", "completed", "setup.p50", "setup.p99", "setup.p99.9", "accept.p50", "accept.p99", "refuse.p99", "cancel.p99", "expiry.p99",
		"connect.p99", "reconnect.p99", "node-cpu", "node-rss", "node-rss-most", "peer-bytes", "generator.p99", "reconnects", "excused",
		"failed", "errors", "violations",
	}
	decisive = []string{"throughput", "setup.p50", "setup.p99", "accept.p50", "accept.p99", "node-cpu", "node-rss"}
)

// Floor is by how many milliseconds a latency must have grown, besides, to count as worse without a rule: a tenth of a
// millisecond that becomes two is no news.
const Floor = 1.0

// Row is a line of a comparison.
type Row struct {
	Name     string
	From, To *float64 // nil: not measured
	Figure   figures.Figure
	Worse    bool
}

// Comparison is what became of a run.
type Comparison struct {
	Rows   []Row
	Checks []figures.Check // of the rules
	Notes  []string        // what makes the two hard to compare
	Fails  bool
}

// Compare compares two runs. It fails if the second broke a promise, had failed calls or errors, or breaks a rule;
// without rules, if one of the decisive figures is worse by more than the tolerance, a share.
func Compare(from, to *figures.Run, rules []Rule, tolerance float64) *Comparison {
	c := &Comparison{Notes: notes(from, to)}
	for _, name := range Compared {
		f, err := figures.Named(name)
		if err != nil {
			panic(err) // a test names them all
		}
		row := Row{Name: name, From: f.Of(from), To: f.Of(to), Figure: f}
		if row.From == nil && row.To == nil {
			continue
		}
		if len(rules) == 0 {
			row.Worse = row.worse(tolerance)
		}
		c.Rows = append(c.Rows, row)
		c.Fails = c.Fails || row.Worse
	}
	for _, r := range rules {
		check := r.Compare(from, to)
		c.Checks = append(c.Checks, check)
		c.Fails = c.Fails || check.Fails
	}
	c.Fails = c.Fails || to.Violations+to.Failed+to.Errors > 0
	return c
}

// worse reports whether a decisive figure is.
func (r Row) worse(tolerance float64) bool {
	if !slices.Contains(decisive, r.Name) || r.From == nil || r.To == nil {
		return false
	}
	change := -float64(r.Figure.Better) * Change(*r.From, *r.To)
	return change > tolerance && (r.Figure.Unit != figures.Millis || math.Abs(*r.To-*r.From) > Floor)
}

// notes tells what the runs differ in that is no result.
func notes(from, to *figures.Run) []string {
	var found []string
	for _, d := range []struct{ what, from, to string }{
		{"mode", from.Mode, to.Mode},
		{"loop", from.Loop, to.Loop},
		{"arrivals", from.Arrivals, to.Arrivals},
		{"stages", fmt.Sprint(from.Stages), fmt.Sprint(to.Stages)},
		{"users", fmt.Sprint(from.Users), fmt.Sprint(to.Users)},
		{"targets", fmt.Sprint(len(from.Targets)), fmt.Sprint(len(to.Targets))},
		{"a node in the generator's process", fmt.Sprint(from.SelfHosted), fmt.Sprint(to.SelfHosted)},
		{"version of the result", fmt.Sprint(from.Version), fmt.Sprint(to.Version)},
	} {
		if d.from != d.to {
			found = append(found, fmt.Sprintf("the runs differ in %s: %s and %s", d.what, d.from, d.to))
		}
	}
	for i, r := range []*figures.Run{from, to} {
		if late := r.Latency[figures.Sent]; late.P99 > 1 {
			found = append(found, fmt.Sprintf("the generator of the %s run made one call in a hundred %.1f ms late or more: it was short of CPU",
				[]string{"first", "second"}[i], late.P99))
		}
	}
	return found
}

// Print writes the comparison as a table.
func (c *Comparison) Print(w io.Writer) {
	fmt.Fprintf(w, "%-14s %14s %14s %10s\n", "figure", "first", "second", "change")
	for _, r := range c.Rows {
		from, to, change := "-", "-", ""
		if r.From != nil {
			from = r.Figure.Show(*r.From)
		}
		if r.To != nil {
			to = r.Figure.Show(*r.To)
		}
		if r.From != nil && r.To != nil {
			change = Percent(Change(*r.From, *r.To))
		}
		mark := ""
		if r.Worse {
			mark = "  WORSE"
		}
		fmt.Fprintf(w, "%-14s %14s %14s %10s%s\n", r.Name, from, to, change, mark)
	}
	for _, n := range c.Notes {
		fmt.Fprintf(w, "note: %s\n", n)
	}
	PrintChecks(w, c.Checks)
	verdict := "not worse"
	if c.Fails {
		verdict = "FAILED"
	}
	fmt.Fprintln(w, verdict)
}

// PrintChecks writes what came of rules.
func PrintChecks(w io.Writer, checks []figures.Check) {
	for _, c := range checks {
		word := "holds "
		if c.Fails {
			word = "FAILED"
		}
		fmt.Fprintf(w, "threshold %s  fails if %s: %s\n", word, c.Rule, c.Shown)
	}
}
