package explore

import (
	"fmt"
	"time"

	"github.com/ringfleet/ringfleet/internal/judge"
	"github.com/ringfleet/ringfleet/internal/phone"
	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/device"
)

// phase is where an invitation is, as the referee sees it.
type phase uint8

const (
	unsent phase = iota
	offering
	ringing
	accepting
	confirmed
	decided
)

// A referee watches what reaches the arbiter of an invitation, and says by the contract alone what
// is recorded first and what is late (docs/spec.md §6, P5). It is the second, dumb implementation
// that the first is compared with.
type referee struct {
	phase       phase
	due         Time // when the phase has to end by itself; 0: it does not
	gone        Time // when the sending device will have been away for the grace; 0: it is there
	lost        Time // when the chosen device will have been away for the grace; 0: it is there
	verdict     Time // when the chosen device, being there, need not be awaited any more
	chosen      invitation.Device
	outcome     device.Event // when decided
	reason      invitation.Reason
	heard       uint64 // the caller's last change of presence that has come
	calleeHeard uint64
	apart       bool // a failure separated the sides while it was decided: endings may differ in kind
	hurt        bool // an arbiter of it was lost
	late        bool // the verdict was awaited for longer than the contract promises
}

// watch takes a message that reaches the arbiter. It returns what is wrong with what the arbiter
// did: stage is where its view is after the message.
func (r *referee) watch(t invitation.Timers, msg *invitation.Message, stage invitation.Stage, caller bool) *judge.Violation {
	now := origin
	if r.phase == decided {
		return nil
	}
	if caller && (msg.Kind == invitation.MsgStart || msg.Kind == invitation.MsgCaller) && msg.Permit >= r.heard {
		r.heard = msg.Permit
		switch {
		case msg.Connected:
			r.gone = 0
		case r.gone == 0:
			r.gone = now.Add(t.Grace)
		}
	}
	switch msg.Kind {
	case invitation.MsgStart:
		if r.phase == unsent {
			r.phase, r.due = offering, now.Add(t.NoResponse)
		}
	case invitation.MsgSeen:
		if r.phase == offering {
			r.phase, r.due = ringing, now.Add(r.left(t.Expire, msg))
		}
	case invitation.MsgAccept:
		if r.phase == offering || r.phase == ringing {
			r.phase, r.due, r.chosen, r.lost = accepting, now.Add(r.left(t.AcceptWindow, msg)), msg.Device, 0
		}
	case invitation.MsgRefuse:
		if r.phase == offering || r.phase == ringing {
			r.chosen = msg.Device
			r.decide(device.Refused, invitation.NoReason)
		}
	case invitation.MsgCancel:
		if r.phase < confirmed {
			r.decide(device.Canceled, msg.Reason)
		}
	case invitation.MsgCallerDone:
		if r.phase < confirmed {
			r.decide(device.Canceled, invitation.CallerGone)
		}
	case invitation.MsgConfirm:
		if r.hurt && (r.phase < accepting || r.phase == accepting && msg.Named != r.chosen) { // asked by one that was lost
			r.phase, r.chosen, r.due = accepting, msg.Named, now
		}
		if r.phase == accepting && msg.Named == r.chosen {
			r.phase, r.verdict, r.due, r.gone = confirmed, max(now, r.due).Add(t.Grace), 0, 0
		}
	case invitation.MsgCalleeDone:
		r.calleeDone(msg)
	case invitation.MsgCallee:
		r.calleePresence(t, msg)
		if msg.Full && r.phase == offering {
			r.decide(device.Failed, invitation.NoResponse)
		}
	case invitation.MsgTick:
		return r.tick(stage)
	default:
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
	r.phase, r.outcome, r.reason = decided, outcome, reason
	r.due, r.gone, r.lost, r.verdict = 0, 0, 0, 0
	r.heard, r.calleeHeard = 0, 0 // nothing is watched any more
}

func (r *referee) calleeDone(msg *invitation.Message) {
	switch {
	case r.hurt && r.phase < accepting && msg.Remote == invitation.RemoteRefused:
		r.chosen = msg.Device
		r.decide(device.Refused, invitation.NoReason)
	case r.hurt && r.phase < accepting && msg.Concluded && msg.Remote == invitation.RemoteCanceled:
		r.decide(device.Canceled, invitation.CallerGone)
	case msg.Device != r.chosen || r.phase < accepting:
	case r.phase == confirmed && msg.Remote == invitation.RemoteAccepted:
		r.decide(device.Accepted, invitation.NoReason)
	case msg.Remote != invitation.RemoteAccepted:
		r.decide(device.Failed, invitation.AcceptNotConfirmed)
	}
}

// calleePresence counts the grace of the chosen device from its loss, and anew when it returns.
func (r *referee) calleePresence(t invitation.Timers, msg *invitation.Message) {
	if msg.Permit < r.calleeHeard {
		return
	}
	r.calleeHeard = msg.Permit
	switch {
	case r.phase < accepting || msg.Online && msg.Chosen != r.chosen:
	case msg.Online && msg.Connected:
		if r.lost != 0 && r.phase == confirmed {
			r.verdict = origin.Add(t.Grace)
		}
		r.lost = 0
	case r.lost == 0:
		r.lost = origin.Add(t.Grace)
	}
}

// tick compares what the arbiter did at a tick with what was due.
func (r *referee) tick(stage invitation.Stage) *judge.Violation {
	switch {
	case stage != invitation.Ended:
	case r.phase == confirmed:
		if r.lost > origin || r.lost == 0 && r.verdict > origin {
			return &judge.Violation{Promise: judge.P2, What: "gave up on a verdict before the grace was over"}
		}
		r.decide(device.Failed, invitation.CalleeLost)
		r.late = true
	case r.due != 0 && r.due <= origin:
		r.decide(device.Failed, invitation.Expired)
	case r.gone != 0 && r.gone <= origin:
		r.decide(device.Canceled, invitation.CallerGone)
	default:
		return &judge.Violation{Promise: judge.P2, What: "ended by a timer before its time"}
	}
	return nil
}

// overdue says what should have happened by now. A deadline of just now is not overdue.
func (r *referee) overdue() *judge.Violation {
	switch {
	case r.phase == decided:
	case r.due != 0 && r.due < origin:
		return &judge.Violation{Promise: judge.P2, What: fmt.Sprintf("phase %v went on past its deadline", r.phase)}
	case r.gone != 0 && r.gone < origin && r.phase < confirmed:
		return &judge.Violation{Promise: judge.P2, What: "the caller has been gone for longer than the grace"}
	}
	return nil
}

// String returns the phase's name.
func (p phase) String() string {
	return [...]string{"unsent", "offering", "ringing", "accepting", "confirmed", "decided"}[p]
}

// event compares a terminal event with what is decided (P5).
func (r *referee) event(on invitation.Device, e phone.Event) *judge.Violation {
	if !e.Event.Event.Terminal() || e.Reason == invitation.OutcomeForgotten || r.apart {
		return nil
	}
	unfair := func(why string) *judge.Violation {
		return &judge.Violation{Promise: judge.P5, What: fmt.Sprintf("%v, but %s (recorded: %v)", e.Event, why, r)}
	}
	switch e.Reason {
	case invitation.AnsweredElsewhere:
		if r.chosen == "" || r.chosen == on {
			return unfair("no other device's accept was recorded")
		}
		return nil
	case invitation.RejectedElsewhere:
		if r.outcome != device.Refused || r.chosen == on {
			return unfair("no other device refused")
		}
		return nil
	default:
	}
	switch {
	case e.Event.Event == device.Accepted && e.Side == invitation.Callee:
		if r.phase != confirmed && r.outcome != device.Accepted && !r.late {
			return &judge.Violation{Promise: judge.P1, What: "accepted on the callee's side before the caller's device confirmed"}
		}
	case r.phase != decided && e.Event.Event == device.Refused:
		return unfair("no refuse was recorded")
	case r.phase != decided:
		return &judge.Violation{Promise: judge.P1, What: fmt.Sprintf("%v, but nothing is decided (recorded: %v)", e.Event, r)}
	case e.Event.Event != r.outcome && (e.Event.Event == device.Accepted || r.outcome == device.Accepted):
		return &judge.Violation{Promise: judge.P1, What: fmt.Sprintf("%v, but it is %v", e.Event, r)}
	case e.Event.Event != r.outcome:
		return unfair("something else was decided")
	case e.Event.Event == device.Canceled && e.Reason != r.reason:
		return unfair("for another reason")
	}
	return nil
}

// result compares the answer to a call with what is decided (P5). The arbiter is gone once both
// sides have acknowledged: then what is left knows only that the invitation has ended.
func (r *referee) result(on invitation.Device, a phone.Result, gone bool) *judge.Violation {
	if r.apart {
		return nil
	}
	won := false
	switch a.Request {
	case invitation.Cancel:
		won = r.outcome == device.Canceled && r.reason == invitation.CallerCanceled
	case invitation.Accept:
		won = r.chosen == on && r.outcome != device.Refused
	case invitation.Refuse:
		won = r.chosen == on && r.outcome == device.Refused
	default:
		return nil
	}
	switch {
	case won == (a.Error == invitation.OK):
	case gone && a.Error != invitation.OK:
		return nil
	default:
		return &judge.Violation{Promise: judge.P5, What: fmt.Sprintf("%v of %s answered %v (recorded: %v)", a.Request, on, a.Error, r)}
	}
	if !won && !gone && a.Error != invitation.AlreadyEnd {
		return &judge.Violation{Promise: judge.P5, What: fmt.Sprintf("the losing %v of %s answered %v", a.Request, on, a.Error)}
	}
	return nil
}

// String says what is recorded.
func (r *referee) String() string {
	s := r.phase.String()
	if r.phase == decided {
		s += " " + r.outcome.String()
		if r.reason != invitation.NoReason {
			s += " " + r.reason.String()
		}
	}
	if r.chosen != "" {
		s += " by " + string(r.chosen)
	}
	return s
}
