package figures

import (
	"cmp"
	"slices"

	"github.com/ringfleet/ringfleet/loadtest/stats"
)

// Bounds of what is kept of several runs together.
const (
	maxTexts   = 64
	maxSlowest = 1_000
)

// Merge makes one result of those that several generators have of the same run: counts add up, latencies are those of
// all calls together. What is the same for all (seed, targets) is the first one's; nodes and windows are matched by their
// place, phases by their name. What depends on more than the parts (rates, checks, the verdict) is left to the caller.
func Merge(parts []*Run) *Run {
	sum := &Run{
		Version: Version, Histograms: map[string]*stats.Histogram{}, Outcomes: map[string]int64{}, Scenarios: map[string]map[string]int64{},
		ErrorTexts: map[string]int64{}, Codes: map[string]int64{}, Losses: map[string]int64{}, FailedBy: map[string]int64{},
		ExcusedBy: map[string]int64{}, AllowedBy: map[string]int64{}, KeptBy: map[string]int64{},
	}
	for i, p := range parts {
		if i == 0 {
			sum.Build, sum.Mode, sum.Loop, sum.Seed, sum.Targets = p.Build, p.Mode, p.Loop, p.Seed, p.Targets
			sum.Started = p.Started
		}
		if p.Started.Before(sum.Started) {
			sum.Started = p.Started
		}
		sum.add(p)
	}
	sum.CallsPerS = float64(sum.Completed) / max(sum.Seconds, 1e-3)
	sum.Close()
	return sum
}

func (r *Run) add(p *Run) {
	r.Seconds = max(r.Seconds, p.Seconds)
	r.LagMs = max(r.LagMs, p.LagMs)
	r.Workers += max(p.Workers, 1)
	r.Users += p.Users
	for _, n := range []struct {
		to   *int64
		more int64
	}{
		{&r.Calls, p.Calls},
		{&r.Completed, p.Completed},
		{&r.Abandoned, p.Abandoned},
		{&r.Violations, p.Violations},
		{&r.Errors, p.Errors},
		{&r.Limited, p.Limited},
		{&r.Repeats, p.Repeats},
		{&r.Reconnects, p.Reconnects},
		{&r.Delayed, p.Delayed},
		{&r.Failed, p.Failed},
		{&r.Excused, p.Excused},
	} {
		*n.to += n.more
	}
	for _, m := range []struct{ to, more map[string]int64 }{
		{r.Outcomes, p.Outcomes},
		{r.ErrorTexts, p.ErrorTexts},
		{r.Codes, p.Codes},
		{r.Losses, p.Losses},
		{r.FailedBy, p.FailedBy},
		{r.ExcusedBy, p.ExcusedBy},
		{r.AllowedBy, p.AllowedBy},
		{r.KeptBy, p.KeptBy},
	} {
		addCounts(m.to, m.more)
	}
	for name, outcomes := range p.Scenarios {
		if r.Scenarios[name] == nil {
			r.Scenarios[name] = map[string]int64{}
		}
		addCounts(r.Scenarios[name], outcomes)
	}
	for name, h := range p.Histograms {
		if r.Histograms[name] == nil {
			r.Histograms[name] = &stats.Histogram{}
		}
		r.Histograms[name].Merge(h)
	}
	r.addNodes(p.Nodes)
	r.addWindows(p.Windows)
	r.addPhases(p.Phases)
	r.Slowest = append(r.Slowest, p.Slowest...)
	slices.SortStableFunc(r.Slowest, func(a, b SlowCall) int { return cmp.Compare(b.Ms, a.Ms) })
	r.Slowest = r.Slowest[:min(len(r.Slowest), maxSlowest)]
	r.Storm = addStorm(r.Storm, p.Storm)
	r.Held = addHeld(r.Held, p.Held)
}

func addCounts(to, more map[string]int64) {
	for text, n := range more {
		if len(to) >= maxTexts && to[text] == 0 {
			text = "others"
		}
		to[text] += n
	}
}

func (r *Run) addNodes(more []Node) {
	for i := range more {
		if i == len(r.Nodes) {
			r.Nodes = append(r.Nodes, Node{Target: more[i].Target, Counted: NewCounted(0)})
		}
		to, from := &r.Nodes[i], &more[i]
		to.Placed += from.Placed
		to.Sessions += from.Sessions
		to.Calls += from.Calls
		to.Reconnects += from.Reconnects
		to.Gained += from.Gained
		to.Failed += from.Failed
		to.Errors += from.Errors
		to.Counted.add(from.Counted)
	}
}

func (r *Run) addWindows(more []Window) {
	for i := range more {
		if i == len(r.Windows) {
			r.Windows = append(r.Windows, Window{T: more[i].T, Counted: NewCounted(stats.Coarse).Packed()}) // of which there are many
		}
		r.Windows[i].add(&more[i])
		r.Windows[i].Seconds = max(r.Windows[i].Seconds, more[i].Seconds)
	}
}

func (r *Run) addPhases(more []Window) {
	for i := range more {
		at := slices.IndexFunc(r.Phases, func(w Window) bool { return w.Phase == more[i].Phase })
		if at < 0 {
			at = len(r.Phases)
			r.Phases = append(r.Phases, Window{T: more[i].T, Counted: NewCounted(0)})
		}
		r.Phases[at].add(&more[i])
		r.Phases[at].Seconds = max(r.Phases[at].Seconds, more[i].Seconds)
	}
}

func (w *Window) add(more *Window) {
	if more.Phase != "" {
		w.Phase = more.Phase
	}
	w.Begun += more.Begun
	w.Completed += more.Completed
	w.InFlight += more.InFlight
	w.Online += more.Online
	w.Errors += more.Errors
	w.Violations += more.Violations
	w.Failed += more.Failed
	w.Reconnects += more.Reconnects
	w.Counted.add(more.Counted)
}

// NewCounted returns empty histograms of so many digits; 0 is as many as they have by default.
func NewCounted(digits int) *Counted {
	h := func() *stats.Histogram { return &stats.Histogram{Digits: digits} }
	return &Counted{Setup: h(), Connected: h(), Accept: h(), Connects: h()}
}

func (c *Counted) add(more *Counted) {
	if more == nil {
		return
	}
	for i, h := range c.All() {
		h.Merge(more.All()[i])
	}
}

// Packed returns a copy that takes little memory, see [stats.Histogram.Packed].
func (c *Counted) Packed() *Counted {
	return &Counted{Setup: c.Setup.Packed(), Connected: c.Connected.Packed(), Accept: c.Accept.Packed(), Connects: c.Connects.Packed()}
}

// All returns the histograms, always in one order.
func (c *Counted) All() [4]*stats.Histogram {
	return [4]*stats.Histogram{c.Setup, c.Connected, c.Accept, c.Connects}
}

// Close works out the percentiles of what was counted, and drops what they are from but for that of the whole run.
func (r *Run) Close() {
	r.Latency = map[string]stats.Percentiles{}
	for name, h := range r.Histograms {
		r.Latency[name] = h.Percentiles()
	}
	for i := range r.Nodes {
		if n := &r.Nodes[i]; n.Counted != nil {
			n.Setup, n.Accept, n.Counted = n.Counted.Setup.Quick(), n.Counted.Accept.Quick(), nil
		}
	}
	for _, list := range [][]Window{r.Windows, r.Phases} {
		for i := range list {
			w := &list[i]
			w.CallsPerS = float64(w.Completed) / max(w.Seconds, 1e-3)
			if c := w.Counted; c != nil {
				w.Setup, w.Connected, w.Accept, w.Connects = c.Setup.Quick(), c.Connected.Quick(), c.Accept.Quick(), c.Connects.Quick()
				w.Counted = nil
			}
		}
	}
}

func addStorm(sum, more *Storm) *Storm {
	switch {
	case more == nil:
		return sum
	case sum == nil:
		sum = &Storm{}
	}
	sum.Rate += more.Rate
	sum.Seconds = max(sum.Seconds, more.Seconds)
	for i, cut := range more.Cuts {
		if i == len(sum.Cuts) {
			sum.Cuts = append(sum.Cuts, Cut{T: cut.T})
		}
		to := &sum.Cuts[i]
		to.Users += cut.Users
		to.Back += cut.Back
		to.Seconds = max(to.Seconds, cut.Seconds)
	}
	return sum
}

func addHeld(sum, more *Held) *Held {
	switch {
	case more == nil:
		return sum
	case sum == nil:
		sum = &Held{}
	}
	sum.Invitations += more.Invitations
	sum.Rang += more.Rang
	sum.Answered += more.Answered
	sum.UntilS = max(sum.UntilS, more.UntilS)
	sum.Seconds = max(sum.Seconds, more.Seconds)
	return sum
}
