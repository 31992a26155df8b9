package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/ringfleet/ringfleet/loadtest/figures"
	"github.com/ringfleet/ringfleet/loadtest/stats"
	"github.com/ringfleet/ringfleet/loadtest/threshold"
)

// maxPoints is how many points a line has at most; of more, neighbors share one: the worst of latencies, the mean of the rest.
const maxPoints = 600

// course draws the run over its time.
type course struct {
	run    *figures.Run
	length float64
	bands  []band
	group  int // so many windows share a point
}

func newCourse(run *figures.Run) *course {
	c := &course{run: run, length: run.Seconds, group: (len(run.Windows) + maxPoints - 1) / maxPoints}
	for _, w := range run.Windows {
		c.length = max(c.length, w.T+w.Seconds)
	}
	c.length = c.used()
	c.bands = c.happened()
	return c
}

// used returns until when something happened: a run with faults goes on for long after its last call.
func (c *course) used() float64 {
	last := 0.0
	for _, w := range c.run.Windows {
		if w.Begun+w.Completed+w.InFlight+w.Connects.Count+w.Errors > 0 {
			last = w.T + w.Seconds
		}
	}
	if last == 0 {
		return c.length
	}
	return min(c.length, last+2)
}

// happened returns faults, or else the phases.
func (c *course) happened() []band {
	var found []band
	if c.run.Chaos != nil {
		for _, f := range c.run.Chaos.Faults {
			text := f.Kind
			if f.Node != "" {
				text += " " + f.Node
			}
			found = append(found, band{from: f.T, to: f.T + max(f.Seconds, 0.2), text: text, class: "fault"})
		}
		return found
	}
	for _, w := range c.run.Windows {
		n := len(found)
		switch {
		case w.T > c.length:
		case n > 0 && found[n-1].text == w.Phase:
			found[n-1].to = min(w.T+w.Seconds, c.length)
		default:
			found = append(found, band{from: w.T, to: min(w.T+w.Seconds, c.length), text: w.Phase, class: "phase"})
		}
	}
	if len(found) < 2 {
		return nil
	}
	for i := range found {
		if i%2 == 1 {
			found[i].class = "phase odd"
		}
	}
	return found
}

// windowed makes a chart of what happened in the windows.
func (c *course) windowed(title, unit string, lines ...windowLine) *chart {
	ch := &chart{Title: title, Unit: unit, Wide: true, bands: c.bands}
	windows := c.run.Windows
	for i := 0; i < len(windows); i += max(c.group, 1) {
		ch.xs = append(ch.xs, windows[i].T+windows[i].Seconds/2)
		ch.tips = append(ch.tips, clock(windows[i].T))
	}
	for _, l := range lines {
		one := line{Name: l.name, Class: l.class, Dash: l.dash, area: l.area}
		for i := 0; i < len(windows); i += max(c.group, 1) {
			one.ys = append(one.ys, l.of(windows[i:min(i+max(c.group, 1), len(windows))]))
		}
		ch.Lines = append(ch.Lines, one)
	}
	c.timed(ch)
	return ch
}

// timed gives a chart the time as its x axis.
func (c *course) timed(ch *chart) {
	ticks := 10
	if !ch.Wide {
		ticks = 5
	}
	ch.x = span(c.length, ticks)
	for _, t := range ch.x.ticks {
		ch.xTexts = append(ch.xTexts, clock(t))
	}
	for i, x := range ch.xs { // what is later is not shown
		if x > c.length {
			ch.xs, ch.tips = ch.xs[:i], ch.tips[:i]
			for l := range ch.Lines {
				ch.Lines[l].ys = ch.Lines[l].ys[:i]
			}
			break
		}
	}
}

// windowLine is a line of what happened in the windows.
type windowLine struct {
	name, class string
	dash, area  bool
	of          func([]figures.Window) float64
}

// rate is how often something happened, a second.
func rate(of func(figures.Window) int64) func([]figures.Window) float64 {
	return func(group []figures.Window) float64 {
		n, seconds := 0.0, 0.0
		for _, w := range group {
			n, seconds = n+float64(of(w)), seconds+w.Seconds
		}
		if seconds < 0.1 { // the end of the run, which says nothing of a rate
			return math.NaN()
		}
		return n / seconds
	}
}

// worst is the longest of latencies.
func worst(of func(figures.Window) stats.Quick, at func(stats.Quick) float64) func([]figures.Window) float64 {
	return func(group []figures.Window) float64 {
		most := math.NaN()
		for _, w := range group {
			if q := of(w); q.Count > 0 && !(at(q) <= most) {
				most = at(q)
			}
		}
		return most
	}
}

// level is the highest value of something that lasts.
func level(of func(figures.Window) int64) func([]figures.Window) float64 {
	return func(group []figures.Window) float64 {
		most := 0.0
		for _, w := range group {
			most = max(most, float64(of(w)))
		}
		return most
	}
}

// percentilesOf are the lines of a latency, darker the slower.
func percentilesOf(of func(figures.Window) stats.Quick) []windowLine {
	return []windowLine{
		{name: "longest", class: "q4", dash: true, of: worst(of, func(q stats.Quick) float64 { return q.Max })},
		{name: "99 %", class: "q3", of: worst(of, func(q stats.Quick) float64 { return q.P99 })},
		{name: "90 %", class: "q2", of: worst(of, func(q stats.Quick) float64 { return q.P90 })},
		{name: "50 %", class: "q1", of: worst(of, func(q stats.Quick) float64 { return q.P50 })},
	}
}

// latency is a chart of a latency over time, with the thresholds that are about it.
func (c *course) latency(title, step string, of func(figures.Window) stats.Quick) *chart {
	ch := c.windowed(title, "ms", percentilesOf(of)...)
	least, most := ch.extremes()
	if math.IsInf(least, 1) {
		return nil
	}
	for _, check := range c.run.Checks {
		rule, err := threshold.Parse(check.Rule)
		name, _, _ := strings.Cut(rule.Figure.Name, ".")
		if err == nil && name == step {
			ch.limits = append(ch.limits, limit{rule.Value, check.Rule})
			least, most = min(least, rule.Value), max(most, rule.Value)
		}
	}
	ch.y = logarithmic(least, most)
	return ch
}

// extremes returns the least value above 0 and the largest.
func (c *chart) extremes() (least, most float64) {
	least = math.Inf(1)
	for _, l := range c.Lines {
		for _, v := range l.ys {
			if v > 0 {
				least, most = min(least, v), max(most, v)
			}
		}
	}
	return least, most
}

// calls is a chart of how many calls were made.
func (c *course) calls() *chart {
	if c.run.Calls == 0 {
		return nil
	}
	ch := c.windowed("Calls a second", "/s",
		windowLine{name: "begun", class: "s1", of: rate(func(w figures.Window) int64 { return w.Begun })},
		windowLine{name: "ended on both sides", class: "s2", of: rate(func(w figures.Window) int64 { return w.Completed })},
		windowLine{name: "failed, or broke a promise", class: "bad", of: rate(func(w figures.Window) int64 { return w.Failed + w.Violations })})
	if !slices.ContainsFunc(ch.Lines[2].ys, func(v float64) bool { return v > 0 }) {
		ch.Lines = ch.Lines[:2]
	}
	_, most := ch.extremes()
	ch.y = linear(most)
	return ch
}

// people is a chart of who is connected and what is under way.
func (c *course) people() *chart {
	ch := c.windowed("Users connected, and calls under way", "",
		windowLine{name: "users connected", class: "s1", of: level(func(w figures.Window) int64 { return w.Online })},
		windowLine{name: "calls under way", class: "s2", of: level(func(w figures.Window) int64 { return w.InFlight })})
	_, most := ch.extremes()
	ch.y = linear(most)
	return ch
}

// maxColors is how many nodes are told apart by color.
const maxColors = 8

// node is a chart of something that the nodes tell of themselves; nil if none does.
func (c *course) node(title, unit string, of func(figures.Sample) float64) *chart {
	ch := &chart{Title: title, Unit: unit, bands: c.bands}
	at := map[float64]int{}
	for _, n := range c.run.Nodes {
		for _, s := range n.Samples {
			at[math.Round(s.T*2)/2] = 0
		}
	}
	for t := range at {
		ch.xs = append(ch.xs, t)
	}
	slices.Sort(ch.xs)
	for i, t := range ch.xs {
		at[t] = i
		ch.tips = append(ch.tips, clock(t))
	}
	for i, n := range c.run.Nodes {
		if len(n.Samples) == 0 {
			continue
		}
		l := line{Name: nodeName(&n), Class: "other"}
		if i < maxColors {
			l.Class = fmt.Sprintf("s%d", i+1)
		}
		l.ys = slices.Repeat([]float64{math.NaN()}, len(ch.xs))
		for _, s := range n.Samples {
			l.ys[at[math.Round(s.T*2)/2]] = of(s)
		}
		fill(l.ys)
		ch.Lines = append(ch.Lines, l)
	}
	least, most := ch.extremes()
	if math.IsInf(least, 1) {
		return nil
	}
	c.timed(ch)
	ch.y = linear(most)
	return ch
}

// fill joins values that other nodes' readings came between.
func fill(ys []float64) {
	last := -1
	for i, v := range ys {
		if math.IsNaN(v) {
			continue
		}
		if last >= 0 && i-last <= maxGap {
			for j := last + 1; j < i; j++ {
				ys[j] = ys[last] + (v-ys[last])*float64(j-last)/float64(i-last)
			}
		}
		last = i
	}
}

// maxGap is how many readings of others may come between two of a node that is well.
const maxGap = 3

// nodeName is a node's address, without what all have alike.
func nodeName(n *figures.Node) string {
	name := n.Target
	if name == "" {
		name = n.Metrics
	}
	_, rest, found := strings.Cut(name, "://")
	if !found {
		return name
	}
	rest, _, _ = strings.Cut(rest, "/")
	return rest
}
