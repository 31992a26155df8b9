package sim

import (
	"fmt"
	"time"

	"github.com/ringfleet/ringfleet/internal/judge"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/device"
)

// stage is where an invitation is, as the referee sees it.
type stage uint8

const (
	unsent stage = iota
	offering
	ringing
	accepting
	confirmed
	decided
)

// referee watches what reaches the arbiter of an invitation, and says by the contract alone what is
// recorded first and what is late (docs/spec.md §6, P5). It is a second, dumb implementation that the
// first is compared with.
type referee struct {
	stage   stage
	due     Time // when the stage has to end by itself; 0: it does not
	gone    Time // when the sending device will have been away for the grace; 0: it is there
	lost    Time // when the chosen device will have been away for the grace; 0: it is there
	verdict Time // when the chosen device, being there, need not be awaited any more
	changed Time // when the chosen device was last heard to come or go
	chosen  invitation.Device
	said    invitation.Device // the callee's device that has said "accepted", perhaps before the confirm has come
	outcome device.Event      // when decided
	reason  invitation.Reason
	late    bool // the verdict was awaited for longer than the contract promises
	again   bool // the arbiter took the place of one that was lost

	callerHeard uint64 // the last change of presence that has come
	calleeHeard uint64
	cancelID    uint64 // the request that won: of the caller's device,
	answerID    uint64 // and of the chosen one
}

// watch takes a message that reaches the arbiter. It returns what is wrong with what the arbiter
// did: at is where its view is after the message.
func (r *referee) watch(now Time, t *invitation.Timers, msg *invitation.Message, at invitation.Stage) *judge.Violation {
	if msg.Kind == invitation.MsgAccept && r.stage >= accepting && msg.Device == r.chosen && r.answerID == 0 && r.outcome != device.Refused {
		r.answerID = msg.RequestID // recorded by the device's word before
	}
	if r.stage == decided {
		return nil
	}
	if (msg.Kind == invitation.MsgStart || msg.Kind == invitation.MsgCaller) && msg.Permit >= r.callerHeard {
		r.callerHeard = msg.Permit
		switch {
		case msg.Connected:
			r.gone = 0
		case r.gone == 0:
			r.gone = now.Add(t.Grace)
		}
	}
	switch msg.Kind {
	case invitation.MsgStart:
		if r.stage == unsent {
			r.stage, r.due = offering, now.Add(t.NoResponse)
		}
	case invitation.MsgSeen:
		if r.stage == offering {
			r.stage, r.due = ringing, now.Add(r.left(t.Expire, msg))
		}
	case invitation.MsgAccept:
		if r.stage == offering || r.stage == ringing {
			r.stage, r.due, r.lost = accepting, now.Add(r.left(t.AcceptWindow, msg)), 0
			r.chosen, r.answerID = msg.Device, msg.RequestID
		}
	case invitation.MsgRefuse:
		if r.stage == offering || r.stage == ringing {
			r.chosen, r.answerID = msg.Device, msg.RequestID
			r.decide(device.Refused, invitation.NoReason)
		}
	case invitation.MsgCancel:
		if r.stage < confirmed {
			r.cancelID = msg.RequestID
			r.decide(device.Canceled, msg.Reason)
		}
	case invitation.MsgCallerDone:
		if r.stage < confirmed {
			r.decide(device.Canceled, invitation.CallerGone)
		}
	case invitation.MsgConfirm:
		if r.stage < accepting || r.stage == accepting && msg.Named != r.chosen { // asked by an arbiter that was lost
			r.due, r.chosen, r.stage = now, msg.Named, accepting
		}
		if r.stage == accepting && msg.Named == r.chosen {
			r.stage, r.verdict, r.due, r.gone = confirmed, max(now, r.due).Add(t.Grace), 0, 0
			if r.said == r.chosen { // another arbiter told it the commit: both have said their word
				r.decide(device.Accepted, invitation.NoReason)
			}
		}
	case invitation.MsgCalleeDone:
		r.calleeDone(msg)
	case invitation.MsgCallee:
		r.calleePresence(now, t, msg)
		if msg.Full && r.stage == offering {
			r.decide(device.Failed, invitation.NoResponse)
		}
	case invitation.MsgRecover:
		if msg.User == msg.View.Terms.Callee {
			r.calleePresence(now, t, msg)
		}
	case invitation.MsgCalleeLost: // told anew; nothing is decided
	case invitation.MsgAbort:
		r.decide(device.Failed, invitation.OutcomeForgotten)
	case invitation.MsgTick:
		return r.tick(now, at)
	case invitation.MsgCaller, invitation.MsgResend:
	}
	return nil
}

// left returns what is left of the time that a word begins: another arbiter may have heard it before.
func (r *referee) left(most time.Duration, msg *invitation.Message) time.Duration {
	if msg.Remaining != 0 {
		return min(most, msg.Remaining)
	}
	return most
}

func (r *referee) decide(outcome device.Event, reason invitation.Reason) {
	r.stage, r.outcome, r.reason = decided, outcome, reason
	r.due, r.gone, r.lost, r.verdict = 0, 0, 0, 0
}

func (r *referee) calleeDone(msg *invitation.Message) {
	if msg.Remote == invitation.RemoteAccepted {
		r.said = msg.Device
	}
	switch {
	case r.stage < accepting && msg.Remote == invitation.RemoteRefused:
		r.chosen = msg.Device
		r.decide(device.Refused, invitation.NoReason)
	case r.stage < accepting && msg.Concluded && msg.Remote == invitation.RemoteCanceled:
		r.decide(device.Canceled, invitation.CallerGone)
	case msg.Device != r.chosen || r.stage < accepting:
	case r.stage == confirmed && msg.Remote == invitation.RemoteAccepted:
		r.decide(device.Accepted, invitation.NoReason)
	case msg.Remote != invitation.RemoteAccepted:
		r.decide(device.Failed, invitation.AcceptNotConfirmed)
	}
}

// calleePresence counts the grace of the chosen device from its loss, and anew when it returns.
func (r *referee) calleePresence(now Time, t *invitation.Timers, msg *invitation.Message) {
	if msg.Permit < r.calleeHeard {
		return
	}
	r.calleeHeard = msg.Permit
	switch {
	case r.stage < accepting || msg.Online && msg.Chosen != r.chosen:
	case msg.Online && msg.Connected:
		if r.lost != 0 && r.stage == confirmed {
			r.verdict, r.changed = now.Add(t.Grace), now
		}
		r.lost = 0
	case r.lost == 0:
		r.lost, r.changed = now.Add(t.Grace), now
	}
}

// tick compares what the arbiter did at a tick with what was due.
func (r *referee) tick(now Time, at invitation.Stage) *judge.Violation {
	switch {
	case at != invitation.Ended:
	case r.stage == confirmed:
		if r.lost > now || r.lost == 0 && r.verdict > now {
			return &judge.Violation{Promise: judge.P2, What: fmt.Sprintf("gave up on a verdict before the grace was over: %v %v", r.lost.Sub(now), r.verdict.Sub(now))}
		}
		r.decide(device.Failed, invitation.CalleeLost)
		r.late = true
	case r.due != 0 && r.due <= now:
		r.decide(device.Failed, invitation.Expired)
	case r.gone != 0 && r.gone <= now:
		r.decide(device.Canceled, invitation.CallerGone)
	default:
		return &judge.Violation{Promise: judge.P2, What: "ended by a timer before its time"}
	}
	return nil
}

// overdue says what should have happened by now. A deadline of just now is not overdue.
func (r *referee) overdue(now Time) *judge.Violation {
	switch {
	case r.stage == decided:
	case r.due != 0 && r.due < now:
		return &judge.Violation{Promise: judge.P2, What: fmt.Sprintf("went on past the deadline (%v)", r)}
	case r.gone != 0 && r.gone < now && r.stage < confirmed:
		return &judge.Violation{Promise: judge.P2, What: "the caller has been gone for longer than the grace"}
	}
	return nil
}

// event compares a terminal event with what is decided (P5).
func (r *referee) event(on invitation.Device, e judge.Event) *judge.Violation {
	if !e.Event.Terminal() || e.Reason == invitation.OutcomeForgotten {
		return nil
	}
	why := ""
	switch {
	case e.Reason == invitation.AnsweredElsewhere:
		if r.chosen == "" || r.chosen == on {
			why = "no other device's accept was recorded"
		}
	case e.Reason == invitation.RejectedElsewhere:
		if r.outcome != device.Refused || r.chosen == on {
			why = "no other device refused"
		}
	case e.Event == device.Accepted && e.Side == invitation.Callee:
		if r.stage != confirmed && r.outcome != device.Accepted && !r.late {
			why = "no confirm was recorded"
		}
	case r.stage != decided:
		why = "nothing was decided"
	case e.Event != r.outcome:
		why = "something else was decided"
	case e.Event == device.Canceled && e.Reason != r.reason:
		why = "for another reason"
	}
	if why == "" {
		return nil
	}
	return &judge.Violation{Promise: judge.P5, What: fmt.Sprintf("%v, but %s (recorded: %v)", e, why, r)}
}

// String says what is recorded.
func (r *referee) String() string {
	s := [...]string{"unsent", "offering", "ringing", "accepting", "confirmed", "decided"}[r.stage]
	return fields(s, r.stage == decided, r.outcome, r.reason != 0, r.reason, r.chosen != "", "by "+r.chosen)
}
