package report

import (
	"fmt"
	"math"
	"slices"

	"github.com/ringfleet/ringfleet/loadtest/figures"
)

// steps are those whose distribution is shown, each with what it is to people.
var steps = []struct{ step, text, class string }{
	{figures.Ringing, "set-up: until it rings", "s1"},
	{figures.CallerAccepted, "accept: until the caller knows", "s2"},
	{figures.CalleeAccepted, "accept: until the callee knows", "s3"},
	{figures.CallerRefused, "refusal: until the caller knows", "s4"},
	{figures.CallerCanceled, "cancel: until the caller knows", "s5"},
	{figures.Late, "expiry: late by", "s6"},
	{figures.Connect, "login", "s7"},
	{figures.Reconnect, "coming back", "s8"},
}

// about says what a step is, for the table.
var about = map[string]string{
	figures.Connect:        "login, until Welcome",
	figures.Reconnect:      "connection lost, until Welcome",
	figures.Sent:           "the generator made the call late by",
	figures.Taken:          "call due, until the node took it",
	figures.Ringing:        "call due, until the caller knows that it rings",
	figures.Service:        "the same from when the send was said (not corrected)",
	figures.CallerAccepted: "accept due, until the caller knows",
	figures.CalleeAccepted: "accept due, until the callee knows",
	figures.CallerRefused:  "refusal due, until the caller knows",
	figures.CalleeRefused:  "refusal due, until the callee knows",
	figures.CallerCanceled: "cancel due, until the caller knows",
	figures.CalleeCanceled: "cancel due, until the callee knows",
	figures.Late:           "timer due, until the caller knows",
}

// distribution is a chart of the latencies by percentile; nil if there are none.
func distribution(run *figures.Run) *chart {
	ch := &chart{
		Title: "Latency by percentile", Unit: "ms", Wide: true,
		Note: "How long the given share of all took at most. The further right, the rarer.",
	}
	place := func(quantile float64, most int64) float64 { return -math.Log10(max(1-quantile, 0.5/float64(most))) }
	most := int64(0)
	for _, s := range steps {
		if h := run.Histograms[s.step]; h != nil {
			most = max(most, h.Count())
		}
	}
	if most < 2 {
		return nil
	}
	// All lines share the places, so that the pointer tells all of them.
	const perTen = 12
	end := place(1, most)
	for i := 0; float64(i)/perTen < end; i++ {
		ch.xs = append(ch.xs, float64(i)/perTen)
	}
	ch.xs = append(ch.xs, end)
	for i, x := range ch.xs {
		tip := fmt.Sprintf("%.6g %%", math.Round(1e6*(100-100*math.Pow(10, -x)))/1e6)
		if i == len(ch.xs)-1 {
			tip = "the longest"
		}
		ch.tips = append(ch.tips, tip)
	}
	for _, s := range steps {
		h := run.Histograms[s.step]
		if h == nil || h.Count() == 0 {
			continue
		}
		l := line{Name: s.text, Class: s.class}
		last := place(1, h.Count())
		for _, x := range ch.xs {
			v := float64(h.At(1-math.Pow(10, -x)).Microseconds()) / 1000
			if x >= last {
				v = float64(h.Max().Microseconds()) / 1000
			}
			if x > last+1.0/perTen {
				v = math.NaN()
			}
			l.ys = append(l.ys, v)
		}
		ch.Lines = append(ch.Lines, l)
	}
	ch.x = scale{to: end}
	for i := 0; float64(i) < end; i++ {
		ch.x.ticks = append(ch.x.ticks, float64(i))
		ch.xTexts = append(ch.xTexts, []string{"0 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %", "99.9999 %", "99.99999 %"}[min(i, 7)])
	}
	if half := math.Log10(2); end > 1 {
		ch.x.ticks, ch.xTexts = slices.Insert(ch.x.ticks, 1, half), slices.Insert(ch.xTexts, 1, "50 %")
	}
	least, longest := ch.extremes()
	ch.y = logarithmic(least, longest)
	return ch
}
