package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ringfleet/ringfleet/invitation"
)

// Bounds of what is kept and shown for people.
const (
	maxErrorTexts = 32
	maxHistories  = 20
	maxAlike      = 3 // of them, those that broke a promise in the same way
)

// countText counts under a text, and under "others" when there are too many texts.
func countText(counts map[string]int64, text string) {
	if len(counts) >= maxErrorTexts && counts[text] == 0 {
		text = "others"
	}
	counts[text]++
}

// fail counts an error.
func (r *run) fail(err error) {
	r.series.add(func(t *tally) { t.errors++ })
	r.mu.Lock()
	defer r.mu.Unlock()
	countText(r.errors, err.Error())
	countText(r.codes, codeOf(err))
}

// codeOf returns the node's word for what went wrong, or what kind of error it is without one.
func codeOf(err error) string {
	var call invitation.CallError
	var end invitation.End
	switch {
	case errors.As(err, &call):
		return call.Row().Name
	case errors.As(err, &end):
		return end.String()
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer"
	default:
		return "other"
	}
}

// failCall counts a failed call.
func (r *run) failCall(cause string) {
	r.series.add(func(t *tally) { t.failed++ })
	r.mu.Lock()
	defer r.mu.Unlock()
	countText(r.failed, cause)
}

// outcome counts a call that was judged, and shows what it broke. It is called with the call's mutex.
func (r *run) outcome(c *call, met circumstances, o invitation.Outcome) {
	h := &c.history
	name := h.scenario.name
	if met.disturbed() {
		c.noteAbsences()
	}
	if h.failed != "" {
		r.failCall(name + ": " + h.failed)
	}
	if ch := r.chaos; ch != nil && h.scenario.callee == connected && h.shown.IsZero() {
		ch.setups.add(c.intended, neverRang)
	}
	if len(h.broken) > 0 {
		r.series.add(func(t *tally) { t.violations++ })
	}
	r.slowest.add(c, met, r.begin)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.outcomes[o.String()]++
	by := r.scenarios[name]
	if by == nil {
		by = map[string]int64{}
		r.scenarios[name] = by
	}
	by[o.String()]++
	if met.disturbed() {
		r.delayed++
	}
	if h.excused != "" {
		countText(r.excused, name+": "+h.excused)
	}
	if h.allowed != "" {
		countText(r.allowed, name+": "+h.allowed)
	}
	if h.kept != "" {
		countText(r.kept, h.kept)
	}
	if len(h.broken) == 0 {
		return
	}
	r.violations++
	if r.shows(h.alike()) {
		r.tell("VIOLATION", c, strings.Join(h.broken, "\n  "))
	}
}

// explain prints the history of a call of which a request has failed.
func (r *run) explain(c *call, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.noteAbsences()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.shows(err.Error()) {
		r.tell("ERROR", c, err.Error())
	}
}

// shows reports whether one more history is to be printed, of calls that went wrong in a way.
func (r *run) shows(alike string) bool {
	if r.alike[alike]++; r.shown >= maxHistories || r.alike[alike] > maxAlike {
		return false
	}
	r.shown++
	return true
}

// tell prints the history of a call.
func (r *run) tell(what string, c *call, why string) {
	h, more := &c.history, ""
	if r.chaos != nil {
		more = r.chaos.around(r, h)
	}
	fmt.Fprintf(r.out, "\n%s in a call of scenario %s, %v, at %.3f s, from %s:\n  %s\n%s%s",
		what, h.scenario.name, h.survival.id, c.intended.Sub(r.begin).Seconds(), c.node.target, why, h, more)
}

// alike names the way in which the history broke a promise: the promise, and why the call has failed.
func (h *history) alike() string {
	promise, _, _ := strings.Cut(h.broken[0], ":")
	return promise + ": " + h.failed
}

// noteAbsences adds to the history when its users were away, once.
func (c *call) noteAbsences() {
	if c.noted {
		return
	}
	c.noted = true
	note := func(side invitation.Side, u *user) {
		for _, a := range u.absences.since(c.intended) {
			c.history.moments = append(c.history.moments, moment{at: a.from, side: side, text: "connection lost"})
			if !a.to.IsZero() {
				c.history.moments = append(c.history.moments, moment{at: a.to, side: side, text: "connected again"})
			}
		}
	}
	note(invitation.Caller, c.caller)
	if c.peer != nil {
		note(invitation.Callee, c.peer)
	}
}

// errorCount returns how many errors there were.
func (r *run) errorCount() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return sum(r.errors)
}

func sum(counts map[string]int64) int64 {
	var n int64
	for _, count := range counts {
		n += count
	}
	return n
}

// judgeAway counts users who cannot connect as the run ends.
func (r *run) judgeAway(now time.Time) {
	for _, u := range r.users {
		u.judgeAbsence(u.absences.lasting(now))
	}
}
