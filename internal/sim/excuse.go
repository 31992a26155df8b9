package sim

import (
	"time"

	"github.com/ringfleet/ringfleet/internal/judge"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/device"
)

// cause is why something with a call is excused: a bit.
type cause uint8

const (
	deviceAway    cause = 1 << iota // docs/spec.md §7, "not promised"
	sidesApart                      // §7, P1: the endings differ in kind
	wordLost                        // P1, P2: the word was said, and lost again and again until it was given up
	programEnded                    // a device's register went with its program
	loginEnded                      // §8: a device whose login is over
	outcomeLost                     // all who knew the outcome were lost
	overBound                       // P4: an offer that was on its way when its send was refused
	actorPanicked                   // a bug of ours, which the simulator makes on purpose
)

var causes = map[cause]string{
	deviceAway:    "a device was away for longer than the grace while its word was awaited",
	sidesApart:    "a failure separated the sides while it was decided: the endings differ in kind",
	wordLost:      "messages about a word that was awaited were lost until it was given up",
	programEnded:  "the program has ended that had accepted, and its word with it",
	loginEnded:    "the device's login was over",
	outcomeLost:   "all who knew the outcome were lost: it is forgotten before its time",
	overBound:     "the callee was over its bound when an offer was on its way",
	actorPanicked: "the invitation's actor panicked",
}

// excuse notes that something with a call is excused, and why: once for each cause.
func (w *world) excuse(r *record, why cause) {
	if r.excuses&why == 0 {
		r.excuses |= why
		w.excused[causes[why]]++
		if r.excuses == why {
			w.excusedCalls++
		}
	}
}

// unheard returns why the word of the chosen device may have been given up, 0 if it may not.
func (w *world) unheard(r *record) cause {
	if why := w.away(r); why != 0 {
		return why
	}
	if r.lostAt != 0 && w.now.Sub(r.lostAt) < afterLoss {
		return wordLost
	}
	return 0
}

// away returns why the word of the chosen device cannot be heard: it was away for longer than the grace while its word
// was awaited, or its program or login has ended. If messages were lost, so may have been that it was back for a moment.
func (w *world) away(r *record) cause {
	for _, p := range r.parts[1:] {
		d := p.device
		if d.name != r.referee.chosen {
			continue
		}
		missed := time.Duration(0)
		switch {
		case d.phase != online:
			missed = w.now.Sub(d.lostAt)
		case d.awayTo > r.chosenAt:
			missed = d.awayTo.Sub(d.awayFrom)
		}
		grace := r.timers.Grace - time.Second
		switch {
		case p.dead, d.epoch != p.epoch && !p.own:
			return programEnded
		case p.own:
			return loginEnded
		case missed >= grace:
			return deviceAway
		case missed >= grace/3 && r.lostAt != 0:
			return wordLost
		}
	}
	return 0
}

// mayForget reports whether a device may be told that the outcome is forgotten: after the linger, of an invitation that
// was never sent, and if the device has ended it by itself.
func (w *world) mayForget(r *record, p *part) bool {
	return p.own || r.startedAt == 0 || r.endedAt != 0 && w.now >= r.endedAt.Add(r.timers.Linger)
}

// whyForgotten returns why a device may be told so before, 0 if it may not.
func (w *world) whyForgotten(r *record, p *part) cause {
	d := p.device
	over := r.referee.due != 0 && r.referee.due <= w.now || r.parts[0].Ended() || r.parts[0].dead
	switch {
	case r.panicked:
		return actorPanicked
	case d.overAt != 0:
		return loginEnded
	case r.full && p.Side == invitation.Callee: // P4: an offer on its way is followed by its end at once; for how long it rings, P2 says
		return overBound
	case r.hurtAt != 0 && d.awayTo.Sub(d.awayFrom) >= w.config.Timers.Grace-2*time.Second:
		return deviceAway // meanwhile a session that was lost had nothing to remember it by
	case r.hurtAt != 0 && r.doubted: // two activations of a session, or of the arbiter
		return outcomeLost
	case w.nodes[w.nodeOf(d.user)].fresh != 0 && r.endedAt != 0 && p.shownAt >= r.endedAt:
		return outcomeLost // an offer that was on its way, to a session that is new
	case r.hurtAt != 0 && (w.now.Sub(r.hurtAt) >= r.timers.Grace || r.orphanAt != 0 && over):
		return outcomeLost
	}
	return 0
}

// agree checks P1.
func (w *world) agree(r *record) {
	caller := r.parts[0]
	w.callees = w.callees[:0]
	for _, p := range r.parts[1:] {
		// What a device that logged out was told is its own affair, but for an accept. An accept of which
		// only a program knew that has ended since is nobody's.
		mute := p.dead && caller.Ended() && caller.End != device.Accepted
		if mute && p.End == device.Accepted {
			w.excuse(r, programEnded)
		}
		if !mute && (!caller.own || p.End == device.Accepted) {
			w.callees = append(w.callees, &p.Part)
		}
	}
	late := r.excused != 0
	// An arbiter that takes the place of a lost one, while the device whose word it needs is away for longer than the grace, ends
	// the invitation by what it hears.
	excuse := judge.Excuse{VerdictLate: late, Apart: r.doubted || late && r.hurtAt != 0}
	switch v := judge.Agree(&caller.Part, w.callees, excuse); {
	case v != nil && r.panicked:
		w.excuse(r, actorPanicked)
	case v != nil:
		w.fail(r, v)
	case judge.Agree(&caller.Part, w.callees, judge.Excuse{}) == nil:
	case judge.Agree(&caller.Part, w.callees, judge.Excuse{Apart: r.doubted}) == nil:
		w.excuse(r, sidesApart)
	default:
		w.excuse(r, r.excused&-r.excused)
	}
	if caller.Ended() && caller.End != device.Accepted && caller.Reason == invitation.OutcomeForgotten && !caller.own {
		w.forgottenBy(r)
	}
}

// forgottenBy checks that what the caller is told to be forgotten has not been accepted.
func (w *world) forgottenBy(r *record) {
	for _, p := range w.callees {
		switch {
		case p.End != device.Accepted || w.now >= r.endedAt.Add(r.timers.Linger):
		case r.excused != 0:
			w.excuse(r, r.excused&-r.excused)
		default:
			w.fail(r, &judge.Violation{Promise: judge.P1, What: "accepted on the callee's side, forgotten on the caller's"})
		}
	}
}
