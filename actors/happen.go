package actors

import (
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/arbiter"
)

// recoveredBit is beside the bits of the kinds of event in a record: the arbiter was made after a loss.
const recoveredBit = 1 << 7

// happen tells of the events that a step has led to.
func (a *arbiterActor) happen(now invitation.Time, effects []arbiter.Effect) {
	v := a.machine.View()
	if v.Stage >= invitation.Ringing && a.rang == 0 && a.told >= invitation.Ringing && v.Stage < invitation.Ended {
		a.rang = now
	}
	if a.answered == 0 && v.Chosen != "" {
		a.answered = now
	}
	if a.host.events == nil || a.machine.Asking() || v.Version == 0 {
		return
	}
	if n := len(effects); v.Stage != invitation.Ended && n > 0 && effects[n-1].Kind == arbiter.Stop {
		return // the send was refused
	}
	if a.recovered && v.Stage == invitation.Ended && a.kinds == 0 {
		a.kinds = 1<<invitation.EventEnded - 1 // it may have been over for long: only how it ended is told
	}
	if a.machine.Placed() {
		a.once(invitation.EventSent, now)
	}
	if !a.has(invitation.EventSent) {
		return
	}
	if v.Stage <= invitation.Ringing && a.machine.CalleeAway() {
		a.once(invitation.EventCalleeOffline, now)
	}
	if a.rang != 0 {
		a.once(invitation.EventRinging, now)
	}
	if v.Stage >= invitation.Accepting && (a.has(invitation.EventCalleeOffline) || a.recovered) {
		a.once(invitation.EventClose, now)
	}
	if v.Stage != invitation.Ended || a.has(invitation.EventEnded) {
		return
	}
	if a.machine.Final() {
		a.conclude(now)
	} else if a.ending == nil || a.ending.Outcome != v.Outcome {
		a.ending = v
		a.host.events.Happened(invitation.EventEnded, a.stage(now), false)
	}
}

// conclude tells how the invitation has ended, if that was not told.
func (a *arbiterActor) conclude(now invitation.Time) {
	if a.host.events == nil || a.machine.View().Stage != invitation.Ended || a.has(invitation.EventEnded) {
		return
	}
	a.kinds |= 1 << invitation.EventEnded
	a.ending = nil
	a.host.events.Happened(invitation.EventEnded, a.stage(now), true)
}

func (a *arbiterActor) has(kind invitation.EventKind) bool { return a.kinds>>kind&1 != 0 }

func (a *arbiterActor) once(kind invitation.EventKind, now invitation.Time) {
	if a.has(kind) {
		return
	}
	a.kinds |= 1 << kind
	a.host.events.Happened(kind, a.stage(now), false)
}
