package main

import (
	"context"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/ringfleet/ringfleet/loadtest/figures"
	"github.com/ringfleet/ringfleet/loadtest/stats"
)

// tally is what happened in a window, or in a phase.
type tally struct {
	counted *figures.Counted

	begun, completed, errors, violations, failed, reconnects int64
}

func newTally(digits int) *tally { return &tally{counted: figures.NewCounted(digits)} }

func (t *tally) reset() {
	for _, h := range t.counted.All() {
		h.Reset()
	}
	t.begun, t.completed, t.errors, t.violations, t.failed, t.reconnects = 0, 0, 0, 0, 0, 0
}

// report returns the tally as it is in the result.
func (t *tally) report(begin, length time.Duration, phase string) figures.Window {
	c := t.counted
	return figures.Window{
		T: begin.Seconds(), Phase: phase, Seconds: length.Seconds(), Begun: t.begun, Completed: t.completed,
		CallsPerS: float64(t.completed) / max(length.Seconds(), 1e-3), Setup: c.Setup.Quick(), Connected: c.Connected.Quick(),
		Accept: c.Accept.Quick(), Connects: c.Connects.Quick(), Errors: t.errors, Violations: t.violations, Failed: t.failed,
		Reconnects: t.reconnects,
	}
}

// series is the run in the course of time: window after window, and what came of each phase. What
// happens before its begin counts nowhere.
type series struct {
	width  time.Duration
	gauges func() (inFlight, online int64)
	parts  bool // what latencies are from is kept, to be merged with that of others

	mu     sync.Mutex
	begin  time.Time // zero: not begun
	now    *tally    // of the window that is open
	done   []figures.Window
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
	s.begin, s.now = at, newTally(stats.Coarse)
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
		s.close(s.width)
		s.now.reset()
	}
}

// close closes the window that is open.
func (s *series) close(length time.Duration) {
	w := s.now.report(time.Duration(len(s.done))*s.width, length, s.name())
	if s.gauges != nil {
		w.InFlight, w.Online = s.gauges()
	}
	if s.parts {
		w.Counted = s.now.counted.Packed()
	}
	s.done = append(s.done, w)
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
		s.phase = &phase{name: name, tally: newTally(0), first: now, since: now}
		s.phases = append(s.phases, s.phase)
	}
}

// report ends the last window, and returns the windows and the phases. Nothing is counted afterwards.
func (s *series) report() (windows, phases []figures.Window) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Since(s.begin)
	s.roll(now)
	if last := time.Duration(len(s.done)) * s.width; now > last {
		s.close(now - last)
	}
	for _, p := range s.phases {
		lasted := p.lasted
		if p == s.phase {
			lasted += now - p.since
		}
		one := p.tally.report(p.first, lasted, p.name)
		if s.parts {
			one.Counted = p.tally.counted
		}
		phases = append(phases, one)
	}
	s.begin = time.Time{}
	return s.done, phases
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
