package threshold

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/ringfleet/ringfleet/loadtest/figures"
)

// Rule says when a run fails.
type Rule struct {
	Figure   figures.Figure
	Op       string  // >, >=, <, <=
	Value    float64 // in the figure's unit; of a relative rule a share, 0.2 for +20%
	Relative bool    // to the result that is compared with

	text string
}

// String returns the rule as it was given.
func (r Rule) String() string { return r.text }

// SyntaxError is a rule that cannot be read.
type SyntaxError struct {
	Rule string // as it was given
	Want string // what would be right
}

// Error implements error.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("rule %q: %s; a rule is FIGURE OP VALUE and says when the run fails, as \"setup.p99 > 5ms\" or \"throughput < 450/s\"", e.Rule, e.Want)
}

// ops are the comparisons, the longer of two that begin alike first.
var ops = []string{">=", "<=", ">", "<"}

func (r Rule) holds(value float64) bool {
	switch r.Op {
	case ">":
		return value > r.Value
	case ">=":
		return value >= r.Value
	case "<":
		return value < r.Value
	default:
		return value <= r.Value
	}
}

// Parse reads a rule. The error is a [*SyntaxError], or a [*figures.NameError].
func Parse(text string) (Rule, error) {
	r := Rule{text: strings.TrimSpace(text)}
	at := strings.IndexAny(text, "<>")
	if at < 0 {
		return r, &SyntaxError{text, "it has none of > >= < <="}
	}
	rest := text[at:]
	for _, op := range ops {
		if after, ok := strings.CutPrefix(rest, op); ok {
			r.Op, rest = op, strings.TrimSpace(after)
			break
		}
	}
	var err error
	if r.Figure, err = figures.Named(strings.TrimSpace(text[:at])); err != nil {
		return r, fmt.Errorf("rule %q: %w", text, err)
	}
	if rest == "" {
		return r, &SyntaxError{text, "it has no value"}
	}
	return r, r.value(text, rest)
}

// value reads the number and its unit.
func (r *Rule) value(text, value string) error {
	digits := strings.TrimRight(value, "%/abcdefghijklmnopqrstuvwxyzµABCDEFGHIJKLMNOPQRSTUVWXYZ ")
	unit := strings.TrimSpace(value[len(digits):])
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil || math.IsInf(n, 0) || math.IsNaN(n) {
		return &SyntaxError{text, fmt.Sprintf("%q is no number", digits)}
	}
	if r.Relative = strings.HasPrefix(value, "+") || strings.HasPrefix(value, "-"); r.Relative {
		if unit != "%" {
			return &SyntaxError{text, "a change is told in percent, as +20%"}
		}
		r.Value = n / 100
		return nil
	}
	factor, ok := factors[r.Figure.Unit][unit]
	if !ok {
		return &SyntaxError{text, fmt.Sprintf("the unit %q: want %s", unit, unitNames[r.Figure.Unit])}
	}
	r.Value = n * factor
	return nil
}

// factors are the units that a value may be in, by that of the figure. No figure but a plain number goes without.
var factors = map[figures.Unit]map[string]float64{
	figures.Number:  {"": 1},
	figures.Millis:  {"ms": 1, "s": 1e3, "us": 1e-3, "µs": 1e-3},
	figures.Micros:  {"us": 1, "µs": 1, "ms": 1e3, "s": 1e6},
	figures.Seconds: {"s": 1, "ms": 1e-3, "m": 60},
	figures.Bytes:   {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "kB": 1e3, "MB": 1e6, "GB": 1e9},
	figures.PerS:    {"/s": 1},
	figures.Share:   {"%": 0.01, "": 1},
}

var unitNames = map[figures.Unit]string{
	figures.Number: "none", figures.Millis: "µs, ms or s", figures.Micros: "µs, ms or s", figures.Seconds: "ms, s or m",
	figures.Bytes: "B, KiB, MiB, GiB, kB, MB or GB", figures.PerS: "/s", figures.Share: "%",
}

// Check holds a run against the rule, which must not be relative.
func (r Rule) Check(run *figures.Run) figures.Check {
	c := figures.Check{Rule: r.text, Shown: "not measured", Fails: true}
	if value := r.Figure.Of(run); value != nil {
		c.Value, c.Shown, c.Fails = value, r.Figure.Show(*value), r.holds(*value)
	}
	return c
}

// Compare holds the change from one run to another against the rule, or the other alone if the rule is not relative.
func (r Rule) Compare(from, to *figures.Run) figures.Check {
	if !r.Relative {
		return r.Check(to)
	}
	c := figures.Check{Rule: r.text, Shown: "not measured", Fails: true}
	before, after := r.Figure.Of(from), r.Figure.Of(to)
	if before == nil || after == nil {
		return c
	}
	change := Change(*before, *after)
	c.Value, c.Fails = &change, r.holds(change)
	c.Shown = fmt.Sprintf("%s, from %s to %s", Percent(change), r.Figure.Show(*before), r.Figure.Show(*after))
	return c
}

// Change returns by what share a value has grown. From nothing to something it is infinite.
func Change(from, to float64) float64 {
	switch {
	case from == to:
		return 0
	case from == 0:
		return math.Inf(cmp.Compare(to, 0))
	default:
		return (to - from) / from
	}
}

// Percent writes a change for people.
func Percent(change float64) string {
	switch {
	case math.IsNaN(change) || change == 0:
		return "="
	case math.IsInf(change, 0):
		return "new"
	default:
		return fmt.Sprintf("%+.1f %%", 100*change)
	}
}
