package report

import (
	_ "embed" // the page, its style and its script
	"fmt"
	"html/template"
	"io"

	"github.com/ringfleet/ringfleet/loadtest/figures"
	"github.com/ringfleet/ringfleet/loadtest/stats"
)

//go:embed page.html
var pageText string

//go:embed style.css
var style string

//go:embed script.js
var script string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"ms": milliseconds, "count": thousands, "clock": clock, "about": func(step string) string { return about[step] },
	"css": func() template.CSS { return template.CSS(style) }, "js": func() template.JS { return template.JS(script) }, //nolint:gosec // ours
	"bytes": func(v *float64) string {
		if v == nil {
			return "–"
		}
		return fmt.Sprintf("%.1f MiB", *v/(1<<20))
	},
	"number": func(v *float64, format string) string {
		if v == nil {
			return "–"
		}
		return fmt.Sprintf(format, *v)
	},
	"node": func(n figures.Node) string { return nodeName(&n) },
}).Parse(pageText))

// view is what the page shows.
type view struct {
	Run       *figures.Run
	Title     string
	Facts     []fact
	Reasons   []string // for the verdict
	Tiles     []tile
	Charts    []*chart
	Small     []*chart // two in a row
	Steps     []stepRow
	Scenarios []scenarioRow
	Outcomes  []string
	Causes    []causeRow
	Notes     []string // what one has to know to trust the figures
}

// Render writes the page for a result.
func Render(w io.Writer, run *figures.Run) error {
	c := newCourse(run)
	v := &view{
		Run: run, Title: title(run), Facts: facts(run), Reasons: reasons(run), Tiles: tiles(run), Causes: causes(run), Notes: notes(run),
	}
	v.Scenarios, v.Outcomes = scenarios(run)
	for _, ch := range []*chart{
		c.latency("Set-up: from when a call was due until the caller knew that it rings", "setup", func(w figures.Window) stats.Quick { return w.Setup }),
		c.latency("Accept: from when it was due until caller and callee knew", "accept", func(w figures.Window) stats.Quick { return w.Accept }),
		c.latency("Logins, and returns after a lost connection", "connect", func(w figures.Window) stats.Quick { return w.Connects }),
		c.calls(), c.people(), distribution(run),
	} {
		if ch != nil {
			v.Charts = append(v.Charts, ch)
		}
	}
	for _, ch := range []*chart{
		c.node("CPU in use", "cores", func(s figures.Sample) float64 { return s.CPU }),
		c.node("Resident memory", "MiB", func(s figures.Sample) float64 { return s.RSS / (1 << 20) }),
		c.node("Heap, with what is not collected yet", "MiB", func(s figures.Sample) float64 { return s.Heap / (1 << 20) }),
		c.node("Goroutines", "", func(s figures.Sample) float64 { return s.Goroutines }),
		c.node("Garbage collections", "/s", func(s figures.Sample) float64 { return s.GCs }),
		c.node("All stopped for garbage collection", "ms/s", func(s figures.Sample) float64 { return s.Pause }),
		c.node("Connections", "", func(s figures.Sample) float64 { return s.Sessions }),
	} {
		if ch != nil {
			v.Small = append(v.Small, ch)
		}
	}
	for _, step := range figures.Steps {
		if p := run.Latency[step]; p.Count > 0 {
			v.Steps = append(v.Steps, stepRow{step, p})
		}
	}
	if err := page.Execute(w, v); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	return nil
}
