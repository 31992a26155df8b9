package arrivals

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// Process is how arrivals follow each other at a given rate.
type Process uint8

const (
	// Constant has the same time between any two at the same rate.
	Constant Process = iota
	// Poisson has independent, exponentially distributed times, as the calls of many people have.
	Poisson
)

// String implements fmt.Stringer.
func (p Process) String() string {
	if p == Poisson {
		return "poisson"
	}
	return "constant"
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Process) UnmarshalText(text []byte) error {
	switch string(text) {
	case "constant":
		*p = Constant
	case "poisson":
		*p = Poisson
	default:
		return fmt.Errorf("arrivals %q: want constant or poisson", text)
	}
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (p Process) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// Bounds of a plan.
const (
	MaxRate   = 1_000_000.0 // a second
	MaxStages = 1_000
)

// Stage is a part of a plan, in which the rate goes evenly from one value to another.
type Stage struct {
	From, To float64       // a second; equal: it holds
	Lasts    time.Duration // 0: for ever
}

// String returns the stage as [ParseStages] reads it.
func (s Stage) String() string {
	rate := number(s.From)
	if s.From != s.To {
		rate += ".." + number(s.To)
	}
	if s.Lasts == 0 {
		return rate
	}
	return rate + "/" + short(s.Lasts)
}

// short writes 90 s as 1m30s, and 60 s as 1m.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// calls returns how many arrivals are expected within t of the begin of the stage.
func (s Stage) calls(t time.Duration) float64 {
	x := t.Seconds()
	if s.Lasts == 0 {
		return s.From * x
	}
	return s.From*x + (s.To-s.From)/s.Lasts.Seconds()*x*x/2
}

// when returns after what time of the stage so many arrivals are expected; there must be as many.
func (s Stage) when(calls float64) time.Duration {
	slope := 0.0
	if s.Lasts > 0 {
		slope = (s.To - s.From) / s.Lasts.Seconds()
	}
	root := math.Sqrt(max(s.From*s.From+2*slope*calls, 0))
	if s.From+root == 0 {
		return 0
	}
	return time.Duration(2 * calls / (s.From + root) * float64(time.Second))
}

// Plan is when calls are due. It is a value: the same plan is the same schedule.
type Plan struct {
	Process Process
	Stages  []Stage
	Seed    uint64

	first float64 // the first arrival of Constant is due when so many are expected; 0 to 1
}

// At returns a plan of one rate for ever.
func At(rate float64, process Process, seed uint64) Plan {
	return Plan{Process: process, Stages: []Stage{{From: rate, To: rate}}, Seed: seed}
}

// Share returns the part of generator i, from 0, of several that make the calls of a plan together. Of Constant the
// parts together are the plan; of Poisson they are another draw of it.
func (p Plan) Share(i, of int) Plan {
	part := Plan{Process: p.Process, Seed: p.Seed + uint64(i)*0x9E3779B97F4A7C15, first: (p.first + float64(i)) / float64(of)}
	for _, s := range p.Stages {
		s.From /= float64(of)
		s.To /= float64(of)
		part.Stages = append(part.Stages, s)
	}
	return part
}

// Lasts returns how long the plan lasts; 0 is for ever.
func (p Plan) Lasts() time.Duration {
	var sum time.Duration
	for _, s := range p.Stages {
		if s.Lasts == 0 {
			return 0
		}
		sum += s.Lasts
	}
	return sum
}

// Schedule gives the arrivals of a plan one after the other. It is not safe for concurrent use.
type Schedule struct {
	plan   Plan
	random *rand.Rand
	due    float64       // the number of arrivals expected until the next one
	stage  int           // it is not due before this one
	before float64       // the number expected in the stages before
	begin  time.Duration // when the stage begins
	begun  bool
}

// Schedule returns the schedule from its begin.
func (p Plan) Schedule() *Schedule {
	return &Schedule{plan: p, random: rand.New(rand.NewPCG(p.Seed, streams))}
}

// streams keeps these draws apart from others with the same seed.
const streams = 1 << 34

// Next returns when the next arrival is due, from the begin of the plan, and in which stage; false after the last.
func (s *Schedule) Next() (due time.Duration, stage int, ok bool) {
	switch {
	case s.plan.Process == Poisson: // by the time that makes any rate that of one per unit
		s.due += s.random.ExpFloat64()
	case s.begun:
		s.due++
	default:
		s.due = s.plan.first
	}
	s.begun = true
	for ; s.stage < len(s.plan.Stages); s.stage++ {
		now := s.plan.Stages[s.stage]
		all := now.calls(now.Lasts)
		if now.Lasts == 0 || s.due-s.before < all-tiny {
			return s.begin + now.when(s.due-s.before), s.stage, true
		}
		s.before += all
		s.begin += now.Lasts
	}
	return 0, 0, false
}

// tiny is less than any part of a call that matters, and more than the errors of adding many.
const tiny = 1e-6
