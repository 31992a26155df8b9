package main

import (
	"context"
	"os"
	"strings"
	"sync"
	"time"
)

// tally is what happened in a window, or in a phase.
type tally struct {
	setup     latencies // from when a call was to be made, to ReceivedByPeer
	connected latencies // the same, of calls whose two users were connected all the time
	accept    latencies // from the accept to Accepted, on both sides

	begun, completed, errors, violations, failed, reconnects int64
}

func newTally() *tally {
	t := &tally{}
	t.reset()
	return t
}

func (t *tally) reset() {
	for _, l := range []*latencies{&t.setup, &t.connected, &t.accept} {
		if l.histogram == nil {
			l.init()
		}
		l.histogram.Reset()
	}
	t.begun, t.completed, t.errors, t.violations, t.failed, t.reconnects = 0, 0, 0, 0, 0, 0
}

// window is a tally in the result. Its JSON names are stable.
type window struct {
	T          float64     `json:"t"` // seconds from the begin of the run; of a phase, to its first begin
	Phase      string      `json:"phase,omitempty"`
	Seconds    float64     `json:"seconds"`
	Begun      int64       `json:"begun"`
	Completed  int64       `json:"completed"`
	CallsPerS  float64     `json:"calls_per_s"`
	Setup      quickReport `json:"setup_ms"`
	Connected  quickReport `json:"setup_connected_ms"`
	Accept     quickReport `json:"accept_ms"`
	Errors     int64       `json:"errors"`
	Violations int64       `json:"violations"`
	Failed     int64       `json:"failed"`
	Reconnects int64       `json:"reconnects"`
}

// report returns the tally as it is in the result.
func (t *tally) report(begin, length time.Duration, phase string) window {
	return window{
		T: begin.Seconds(), Phase: phase, Seconds: length.Seconds(), Begun: t.begun, Completed: t.completed,
		CallsPerS: float64(t.completed) / max(length.Seconds(), 1e-3), Setup: t.setup.quick(), Connected: t.connected.quick(),
		Accept: t.accept.quick(), Errors: t.errors, Violations: t.violations, Failed: t.failed, Reconnects: t.reconnects,
	}
}

// series is the run in the course of time: window after window, and what came of each phase. What
// happens before its begin counts nowhere.
type series struct {
	width time.Duration

	mu     sync.Mutex
	begin  time.Time // zero: not begun
	now    *tally    // of the window that is open
	done   []window
	phase  *phase // that lasts; nil: none
	phases []*phase
}

// phase is the time, or times, for which the --mark file had one text.
type phase struct {
	name   string
	tally  *tally
	first  time.Duration
	since  time.Duration // of this time
	lasted time.Duration // earlier times
}

// Bounds of a series. What comes after the last window counts in that; what comes in other phases,
// in none.
const (
	maxWindows = 100_000
	maxPhases  = 64
)

// start begins the first window.
func (s *series) start(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begin, s.now = at, newTally()
}

// add counts something that happens now.
func (s *series) add(count func(*tally)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.begin.IsZero() {
		return
	}
	s.roll(time.Since(s.begin))
	count(s.now)
	if s.phase != nil {
		count(s.phase.tally)
	}
}

// roll closes the windows that are over.
func (s *series) roll(now time.Duration) {
	for len(s.done) < maxWindows-1 && now >= time.Duration(len(s.done)+1)*s.width {
		s.done = append(s.done, s.now.report(time.Duration(len(s.done))*s.width, s.width, s.name()))
		s.now.reset()
	}
}

// name returns the name of the phase that lasts.
func (s *series) name() string {
	if s.phase == nil {
		return ""
	}
	return s.phase.name
}

// enter begins a phase, or goes on with one of that name; "" ends the one that lasts.
func (s *series) enter(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.begin.IsZero() || name == s.name() {
		return
	}
	now := time.Since(s.begin)
	s.roll(now)
	if s.phase != nil {
		s.phase.lasted += now - s.phase.since
		s.phase = nil
	}
	for _, p := range s.phases {
		if p.name == name {
			s.phase, p.since = p, now
			return
		}
	}
	if name != "" && len(s.phases) < maxPhases {
		s.phase = &phase{name: name, tally: newTally(), first: now, since: now}
		s.phases = append(s.phases, s.phase)
	}
}

// report returns the windows, the last one cut short, and the phases.
func (s *series) report() (windows, phases []window) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Since(s.begin)
	s.roll(now)
	last := time.Duration(len(s.done)) * s.width
	windows = append(windows, s.done...)
	if now > last {
		windows = append(windows, s.now.report(last, now-last, s.name()))
	}
	for _, p := range s.phases {
		lasted := p.lasted
		if p == s.phase {
			lasted += now - p.since
		}
		phases = append(phases, p.tally.report(p.first, lasted, p.name))
	}
	return windows, phases
}

// markInterval is how often the --mark file is read.
const markInterval = 50 * time.Millisecond

// maxMark is the most bytes of a mark.
const maxMark = 64

// follow enters the phases that the file names, until ctx is done. A file that is not there names none.
func (s *series) follow(ctx context.Context, file string) {
	for {
		text, _ := os.ReadFile(file)
		s.enter(strings.TrimSpace(string(text[:min(len(text), maxMark)])))
		if !pause(ctx, markInterval) {
			return
		}
	}
}
