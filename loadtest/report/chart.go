package report

import (
	"encoding/json"
	"fmt"
	"html/template"
	"math"
	"strings"
)

// chart is a plot.
type chart struct {
	Title string
	Note  string // what one has to know to read it
	Unit  string
	Wide  bool
	Lines []line

	xs     []float64
	x, y   scale
	xTexts []string // of x's ticks
	tips   []string // what is above the values under the pointer, by place in xs
	bands  []band
	limits []limit
}

// line is a series of a chart. NaN is no value.
type line struct {
	Name  string
	Class string
	Dash  bool // told by more than its color

	ys   []float64
	area bool
}

// band is a time at which something was going on.
type band struct {
	from, to float64
	text     string
	class    string
}

// limit is a threshold.
type limit struct {
	at   float64
	text string
}

// The sizes of a chart, in the units of its picture.
const (
	wide, narrow            = 1040.0, 508.0
	top, right, bottom      = 26.0, 14.0, 26.0
	left                    = 52.0
	heightWide, heightSmall = 250.0, 200.0
)

func (c *chart) size() (width, height float64) {
	if c.Wide {
		return wide, heightWide
	}
	return narrow, heightSmall
}

// SVG draws the chart.
func (c *chart) SVG() template.HTML {
	width, height := c.size()
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %g %g" role="img" aria-label="%s" class="chart">`, width, height, escape(c.Title))
	c.drawBands(&b)
	c.drawAxes(&b)
	for _, l := range c.Lines {
		c.drawLine(&b, l)
	}
	for _, l := range c.limits {
		c.drawLimit(&b, l)
	}
	_, bottomY := c.px(0), height-bottom
	fmt.Fprintf(&b, `<line class="pointer" x1="0" x2="0" y1="%g" y2="%g"/></svg>`, top, bottomY)
	return template.HTML(b.String()) //nolint:gosec // every text in it is escaped
}

// px and py place values in the picture.
func (c *chart) px(v float64) float64 {
	width, _ := c.size()
	return left + c.x.place(v)*(width-left-right)
}

func (c *chart) py(v float64) float64 {
	_, height := c.size()
	return height - bottom - min(max(c.y.place(v), 0), 1)*(height-top-bottom)
}

func (c *chart) drawAxes(b *strings.Builder) {
	width, height := c.size()
	for _, t := range c.y.ticks {
		y := c.py(t)
		fmt.Fprintf(b, `<line class="grid" x1="%g" x2="%g" y1="%.1f" y2="%.1f"/><text class="tick" x="%g" y="%.1f" text-anchor="end">%s</text>`,
			left, width-right, y, y, left-8, y+4, short(t))
	}
	for i, t := range c.x.ticks {
		x := c.px(t)
		fmt.Fprintf(b, `<line class="mark" x1="%.1f" x2="%.1f" y1="%g" y2="%g"/><text class="tick" x="%.1f" y="%g" text-anchor="middle">%s</text>`,
			x, x, height-bottom, height-bottom+4, x, height-bottom+17, escape(c.xTexts[i]))
	}
	fmt.Fprintf(b, `<line class="axis" x1="%g" x2="%g" y1="%g" y2="%g"/>`, left, width-right, height-bottom, height-bottom)
}

// letter is how wide a letter of a label is, about.
const letter = 6.8

func (c *chart) drawBands(b *strings.Builder) {
	_, height := c.size()
	free := 0.0 // up to where labels have been written
	for i, band := range c.bands {
		x, until := c.px(band.from), c.px(max(band.to, band.from))
		fmt.Fprintf(b, `<g><title>%s</title><rect class="band %s" x="%.1f" y="%g" width="%.1f" height="%g"/>`, escape(band.text), band.class, x, top-16,
			max(until-x, 1.5), height-bottom-top+16)
		room := until - x
		text := band.text
		if band.class == "fault" { // may write over what comes after it, up to the next fault
			room = c.px(c.x.to) - x
			if i+1 < len(c.bands) {
				room = c.px(c.bands[i+1].from) - x
			}
			if kind, _, _ := strings.Cut(text, " "); letter*float64(len([]rune(text)))+6 > room {
				text = kind
			}
		}
		if text = fit(text, room-6); text != "" && x >= free {
			fmt.Fprintf(b, `<text class="label %s" x="%.1f" y="%g">%s</text>`, band.class, x+4, top-5, escape(text))
			free = x + 8 + letter*float64(len([]rune(text)))
		}
		b.WriteString("</g>")
	}
}

// fit shortens a text to the room that there is, to nothing if that is too little.
func fit(text string, room float64) string {
	letters := []rune(text)
	n := int(room / letter)
	switch {
	case len(letters) <= n:
		return text
	case n < 4:
		return ""
	default:
		return string(letters[:n-1]) + "…"
	}
}

// drawLine draws the parts between which there are no values; a value that stands alone is a dot.
func (c *chart) drawLine(b *strings.Builder, l line) {
	var part []string
	var dots, path strings.Builder
	var first, last float64
	flush := func() {
		switch {
		case len(part) == 1:
			x, y, _ := strings.Cut(part[0], " ")
			fmt.Fprintf(&dots, `<circle class="dot %s" cx="%s" cy="%s" r="2.5"/>`, l.Class, x, y)
		case len(part) > 1:
			path.WriteString("M" + strings.Join(part, "L"))
			if l.area {
				_, height := c.size()
				fmt.Fprintf(&dots, `<path class="area %s" d="M%sL%.1f %gL%.1f %gZ"/>`, l.Class, strings.Join(part, "L"), last, height-bottom, first, height-bottom)
			}
		}
		part = part[:0]
	}
	for i, v := range l.ys {
		if math.IsNaN(v) || c.y.log && v <= 0 {
			flush()
			continue
		}
		x := c.px(c.xs[i])
		if len(part) == 0 {
			first = x
		}
		last = x
		part = append(part, fmt.Sprintf("%.1f %.1f", x, c.py(v)))
	}
	flush()
	b.WriteString(dots.String())
	if path.Len() > 0 {
		dash := ""
		if l.Dash {
			dash = " dash"
		}
		fmt.Fprintf(b, `<path class="line %s%s" d="%s"/>`, l.Class, dash, path.String())
	}
}

func (c *chart) drawLimit(b *strings.Builder, l limit) {
	if p := c.y.place(l.at); p < 0 || p > 1 {
		return
	}
	width, _ := c.size()
	y := c.py(l.at)
	fmt.Fprintf(b, `<line class="limit" x1="%g" x2="%g" y1="%.1f" y2="%.1f"/><text class="label limit" x="%g" y="%.1f" text-anchor="end">%s</text>`,
		left, width-right, y, y, width-right-4, y-4, escape(l.text))
}

// values are what the script shows under the pointer.
type values struct {
	Left  float64    `json:"left"` // of the plot in the picture
	Width float64    `json:"width"`
	X     []float64  `json:"x"` // places in the picture
	Tips  []string   `json:"tips"`
	Names []string   `json:"names"`
	Keys  []string   `json:"keys"` // classes
	Y     [][]string `json:"y"`    // by line; "" is no value
}

// Values returns them as JSON.
func (c *chart) Values() (string, error) {
	width, _ := c.size()
	v := values{Left: left, Width: width, Tips: c.tips}
	for _, x := range c.xs {
		v.X = append(v.X, math.Round(10*c.px(x))/10)
	}
	for _, l := range c.Lines {
		v.Names, v.Keys = append(v.Names, l.Name), append(v.Keys, l.Class)
		var ys []string
		for _, y := range l.ys {
			text := ""
			if !math.IsNaN(y) && !(c.y.log && y <= 0) {
				text = short(y) + " " + c.Unit
			}
			ys = append(ys, text)
		}
		v.Y = append(v.Y, ys)
	}
	text, err := json.Marshal(v)
	return string(text), err
}

func escape(text string) string { return template.HTMLEscapeString(text) }
